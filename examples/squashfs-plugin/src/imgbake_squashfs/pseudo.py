"""What mksquashfs is told: a pseudo file (mksquashfs(1), "Pseudo file definition format") and arguments."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from imgbake.api import BakeError
from imgbake_squashfs.listing import Node

# Our own times instead of the variable's, which mksquashfs refuses to see beside them.
_WITHOUT_EPOCH = ("env", "-u", "SOURCE_DATE_EPOCH")
_FIXED = ("-noappend", "-no-xattrs", "-quiet", "-no-progress")
_ROOT = ("-root-mode", "0755", "-root-uid", "0", "-root-gid", "0")


def command(root: str, image: str, definitions: str, arguments: Sequence[str]) -> list[str]:
    """The command that packs the folder `root`."""
    return [
        *_WITHOUT_EPOCH, "mksquashfs", root, image, *_FIXED, *_ROOT, *arguments, "-pf", definitions
    ]  # fmt: skip


def text(nodes: Sequence[Node], made_by: Sequence[str]) -> str:
    """The definitions of all paths. Raises BakeError for a name that can't be written in one."""
    return "\n".join([f"# {shlex.join(made_by)}", *map(_definition, nodes)]) + "\n"


def _definition(node: Node) -> str:
    if "\n" in node.path or "\n" in node.link:
        message = f"{node.path!r} holds a line break, which mksquashfs can't be told"
        raise BakeError(message, hint="exclude it")
    attributes = f"{node.mode:04o} {node.owner[0]} {node.owner[1]}"
    if node.kind == "symlink":
        return f"{_quoted(node.path)} s {attributes} {node.link}"
    return f"{_quoted(node.path)} m {attributes}"


def _quoted(path: str) -> str:
    if all(character.isalnum() or character in "/._-+" for character in path):
        return path
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
