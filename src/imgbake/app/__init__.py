"""The use cases, one module each: what a command of the command line does, without how it is shown."""
