"""From an image and its components to a blueprint: every file resolved to content.

How `from` and `to` meet:

    a file     conf/app.toml   to /etc/app.toml   becomes that path; to /etc/ keeps its name
    a folder   static          to /srv/www        its content goes below /srv/www
    a glob     src/**/*.py     to /app            paths from the part before the first wildcard (src)
    a task     task:wheel      to /opt/           each of its outputs, by the rules above

What is unpacked is a file or several: links to archives are followed, and `exclude` means their members.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Protocol

import msgspec
from msgspec.structs import replace

from imgbake.contract import Artifact, Blueprint, Copied, Described, Document, Entry, Layer, Tree
from imgbake.engine.graph import Bake
from imgbake.errors import BakeError
from imgbake.files import glob
from imgbake.model import Component, FileCopy

_TASK = "task:"


class ScanTree(Protocol):
    """Reads the project's files."""

    def __call__(self, patterns: Sequence[str], exclude: Sequence[str], *, follow: bool) -> Tree:
        """Those that match, by content. With `follow`, a link to a file counts as that file."""


class Made(msgspec.Struct, frozen=True):
    """What a task left: its outputs as patterns, and the files that they match."""

    patterns: tuple[str, ...]
    tree: Tree


def draw(
    bake: Bake,
    base: Artifact,
    scan: ScanTree,
    made_by: Callable[[str], Made],
    text_of: Callable[[str], str],
    epoch: int,
) -> Blueprint:
    """The blueprint of an image.

    `scan` reads the project's files, `made_by` gives the files of a task, `text_of` what is in a file.
    Raises BakeError for a source that is not there.
    """
    layers = tuple(
        _document(component, text_of) if component.document else _layer(component, scan, made_by)
        for component in bake.image.components
    )
    return Blueprint(bake.image.name, bake.target.name, base, layers, bake.image.config, epoch)


def of_described(bake: Bake, described: Described, epoch: int) -> Blueprint:
    """The blueprint of an image that another tool's file describes."""
    none = Artifact("described")
    return Blueprint(bake.image.name, bake.target.name, none, (), bake.image.config, epoch, described)


def _document(component: Component, text_of: Callable[[str], str]) -> Layer:
    source = component.document
    text = "" if is_name(source) else text_of(source)
    return Layer(component.name, document=Document(source, text, component.params))


def is_name(document: str) -> bool:
    """Is a document something that only a target knows, and no file?"""
    return ":" in document


def _layer(component: Component, scan: ScanTree, made_by: Callable[[str], Made]) -> Layer:
    files = tuple(_copied(component, copy, scan, made_by) for copy in component.files)
    return Layer(
        component.name,
        files,
        component.env,
        component.build,
        component.validate,
        component.test,
        component.setup,
    )


def _copied(component: Component, copy: FileCopy, scan: ScanTree, made_by: Callable[[str], Made]) -> Copied:
    exclude = () if copy.unpack else copy.exclude
    if copy.source.startswith(_TASK):
        made = made_by(copy.source.removeprefix(_TASK))
        patterns, entries = made.patterns, _without(made.tree.entries, exclude)
    else:
        patterns, entries = (copy.source,), scan([copy.source], exclude, follow=copy.unpack).entries
    if not entries:
        hint = "a path is relative to the recipe's folder; name a task as task:NAME"
        raise BakeError(f"component '{component.name}': '{copy.source}' matches no file", hint=hint)
    placed = sorted(_place(patterns, entries, copy.to), key=lambda entry: entry.path)
    _check_doubles(component, copy, placed)
    unpacked_without = copy.exclude if copy.unpack else ()
    return Copied(copy.to, Tree(tuple(placed)), copy.mode, copy.owner, copy.unpack, unpacked_without)


def _without(entries: Sequence[Entry], exclude: Sequence[str]) -> Sequence[Entry]:
    """The entries that are not excluded. A hard link to one that is becomes the file in its place."""
    if not exclude:
        return entries
    matcher = glob.Matcher((), exclude)
    known = {entry.path: entry for entry in entries}
    heirs: dict[str, str] = {}  # an excluded first name to the one that takes its place
    kept = []
    for entry in entries:
        if matcher.excluded(entry.path):
            continue
        first = known.get(entry.digest) if entry.kind == "hardlink" else None
        if first is not None and matcher.excluded(first.path):
            heir = heirs.setdefault(first.path, entry.path)
            is_heir = heir == entry.path
            entry = replace(first, path=heir, source=heir) if is_heir else replace(entry, digest=heir)
        kept.append(entry)
    return kept


def _check_doubles(component: Component, copy: FileCopy, placed: Sequence[Entry]) -> None:
    """Refuses files of different folders that would become one: which of them should it be?"""
    for entry, following in pairwise(placed):
        if entry.path == following.path and not entry.kind == following.kind == "dir" and not copy.unpack:
            both = f"'{entry.source}' and '{following.source}'"
            message = f"component '{component.name}': {both} would both become {entry.path!r} in {copy.to}"
            raise BakeError(message, hint="exclude one of them, or copy them by two lines")


def _place(patterns: Sequence[str], entries: Sequence[Entry], to: str) -> Iterator[Entry]:
    """The entries with paths as they will stand below `to`."""
    literals = {pattern.rstrip("/") for pattern in patterns if glob.is_literal(pattern)}
    prefixes = sorted(
        (glob.static_prefix(pattern).rstrip("/") for pattern in patterns if not glob.is_literal(pattern)),
        key=len,
        reverse=True,
    )
    alone = len(entries) == 1 and len(patterns) == 1 and not to.endswith("/")
    for entry in entries:
        path = _path(entry, literals, prefixes)
        if alone and entry.path in literals and entry.kind != "dir":
            path = ""
        if path is not None:
            digest = entry.digest
            if entry.kind == "hardlink":
                digest = _relative(digest, literals, prefixes) or digest
            yield replace(entry, path=path, digest=digest)


def _path(entry: Entry, literals: set[str], prefixes: Sequence[str]) -> str | None:
    """Where an entry stands below `to`; None for the copied folder itself."""
    if entry.path in literals:
        return None if entry.kind == "dir" else entry.path.rpartition("/")[2]
    return _relative(entry.path, literals, prefixes)


def _relative(path: str, literals: set[str], prefixes: Sequence[str]) -> str:
    if path in literals:
        return path.rpartition("/")[2]
    folder = path
    while "/" in folder:
        folder = folder.rpartition("/")[0]
        if folder in literals or folder in prefixes:
            return path[len(folder) + 1 :]
    return path
