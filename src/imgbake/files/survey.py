"""One look at a project: which files are meant, what is in them, and the signatures that prove it."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from msgspec.structs import replace

from imgbake.contract import Entry, Tree
from imgbake.errors import BakeError
from imgbake.files import glob, hashing
from imgbake.files.memory import DigestMemory
from imgbake.files.witness import ABSENT, COARSE_SETTLE_NS, Signature, is_settled, of_stat

_LINKS = 40  # symlinks that Linux follows in a row before it calls them a loop


class Survey:
    """One look. `looked` has the signature of every path that the answer depends on.

    `fresh` has those whose signature is too young to prove anything, with what was read there: a
    digest, a link's text, or a folder's listing.
    """

    def __init__(self, root: str, memory: DigestMemory, follow: bool) -> None:
        self.looked: dict[str, Signature] = {}
        self.fresh: dict[str, str] = {}
        self._prefix = root if root.endswith("/") else root + "/"
        self._memory = memory
        self._follow = follow
        self._folds = True  # permissions to 0755 and 0644, and names of one file to hard links
        self._now = time.time_ns()
        self._known: dict[str, os.stat_result] = {}
        self._entries: list[Entry] = []
        self._unread: list[tuple[int, str]] = []  # entries without a digest, and where to read it
        self._names: dict[tuple[int, int], str] = {}  # device and inode to the first name

    def tree(self, patterns: Sequence[str], exclude: Sequence[str]) -> Tree:
        """The files that the patterns mean. Raises BakeError for what can't be read."""
        for path in sorted(self._find(matcher(tuple(patterns), tuple(exclude)))):
            self._add(path)
        self._read()
        return Tree(tuple(entry for entry in self._entries if entry.kind))

    def file(self, path: str) -> Tree:
        """The one file at this path, which is not a pattern; no entry if there is none."""
        self._add(path)
        self._read()
        return Tree(tuple(entry for entry in self._entries if entry.kind == "file"))

    def exact(self, paths: Sequence[str]) -> Tree:
        """What stands at these paths, which are no patterns."""
        for path in paths:
            self._add(path)
        self._read()
        return Tree(tuple(entry for entry in self._entries if entry.kind))

    def as_they_are(self, paths: Sequence[str]) -> Tree:
        """What stands at these paths, with all permissions, and each name as a file of its own."""
        self._folds = False
        return self.exact(paths)

    def glance(self, path: str) -> Tree:
        """Nothing but the signature of a path."""
        self._look(path)
        return Tree()

    def absent(self, paths: Sequence[str]) -> Tree:
        """Those of the paths where there is nothing, as entries of the kind "absent"."""
        gone = [path for path in paths if self._look(glob.normal(path)) is None]
        return Tree(tuple(Entry(path, "absent", 0) for path in sorted(gone)))

    def _find(self, meant: glob.Matcher) -> set[str]:
        """The paths of what is meant, folders included where they are entries."""
        paths: set[str] = set()
        starts = [prefix for prefix in meant.prefixes if not meant.excluded(prefix)]
        for literal in meant.literals:
            path = literal.rstrip("/") or "/"
            found = None if meant.excluded(path) else self._look(literal)
            if found is None:
                continue
            kind = stat.S_IFMT(found.st_mode)
            if kind == stat.S_IFDIR or (kind == stat.S_IFLNK and self._follow and self._is_folder(path)):
                starts.append(path)
            elif not literal.endswith("/"):
                self._known[path] = found
                paths.add(path)
        for start in glob.starts(starts) if starts else ():
            self._walk(start, meant, paths)
        return paths

    def _walk(self, start: str, meant: glob.Matcher, paths: set[str]) -> None:
        try:
            for listing in glob.walk(self._prefix, start, meant, self._look_at_folder):
                paths.update(listing.others)
                if not self._follow:
                    paths.update(listing.folders)
                if listing.folder in self.fresh:
                    self.fresh[listing.folder] = listing_text(listing.names)
        except OSError as error:
            raise _unreadable(error, "list") from None

    def _look_at_folder(self, path: str) -> None:
        found = self._look(path)
        if found is not None and stat.S_ISLNK(found.st_mode):
            self._look(path + "/.")  # a link that a pattern names is entered: its folder counts

    def _is_folder(self, link: str) -> bool:
        return os.path.isdir(self._at(link))

    def _look(self, path: str) -> os.stat_result | None:
        """What is at the path, links not followed. Notes the signature."""
        try:
            found = os.lstat(self._at(path))
        except OSError:
            self.looked[path] = ABSENT
            return None
        self.looked[path] = seen = of_stat(found)
        edge = self._now - COARSE_SETTLE_NS
        if (seen[0] >= edge or seen[1] >= edge) and not is_settled(seen, self._now):
            self.fresh[path] = ""
        return found

    def _at(self, path: str) -> str:
        return path if path.startswith("/") else self._prefix + path

    def _add(self, path: str) -> None:
        found = self._known.get(path) or self._look(path)
        if found is None:
            return
        if not path.isascii():
            _require_utf8(path)
        kind = stat.S_IFMT(found.st_mode)
        if kind == stat.S_IFREG:
            self._add_file(path, found, path)
        elif kind == stat.S_IFLNK:
            self._add_link(path)
        elif not self._follow and kind == stat.S_IFDIR:
            mode = 0o755 | found.st_mode & 0o7000 if self._folds else found.st_mode & 0o7777
            self._entries.append(Entry(path, "dir", mode, "", 0, path))
        elif not self._follow:
            raise BakeError(f"{path} is not a file, a folder or a link", hint="exclude it")

    def _add_file(self, path: str, found: os.stat_result, where: str) -> None:
        mode = (0o755 if found.st_mode & 0o100 else 0o644) | found.st_mode & 0o7000
        if not self._folds:
            mode = found.st_mode & 0o7777
        elif not self._follow and found.st_nlink > 1:
            first = self._names.setdefault((found.st_dev, found.st_ino), path)
            if first != path:
                self._entries.append(Entry(path, "hardlink", mode, first, 0, path))
                return
        digest = self._memory.find(where, self.looked[where])
        if digest is None:
            self._unread.append((len(self._entries), where))
        self._entries.append(Entry(path, "file", mode, digest or "", found.st_size, path))

    def _add_link(self, path: str) -> None:
        text = self._link_text(path)
        if self._follow:
            where, target = self._target(path, text)
            if target is not None and stat.S_ISREG(target.st_mode):
                self._add_file(path, target, where)
                return
        _require_utf8(text)
        self._entries.append(Entry(path, "symlink", 0o777, text, 0, path))

    def _link_text(self, path: str) -> str:
        try:
            text = os.readlink(self._at(path))
        except OSError as error:
            raise _unreadable(error, "read") from None
        if path in self.fresh:
            self.fresh[path] = _link_as_text(text)
        return text

    def _target(self, path: str, text: str) -> tuple[str, os.stat_result | None]:
        """Where a link leads in the end. Every link on the way counts."""
        for _ in range(_LINKS):
            path = os.path.join(os.path.dirname(path), text)
            found = self._look(path)
            if found is None or not stat.S_ISLNK(found.st_mode):
                return path, found
            text = self._link_text(path)
        return path, None

    def _read(self) -> None:
        """Reads what isn't remembered. A file that vanished meanwhile is no entry."""
        if not self._unread:
            return
        files = [(self._at(where), self._entries[index].size) for index, where in self._unread]
        for (index, where), digest in zip(self._unread, hashing.of_files(files), strict=True):
            if isinstance(digest, FileNotFoundError):
                self._entries[index] = replace(self._entries[index], kind="")
            elif isinstance(digest, OSError):
                raise _unreadable(digest, "read")
            else:
                self._entries[index] = replace(self._entries[index], digest=digest)
                self._remember(where, digest)

    def _remember(self, where: str, digest: str) -> None:
        if where in self.fresh:
            self.fresh[where] = digest
        else:
            self._memory.keep(where, self.looked[where], digest)


