"""Contexts that go to the Job by way of a bucket of S3.

.imgbake/kaniko/IMAGE@TARGET.context       the address of one that is there now
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from imgbake.api import BakeError, RunContext
from imgbake_aws import sdk, sending
from imgbake_kaniko import removing
from imgbake_kaniko.plan import Plan


@contextlib.contextmanager
def kept(context: Path | None, plan: Plan, note: Path, ctx: RunContext) -> Iterator[None]:
    """Keeps a context in the bucket that the options name, if any, while the block runs. Raises BakeError.

    What a bake that was killed has left by this note is removed first.
    """
    if note.exists():
        try:
            _remove(note, ctx)
        except BakeError as error:
            ctx.log(f"-- what a bake that was killed has left stays: {error.message}")
    place = urlsplit(plan.context)
    if place.scheme != "s3" or context is None:
        yield
        return
    with contextlib.ExitStack() as stack:
        if not (plan.options.keep or ctx.keep):
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(plan.context, encoding="utf-8")
            stack.enter_context(removing.afterwards(lambda: _remove(note, ctx), ctx))
        sending.send(sdk.client("s3"), context, place.netloc, place.path.lstrip("/"), ctx)
        yield


def _remove(note: Path, ctx: RunContext) -> None:
    """Removes the context that a note names, and the note."""
    address = note.read_text(encoding="utf-8")
    place = urlsplit(address)
    with sdk.asking(f"s3:DeleteObject {place.netloc}{place.path}"):
        sdk.client("s3").delete_object(Bucket=place.netloc, Key=place.path.lstrip("/"))
    note.unlink()
    ctx.log(f"-- removed {address}")
