"""The folder that a build is given, as builders see it: without what is ignored.

A folder that is ignored is still there if something below it is not: it leads to that. Paths are
relative to the context, with forward slashes, and "" is the context itself.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from imgbake.api import BakeError
from imgbake_dockerfile.go import below_root
from imgbake_dockerfile.ignoring import Ignore
from imgbake_dockerfile.patterns import Matcher

Kind = Literal["file", "symlink", "folder", "special"]

Look = Callable[[str], None]

_LINKS = 255  # that are followed before it is a loop


class Filter(NamedTuple):
    """Which of what is below a folder counts, by patterns relative to it."""

    include: Matcher | None = None  # all of it, if there is none
    exclude: Matcher | None = None


_ALL = Filter()


class Context:
    """A context on disk. Raises BakeError for folders that can't be read.

    `look` is told each path before it is looked at, as far as what is there decides what is found.
    """

    def __init__(self, root: Path, ignore: Ignore, look: Look = lambda path: None) -> None:
        self._root = str(root)
        self._look = look
        self._ignored = ignore.matcher()

    def below(self, folder: str, filtered: Filter = _ALL) -> dict[str, Kind]:
        """What is below a folder; folders that don't count themselves are there if something in them does."""
        walk = _Walk(self._root, folder, self._ignored, filtered, self._look)
        return walk.run(self._state(folder))

    def kind(self, path: str) -> Kind | None:
        """What stands at a path; None when nothing does, or it is ignored. Links are not followed."""
        if not path:
            return "folder"
        self._look(path)
        try:
            kind = _kind_of_mode(os.lstat(os.path.join(self._root, path)).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unreadable(path, error) from None
        if not self._ignored.matches(path):
            return kind
        return "folder" if kind == "folder" and self.below(path) else None

    def names(self, folder: str) -> list[str]:
        """What is in a folder, ignored or not."""
        self._look(folder)
        return [entry.name for entry in _entries(self._root, folder)]

    def resolved(self, path: str) -> tuple[str, list[str]]:
        """Where a path leads when links are followed, and the links on the way.

        A link can't lead out of the context: `/` and `..` stop at its root.
        """
        links: list[str] = []
        done, rest = "", [name for name in path.split("/") if name]
        while rest:
            name = rest.pop(0)
            if name == "..":
                done = done.rpartition("/")[0]
                continue
            place = f"{done}/{name}" if done else name
            if self._is_link(place):
                links.append(place)
                if len(links) > _LINKS:
                    raise BakeError(f"{path}: its symlinks lead in a circle")
                target = self._target(place)
                done = "" if target.startswith("/") else done
                rest = [*(part for part in target.split("/") if part not in ("", ".")), *rest]
            else:
                done = place
        return below_root(done), links

    def _is_link(self, path: str) -> bool:
        self._look(path)
        try:
            found = os.lstat(os.path.join(self._root, path))
        except OSError:
            return False  # nothing is there, and nothing will be found
        return stat.S_ISLNK(found.st_mode) and not self._ignored.matches(path)

    def _target(self, link: str) -> str:
        try:
            return str(Path(self._root, link).readlink())
        except OSError as error:
            raise _unreadable(link, error) from None

    def _state(self, folder: str) -> tuple[bool, ...]:
        """What the matcher remembers of a folder."""
        state = Matcher.TOP
        names = folder.split("/") if folder else []
        for count in range(1, len(names) + 1):
            _, state = self._ignored.match("/".join(names[:count]), state)
        return state


class _Visit(NamedTuple):
    """A folder that is to be listed, and what the three matchers remember of it."""

    path: str
    ignored: tuple[bool, ...] = ()
    included: tuple[bool, ...] = ()
    excluded: tuple[bool, ...] = ()
    leads: tuple[str, ...] = ()  # it and those above it, if they only count for what is below them


class _Walk:
    """One way through the folders, which enters none where nothing can count."""

    def __init__(self, root: str, top: str, ignored: Matcher, filtered: Filter, look: Look) -> None:
        self._look = look
        self._root = root
        self._top = top
        self._ignored = ignored
        self._include, self._exclude = filtered
        self._is_filtered = filtered != _ALL

    def run(self, ignored: tuple[bool, ...]) -> dict[str, Kind]:
        """Everything below the top that counts."""
        found: dict[str, Kind] = {}
        pending = [_Visit(self._top, ignored)]
        list_folder = self._list if self._ignored.patterns or self._is_filtered else self._list_all
        while pending:
            visit = pending.pop()
            self._look(visit.path)
            list_folder(visit, found, pending)
        return found

    def _list_all(self, visit: _Visit, found: dict[str, Kind], pending: list[_Visit]) -> None:
        prefix = visit.path + "/" if visit.path else ""
        for entry in _entries(self._root, visit.path):
            path = prefix + entry.name
            found[path] = kind = _kind(entry)
            if kind == "folder":
                pending.append(_Visit(path))

    def _list(self, visit: _Visit, found: dict[str, Kind], pending: list[_Visit]) -> None:
        prefix = visit.path + "/" if visit.path else ""
        for entry in _entries(self._root, visit.path):
            path = prefix + entry.name
            is_ignored, ignored = self._ignored.match(path, visit.ignored)
            if entry.is_dir(follow_symlinks=False):
                counts = self._enter(visit, path, is_ignored, ignored, pending)
            else:
                counts = not is_ignored and (not self._is_filtered or self._filter(visit, path)[0])
            if counts:
                found.update(dict.fromkeys(visit.leads, "folder"))
                found[path] = _kind(entry)

    def _enter(
        self, visit: _Visit, path: str, is_ignored: bool, ignored: tuple[bool, ...], pending: list[_Visit]
    ) -> bool:
        """Does a folder count? It will be listed if something below it may."""
        if is_ignored and not self._ignored.may_except_below(path):
            return False
        counts, enters, included, excluded = True, True, visit.included, visit.excluded
        if self._is_filtered:
            counts, enters, included, excluded = self._filter(visit, path)
        counts = counts and not is_ignored
        if enters:
            leads = () if counts else (*visit.leads, path)
            pending.append(_Visit(path, ignored, included, excluded, leads))
        return counts

    def _filter(self, visit: _Visit, path: str) -> tuple[bool, bool, tuple[bool, ...], tuple[bool, ...]]:
        """Does a path count, may something below it, and what is there to remember of it?"""
        below_top = path[len(self._top) + 1 :] if self._top else path
        counts = enters = True
        included, excluded = visit.included, visit.excluded
        if self._include is not None:
            counts, included = self._include.match(below_top, included)
            enters = counts or self._include.may_match_below(below_top)
        if self._exclude is not None:
            is_out, excluded = self._exclude.match(below_top, excluded)
            counts = counts and not is_out
            enters = enters and (not is_out or self._exclude.may_except_below(below_top))
        return counts, enters, included, excluded


def _entries(root: str, folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(os.path.join(root, folder)) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise _unreadable(folder, error) from None


def _kind(entry: os.DirEntry[str]) -> Kind:
    if entry.is_file(follow_symlinks=False):
        return "file"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "symlink" if entry.is_symlink() else "special"


def _kind_of_mode(mode: int) -> Kind:
    if stat.S_ISLNK(mode):
        return "symlink"
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "special"


def _unreadable(path: str, error: OSError) -> BakeError:
    hint = "make it readable, or ignore it in .dockerignore"
    return BakeError(f"{path or 'the context'} can't be read: {error.strerror}", hint=hint)