@lru_cache(maxsize=4096)
def matcher(patterns: tuple[str, ...], exclude: tuple[str, ...]) -> glob.Matcher:
    """The compiled patterns, the same for the same patterns."""
    return glob.Matcher(patterns, exclude)


def content(path: str | Path) -> str:
    """What is at an absolute path, as `Survey.fresh` writes it; empty if it can't be read."""
    try:
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            return _link_as_text(os.readlink(path))
        if stat.S_ISDIR(mode):
            return listing_text(glob.names(os.fspath(path)))
        if not stat.S_ISREG(mode):
            return ""  # a pipe would block
        (digest,) = hashing.of_files([(os.fspath(path), 0)])
        return digest if isinstance(digest, str) else ""
    except OSError:
        return ""


def listing_text(names: Sequence[tuple[str, bool]]) -> str:
    """A folder's listing as text that is equal for equal listings, and no file's digest."""
    return "".join(sorted(f"\0{name}/" if is_folder else f"\0{name}" for name, is_folder in names))


def _link_as_text(target: str) -> str:
    """What a link says as text that is no file's digest."""
    return f"-> {target}"


def _require_utf8(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(name).decode("utf-8", "backslashreplace")
        raise BakeError(f"the name '{shown}' is not UTF-8", hint="rename the file or exclude it") from None


def _unreadable(error: OSError, verb: str) -> BakeError:
    return BakeError(f"can't {verb} {error.filename}: {error.strerror}", hint="exclude it, or let us read it")
