"""The context of a user's Dockerfile as the engine takes it: a tar of what the build can see.

The Dockerfile must be in the tar and must not be copied, although `COPY .` copies all that is there. The
classic builder leaves out a Dockerfile that the context's .dockerignore names. So one is sent that says so,
where the build does not see the user's own; otherwise the Dockerfile goes by a name that the user's ignores,
or is added to it, as docker itself does for a Dockerfile from elsewhere. (Kaniko does the same.)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from imgbake.api import BakeError, Entry, RunContext, Tree
from imgbake_dockerfile.ignoring import Ignore
from imgbake_dockerfile.request import UNSEEN, Request
from imgbake_oci import ustar

_IGNORE = ".dockerignore"
_PIECE = 1 << 20


class Packed(NamedTuple):
    """A context that is ready to be sent."""

    dockerfile: str  # its name in the tar
    pieces: Callable[[], Iterator[bytes]]


def packed(asked: Request, files: Tree, ctx: RunContext) -> Packed:
    """The context of a request. What has changed since it was looked at raises BakeError."""
    paths = {entry.path for entry in files.entries}
    name, ignore = UNSEEN, f"{UNSEEN}\n{_IGNORE}\n"
    if _IGNORE in paths:
        ignore = ""
        name = _ignored_name(asked.ignore, paths)
        if not name:
            name, own = UNSEEN, (ctx.root / asked.folder / _IGNORE).read_text("utf-8", "surrogateescape")
            ignore = f"{own}\n{UNSEEN}\n"
    texts = {name: asked.dockerfile.text} | ({_IGNORE: ignore} if ignore else {})
    return Packed(name, lambda: tar(asked, files, texts, ctx))


def tar(asked: Request, files: Tree, texts: dict[str, str], ctx: RunContext) -> Iterator[bytes]:
    """The pieces of a tar: texts by their names, and all files whose places they don't take."""
    return _gathered(_members(asked, files, texts, ctx))


def _ignored_name(ignore: Ignore, taken: set[str]) -> str:
    """A name at the top that the user's .dockerignore ignores, empty when none is found."""
    matcher = ignore.matcher()
    for pattern in ignore.patterns:
        name = pattern.replace("**/", "").replace("*", "Dockerfile").replace("?", "x")
        if "/" not in name and not name.startswith("!") and name not in taken and matcher.matches(name):
            return name
    return ""


def _members(asked: Request, files: Tree, texts: dict[str, str], ctx: RunContext) -> Iterator[bytes]:
    plain = ustar.Headers(0)
    for name, text in texts.items():
        yield from _text(plain, name, text)
    by_time: dict[int, ustar.Headers] = {}
    sent, total = 0, sum(entry.size for entry in files.entries)
    root = os.fspath(ctx.root)  # paths of pathlib would take as long as all the rest here
    for entry in files.entries:
        if entry.path in texts:
            continue
        path = f"{root}/{entry.source}"
        stat = os.lstat(path)
        seconds = max(0, int(stat.st_mtime))
        headers = by_time.get(seconds) or by_time.setdefault(seconds, ustar.Headers(seconds))
        yield from _member(headers, entry, path, stat.st_size)
        sent += entry.size
        ctx.progress(sent, total)
    yield ustar.END


def _text(headers: ustar.Headers, name: str, text: str) -> Iterator[bytes]:
    data = text.encode("utf-8", "surrogateescape")
    yield headers.header(name.encode(), ustar.FILE, 0o644, 0, 0, len(data))
    yield data + ustar.padding(len(data))


def _member(headers: ustar.Headers, entry: Entry, path: str, size: int) -> Iterator[bytes]:
    name = os.fsencode(entry.path)
    if entry.kind == "dir":
        yield headers.header(name + b"/", ustar.FOLDER, entry.mode, 0, 0)
    elif entry.kind == "symlink":
        yield headers.header(name, ustar.SYMLINK, 0o777, 0, 0, 0, os.fsencode(entry.digest))
    else:
        yield headers.header(name, ustar.FILE, entry.mode, 0, 0, size)
        yield from _content(entry, path, size)
        if padding := ustar.padding(size):
            yield padding


def _content(entry: Entry, path: str, size: int) -> Iterator[bytes]:
    left = size
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while left and (piece := os.read(file, min(left, _PIECE))):
            left -= len(piece)
            yield piece
    finally:
        os.close(file)
    if left:
        raise BakeError(f"{entry.source} became shorter while it was sent", hint="build again")


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces that are large enough to be worth a message each."""
    found: list[bytes] = []
    size = 0
    for piece in pieces:
        found.append(piece)
        size += len(piece)
        if size >= _PIECE:
            yield b"".join(found)
            found, size = [], 0
    yield b"".join(found)
