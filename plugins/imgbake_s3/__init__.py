"""What is kept in buckets of S3: OCI layouts with images, and image streams at `s3://BUCKET/PREFIX`."""

from __future__ import annotations

from imgbake.api import Destination, Shelf, hookimpl


@hookimpl
def imgbake_destinations() -> list[type[Destination]]:
    """The kind `s3`."""
    from imgbake_s3.destination import S3

    return [S3]


@hookimpl
def imgbake_shelves() -> list[type[Shelf]]:
    """Streams in a bucket."""
    from imgbake_s3.shelf import BucketShelf

    return [BucketShelf]
