"""The options of the target `buildkit`, and what is refused while the recipe is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

import msgspec

from imgbake.api import is_given
from imgbake_oci import checking

_ADDRESS = re.compile(r"(tcp|unix|docker-container|kube-pod)://.+")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of a target with `uses = "buildkit"`."""

    builder: Annotated[
        str,
        msgspec.Meta(
            description="A builder of `docker buildx ls`, or where a buildkitd is: `tcp://HOST:PORT`,"
            " `unix:///PATH`. Default: the builder that is in use.",
            extra={"decides": False},
        ),
    ] = ""
    tags: Annotated[tuple[str, ...], msgspec.Meta(description="References that `--push` pushes to.")] = ()
    platforms: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="Platforms as os/architecture[/variant]; several give an index. Default: the"
            " builder's. An image that is a Dockerfile has its own `platforms`."
        ),
    ] = ()
    labels: Annotated[
        dict[str, str], msgspec.Meta(description="Labels of the image, besides those of its recipe.")
    ] = {}

    def __post_init__(self) -> None:
        """Raises ValueError for what can't be baked; the key that it is about stands in backticks."""
        for key, problem in _problems(self):
            raise ValueError(f"`{key}`: {problem}")

    @property
    def is_address(self) -> bool:
        """Is the builder named by where it is?"""
        return "://" in self.builder


def _problems(said: Options) -> Iterator[tuple[str, str]]:
    known = _ADDRESS if said.is_address else _NAME
    if said.builder and is_given(said.builder) and not known.fullmatch(said.builder):
        yield "builder", f"'{said.builder}' is neither a builder's name nor tcp://HOST:PORT or unix:///PATH"
    yield from (("tags", problem) for problem in checking.tags(said.tags))
    yield from (("platforms", problem) for problem in checking.platforms(said.platforms))
