"""The options of the target `oci`, and what is refused while the recipe is read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated

import msgspec

from imgbake.api import BakeError, is_given
from imgbake_oci import checking, compression
from imgbake_oci.compression import Compression

_PRIVATE = frozenset({"..", ".git", ".imgbake"})  # no place for a layout of the user's


def _described(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text)


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of a target with `uses = "oci"`."""

    platforms: Annotated[
        tuple[str, ...],
        _described("Platforms as os/architecture[/variant]; several give an index. Default: the base's."),
    ] = ()
    tags: Annotated[tuple[str, ...], _described("References that `--push` pushes to.")] = ()
    compression: Annotated[Compression, _described("How layers are compressed.")] = "gzip"
    level: Annotated[int | None, _described("The compression's level; by default its fastest sound one.")] = (
        None
    )
    annotations: Annotated[dict[str, str], _described("Annotations of the manifest and the index.")] = {}
    layout: Annotated[
        str, _described("Folder of the OCI layout; by default one below `.imgbake/images`.")
    ] = ""

    def __post_init__(self) -> None:
        """Raises ValueError for what can't be baked; the key that it is about stands in backticks."""
        for key, problem in _problems(self):
            raise ValueError(f"`{key}`: {problem}")


def _problems(said: Options) -> Iterator[tuple[str, str]]:
    try:
        compression.chosen(said.compression, said.level)
    except BakeError as error:
        yield "level", f"{error.message}; {error.hint}"
    yield from (("platforms", problem) for problem in checking.platforms(said.platforms))
    yield from (("tags", problem) for problem in checking.tags(said.tags))
    if is_given(said.layout):
        yield from (("layout", problem) for problem in _layout_problems(said.layout))


def _layout_problems(layout: str) -> Iterator[str]:
    folder = os.path.normpath(layout)
    if layout and (layout.startswith("/") or folder == "." or folder.split("/")[0] in _PRIVATE):
        yield f"'{layout}' is no folder of its own inside the project"
    elif ":" in layout:
        yield f"'{layout}' has a colon, which is where a tag begins"
