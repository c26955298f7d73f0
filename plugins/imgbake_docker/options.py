"""The options of the target `docker`, and what is refused while the recipe is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from imgbake_oci import checking

Builder = Literal["auto", "classic", "buildkit"]


def _described(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text)


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of a target with `uses = "docker"`."""

    tags: Annotated[
        tuple[str, ...],
        _described("Names of the image on the engine, and what `--push` pushes to. Default: IMAGE:latest."),
    ] = ()
    platforms: Annotated[
        tuple[str, ...],
        _described("The platform as os/architecture[/variant], one at most. Default: the engine's."),
    ] = ()
    builder: Annotated[
        Builder,
        _described("Who builds: BuildKit through buildx, the engine itself, or the first that is there."),
    ] = "auto"
    labels: Annotated[dict[str, str], _described("Labels of the image, besides those of its recipe.")] = {}
    keep: Annotated[
        bool,
        _described("Keep the image in the store too, to load it again when the engine has lost it."),
    ] = False

    def __post_init__(self) -> None:
        """Raises ValueError for what can't be baked; the key that it is about stands in backticks."""
        for key, problem in _problems(self):
            raise ValueError(f"`{key}`: {problem}")

    def platform(self) -> str:
        """The platform to bake for, empty for the engine's own."""
        return self.platforms[0] if self.platforms else ""


def _problems(said: Options) -> Iterator[tuple[str, str]]:
    yield from (("tags", problem) for problem in checking.tags(said.tags))
    yield from (("platforms", problem) for problem in checking.platforms(said.platforms))
    if len(said.platforms) > 1:
        yield "platforms", 'an engine holds an image for one platform; `uses = "oci"` bakes for several'
