"""Patterns that name files of a project, and the walk that finds them.

    src/app.py      one file
    src, src/       a folder: everything below it
    src/*.py        `*` is any text without a slash, `?` any one character, `[a-z]`, `[!a-z]` a set
    src/**/*.py     `**` is any number of folders, also none; at the end it is everything below
    vendor/*/       with a final slash, the folders that match, and everything below them

A pattern with wildcards but no final slash names files, not folders. Names that start with a dot
match as others do, but `.git` and `.imgbake` match only where a pattern spells them out: what lies
there differs from one checkout to the next. To exclude is the same, except that an excluded folder
excludes what is below it, however it was named. Symlinks to folders are never followed on the way.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

PRIVATE = frozenset({".git", ".imgbake"})
"""Names that no wildcard matches."""

_Match = Callable[[str], "re.Match[str] | None"]

_WILD = re.compile(r"[*?\[]")
_NAME = r"(?!\.git(?:/|$)|\.imgbake(?:/|$))[^/]+"  # any one name
_BELOW = rf"{_NAME}(?:/{_NAME})*"  # any path, one name or more


def is_literal(pattern: str) -> bool:
    """Does the pattern name one path, without wildcards?"""
    return _WILD.search(pattern) is None


def normal(pattern: str) -> str:
    """The pattern without `./`, doubled slashes and `name/..`; a final slash stays. "." is the root."""
    path = posixpath.normpath(pattern)
    return path + "/" if pattern.endswith("/") and path not in (".", "/") else path


def static_prefix(pattern: str) -> str:
    """The folder below which everything lies that the pattern can match; itself for a literal."""
    pattern = normal(pattern)
    wild = _WILD.search(pattern)
    if wild is None:
        return pattern.rstrip("/") or "/"
    return _parent(pattern[: wild.start() + 1])


class Matcher:
    """A set of patterns, compiled: which paths they match, and where to look for them."""

    def __init__(self, patterns: Iterable[str], exclude: Iterable[str] = ()) -> None:
        self._patterns = tuple(dict.fromkeys(map(normal, patterns)))
        self._exclude = tuple(dict.fromkeys(map(normal, exclude)))
        self.literals = tuple(filter(is_literal, self._patterns))
        wild = len(self.literals) < len(self._patterns)
        self.prefixes = tuple(static_prefix(p) for p in self._patterns if not is_literal(p)) if wild else ()

    def file(self, path: str) -> bool:
        """Is a file at this path meant?"""
        return self._file(path) is not None and not self.excluded(path)

    def folder(self, path: str) -> bool:
        """Is this folder meant with everything below it?"""
        return self._folder(path) is not None and not self.excluded(path)

    def leads(self, path: str) -> bool:
        """Can there be something below this folder that is meant?"""
        return path == "." or (self._leads(path) is not None and not self.excluded(path))

    def excluded(self, path: str) -> bool:
        """Is this path, or a folder that it is in, excluded?"""
        return bool(self._exclude) and self._excluded(path) is not None

    # Compiled when first asked: most tasks name their files one by one and never ask.

    @cached_property
    def _file(self) -> _Match:
        return _compile([_file_regex(pattern) for pattern in self._patterns])

    @cached_property
    def _folder(self) -> _Match:
        return _compile([_folder_regex(pattern) for pattern in self._patterns])

    @cached_property
    def _leads(self) -> _Match:
        return _compile([_lead_regex(pattern) for pattern in self._patterns])

    @cached_property
    def _excluded(self) -> _Match:
        return _compile([_exclude_regex(pattern) for pattern in self._exclude])


class Listing(NamedTuple):
    """A folder that was listed, and what in it is meant, as paths relative to the same root."""

    folder: str
    names: list[tuple[str, bool]]  # all that is in it, and of each whether it is a folder
    folders: list[str]
    others: list[str]  # files, links and the rest


def walk(root: str, start: str, matcher: Matcher, before: Callable[[str], object]) -> Iterator[Listing]:
    """Lists every folder from `start` downwards, relative to `root`, that can hold what is meant.

    `before` is told of each folder before it is listed. Raises OSError when one can't be listed;
    one that is gone by then is listed as empty.
    """
    pending = [(start, matcher.folder(start))]
    while pending:
        folder, whole = pending.pop()
        prefix = _prefix(folder)
        before(folder)
        found = Listing(folder, names(os.path.join(root, folder)), [], [])
        for name, is_folder in found.names:
            path = prefix + name
            # Everything below a folder that is meant as a whole is, and needs no other look.
            meant = whole and name not in PRIVATE and not matcher.excluded(path)
            if not is_folder:
                if meant or matcher.file(path):
                    found.others.append(path)
            elif meant or matcher.leads(path):
                meant = meant or matcher.folder(path)
                pending.append((path, meant))
                if meant:
                    found.folders.append(path)
        yield found


def starts(prefixes: Iterable[str]) -> tuple[str, ...]:
    """The folders to walk from: these, without those that are below another one."""
    found: list[str] = []
    for prefix in sorted(set(prefixes), key=lambda path: (path != ".", path.split("/"))):
        if not any(_contains(start, prefix) for start in found):
            found.append(prefix)
    return tuple(found)


def overlaps(one: str, other: str) -> bool:
    """Can one path be matched by both patterns? A plain path counts as all that may be below it.

    Exact, but for two sets of characters (`[...]`), which are taken to have one in common.
    """
    one, other = normal(one), normal(other)
    if not _related(static_prefix(one), static_prefix(other)):
        return False
    return _meet(_segments(one), _segments(other))


def _parent(path: str) -> str:
    head, slash, _ = path.rpartition("/")
    return head or slash or "."


def _prefix(folder: str) -> str:
    if folder == ".":
        return ""
    return folder if folder.endswith("/") else folder + "/"


def names(folder: str) -> list[tuple[str, bool]]:
    """What is in a folder, and of each whether it is a folder itself and not a link to one."""
    try:
        with os.scandir(folder) as entries:
            return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _contains(folder: str, path: str) -> bool:
    if folder == ".":
        return not path.startswith(("/", "../")) and path != ".."
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _related(one: str, other: str) -> bool:
    return _contains(one, other) or _contains(other, one)


def _compile(regexes: Iterable[str]) -> _Match:
    either = "|".join(dict.fromkeys(filter(None, regexes)))
    return re.compile(either or r"(?!)", re.DOTALL).fullmatch  # nothing matches nothing


def _file_regex(pattern: str) -> str:
    """Matches the paths of the files that a pattern means."""
    if is_literal(pattern) and not pattern.endswith("/") and pattern != ".":
        return rf"{re.escape(pattern)}(?:/{_BELOW})?"
    return _join(_everything_below(pattern))


def _folder_regex(pattern: str) -> str:
    """Matches the folders that a pattern means with everything below them; empty if it means none."""
    if is_literal(pattern) and pattern != ".":
        pattern = pattern.rstrip("/")
        return rf"{re.escape(pattern)}(?:/{_BELOW})?"
    pattern = _everything_below(pattern)
    return _join(pattern) if pattern.endswith("**") else ""


def _exclude_regex(pattern: str) -> str:
    pattern = pattern.rstrip("/")
    return rf"{_BELOW}" if pattern in (".", "**") else rf"{_join(pattern)}(?:/.*)?"


def _lead_regex(pattern: str) -> str:
    """Matches the folders on the way to what a pattern can match."""
    segments = _everything_below(pattern).split("/")
    if "**" in segments:
        first = segments.index("**")
        spelled = not PRIVATE.isdisjoint(segments[first:])
        return _nested(segments[:first], r"(?:[^/]+(?:/[^/]+)*)?" if spelled else rf"(?:{_BELOW})?")
    return _nested(segments[:-1], "")


def _nested(segments: Sequence[str], last: str) -> str:
    """`a/b` as `(?:a(?:/b)?)?`: the path and each folder on the way."""
    regex = last
    for index in range(len(segments) - 1, -1, -1):
        slash = "/" if index < len(segments) - 1 or last else ""
        rest = f"(?:{slash}{regex})?" if regex else ""
        regex = _segment_regex(segments[index]) + rest
    return regex


def _everything_below(pattern: str) -> str:
    if pattern == ".":
        return "**"
    if pattern.endswith("/"):
        return pattern + "**"
    return f"{pattern}/**" if is_literal(pattern) else pattern


def _join(pattern: str) -> str:
    """The regex of a path; `**` between two slashes is any number of folders."""
    parts: list[str] = []
    segments = pattern.split("/")
    for index, segment in enumerate(segments):
        last = index == len(segments) - 1
        if segment == "**":
            parts.append(_BELOW if last else rf"(?:{_NAME}/)*")
        else:
            parts.append(_segment_regex(segment) + ("" if last else "/"))
    return "".join(parts)


@lru_cache(maxsize=4096)
def _segment_regex(segment: str) -> str:
    """The regex of one name. Wildcards in it never match `.git` or `.imgbake`."""
    if is_literal(segment):
        return re.escape(segment)
    regex = "".join(token if len(token) > 1 else re.escape(token) for token in _tokens(segment))
    return rf"(?=[^/])(?!\.git(?:/|$)|\.imgbake(?:/|$)){regex}"


_ANY, _ONE = "[^/]*", "[^/]"


@lru_cache(maxsize=4096)
def _tokens(segment: str) -> tuple[str, ...]:
    """A name as regexes: plain characters stay one character long, wildcards are longer."""
    tokens: list[str] = []
    index = 0
    while index < len(segment):
        char = segment[index]
        end = segment.find("]", index + 2 + segment.startswith(("[!", "[^"), index)) if char == "[" else -1
        if char == "*":
            if not tokens or tokens[-1] != _ANY:
                tokens.append(_ANY)
        elif char == "?":
            tokens.append(_ONE)
        elif end > 0:
            tokens.append(_set_regex(segment[index + 1 : end]))
            index = end
        else:
            tokens.append(char)
        index += 1
    return tuple(tokens)


def _set_regex(inside: str) -> str:
    """The regex of `[...]`. A range upside down, `[z-a]`, is of no character, as in a shell."""
    negated = inside[0] in "!^"
    chars = inside[1:] if negated else inside
    members: list[str] = []
    while chars:
        if chars[1:2] == "-" and len(chars) > 2:
            if chars[0] <= chars[2]:
                members.append(f"{re.escape(chars[0])}-{re.escape(chars[2])}")
            chars = chars[3:]
        else:
            members.append(re.escape(chars[0]))
            chars = chars[1:]
    if negated:
        return f"[^/{''.join(members)}]"
    return f"(?:(?!/)[{''.join(members)}])" if members else "(?:(?!))"


@lru_cache(maxsize=4096)
def _segments(pattern: str) -> tuple[str, ...]:
    """The names of a path; a final `**?` for a literal, which is itself or anything below."""
    if pattern == ".":
        return ("**",)
    if is_literal(pattern):
        return (*pattern.rstrip("/").split("/"), "**")
    return tuple(_everything_below(pattern).split("/"))


def _meet(one: Sequence[str], other: Sequence[str]) -> bool:
    """Is there a path that both sequences of names match? Walks the pairs of places reached."""
    reached = {(0, 0)}
    pending = [(0, 0)]
    while pending:
        i, j = pending.pop()
        if i == len(one) and j == len(other):
            return True
        for place in _steps(one, i, other, j):
            if place not in reached:
                reached.add(place)
                pending.append(place)
    return False


def _steps(one: Sequence[str], i: int, other: Sequence[str], j: int) -> Iterator[tuple[int, int]]:
    deep_one = i < len(one) and one[i] == "**"
    deep_other = j < len(other) and other[j] == "**"
    if deep_one:
        yield i + 1, j
    if deep_other:
        yield i, j + 1
    if deep_one and j < len(other) and not deep_other and _wild_name(other[j]):
        yield i, j + 1
    if deep_other and i < len(one) and not deep_one and _wild_name(one[i]):
        yield i + 1, j
    if i < len(one) and j < len(other) and not deep_one and not deep_other and _names_meet(one[i], other[j]):
        yield i + 1, j + 1


def _wild_name(segment: str) -> bool:
    """Can a `**` match this name?"""
    return segment not in PRIVATE


@lru_cache(maxsize=4096)
def _names_meet(one: str, other: str) -> bool:
    """Is there a name that both match?"""
    if is_literal(one) and is_literal(other):
        return one == other
    if is_literal(one) or is_literal(other):
        name, wild = (one, other) if is_literal(one) else (other, one)
        return re.fullmatch(_segment_regex(wild), name) is not None
    return _tokens_meet(_tokens(one), _tokens(other))


def _tokens_meet(one: Sequence[str], other: Sequence[str]) -> bool:
    reached = {(0, 0)}
    pending = [(0, 0)]
    while pending:
        i, j = pending.pop()
        if i == len(one) and j == len(other):
            return True
        for place in _token_steps(one, i, other, j):
            if place not in reached:
                reached.add(place)
                pending.append(place)
    return False


def _token_steps(one: Sequence[str], i: int, other: Sequence[str], j: int) -> Iterator[tuple[int, int]]:
    star_one = i < len(one) and one[i] == _ANY
    star_other = j < len(other) and other[j] == _ANY
    if star_one:
        yield i + 1, j
    if star_other:
        yield i, j + 1
    if i >= len(one) or j >= len(other):
        return
    if star_one or star_other:
        yield i + (not star_one), j + (not star_other)
    elif _chars_meet(one[i], other[j]):
        yield i + 1, j + 1


def _chars_meet(one: str, other: str) -> bool:
    if len(one) == 1 and len(other) == 1:
        return one == other
    if len(one) == 1 or len(other) == 1:
        char, wild = (one, other) if len(one) == 1 else (other, one)
        return re.fullmatch(wild, char) is not None
    return True
