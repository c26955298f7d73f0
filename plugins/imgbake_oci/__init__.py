"""The embedded OCI target."""
