"""The project's files by content: which ones a pattern means, and what is in them.

A file is read once: its digest is remembered with its signature and holds as long as that doesn't
move. What was looked at is noted on the way, so that a later run can prove with `witness` that
nothing moved, and the engine can ask whether a node's inputs changed while it ran.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from imgbake.contract import Entry, Tree
from imgbake.errors import BakeError
from imgbake.files import glob
from imgbake.files.memory import DigestMemory
from imgbake.files.survey import Survey, content
from imgbake.files.witness import (
    ABSENT,
    UNSETTLED,
    Signature,
    all_moved,
    first_moved,
    is_settled,
    pack,
    signature,
)

_Question = Callable[[Survey], Tree]


class Watch(dict[str, Signature]):
    """What was looked at while something was decided: paths and signatures, questions and answers.

    Paths are relative to the project or absolute, just as they were looked at.
    """

    def __init__(self) -> None:
        super().__init__()
        self.settled = True  # would the signatures alone show any change?
        self.asked: list[tuple[_Question, bool, Tree]] = []

    def note(self, looked: dict[str, Signature]) -> None:
        """Adds signatures. What moved while we watched can't be proved by signatures any more."""
        self.settled = self.settled and all(self.get(path, now) == now for path, now in looked.items())
        self.update(looked)


class Files:
    """The files of one project. Safe from threads.

    `seen` has every path looked at so far with its signature: files, folders that were listed, what
    links lead to, and ABSENT for what isn't there. A signature too fresh to prove anything is
    UNSETTLED there, which no file ever has.
    """

    def __init__(self, root: Path, memory: Path | None = None) -> None:
        """`memory` is the file in which digests are kept between runs."""
        self.root = root
        self.seen: dict[str, Signature] = {}
        self._root = os.fspath(root)
        self._memory = DigestMemory(memory)
        self._fresh: dict[str, tuple[Signature, str]] = {}
        self._local = threading.local()

    def tree(self, patterns: Iterable[str], exclude: Iterable[str] = (), *, follow: bool = True) -> Tree:
        """The files that match (see `glob`), sorted by path; each entry's source is its path too.

        With `follow` (what a task reads) a link to a file counts as that file, a link to a folder
        that a pattern names is entered, and folders are not entries. Without (what goes into an
        image) links stay links, a further name of a file is a hard link to the first, and folders
        are entries where everything below is meant. A link that leads nowhere, or on the way to a
        folder, is always an entry of its own. A pattern that matches nothing adds nothing.

        Raises BakeError for what can't be read, and without `follow` for a device or a socket.
        """
        included, excluded = tuple(patterns), tuple(exclude)
        return self._ask(lambda survey: survey.tree(included, excluded), follow)

    def exact(self, paths: Iterable[str]) -> dict[str, Entry]:
        """What stands at each of these paths, which are no patterns; links are not followed."""
        named = tuple(paths)
        return {
            entry.path: entry for entry in self._ask(lambda survey: survey.exact(named), follow=False).entries
        }

    def as_they_are(self, paths: Iterable[str]) -> Tree:
        """What stands at these paths, which are no patterns, in their order.

        Links are not followed, permissions are those on disk, and each name is a file of its own. Raises
        BakeError for what can't be read, and for a device or a socket.
        """
        named = tuple(paths)
        return self._ask(lambda survey: survey.as_they_are(named), follow=False)

    def watch(self, path: str) -> None:
        """Notes in `seen` what a path looks like, absolute or relative to the project."""
        self._ask(lambda survey: survey.glance(path), follow=False)

    def digest(self, path: str) -> str:
        """The digest of one file's content, links followed. Raises BakeError when it can't be read."""
        tree = self._ask(lambda survey: survey.file(path), follow=True)
        if not tree.entries:
            raise BakeError(f"{path} is not a file")
        return tree.entries[0].digest

    def missing(self, patterns: Iterable[str]) -> tuple[str, ...]:
        """Those of the patterns that have no wildcards and name nothing that exists, sorted."""
        literals = [pattern for pattern in patterns if glob.is_literal(pattern)]
        return tuple(e.path for e in self._ask(lambda survey: survey.absent(literals), follow=False).entries)

    @contextmanager
    def watching(self) -> Iterator[Watch]:
        """Notes what this thread looks at meanwhile, for `moved`."""
        outer: Watch | None = getattr(self._local, "watch", None)
        watch = self._local.watch = Watch()
        try:
            yield watch
        finally:
            self._local.watch = outer
            if outer is not None:
                outer.note(watch)
                outer.settled = outer.settled and watch.settled
                outer.asked += watch.asked

    def moved(self, watch: Watch) -> str | None:
        """The first path whose content isn't any more what it was while we watched, or None.

        A file that was only touched hasn't moved, nor a folder in which only other files changed.
        """
        if watch.settled and first_moved(self._root, list(watch), pack(watch.values())) is None:
            return None
        for question, follow, was in watch.asked:
            path = _first_difference(was, self._ask(question, follow))
            if path is not None:
                return path
        return None

    def rewritten(self, watch: Watch) -> str | None:
        """The first path, no folder's, that was written or replaced while we watched, or None.

        It may be what it was again, and who read it in between has read something else.
        """
        paths = list(watch)
        moved = (paths[place] for place in all_moved(self._root, paths, pack(watch.values())))
        written = (path for path in moved if watch[path] != ABSENT and not _is_folder(self._at(path)))
        return min(written, default=None)

    def settle(self) -> None:
        """Looks again at what was too fresh to prove anything. What is still the same proves it now."""
        for path, (was, read) in list(self._fresh.items()):
            if signature(self._at(path)) != was or not is_settled(was, time.time_ns()):
                continue
            del self._fresh[path]
            if content(self._at(path)) == read:
                self.seen[path] = was
                if read.startswith("sha256:"):
                    self._memory.keep(path, was, read)

    def save(self) -> None:
        """Keeps the digests for the next run."""
        self._memory.save()

    def _ask(self, question: _Question, follow: bool) -> Tree:
        survey = Survey(self._root, self._memory, follow)
        try:
            tree = question(survey)
        finally:
            self._note(survey)
        watch: Watch | None = getattr(self._local, "watch", None)
        if watch is not None:
            watch.note(survey.looked)
            watch.settled = watch.settled and not survey.fresh
            watch.asked.append((question, follow, tree))
        return tree

    def _note(self, survey: Survey) -> None:
        if self._fresh:
            for path in survey.looked:
                self._fresh.pop(path, None)
        self.seen.update(survey.looked)
        for path, read in survey.fresh.items():
            self._fresh[path] = (survey.looked[path], read)
            self.seen[path] = UNSETTLED

    def _at(self, path: str) -> str:
        return os.path.join(self._root, path)


def _is_folder(path: str) -> bool:
    """Is it a folder itself, and not a link to one?"""
    return os.path.isdir(path) and not os.path.islink(path)


def _first_difference(one: Tree, other: Tree) -> str | None:
    before = {entry.path: entry.value() for entry in one.entries}
    after = {entry.path: entry.value() for entry in other.entries}
    moved = (path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    return min(moved, default=None)
