"""The folders of an image, as far as layers above must know them.

A layer that writes `bin/tool` has to say what `bin` is. Were it always a folder of root's with 0755,
a copy into /tmp would take away its sticky bit, and one into /bin would hide all of /usr/bin where
/bin is a symlink, as it is in most distributions. So each layer is asked once for its folders and its
symlinks, and what is added goes where `cp` on the running image would put it.

Whiteouts are heeded (image-spec, layer.md); a folder that a later layer replaces by a plain file is
still taken for a folder, which no known image does.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping

import msgspec

from imgbake.api import BakeError, Copied
from imgbake_oci.compression import Damaged
from imgbake_oci.tarfiles import Head

_MOST_LINKS = 40  # as Linux has it
_MOST_NAMES = 1_000_000
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"

Attributes = tuple[int, int, int]
"""Permissions, user id, group id."""

ROOTS: Attributes = (0o755, 0, 0)
"""What a folder is about which nobody said anything."""


class Added(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one layer says of folders. Paths are relative to the image's root."""

    folders: dict[str, Attributes] = {}
    links: dict[str, str] = {}  # symlinks and what they hold
    removed: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()  # folders whose content below this layer is hidden

    @classmethod
    def named(
        cls,
        folders: Mapping[str, Attributes],
        links: Mapping[str, str],
        removed: Iterable[str] = (),
        emptied: Iterable[str] = (),
    ) -> Added:
        """All but names that are not UTF-8, which no recipe can mean and no document can hold."""
        return cls(
            {path: attributes for path, attributes in folders.items() if _is_text(path)},
            {path: target for path, target in links.items() if _is_text(path) and _is_text(target)},
            tuple(filter(_is_text, removed)),
            tuple(filter(_is_text, emptied)),
        )


class Folders:
    """The folders of the layers so far. Grows by `add`."""

    def __init__(self) -> None:
        self._folders: dict[str, Attributes] = {}
        self._links: dict[str, str] = {}

    def add(self, layer: Added) -> None:
        """Puts a layer on top."""
        if layer.removed or layer.emptied:
            self._forget(frozenset(layer.removed), frozenset(layer.emptied))
        for path, attributes in layer.folders.items():
            self._links.pop(path, None)
            self._folders[path] = attributes
        for path, target in layer.links.items():
            self._folders.pop(path, None)
            self._links[path] = target

    def attributes(self, path: str) -> Attributes | None:
        """Of this folder, None when it isn't there. The path must be resolved."""
        return self._folders.get(path)

    def resolve(self, folder: str) -> str:
        """The folder's path with symlinks followed, as the kernel would from the image's root.

        Raises BakeError when they go round in circles.
        """
        if not self._links:
            return folder
        todo = folder.split("/")[::-1]
        done: list[str] = []
        followed = 0
        while todo:
            name = todo.pop()
            if name in ("", "."):
                continue
            if name == "..":
                del done[-1:]
                continue
            done.append(name)
            target = self._links.get("/".join(done))
            if target is not None:
                followed += 1
                if followed > _MOST_LINKS:
                    raise BakeError(f"/{folder} leads through symlinks that go round in circles")
                done = [] if target.startswith("/") else done[:-1]
                todo += target.split("/")[::-1]
        return "/".join(done)

    def seen_by(self, copied: Copied) -> str:
        """What decides here where a copy goes and what the folders above it are, as text.

        What an archive holds is not known without opening it, so all that is unusual counts for it.
        """
        to = posixpath.normpath(f"/{copied.to}").lstrip("/")
        if copied.unpack:
            paths = {to, *self._links, *self._folders}
        else:
            entries = copied.tree.entries
            names = {item.path if item.kind == "dir" else item.path.rpartition("/")[0] for item in entries}
            paths = {to, *(f"{to}/{name}".strip("/") for name in names)}
        resolved = {path: self.resolve(path) for path in _with_parents(paths)}
        lines = [f"/{path} is /{real}" for path, real in resolved.items() if path != real]
        for path in _with_parents(resolved.values()):
            known = self._folders.get(path)
            if known is not None and (
                known != ROOTS or (path == resolved.get(to) and copied.owner != ROOTS[1:])
            ):
                lines.append("/{} has {:04o} {}:{}".format(path, *known))
        return "\n".join(sorted(lines))

    def _forget(self, removed: frozenset[str], emptied: frozenset[str]) -> None:
        for known in (self._folders, self._links):
            for path in [path for path in known if _is_hidden(path, removed, emptied)]:
                del known[path]


def _is_hidden(path: str, removed: frozenset[str], emptied: frozenset[str]) -> bool:
    """Is a path, or a folder above it, removed, or a folder above it emptied?"""
    while path:
        if path in removed:
            return True
        path = path.rpartition("/")[0]
        if path in emptied:
            return True
    return False


def _with_parents(paths: Iterable[str]) -> set[str]:
    """The paths and all folders above them, without the root."""
    found: set[str] = set()
    for path in paths:
        while path and path not in found:
            found.add(path)
            path = path.rpartition("/")[0]
    return found


def added_by(members: Iterable[Head]) -> Added:
    """What the members of a layer say of folders. The last word on a path counts.

    Raises Damaged for a layer with more of them than any image has: a few megabytes can hold so many
    that they would fill the memory.
    """
    folders: dict[str, Attributes] = {}
    links: dict[str, str] = {}
    removed: set[str] = set()
    emptied: set[str] = set()
    for member in members:
        path = posixpath.normpath("/" + member.path).lstrip("/")
        parent, name = posixpath.split(path)
        if name == _OPAQUE:
            emptied.add(parent)
        elif name.startswith(_WHITEOUT):
            removed.add(posixpath.join(parent, name.removeprefix(_WHITEOUT)))
        elif member.kind == "dir":
            links.pop(path, None)
            folders[path] = (member.mode & 0o7777, member.uid, member.gid)
        elif member.kind == "symlink":
            folders.pop(path, None)
            links[path] = member.link
        if len(folders) + len(links) + len(removed) + len(emptied) > _MOST_NAMES:
            raise Damaged(f"it has more than {_MOST_NAMES:,} folders, symlinks and whiteouts")
    return Added.named(folders, links, sorted(removed), sorted(emptied))


def _is_text(name: str) -> bool:
    try:
        return name.isascii() or bool(name.encode())
    except UnicodeEncodeError:
        return False
