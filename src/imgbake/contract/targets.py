"""Ways of baking: what every target does, and what some can do besides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Protocol

from imgbake.contract.artifacts import Artifact, Resolved
from imgbake.contract.blueprints import Blueprint, Document, Lowered
from imgbake.contract.contexts import Blobs, ResolveContext, RunContext
from imgbake.errors import Problem


class Target(Protocol):
    """A way of baking images. Its options are its only constructor argument.

    A class with `accepts: ClassVar[frozenset[str]]` bakes described images of these formats, too. It may
    have `outputs(image: str) -> tuple[str, ...]`, the folders in the project that it writes for an image
    besides what is below `.imgbake`: no two nodes of a recipe may write one; and
    `names(image: str, target: str) -> tuple[str, ...]`, what an image is called where such targets keep
    theirs when it is baked, or BakeError where it can be called nothing: no two images of a recipe may bear
    one name there. With `base_table: ClassVar[type[msgspec.Struct]]` recipes may say what to look for as a
    base in a table of this type, whose method `reference()` writes it as text, always the same. One that
    says `volatile = True` keeps what it makes outside the project and its store: then `present` is asked
    in every build, also when nothing changed.
    """

    kind: ClassVar[str]
    version: ClassVar[int]
    artifact: ClassVar[str]  # what it makes: "container", "ami", …
    phases: ClassVar[frozenset[str]]  # which of build, validate, test it can run

    def lower(self, blueprint: Blueprint) -> Lowered:
        """The blueprint in native words. Pure. Raises BakeError with a hint for what can't be said."""

    def bake(self, blueprint: Blueprint, lowered: Lowered, ctx: RunContext) -> Artifact:
        """Makes the image."""

    def test(self, artifact: Artifact, blueprint: Blueprint, ctx: RunContext) -> None:
        """Runs the test phase on a fresh instance. Raises StepError when a test fails."""

    def present(self, artifact: Artifact, ctx: ResolveContext) -> bool:
        """Is the artifact still there? Asked before a remembered one is used."""


class DocumentTaker(Protocol):
    """A target with a language of its own for components, which takes documents written in it."""

    def check_documents(self, documents: Mapping[str, Document]) -> Mapping[str, Sequence[Problem]]:
        """All that is wrong with those of an image, by component, with places in their text.

        Pure; asked when the recipe is read.
        """


class Askable(Protocol):
    """A volatile target that can be asked for an artifact without reading the recipe.

    A build that left nothing to do can then be settled all the same: the next one asks, and if all is still
    there and no file has moved, that is all it does.
    """

    def question(self, artifact: Artifact) -> tuple[Callable[[Sequence[str]], Sequence[bool]], str] | None:
        """A function that tells whether the artifact is there, and its argument; None if there is none.

        The function is asked for many artifacts at once, and answers in their order. It stands in a module
        that is loaded by itself, so at the top this imports only what Python brings, and is quick to
        import; what else the function needs, such as an SDK, it imports when it is asked. It raises
        nothing, and says no where it can't tell. What of the environment decides whom to ask stands in
        the argument, and where that is another one by then, it can't tell.
        """


class BaseHolder(Protocol):
    """A target that has images which nobody else knows, and described images can stand on."""

    def base(self, reference: str, ctx: ResolveContext) -> Resolved | None:
        """The image of this name, if only this target has it. Its facts may hold its `config`.

        Raises BakeError when it can't tell now; that is told if nobody else knows the image either.
        """


class Restorer(Protocol):
    """A target that can put back what it made once, without baking it again."""

    def restorable(self, artifact: Artifact, ctx: ResolveContext) -> bool:
        """Could `restore` do it now? Reads only."""

    def restore(self, artifact: Artifact, ctx: RunContext) -> bool:
        """Makes an artifact present that isn't. False when it can't be: then it is baked again."""


class Choosy(Protocol):
    """A target that can't bake everywhere all that it has words for."""

    def require(self, blueprint: Blueprint) -> None:
        """Raises BakeError when this machine lacks what it takes to bake this, such as a program.

        Asked when a build is planned, for images that it would bake; `bake` says the same. Connects to
        nothing.
        """


class Enterable(Protocol):
    """A target whose images can be looked at from inside."""

    def shell(
        self,
        artifact: Artifact | None,
        blueprint: Blueprint,
        at: str,
        commands: tuple[str, ...],
        ctx: RunContext,
    ) -> int:
        """Runs commands for the user, or else a shell, in a throw-away copy. Returns the exit code.

        Of the finished image; or with `at`, which names a component, of what its commands find. Then
        there need not be an artifact. Raises BakeError.
        """


class Distributable(Protocol):
    """A target that keeps its images elsewhere, and can bring one here so that destinations can take it."""

    def pack(self, artifact: Artifact, ctx: RunContext) -> Artifact:
        """The same image where destinations read it: for a container an OCI layout, which its `reference`
        names. It counts while the store holds its `blobs` and the files of its `proof` are there.
        """


class Exporter(Protocol):
    """A target whose artifacts can leave imgbake as files, or be pushed to their tags."""

    def formats(self) -> tuple[str, ...]:
        """The formats `export` knows, the default first."""

    def export(self, artifact: Artifact, blobs: Blobs, to: Path, form: str, name: str) -> None:
        """Writes the artifact to a path, whole or not at all. Raises BakeError."""

    def push(self, artifact: Artifact, ctx: RunContext) -> tuple[str, ...]:
        """Pushes to the target's tags and returns the references. Tags move last."""
