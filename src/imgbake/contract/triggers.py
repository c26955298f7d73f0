"""What is done when a tag of an image stream has moved."""

from __future__ import annotations

from typing import ClassVar, Protocol

import msgspec

from imgbake.contract.contexts import ResolveContext


class Moved(msgspec.Struct, frozen=True):
    """A tag, and where it points now."""

    trigger: str  # the trigger's name
    project: str
    stream: str
    tag: str
    image: str  # a digest, or what else cannot move
    reference: str  # how to get it
    kind: str  # of artifact
    before: str = ""  # the image that the trigger was started for last, if it ever was


class Trigger(Protocol):
    """What is done when a tag has moved. Its options are its only constructor argument.

    It is started for each image once, and again if that fails: be sure that doing it twice does no harm.
    """

    kind: ClassVar[str]
    version: ClassVar[int]

    def fire(self, moved: Moved, ctx: ResolveContext) -> str:
        """Does it, and says what was done, in a few words. Raises BakeError when it can't be.

        Call `ctx.check` while you wait: it raises when the user stops us.
        """
