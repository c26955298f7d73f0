"""Bringing nodes up to date: the graph, fingerprints, what is stale and why, and running it."""
