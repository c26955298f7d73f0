"""Places that finished images go to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol, runtime_checkable

import msgspec

from imgbake.contract.artifacts import Artifact
from imgbake.contract.contexts import ResolveContext, RunContext


class Cargo(msgspec.Struct, frozen=True):
    """A finished image that goes to a destination."""

    name: str  # the image's in the recipe; or, without a recipe, the last part of what names it
    artifact: Artifact


class Destination(Protocol):
    """A place that finished images go to. Its options are its only constructor argument.

    Content comes first and changes nothing that anybody sees by name; then names move. A class that
    `imgbake copy` can name has a class method `parse(text: str, said: Mapping[str, Any])`, which
    returns the options and the tags that a text means, and None for a text that names no such place. `said`
    are further options.
    """

    kind: ClassVar[str]
    version: ClassVar[int]
    accepts: ClassVar[frozenset[str]]  # the kinds of artifact that it takes: "container", "ami", …

    def pointers(self, image: str, tags: Sequence[str]) -> tuple[str, ...]:
        """The names that a publish moves there. Pure. Raises BakeError for tags that can't be."""

    def find(self, cargo: Cargo, ctx: ResolveContext) -> Artifact | None:
        """What is there of the cargo, if all of it is. Reads only. Its `reference` is what pointers mean."""

    def deliver(self, cargo: Cargo, ctx: RunContext) -> Artifact:
        """Brings all that is missing, and returns what `find` finds from then on.

        May be repeated and stopped at any moment. The facts "sent" and "there" are numbers of bytes.
        """

    def verify(self, cargo: Cargo, delivered: Artifact, ctx: RunContext) -> None:
        """Reads all content back. Raises BakeError when it isn't what was delivered."""

    def current(self, pointer: str, ctx: ResolveContext) -> str:
        """The reference that a pointer means now, empty when there is no such pointer. Reads only."""

    def publish(self, pointer: str, reference: str, ctx: RunContext) -> None:
        """Makes a pointer mean something that was delivered. Raises BakeError when that isn't there."""

    def withdraw(self, pointer: str, ctx: RunContext) -> None:
        """Removes a pointer. Raises BakeError when it can't be."""


class AskableDestination(Protocol):
    """A destination that can be asked again without reading the recipe.

    A distribution that left nothing to do can then be settled: the next one asks, and if no file has moved
    here, and all is still there, that is all it does.
    """

    def question(
        self, cargo: Cargo, delivered: Artifact, pointers: Sequence[str], ctx: ResolveContext | RunContext
    ) -> tuple[Callable[[Sequence[str]], Sequence[bool]], str] | None:
        """A function that tells whether all of the cargo is there, and these pointers mean it; and its
        argument. None where that can't be asked in this way. The function is one of those that targets
        have, see `Askable`.
        """


@runtime_checkable
class Foreseeing(Protocol):
    """A destination that knows before anything is moved that a name can't be."""

    def require_movable(self, pointer: str, reference: str, ctx: ResolveContext) -> None:
        """Raises BakeError when the pointer can't be made to mean this, or, if it is empty, something new.

        Asked before content is brought, and so before any name moves. Reads only.
        """
