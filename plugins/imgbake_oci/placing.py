"""From what a component copies to the members of its layer, each path once, sorted.

A later copy overwrites a file of an earlier one. A folder above a file is what the layers below say
of it, or else root's with 0755; symlinks of those layers are followed, as `cp` on the running image
would do.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping
from typing import NoReturn

import msgspec

from imgbake.api import BakeError, Copied, Entry
from imgbake_oci.compression import Content
from imgbake_oci.folders import ROOTS, Added, Attributes, Folders

_WHITEOUT = ".wh."

Open = Callable[[], Content]


class Member(msgspec.Struct, frozen=True, gc=False):
    """One member of a layer. Paths are relative to the image's root, without a final slash."""

    path: str
    kind: str  # "file", "dir", "symlink", "hardlink"
    mode: int
    uid: int
    gid: int
    size: int = 0
    link: str = ""  # what a symlink holds; the path of a hard link's first name
    digest: str = ""  # of the content; empty if nobody knows it before it is read
    source: str = ""  # where it comes from, relative to the project
    open: Open | None = None  # opens the content, if it is not the file `source`


class Unpacked(msgspec.Struct, frozen=True):
    """An archive's members as entries, and how the content of each file is opened, by path."""

    entries: tuple[Entry, ...]
    contents: Mapping[str, Open]


class Placer:
    """Gathers the members of one component's layer, on top of the folders below it."""

    def __init__(self, component: str, below: Folders) -> None:
        self._component = component
        self._below = below
        self._members: dict[str, Member] = {}
        self._linked: dict[str, tuple[int, str]] = {}  # path to the copy and first name of its hard link
        self._copies = 0

    def copy(self, copied: Copied, entries: Iterable[Entry], contents: Mapping[str, Open]) -> None:
        """Adds a copy: its own entries, or those that were unpacked from it.

        Raises BakeError for what can't stand beside what is there.
        """
        self._copies += 1
        entries = tuple(entries)
        to = posixpath.normpath(f"/{copied.to}").lstrip("/")
        if copied.to.endswith("/") or any(entry.path for entry in entries):
            source = entries[0].source if entries else copied.to
            self._folder(self._below.resolve(to), (0o755, *copied.owner), source)
        first_names = _first_names(entries)
        parents: dict[str, str] = {}
        for entry in entries:
            raw = f"{to}/{entry.path}" if entry.path and to else entry.path or to
            parent, _, name = raw.rpartition("/")
            folder = parents.get(parent)
            if folder is None:
                folder = parents[parent] = self._below.resolve(parent)
                self._folder(folder, ROOTS, entry.source)
            path = f"{folder}/{name}" if folder else name
            self._put(path, raw, entry, copied, first_names, contents)

    def members(self) -> list[Member]:
        """All members, parents before what is in them, first names before hard links."""
        ordered = [self._members[path] for path in sorted(self._members)]
        if not self._linked:
            return ordered
        firsts: dict[tuple[int, str], str] = {}
        return [self._as_link(member, firsts) for member in ordered]

    def added(self) -> Added:
        """What the layer says of folders to those above it."""
        members = self._members.values()
        folders = {item.path: (item.mode, item.uid, item.gid) for item in members if item.kind == "dir"}
        return Added.named(folders, {item.path: item.link for item in members if item.kind == "symlink"})

    def _put(
        self,
        path: str,
        raw: str,
        entry: Entry,
        copied: Copied,
        first_names: Mapping[str, Entry],
        contents: Mapping[str, Open],
    ) -> None:
        name = entry.path
        if entry.kind == "dir":
            self._copied_folder(self._below.resolve(raw), entry, copied)
            return
        if entry.kind == "hardlink":
            name, entry = entry.digest, self._first(entry, first_names)
        link = entry.digest if entry.kind == "symlink" else ""
        mode = 0o777 if link else entry.mode if copied.mode is None else copied.mode
        digest = "" if link else entry.digest
        self._check_place(path, entry)
        self._members[path] = Member(
            path, entry.kind, mode, *copied.owner, entry.size, link, digest, entry.source, contents.get(name)
        )
        self._linked.pop(path, None)
        if name in first_names:
            self._linked[path] = (self._copies, name)

    def _copied_folder(self, path: str, entry: Entry, copied: Copied) -> None:
        """A folder that was copied itself: its permissions count, unless it is `to`."""
        if not path or not entry.path:
            return
        mode = entry.mode if copied.mode is None else copied.mode | (copied.mode & 0o444) >> 2
        self._folder(path, (mode, *copied.owner), entry.source)
        self._members[path] = Member(path, "dir", mode, *copied.owner, source=entry.source)

    def _folder(self, path: str, attributes: Attributes, source: str) -> None:
        """Sees to it that there is a folder, with these attributes if it is new."""
        while path:
            there = self._members.get(path)
            if there is not None:
                if there.kind != "dir":
                    self._clash(there, source, "a folder")
                return
            parent, _, name = path.rpartition("/")
            self._check_name(name, path)
            known = self._below.attributes(path)
            self._members[path] = Member(path, "dir", *(known or attributes), source=source)
            path, attributes = parent, ROOTS

    def _check_place(self, path: str, entry: Entry) -> None:
        there = self._members.get(path)
        if there is not None and there.kind == "dir":
            self._clash(there, entry.source, "a file")
        if there is None and self._below.attributes(path) is not None:
            hint = f'write to = "/{path}/" to put it into the folder'
            raise self._error(f"'{entry.source}' can't become /{path}: that is a folder already", hint)
        self._check_name(path.rpartition("/")[2], path)

    def _check_name(self, name: str, path: str) -> None:
        if name.startswith(_WHITEOUT):
            message = f"/{path} can't be in an image: names that start with {_WHITEOUT} mean deletion"
            raise self._error(message, "exclude it")

    def _first(self, entry: Entry, first_names: Mapping[str, Entry]) -> Entry:
        first = first_names.get(entry.digest)
        if first is None or first.kind != "file":
            message = f"'{entry.source}' is a hard link to '{entry.digest}', which is not copied"
            raise self._error(message, "copy both, or make it a file of its own")
        return first

    def _as_link(self, member: Member, firsts: dict[tuple[int, str], str]) -> Member:
        key = self._linked.get(member.path)
        if key is None or firsts.setdefault(key, member.path) == member.path:
            return member
        return msgspec.structs.replace(member, kind="hardlink", link=firsts[key], size=0, digest="")

    def _clash(self, there: Member, source: str, wanted: str) -> NoReturn:
        kinds = {"dir": "a folder", "symlink": "a symlink"}
        message = (
            f"/{there.path} is {kinds.get(there.kind, 'a file')} (from '{there.source}')"
            f" and {wanted} (from '{source}')"
        )
        raise self._error(message, "exclude one of them, or copy it to another place")

    def _error(self, message: str, hint: str) -> BakeError:
        return BakeError(f"component '{self._component}': {message}", hint=hint)


def _first_names(entries: Iterable[Entry]) -> dict[str, Entry]:
    """The entries that hard links lead to, by path."""
    wanted = {entry.digest for entry in entries if entry.kind == "hardlink"}
    return {entry.path: entry for entry in entries if entry.path in wanted} if wanted else {}
