"""Other tools' files that describe images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Protocol

import msgspec

from imgbake.contract.blueprints import Described
from imgbake.contract.contexts import DescribingContext


class Argument(msgspec.Struct, frozen=True):
    """Something that a build of a described image can be given."""

    name: str
    place: str = ""  # what it is an argument of, such as a stage; empty for all of it
    at: str = ""  # file and line
    default: str | None = None
    value: str | None = None  # what the build will use, None while nobody gives it and there is no default
    is_needed: bool = False  # it is used, and has no default
    help: str = ""


class Given(msgspec.Struct, frozen=True):
    """Values for the arguments of a described image that its own table doesn't give."""

    said: dict[str, str] = {}  # by `--arg`, or saved, under names that [args] doesn't have; these win
    recipe: dict[str, str] = {}  # arguments of the recipe, secrets apart; what the table says wins


class Format(Protocol):
    """A kind of file, another tool's, that describes an image. Its options are its only constructor argument.

    An image whose table has the key `kind` is of this format: the keys of the options stand in that table,
    `kind` is one of them. Nothing here has effects. Before tasks have run, the file may not be there yet.
    A class may have `images() -> Sequence[str]`, the images of the recipe that it stands on, by name: they
    are baked before; and `streams(given: Given, root: Path) -> Sequence[str]`, the tags and images of streams
    that it stands on, as `stream:NAME:TAG`.
    """

    kind: ClassVar[str]
    version: ClassVar[int]

    def secrets(self) -> Sequence[str]:
        """The secret arguments of the recipe that the options name."""

    def arguments(self, given: Given, root: Path) -> Sequence[Argument]:
        """All that a build can be given, in the file's order. Raises BakeError for a file that is wrong."""

    def reads(self, given: Given, root: Path) -> Sequence[str]:
        """Globs of the project's files that a build may see: whoever writes them comes first.

        Of a file that is missing or wrong, all that it could see.
        """

    def describe(self, given: Given, ctx: DescribingContext) -> Described:
        """All that a build takes, by content. Raises BakeError."""
