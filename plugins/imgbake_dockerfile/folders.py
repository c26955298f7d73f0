"""The folders of the project that a build takes files from: its context, and those that names stand for."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from imgbake.api import BakeError, DescribingContext, Entry, Tree, read_file
from imgbake_dockerfile.build import Build
from imgbake_dockerfile.context import Context
from imgbake_dockerfile.ignoring import Ignore, parse_ignore
from imgbake_dockerfile.located import DockerfileError
from imgbake_dockerfile.reach import reached

_STATE = ".imgbake"


class Folder(msgspec.Struct, frozen=True):
    """One of them."""

    name: str  # empty for the build's own context
    path: str  # in the project; empty for the project itself
    first: str = ""  # an ignore file that counts before the one in the folder

    @property
    def ignore_files(self) -> tuple[str, ...]:
        """Where its ignore file may stand, the one that counts first."""
        inside = posixpath.join(self.path, ".dockerignore")
        return (self.first, inside) if self.first else (inside,)


def ignored(folder: Folder, root: Path) -> Ignore:
    """What is ignored, our own state with it: no build should see that one was there before it."""
    own = () if folder.path else (_STATE,)
    for file in folder.ignore_files:
        try:
            found = parse_ignore(read_file(root / file), file)
            return Ignore((*found.patterns, *own), file)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise BakeError(f"{file} can't be read: {error.strerror}") from None
    return Ignore(own)


def seen(build: Build, folders: Sequence[Folder], ctx: DescribingContext) -> Tree:
    """What the build can see of them, by its paths there; `NAME:` stands before those of a named one."""
    own, *others = (_seen(build, folder, ctx) for folder in folders)
    if not others:
        return Tree(own)
    found = (entry for entries in (own, *others) for entry in entries)
    return Tree(tuple(sorted(found, key=lambda entry: entry.path)))


def _seen(build: Build, folder: Folder, ctx: DescribingContext) -> tuple[Entry, ...]:
    root = ctx.root / folder.path
    if not root.is_dir():
        hint = "`context` is a folder, relative to the recipe's"
        if folder.name:
            hint = (
                "`contexts` are image:NAME, docker-image://REFERENCE, and folders, relative to the recipe's"
            )
        raise DockerfileError(f"the context '{folder.path}' is no folder", hint=hint)
    prefix = f"{folder.path}/" if folder.path else ""
    context = Context(root, ignored(folder, ctx.root), lambda path: ctx.watch(prefix + path or "."))
    found = ctx.exact([prefix + one.path for one in reached(build, context, folder.name)]).entries
    if not prefix:
        return found
    label = f"{folder.name}:" if folder.name else ""
    return tuple(replace(entry, path=label + entry.path[len(prefix) :]) for entry in found)
