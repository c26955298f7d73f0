"""`git`: the files of a repository as of one commit, without its history."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from imgbake.api import Artifact, Part, PartsContext, Pin, RunContext, StepError
from imgbake_tasks import address, place
from imgbake_tasks.address import Address

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class GitOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a recipe says of a repository."""

    url: Annotated[str, Meta(description="The repository, as `git clone` takes it", min_length=1)]
    ref: Annotated[str, Meta(description="A branch, a tag, or a full commit id", min_length=1)] = "HEAD"
    subdir: Annotated[str, Meta(description="Only this folder of the repository")] = ""
    submodules: Annotated[bool, Meta(description="Check out submodules too, all the way down")] = False
    depth: Annotated[int, Meta(description="How many commits to fetch; 0 is all of them", ge=0)] = 1
    to: Annotated[str, Meta(description="The folder to write; else the task's own")] = ""

    def __post_init__(self) -> None:
        for option, value in (("url", self.url), ("ref", self.ref)):
            if value.startswith("-"):
                raise ValueError(f"`{option}` can't start with '-'")
        place.checked("subdir", self.subdir)
        place.checked("to", self.to)
        if self.to and not self.to.strip("./"):
            raise ValueError("`to` is replaced as a whole, so it can't be the project itself")

    @property
    def address(self) -> Address:
        """The url, taken apart."""
        return address.parsed(self.url)

    @property
    def pin_key(self) -> str:
        """How imgbake.lock calls it."""
        return f"{self.address.plain}#{self.ref}"


class Git:
    """Checks out a commit: the one that the lock or `--commit` names, else the newest of the ref."""

    kind: ClassVar[str] = "git"
    version: ClassVar[int] = 1

    def __init__(self, options: GitOptions) -> None:
        self.options = options

    def outputs(self, folder: str) -> tuple[str, ...]:
        """The checkout."""
        return (self.options.to or folder,)

    def parts(self, ctx: PartsContext) -> Iterable[Part]:
        """The commit. Raises StepError when the repository must be asked and can't be."""
        if self._named(ctx) is None:
            ctx.volatile()
        return (Part("commit", self._commit(ctx)),)

    def pin(self, ctx: PartsContext) -> Pin:
        """The ref's newest commit. Raises StepError when the repository can't be asked."""
        return Pin("git", self.options.pin_key, self._newest(ctx.root, ctx.reveal))

    def run(self, ctx: RunContext) -> Artifact:
        """Fetches what is missing and checks out. Raises StepError; then what was there stays."""
        from imgbake_tasks import git_checkout
        from imgbake_tasks.git_mirror import Source

        commit = self._commit(ctx)
        to = place.inside(ctx.root, self.options.to or ctx.folder)
        source = Source(self.options.address, commit, self.options.depth)
        tree = git_checkout.checkout(source, self.options.subdir, self.options.submodules, ctx)
        git_checkout.put(tree, to, ctx)
        facts = {"url": source.address.plain, "ref": self.options.ref, "commit": commit}
        return Artifact(kind="files", reference=commit, facts=facts)

    def _commit(self, ctx: PartsContext | RunContext) -> str:
        return self._named(ctx) or self._newest(ctx.root, ctx.reveal)

    def _named(self, ctx: PartsContext | RunContext) -> str | None:
        """The commit, where the lock, the command line or the recipe names one."""
        pinned = ctx.pinned("git", self.options.pin_key)
        if pinned is not None and not _COMMIT.fullmatch(pinned):
            hint = "give the full commit id: 40 hex digits, as `git rev-parse` prints it"
            raise StepError(
                f"{self.options.pin_key} is pinned to {pinned!r}, which is no commit id", hint=hint
            )
        return pinned or (self.options.ref if _COMMIT.fullmatch(self.options.ref) else None)

    def _newest(self, root: Path, reveal: Callable[[str], str]) -> str:
        from imgbake_tasks import git_remote

        if _COMMIT.fullmatch(self.options.ref):
            return self.options.ref
        return git_remote.newest(self.options.address, self.options.ref, root, reveal)
