"""The public test kit: real things in memory, and what every plugin is held to."""
