"""Files on their way into a bucket of S3."""

from __future__ import annotations

from pathlib import Path

from imgbake.api import RunContext
from imgbake_aws import sdk


def send(client: sdk.Client, path: Path, bucket: str, key: str, ctx: RunContext) -> None:
    """Sends a file, shows how far it is, and heeds whoever stops it. Raises BakeError."""
    size, done = path.stat().st_size, 0

    def count(more: int) -> None:
        nonlocal done
        ctx.check()
        done += more
        ctx.progress(done, size)

    with sdk.asking(f"s3:PutObject {bucket}/{key}"), path.open("rb") as file:
        client.upload_fileobj(file, bucket, key, Callback=count)
