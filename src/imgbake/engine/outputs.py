"""The files that a task makes: captured when it ran, compared when it is judged, put back when gone.

Nothing is read or written outside the project, whatever symlinks a task leaves behind.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import msgspec

from imgbake.contract import Artifact, Entry, Tree
from imgbake.digest import of_bytes
from imgbake.engine.graph import Node
from imgbake.engine.project import Project
from imgbake.errors import BakeError, StepError
from imgbake.files import glob


def clear(project: Project, node: Node) -> None:
    """Removes what the last run left where an output is a glob, and makes the folders of the outputs.

    Otherwise `dist/*.whl` would match last week's wheel as well.
    """
    wild = [pattern for pattern in node.outputs if not glob.is_literal(pattern)]
    last = project.ledger.last(node.id)
    if wild and last is not None and (tree := last.artifact.tree) is not None:
        matcher = glob.Matcher(wild)
        for entry in tree.entries:
            if entry.kind != "dir" and matcher.file(entry.path):
                with contextlib.suppress(OSError):
                    _inside(project, entry.path).unlink()
    for pattern in node.outputs:
        folder = glob.static_prefix(pattern) if pattern in wild else pattern.rpartition("/")[0]
        if folder and not (path := _inside(project, folder.rstrip("/") + "/.")).is_dir():
            path.mkdir(parents=True, exist_ok=True)


def capture(project: Project, node: Node, artifact: Artifact, *, keep: bool) -> Artifact:
    """The artifact of a task with the tree of its outputs, kept in the store if wanted.

    Raises StepError for an output that is not there, or that lies outside the project.
    """
    for pattern in node.outputs:
        _inside(project, glob.static_prefix(pattern).rstrip("/"))
    absent = project.files.missing(node.outputs)
    tree = project.files.tree(node.outputs, follow=False)
    unmet = next((p for p in node.outputs if p in absent or not _any_match(p, tree)), None)
    if unmet is not None:
        hint = "`outputs` lists what it must make, relative to the recipe's folder"
        raise StepError(f"it succeeded, but did not make its output '{unmet}'", hint=hint)
    if keep:
        for entry in tree.entries:
            if entry.kind == "file":
                _keep(project, entry)
    return msgspec.structs.replace(artifact, digest=tree.digest, tree=tree)


def are_there(project: Project, tree: Tree) -> bool:
    """Do all these files stand in the project, with this content?"""
    now = project.files.exact(entry.path for entry in tree.entries)
    return all(_same(now.get(entry.path), entry) for entry in tree.entries)


def restore(project: Project, node: Node, tree: Tree) -> bool:
    """Puts the files of a tree back from the store. False when a blob is gone; then nothing changed."""
    if not project.holds(entry.digest for entry in tree.entries if entry.kind == "file"):
        return False
    clear(project, node)
    for entry in tree.entries:
        path = _inside(project, entry.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        _put(project, entry, path)
    for entry in tree.entries:
        project.watch(entry.path)  # it isn't what it was when it was judged: missing, above all
    return True


def _same(now: Entry | None, entry: Entry) -> bool:
    if now is None:
        return False
    if "hardlink" in (now.kind, entry.kind):
        return now.kind in ("file", "hardlink")
    return now.value() == entry.value()


def _any_match(pattern: str, tree: Tree) -> bool:
    if glob.is_literal(pattern):
        return True
    matcher = glob.Matcher([pattern])
    return any(matcher.file(entry.path) or matcher.folder(entry.path) for entry in tree.entries)


def _keep(project: Project, entry: Entry) -> None:
    found = project.store.add_file(project.root / entry.source)
    if found != entry.digest:
        raise StepError(f"its output '{entry.path}' is still being written", hint="wait for what it starts")


def _put(project: Project, entry: Entry, path: Path) -> None:
    if entry.kind == "dir":
        path.mkdir(exist_ok=True)
        return
    unique = of_bytes(os.fsencode(path.name))[7:23]  # as long as any: a name of 255 bytes leaves no room
    beside = path.with_name(f".{unique}.imgbake")
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    if entry.kind == "symlink":
        beside.symlink_to(entry.digest)
    elif entry.kind == "hardlink":
        beside.hardlink_to(_inside(project, entry.digest))
    else:
        project.store.copy(entry.digest, beside, entry.mode)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    beside.replace(path)


def _inside(project: Project, path: str) -> Path:
    """A path of the project, once it is sure that no symlink on the way leads out of it."""
    if _may_lead_elsewhere(project.root, path):
        root = os.path.realpath(project.root)
        parent = os.path.realpath(os.path.join(root, os.path.dirname(path)))
        if parent != root and not parent.startswith(root + os.sep):
            hint = "an output must stay in the project: remove the symlink, or name another path"
            raise BakeError(f"'{path}' leads out of the project, to {parent}", hint=hint)
    return project.root / path


def _may_lead_elsewhere(root: Path, path: str) -> bool:
    """Is there a symlink or `..` on the way? Saves most paths from being resolved from `/` on."""
    *folders, _ = path.split("/")
    at = os.fspath(root)
    for folder in folders:
        at = f"{at}/{folder}"
        if folder == ".." or os.path.islink(at):  # noqa: PTH114  # no object for each folder
            return True
    return False
