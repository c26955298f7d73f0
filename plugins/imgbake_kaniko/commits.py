"""Contexts that Kaniko clones itself: a commit that holds what the build sees, and hides all else.

    seen here ── each file, by content ──> the commit that is checked out
                                             │  on a branch or tag of the repository, asked now
    git://HOST/PATH#REF#COMMIT  <────────────┘
    Dockerfile.dockerignore: what is in the commit and was not seen here

So what is built is what was looked at: a file that is not in the commit, or not as it is there, is
refused, and one that is only in the commit can't be copied.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path, PurePosixPath

import msgspec

from imgbake.api import BakeError, Completed, Described, Entry, RunContext, StepError
from imgbake_dockerfile.request import request
from imgbake_kaniko.options import Options
from imgbake_tasks import address, git_remote
from imgbake_tasks.address import Address

_PIECE = 1 << 20
_SHOWN = 5  # files that a message names
_SPECIAL = str.maketrans({char: f"\\{char}" for char in "\\*?[]!#"})  # what patterns give a meaning
_SHA1 = 40  # hexadecimal digits; Kaniko's git knows no other objects
_COMMITTED = 'commit and push it, ignore it in .dockerignore, or write `context = "volume"`'
_ADDRESS = 'write `context = "git+https://HOST/PATH"` on the target'
_LOGIN = frozenset({"GIT_TOKEN", "GIT_USERNAME", "GIT_PASSWORD"})
_SPECIAL_BITS = 0o7000
_MAY_RUN = 0o100


class Commit(msgspec.Struct, frozen=True):
    """A commit of a repository, as Kaniko is told of it."""

    url: str
    ref: str
    id: str
    folder: str = ""  # the context's, in it
    hidden: str = ""  # an ignore file
    login: dict[str, str] = {}  # variables that Kaniko's git reads, when the address itself held them

    @property
    def context(self) -> str:
        """It in Kaniko's words."""
        return f"git://{self.url.partition('://')[2]}#{self.ref}#{self.id}"

    @property
    def env(self) -> dict[str, str]:
        """What Kaniko must be told besides. It takes https if nobody says otherwise."""
        return {"GIT_PULL_METHOD": "http"} if self.url.startswith("http://") else {}


def unknown(options: Options) -> Commit:
    """What stands in printed manifests for the commit that is found when the image is baked."""
    return Commit(options.repository or "https://REPOSITORY", "REF", "COMMIT", "FOLDER", ".git\n")


def find(described: Described, options: Options, ctx: RunContext) -> Commit:
    """The commit that is checked out. Raises BakeError when the build can't see the same in it."""
    folder = request(described).folder
    git = _Git(ctx, ctx.root / folder)
    said = git.lines("rev-parse", "--show-prefix", "HEAD")
    if len(said) < 2:
        hint = 'write `context = "volume"`, or make a commit'
        raise BakeError(f"the context {folder or '.'} is in no git repository with a commit", hint=hint)
    prefix, commit = said
    if len(commit) != _SHA1:
        raise BakeError("Kaniko reads no repository with SHA-256", hint='write `context = "volume"`')
    held = git.tree(commit)
    seen = described.files.entries
    _refuse_differences(seen, held, commit, ctx)
    repository = _address(options, git)
    ref = _ref(repository, commit, git)
    ctx.log(f"-- {repository.plain} at {commit}, on {ref}")
    names = {entry.path for entry in seen}
    hidden = "".join(f"{pattern}\n" for pattern in sorted(_hidden(held, names)))
    login = _login(repository, options)
    return Commit(repository.plain, ref, commit, prefix.rstrip("/"), hidden, login)


class _Git:
    """Git in a folder of this machine."""

    def __init__(self, ctx: RunContext, folder: Path) -> None:
        self._ctx, self._folder = ctx, folder

    def lines(self, *words: str) -> list[str]:
        """What a command prints; nothing when it fails."""
        done = self._run(*words)
        return [] if done.code else done.stdout.splitlines()

    def tree(self, commit: str) -> dict[str, tuple[str, str]]:
        """The files of a commit below the folder: mode and object, by path from there."""
        found = {}
        for line in self._run("ls-tree", "-r", "-z", commit).stdout.split("\0")[:-1]:
            about, _, path = line.partition("\t")
            mode, _, name = about.split(" ")
            found[path] = (mode, name)
        return found

    def leads_to(self, tip: str, commit: str) -> bool:
        """Is a commit an ancestor of another? Not when that other is unknown here."""
        done = self._run("rev-list", "--ignore-missing", "--max-count=1", commit, f"^{tip}")
        return not done.code and not done.stdout

    def refs(self, repository: Address) -> dict[str, str]:
        """The branches and tags that the repository has now, with the commits that they lead to."""
        asked = ["refs/heads/*", "refs/tags/*"]
        try:
            found = git_remote.listed(repository, asked, self._folder, self._ctx.reveal)
        except StepError as error:
            hint = 'is it there? If it is private, write `env = { GIT_TOKEN = "{{ token }}" }` on the target'
            raise StepError(error.message, hint=hint, tail=error.tail) from None
        peeled = {name.removesuffix("^{}"): commit for name, commit in found.items() if "^{}" in name}
        return {
            name: peeled.get(name, commit)
            for name, commit in found.items()
            if "^{}" not in name and "#" not in name  # which ends a name in Kaniko's words
        }

    def fetched(self, commit: str) -> list[str]:
        """The branches that led to a commit when they were last fetched or pushed, as remotes call them."""
        form = "--format=refs/heads/%(refname:lstrip=3)"
        return self.lines("for-each-ref", f"--contains={commit}", form, "refs/remotes")

    def _run(self, *words: str) -> Completed:
        argv = git_remote.command(Address(""), *words)
        return self._ctx.run(argv, cwd=self._folder, capture=True, check=False, env={"LC_ALL": "C"})


