"""Contexts that go to the Job by way of a bucket of S3."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from imgbake.api import BakeError, RunContext
from imgbake_kaniko.plan import Plan


@contextlib.contextmanager
def kept(context: Path | None, plan: Plan, ctx: RunContext) -> Iterator[None]:
    """Keeps a context in the bucket that the options name, if any, while the block runs. Raises BakeError."""
    place = urlsplit(plan.context)
    if place.scheme != "s3" or context is None:
        yield
        return
    key = place.path.lstrip("/")
    client = _client()
    with _explained(place.netloc):
        client.upload_file(str(context), place.netloc, key, Callback=_counted(context.stat().st_size, ctx))
    try:
        yield
    finally:
        if not (plan.options.keep or ctx.keep):
            with _explained(place.netloc):
                client.delete_object(Bucket=place.netloc, Key=key)


def _client() -> Any:
    try:
        import boto3
    except ImportError:
        raise BakeError("a context in S3 needs boto3", hint="`pip install imgbake[ecr]`") from None
    return boto3.client("s3")


def _counted(total: int, ctx: RunContext) -> Any:
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        ctx.progress(done, total)

    return count


@contextlib.contextmanager
def _explained(bucket: str) -> Iterator[None]:
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError) as error:
        hint = "the credentials of AWS are taken from where its own tools take them"
        raise BakeError(f"the bucket {bucket} can't be used: {error}", hint=hint) from None
