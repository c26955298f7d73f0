"""Which files of the context a build can see: those that its instructions can copy or mount.

What nothing reaches changes nothing. As builders do, a source's own symlinks are followed, and those
below it are taken as they are; `--exclude` counts for what is below a source, not for the source.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from imgbake_dockerfile import wildcards
from imgbake_dockerfile.build import Build, Seen
from imgbake_dockerfile.context import Context, Filter, Kind
from imgbake_dockerfile.located import DockerfileError
from imgbake_dockerfile.patterns import BadPattern, Matcher


class Found(NamedTuple):
    """Something in the context that a build can see."""

    path: str  # relative to the context, with forward slashes
    kind: Kind


def reached(build: Build, context: Context, name: str = "") -> tuple[Found, ...]:
    """Everything in the context that the build can see, by path; `name` is that of a context not its own.

    Files, symlinks with the links that they are found by, and folders, for their permissions, and for
    they may be empty. Raises DockerfileError for a malformed pattern, and BakeError for a folder that
    can't be read.
    """
    found: dict[str, Kind] = {}
    sources = [seen for seen in build.seen if seen.context == name]
    if build.everything or any(map(_is_everything, sources)):
        found = context.below("")
    else:
        for seen in sources:
            _add_source(seen, context, found)
    return tuple(map(Found._make, sorted(found.items())))


def could_reach(build: Build, name: str) -> bool:
    """Might the build see a file of this name at the top of its context, if one were there?

    As far as paths tell: a link can lead to the top from anywhere.
    """
    first = (seen.path.partition("/")[0] for seen in build.seen if not seen.context)
    return bool(build.everything) or any(
        not part or wildcards.is_wild(part) or part == name for part in first
    )


def _is_everything(seen: Seen) -> bool:
    return not (seen.path or seen.include or seen.exclude)


def _add_source(seen: Seen, context: Context, found: dict[str, Kind]) -> None:
    filtered = Filter(
        _matcher(seen, (seen.include,)) if seen.include else None,
        _matcher(seen, seen.exclude) if seen.exclude else None,
    )
    paths, links = _paths(seen, context)
    found.update(dict.fromkeys(links, "symlink"))
    for path in paths:
        _add_path(path, context, filtered, found)


def _matcher(seen: Seen, patterns: tuple[str, ...]) -> Matcher:
    try:
        return Matcher(patterns)
    except BadPattern as error:
        raise DockerfileError(f"line {seen.line}: {error}") from None


def _paths(seen: Seen, context: Context) -> tuple[list[str], list[str]]:
    """The paths that a source names, and the links that lead to where its wildcards begin."""
    if "\0" in seen.path:
        return [], []  # which no name holds
    names = seen.path.split("/")
    fixed = next((count for count, name in enumerate(names) if wildcards.is_wild(name)), len(names))
    if not seen.is_pattern or fixed == len(names):
        return [seen.path], []
    top, links = context.resolved("/".join(names[:fixed]))
    return list(_matching(top, names[fixed:], context)), links


def _add_path(path: str, context: Context, filtered: Filter, found: dict[str, Kind]) -> None:
    """Adds what a source is that a path names: a file, or a folder with what is below it."""
    target, links = context.resolved(path)
    found.update(dict.fromkeys(links, "symlink"))
    kind = context.kind(target)
    if kind is not None and target:
        found[target] = kind
    if kind == "folder":
        found.update(context.below(target, filtered))


def _matching(top: str, pattern: list[str], context: Context) -> Iterator[str]:
    if any("[" in name for name in pattern):
        # A set can hold a slash, so the names of the pattern need not be those of a path.
        start = len(top) + 1 if top else 0
        yield from (path for path in context.below(top) if wildcards.matches("/".join(pattern), path[start:]))
        return
    for name in context.names(top):
        path = f"{top}/{name}" if top else name
        if wildcards.matches(pattern[0], name) and (kind := context.kind(path)):
            if len(pattern) == 1:
                yield path
            elif kind == "folder":
                yield from _matching(path, pattern[1:], context)