def _refuse_differences(
    seen: Iterable[Entry], held: Mapping[str, tuple[str, str]], commit: str, ctx: RunContext
) -> None:
    folders = {str(parent) for path in held for parent in PurePosixPath(path).parents}
    found = []
    for entry in seen:
        ctx.check()
        if how := _difference(entry, held, folders, ctx.root):
            found.append(f"{entry.path} ({how})")
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        what = f"the build sees what the commit {commit[:12]} has not: {', '.join(found[:_SHOWN])}{more}"
        raise BakeError(what, hint=_COMMITTED)


def _difference(entry: Entry, held: Mapping[str, tuple[str, str]], folders: set[str], root: Path) -> str:
    """How a file differs from the commit's; empty when it does not."""
    if entry.kind == "dir":
        return "" if entry.path in folders else "git keeps no empty folders"
    if entry.path not in held:
        return "it is not in it"
    mode, name = held[entry.path]
    if entry.kind == "symlink":
        same = mode == "120000" and name == _blob(os.fsencode(entry.digest))
        return "" if same else "it was changed"
    may_run = "100755" if entry.mode & _MAY_RUN else "100644"
    if mode != may_run or entry.mode & _SPECIAL_BITS:
        return "it has other permissions"
    return "" if name == _blob_of_file(root / entry.source) else "it was changed, or git filters it"


def _blob(data: bytes) -> str:
    """The name that git gives to content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _blob_of_file(path: Path) -> str:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        found = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        while piece := file.read(_PIECE):
            found.update(piece)
    return found.hexdigest()


def _address(options: Options, git: _Git) -> Address:
    """Where Kaniko finds the repository, and as whom."""
    said = options.repository or next(iter(git.lines("ls-remote", "--get-url")), "")
    found = address.parsed(said)
    if "/" not in said and ":" not in said:
        raise BakeError("the git repository of the context has no remote", hint=_ADDRESS)
    if not found.plain.startswith(("https://", "http://")):
        hint = f"{_ADDRESS}: Kaniko clones by http and https"
        raise BakeError(f"Kaniko can't clone {found.plain}", hint=hint)
    env = options.env
    if "GIT_TOKEN" in env:
        return Address(found.plain, env["GIT_TOKEN"], "")
    if "GIT_USERNAME" in env or "GIT_PASSWORD" in env:
        return Address(found.plain, env.get("GIT_USERNAME", ""), env.get("GIT_PASSWORD", ""))
    return found


def _login(repository: Address, options: Options) -> dict[str, str]:
    if repository.user is None or not _LOGIN.isdisjoint(options.env):
        return {}
    return {"GIT_USERNAME": repository.user, "GIT_PASSWORD": repository.password or ""}


def _ref(repository: Address, commit: str, git: _Git) -> str:
    """A branch or tag of the repository that leads to a commit: the first that is it, or has it behind it.

    Of branches that have moved on to where nobody here knows, one that had it when it was last seen.
    """
    refs = git.refs(repository)
    by_tip = (name for name, tip in refs.items() if tip == commit)
    by_past = (name for name, tip in refs.items() if git.leads_to(tip, commit))
    by_memory = (name for name in git.fetched(commit) if name in refs)
    for name in chain(by_tip, by_past, by_memory):
        return name
    hint = "`git push` it; when it was pushed, `git fetch` shows the branch that has it"
    raise BakeError(f"{repository.plain} has the commit {commit[:12]} on no branch or tag", hint=hint)


def _hidden(held: Iterable[str], seen: set[str]) -> Iterator[str]:
    """Patterns for all of a commit that was not seen: folders as a whole where nothing in them was."""
    kept = seen | {str(parent) for path in seen for parent in PurePosixPath(path).parents}
    places = {".git"}
    for path in held:
        if path not in seen:
            above = [str(parent) for parent in reversed(PurePosixPath(path).parents)][1:]
            places.add(next((folder for folder in above if folder not in kept), path))
    for place in places:
        if not place.isprintable() or place != place.strip() or "\ufffd" in place:
            hint = 'rename it, or write `context = "volume"`'
            raise BakeError(f"{place!r} is in the commit, and no pattern can hide it", hint=hint)
        yield place.translate(_SPECIAL)
