"""The project's files: what patterns mean, what is in them, and whether they moved."""
