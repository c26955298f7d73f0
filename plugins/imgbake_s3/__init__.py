"""What is kept in buckets of S3: image streams, at `s3://BUCKET/PREFIX`."""

from __future__ import annotations

from imgbake.api import Shelf, hookimpl


@hookimpl
def imgbake_shelves() -> list[type[Shelf]]:
    """Streams in a bucket."""
    from imgbake_s3.shelf import BucketShelf

    return [BucketShelf]
