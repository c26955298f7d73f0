"""A bare mirror of a repository, kept so that the next fetch is small.

    .imgbake/git/<hash of the url>         the mirror; refs/imgbake/<commit> says that a commit is whole
    .imgbake/git/<hash of the url>.new     one being made
    .imgbake/git/<hash of the url>.lock    held while it is used

A commit counts as there when its ref is: git writes a ref after all that it leads to, so what a
killed fetch leaves counts for nothing. A mirror that can't be used any more is made anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from imgbake.api import Completed, RunContext, StepError, digest
from imgbake_tasks import git_remote
from imgbake_tasks.address import Address

_TICK = 0.1  # seconds


class Source(msgspec.Struct, frozen=True):
    """A commit of a repository, and how much of its past to fetch (0 is all)."""

    address: Address
    commit: str
    depth: int = 1
    trusted: bool = True  # the user named it, not a file of another repository


class Mirror:
    """One mirror, open for one step."""

    def __init__(self, folder: Path, source: Source, ctx: RunContext) -> None:
        self.folder = folder
        self._source = source
        self._ctx = ctx

    def git(
        self, *words: str, env: dict[str, str] | None = None, cwd: Path | None = None, check: bool = True
    ) -> str:
        """The output of a git command in the mirror. Raises StepError when it fails, with `check`."""
        return self._run(f"--git-dir={self.folder}", *words, env=env, cwd=cwd, check=check).stdout

    def _succeeds(self, *words: str) -> bool:
        return self._run(f"--git-dir={self.folder}", *words).code == 0

    def _run(
        self, *words: str, env: dict[str, str] | None = None, cwd: Path | None = None, check: bool = False
    ) -> Completed:
        source = self._source
        added = {
            **git_remote.environment(source.address),
            "GIT_PROTOCOL_FROM_USER": "1" if source.trusted else "0",
            **(env or {}),
        }
        argv = git_remote.command(source.address, *words)
        return self._ctx.run(argv, env=added, cwd=cwd or self._ctx.root, capture=True, check=check)

    def init(self) -> None:
        """Makes an empty one."""
        form = ["--object-format=sha256"] if len(self._source.commit) == 64 else []
        self.git("init", "--quiet", "--bare", "--template=", *form)

    def has_commit(self) -> bool:
        """Is the commit here, with all its files?"""
        return self._succeeds("rev-parse", "--quiet", "--verify", f"{self._ref}^{{commit}}")

    def fetch(self) -> None:
        """Fetches the commit: alone where the server gives it, else with all branches and tags.

        Raises StepError when the repository can't be read or hasn't got it, Unusable when it is
        the mirror that is at fault.
        """
        source = self._source
        self._ctx.log(f"fetching {source.commit} from {source.address.plain}")
        try:
            return self._fetch(f"+{source.commit}:{self._ref}")
        except Unusable:
            self._ctx.log("the commit can't be had alone; fetching all branches and tags")
        everything = ("+refs/heads/*:refs/imgbake/heads/*", "+refs/tags/*:refs/imgbake/tags/*")
        self._fetch(*everything, whole=True)
        if not self._succeeds("update-ref", self._ref, source.commit):
            hint = "check that it was pushed there, and is on a branch or tag"
            raise StepError(f"{source.address.plain} has no commit {source.commit}", hint=hint)

    @property
    def _ref(self) -> str:
        return f"refs/imgbake/{self._source.commit}"

    def _fetch(self, *refs: str, whole: bool = False) -> None:
        """Raises StepError when the repository doesn't answer at all, Unusable when only this fails."""
        address = self._source.address
        words = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", *self._depth(whole=whole)]
        # Packs appear whole or not at all, loose objects one by one.
        words = ["-c", "fetch.unpackLimit=1", "-c", "gc.autoDetach=false", *words]
        try:
            self.git(*words, "--", git_remote.location(address), *refs)
        except StepError as error:
            self._ask()
            raise Unusable(f"{address.plain} can't be fetched", tail=error.tail) from None

    def _ask(self) -> None:
        """Raises StepError when the repository doesn't answer."""
        address = self._source.address
        try:
            self._run("ls-remote", "--quiet", "--", git_remote.location(address), "HEAD", check=True)
        except StepError as error:
            raise git_remote.unreachable(address, error.tail) from None

    def _depth(self, *, whole: bool) -> list[str]:
        if self._source.depth and not whole:
            return [f"--depth={self._source.depth}"]
        return ["--unshallow"] if (self.folder / "shallow").exists() else []


class Unusable(StepError):
    """The mirror itself may be what is wrong."""


def use(source: Source, ctx: RunContext, work: Callable[[Mirror], None]) -> None:
    """Calls `work` with a mirror that has the commit; once more with a new mirror if that fails.

    Raises StepError.
    """
    folder = ctx.root / ".imgbake" / "git" / digest.of_bytes(source.address.plain.encode())[7:39]
    with _locked(folder.with_suffix(".lock"), ctx):
        mirror = Mirror(folder, source, ctx)
        if folder.is_dir():
            _tidy(folder)
            try:
                if not mirror.has_commit():
                    mirror.fetch()
                return work(mirror)
            except Unusable as error:
                ctx.log(f"{error.message} into the mirror that is here; making it anew")
        _make(mirror)
        work(mirror)


def _make(mirror: Mirror) -> None:
    """Makes a mirror beside its place, and puts it there when it has the commit."""
    place = mirror.folder
    mirror.folder = place.with_suffix(".new")
    shutil.rmtree(mirror.folder, ignore_errors=True)
    mirror.init()
    mirror.fetch()
    shutil.rmtree(place, ignore_errors=True)
    mirror.folder.rename(place)
    mirror.folder = place


def _tidy(folder: Path) -> None:
    """Removes the locks and unfinished packs of a git that was killed; nobody else is here now."""
    for pattern in ("**/*.lock", "objects/pack/tmp_*"):
        for left in folder.glob(pattern):
            left.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(path: Path, ctx: RunContext) -> Iterator[None]:
    """Holds a lock file, which the system frees whatever becomes of us."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        while True:
            ctx.check()
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(_TICK)
        yield
