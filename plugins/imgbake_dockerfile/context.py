"""The folder that a build is given, as builders see it: without what is ignored.

A folder that is ignored is still there if something below it is not: it leads to that. Paths are
relative to the context, with forward slashes, and "" is the context itself.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from imgbake.api import BakeError
from imgbake_dockerfile.go import below_root
from imgbake_dockerfile.ignoring import Ignore
from imgbake_dockerfile.patterns import Matcher

Kind = Literal["file", "symlink", "folder", "special"]

_LINKS = 255  # that are followed before it is a loop


class Found(NamedTuple):
    """Something in the context."""

    path: str
    kind: Kind


class Filter(NamedTuple):
    """Which of what is below a folder counts, by patterns relative to it."""

    include: Matcher | None = None  # all of it, if there is none
    exclude: Matcher | None = None


_ALL = Filter()


class Context:
    """A context on disk. Raises BakeError for folders that can't be read."""

    def __init__(self, root: Path, ignore: Ignore) -> None:
        self._root = str(root)
        self._ignored = ignore.matcher()

    def all(self) -> Iterator[Found]:
        """Everything that isn't ignored."""
        return self.below("")

    def below(self, folder: str, filtered: Filter = _ALL) -> Iterator[Found]:
        """What is below a folder. A folder that doesn't count itself comes before the first that does."""
        walk = _Walk(self._root, folder, self._ignored, filtered)
        return walk.run(self._state(folder))

    def kind(self, path: str) -> Kind | None:
        """What stands at a path; None when nothing does, or it is ignored. Links are not followed."""
        if not path:
            return "folder"
        try:
            kind = _kind_of_mode(os.lstat(os.path.join(self._root, path)).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unreadable(path, error) from None
        if not self._ignored.matches(path):
            return kind
        return "folder" if kind == "folder" and next(self.below(path), None) else None

    def names(self, folder: str) -> list[str]:
        """What is in a folder, ignored or not."""
        return [entry.name for entry in _entries(self._root, folder)]

    def resolved(self, path: str) -> tuple[str, list[Found]]:
        """Where a path leads when links are followed, and the links on the way.

        A link can't lead out of the context: `/` and `..` stop at its root.
        """
        links: list[Found] = []
        done, rest = "", [name for name in path.split("/") if name]
        while rest:
            name = rest.pop(0)
            if name == "..":
                done = done.rpartition("/")[0]
                continue
            place = f"{done}/{name}" if done else name
            if self._is_link(place):
                links.append(Found(place, "symlink"))
                if len(links) > _LINKS:
                    raise BakeError(f"{path}: its symlinks lead in a circle")
                target = self._target(place)
                done = "" if target.startswith("/") else done
                rest = [*(part for part in target.split("/") if part not in ("", ".")), *rest]
            else:
                done = place
        return below_root(done), links

    def _is_link(self, path: str) -> bool:
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
    ignored: tuple[bool, ...]
    included: tuple[bool, ...]
    excluded: tuple[bool, ...]
    unseen: tuple[str, ...]  # the folders above it, and it, that nothing has been found for yet


class _Walk:
    """One way through the folders, which enters none where nothing can count."""

    def __init__(self, root: str, top: str, ignored: Matcher, filtered: Filter) -> None:
        self._root = root
        self._top = top
        self._ignored = ignored
        self._filtered = filtered
        self._announced: set[str] = set()
        self._filters = filtered.include is not None or filtered.exclude is not None
        self._plain = not ignored.patterns and not self._filters

    def run(self, ignored: tuple[bool, ...]) -> Iterator[Found]:
        """Everything below the top that counts, each folder before what is in it."""
        pending = [_Visit(self._top, ignored, Matcher.TOP, Matcher.TOP, ())]
        while pending:
            visit = pending.pop()
            for entry in _entries(self._root, visit.path):
                path = f"{visit.path}/{entry.name}" if visit.path else entry.name
                kind = _kind(entry)
                if self._plain:
                    yield Found(path, kind)
                    if kind == "folder":
                        pending.append(_Visit(path, (), (), (), ()))
                    continue
                counts, below = self._judge(visit, path, kind)
                if counts:
                    for folder in visit.unseen:
                        if folder not in self._announced:
                            self._announced.add(folder)
                            yield Found(folder, "folder")
                    yield Found(path, kind)
                if below:
                    pending.append(below)

    def _judge(self, visit: _Visit, path: str, kind: Kind) -> tuple[bool, _Visit | None]:
        """Does it count? And if something below it may, that folder."""
        is_ignored, ignored = self._ignored.match(path, visit.ignored)
        is_folder = kind == "folder"
        if is_ignored and not (is_folder and self._ignored.may_except_below(path)):
            return False, None
        included, excluded = visit.included, visit.excluded
        counts, enters = True, is_folder
        if self._filters:
            counts, enters, included, excluded = self._filter(visit, path)
        counts = counts and not is_ignored
        if not (is_folder and enters):
            return counts, None
        unseen = () if counts else (*visit.unseen, path)
        return counts, _Visit(path, ignored, included, excluded, unseen if not counts else ())

    def _filter(self, visit: _Visit, path: str) -> tuple[bool, bool, tuple[bool, ...], tuple[bool, ...]]:
        """Does it count, may something below it, and what to remember."""
        below_top = path[len(self._top) + 1 :] if self._top else path
        counts = enters = True
        included, excluded = visit.included, visit.excluded
        include, exclude = self._filtered
        if include is not None:
            counts, included = include.match(below_top, visit.included)
            enters = counts or include.may_match_below(below_top)
        if exclude is not None:
            out, excluded = exclude.match(below_top, visit.excluded)
            counts = counts and not out
            enters = enters and (not out or exclude.may_except_below(below_top))
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
    if entry.is_symlink():
        return "symlink"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "file" if entry.is_file(follow_symlinks=False) else "special"


def _kind_of_mode(mode: int) -> Kind:
    if stat.S_ISLNK(mode):
        return "symlink"
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "special"


def _unreadable(path: str, error: OSError) -> BakeError:
    hint = "make it readable, or ignore it in .dockerignore"
    return BakeError(f"{path or 'the context'} can't be read: {error.strerror}", hint=hint)
