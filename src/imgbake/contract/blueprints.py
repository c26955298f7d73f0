"""An image with everything resolved, and the same in the words of a target."""

from __future__ import annotations

from typing import Any

import msgspec

from imgbake.contract.artifacts import Artifact, Tree
from imgbake.model import ImageConfig, Setup


class Copied(msgspec.Struct, frozen=True):
    """A component's `files` line, resolved to content.

    The paths of the tree are relative to `to`; a single file copied to a path that does not end
    with a slash is one entry with an empty path.
    """

    to: str
    tree: Tree
    mode: int | None = None
    owner: tuple[int, int] = (0, 0)
    unpack: bool = False
    exclude: tuple[str, ...] = ()


class Document(msgspec.Struct, frozen=True):
    """A component that is written in a target's own language, and taken as it is."""

    source: str  # relative to the project; one with a colon is a name that only the target knows
    text: str = ""  # what is in the file
    params: dict[str, str] = {}  # of the component


class Layer(msgspec.Struct, frozen=True):
    """One component of an image, resolved: files by content, environment, commands by phase.

    One with a `document` has nothing else.
    """

    component: str
    files: tuple[Copied, ...] = ()
    env: dict[str, str] = {}
    build: tuple[str, ...] = ()
    validate: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    setup: Setup = Setup()
    document: Document | None = None


class Described(msgspec.Struct, frozen=True):
    """An image that another tool's file describes, with all that its build takes resolved.

    `plan` is what the format tells targets that know it, such as its text and its options.
    """

    format: str
    plan: Any
    files: Tree = Tree()  # all that the build can see, by paths as the build knows them
    bases: dict[str, Artifact] = {}  # the images that it takes, by the names that it has for them
    args: dict[str, str] = {}  # the given arguments that decide


class Blueprint(msgspec.Struct, frozen=True):
    """An image with everything resolved to digests: what a target lowers.

    One that is `described` has neither layers nor a configuration of the recipe, and no base of its own.
    """

    image: str
    target: str
    base: Artifact
    layers: tuple[Layer, ...]
    config: ImageConfig
    epoch: int  # seconds since 1970 that every time inside the image is set to (SOURCE_DATE_EPOCH)
    described: Described | None = None


class Lowered(msgspec.Struct, frozen=True):
    """A blueprint in a target's native words: documents by file name. Pure text, in the fingerprint.

    Those `beside` say how it is baked and not what: they are printed, and decide nothing. `makes` lists,
    for people, what is made elsewhere meanwhile, such as a machine to bake on.
    """

    documents: dict[str, str]
    beside: dict[str, str] = {}
    makes: tuple[str, ...] = ()
