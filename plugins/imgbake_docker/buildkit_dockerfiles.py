"""A user's Dockerfile, built by the engine's BuildKit: posted if it can be, and otherwise by buildx.

The Dockerfile goes with a context that is posted, and `COPY .` copies all that is there. So it bears a name
that no instruction copies; or, if that can't be and it is sent as the user wrote it, its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from imgbake.api import Described, RunContext, StepError, Tree
from imgbake_docker import choosing, proxies, solving
from imgbake_docker.engine import Client
from imgbake_docker.packing import tar
from imgbake_dockerfile.planning import asked_platform
from imgbake_dockerfile.request import UNSEEN, Request, Text, request

_HOSTS_OWN = frozenset({"security.selinux"})  # attributes that every file has there, and no image


class _Posted(NamedTuple):
    """A request that can be posted."""

    asked: Request
    name: str  # of its Dockerfile, in the tar
    texts: dict[str, str]  # that are in the tar besides the files


def build(
    client: Client,
    described: Described,
    labels: Mapping[str, str],
    epoch: int,
    platform: str,
    ctx: RunContext,
) -> str:
    """Builds it, and returns the id of the image. Raises StepError."""
    posted = _posted(request(described), described.files, ctx)
    if posted is None:
        return _by_buildx(described, labels, epoch, ctx)
    asked = posted.asked
    args = {**proxies.arguments(), **asked.args, **({"SOURCE_DATE_EPOCH": str(epoch)} if epoch else {})}
    parameters = {
        "dockerfile": posted.name, "target": asked.target, "buildargs": json.dumps(args),
        "labels": json.dumps(labels), "platform": platform, "nocache": "1" if ctx.force else "",
        "networkmode": asked.network.removeprefix("default"),
    }  # fmt: skip
    try:
        return solving.solve(client, parameters, lambda: tar(asked, described.files, posted.texts, ctx), ctx)
    except StepError as error:
        from imgbake_docker import buildx

        raise buildx.failure(asked, error) from None


def _by_buildx(described: Described, labels: Mapping[str, str], epoch: int, ctx: RunContext) -> str:
    from imgbake_docker import buildx

    told = ctx.work / "image.json"
    buildx.build(choosing.command(), described, labels, epoch, ("--load", f"--metadata-file={told}"), ctx)
    return buildx.image_id(told)


def _posted(asked: Request, files: Tree, ctx: RunContext) -> _Posted | None:
    """The request as it can be posted; None when it can't be.

    A session hands over secrets, caches, further folders, passwords for what is fetched, images of other
    platforms among it, and attributes of files that our tars have no room for.
    """
    has_session = asked.asks_back or asked.cache_from or asked.cache_to or asked.folders
    if has_session or any(image.role == "syntax" for image in asked.images):
        return None
    own = str(asked_platform(asked.platforms[0] if asked.platforms else ""))
    if any(image.platform != own for image in asked.images):
        return None
    if sum(entry.size for entry in files.entries) > solving.LARGE:
        return None
    if any(_attributes(ctx.root / entry.source) for entry in files.entries):
        return None
    if asked.is_unseen:
        return _Posted(asked, UNSEEN, {UNSEEN: asked.dockerfile.text})
    return _as_written(asked, files, ctx)


def _attributes(path: Path) -> set[str]:
    try:
        return set(os.listxattr(path, follow_symlinks=False)) - _HOSTS_OWN
    except OSError:  # the file system has none
        return set()


def _as_written(asked: Request, files: Tree, ctx: RunContext) -> _Posted | None:
    """With the user's own Dockerfile, if the context has it, and it says word by word what is sent."""
    name = next(
        (each.path for each in files.entries if each.source == asked.file and each.kind == "file"), ""
    )
    try:
        text = (ctx.root / asked.file).read_text("utf-8", "surrogateescape") if name else ""
    except OSError:
        return None
    lines = text.splitlines()
    told = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not name or told != asked.dockerfile.text.splitlines():
        return None
    return _Posted(replace(asked, dockerfile=Text(text, tuple(range(1, len(lines) + 1)))), name, {})
