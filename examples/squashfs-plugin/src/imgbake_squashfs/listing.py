"""From the layers of an image to one list of paths. Pure.

A layer covers those before it, as in a container: a file replaces a file, and folders grow together.
Hard links become files: mksquashfs stores the same content only once anyhow.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence

import msgspec

from imgbake.api import BakeError, Copied, Entry, Layer

_KINDS = {"dir": "a folder", "file": "a file", "symlink": "a symlink"}


class Node(msgspec.Struct, frozen=True):
    """A path of the file system, relative to its root."""

    path: str
    kind: str  # "file", "dir", "symlink"
    mode: int
    owner: tuple[int, int] = (0, 0)
    link: str = ""  # what a symlink holds
    digest: str = ""  # of a file's content
    source: str = ""  # where a file's content is, relative to the project; empty for what is generated


def listing(layers: Sequence[Layer], generated: Node | None = None) -> tuple[Node, ...]:
    """Every path of the layers once, folders before what is in them.

    Raises BakeError for what can't stand beside each other.
    """
    nodes: dict[str, Node] = {}
    for layer in layers:
        for copied in layer.files:
            to = posixpath.normpath("/" + copied.to).strip("/")
            if to and any(entry.path for entry in copied.tree.entries):
                nodes.setdefault(to, Node(to, "dir", 0o755, copied.owner))
            for node in _nodes(copied, to):
                _add(node, nodes, f"component '{layer.component}'")
    if generated is not None:
        _add(generated, nodes, "the environment file")
    return tuple(nodes[path] for path in sorted(nodes))


def _nodes(copied: Copied, to: str) -> Iterator[Node]:
    files = {entry.path: entry for entry in copied.tree.entries if entry.kind == "file"}
    for entry in copied.tree.entries:
        path = posixpath.join(to, entry.path).rstrip("/")
        if entry.kind == "hardlink" and entry.digest not in files:
            message = f"'{entry.source}' is a hard link to '{entry.digest}', which is not copied"
            raise BakeError(message, hint="copy both, or make it a file of its own")
        if path:
            yield _node(path, files[entry.digest] if entry.kind == "hardlink" else entry, copied)


def _node(path: str, entry: Entry, copied: Copied) -> Node:
    if entry.kind == "symlink":
        return Node(path, "symlink", 0o777, copied.owner, link=entry.digest)
    mode = entry.mode if copied.mode is None else copied.mode
    if entry.kind == "dir":
        searchable = 0 if copied.mode is None else (mode & 0o444) >> 2  # who may read it may look into it
        return Node(path, "dir", mode | searchable, copied.owner)
    return Node(path, "file", mode, copied.owner, digest=entry.digest, source=entry.source)


def _add(node: Node, nodes: dict[str, Node], origin: str) -> None:
    for parent in _parents(node.path):
        there = nodes.setdefault(parent, Node(parent, "dir", 0o755))
        if there.kind != "dir":
            raise _clash(there, "a folder", origin)
    there = nodes.get(node.path, node)
    if (there.kind == "dir") != (node.kind == "dir"):
        raise _clash(there, _KINDS[node.kind], origin)
    nodes[node.path] = node


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _clash(there: Node, wanted: str, origin: str) -> BakeError:
    message = f"{origin} makes /{there.path} {wanted}, and it is {_KINDS[there.kind]} already"
    return BakeError(message, hint="copy one of them to another place, or exclude it")
