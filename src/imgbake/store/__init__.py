"""The content store: blobs by digest and records by fingerprint, shared by all projects."""
