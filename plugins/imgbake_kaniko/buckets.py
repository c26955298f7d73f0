"""Contexts that go to the Job by way of a bucket of S3."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from imgbake.api import RunContext
from imgbake_aws import sdk
from imgbake_kaniko.plan import Plan


@contextlib.contextmanager
def kept(context: Path | None, plan: Plan, ctx: RunContext) -> Iterator[None]:
    """Keeps a context in the bucket that the options name, if any, while the block runs. Raises BakeError."""
    place = urlsplit(plan.context)
    if place.scheme != "s3" or context is None:
        yield
        return
    key = place.path.lstrip("/")
    client = sdk.client("s3")
    with sdk.asking(f"s3:PutObject in {place.netloc}"), context.open("rb") as file:
        client.upload_fileobj(file, place.netloc, key, Callback=_counted(context.stat().st_size, ctx))
    try:
        yield
    finally:
        if not (plan.options.keep or ctx.keep):
            with sdk.asking(f"s3:DeleteObject in {place.netloc}"):
                client.delete_object(Bucket=place.netloc, Key=key)


def _counted(total: int, ctx: RunContext) -> Any:
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        ctx.progress(done, total)

    return count
