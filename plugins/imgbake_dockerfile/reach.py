"""Which files of the context a build can see: those that its instructions can copy or mount.

What nothing reaches changes nothing. As builders do, a source's own symlinks are followed, and those
below it are taken as they are; `--exclude` counts for what is below a source, not for the source.
"""

from __future__ import annotations

from collections.abc import Iterator

from imgbake_dockerfile import wildcards
from imgbake_dockerfile.build import Build, Seen
from imgbake_dockerfile.context import Context, Filter, Found
from imgbake_dockerfile.located import DockerfileError
from imgbake_dockerfile.patterns import BadPattern, Matcher


def reached(build: Build, context: Context) -> tuple[Found, ...]:
    """Everything in the context that the build can see, by path.

    Files, symlinks with the links that they are found by, and folders, for their permissions, and for
    they may be empty. Raises DockerfileError for a malformed pattern, and BakeError for a folder that
    can't be read.
    """
    found: set[Found] = set()
    if build.everything or any(_is_everything(seen) for seen in build.seen):
        found.update(context.all())
    else:
        for seen in build.seen:
            found.update(_of_source(seen, context))
    return tuple(sorted(found))


def _is_everything(seen: Seen) -> bool:
    return not (seen.path or seen.include or seen.exclude)


def _of_source(seen: Seen, context: Context) -> Iterator[Found]:
    filtered = Filter(
        _matcher(seen, (seen.include,)) if seen.include else None,
        _matcher(seen, seen.exclude) if seen.exclude else None,
    )
    paths, links = _paths(seen, context)
    yield from links
    for path in paths:
        yield from _at(path, context, filtered)


def _matcher(seen: Seen, patterns: tuple[str, ...]) -> Matcher:
    try:
        return Matcher(patterns)
    except BadPattern as error:
        raise DockerfileError(f"line {seen.line}: {error}") from None


def _paths(seen: Seen, context: Context) -> tuple[list[str], list[Found]]:
    """The paths that a source names, and the links that lead to where its wildcards begin."""
    names = seen.path.split("/")
    fixed = next((count for count, name in enumerate(names) if wildcards.is_wild(name)), len(names))
    if not seen.is_pattern or fixed == len(names):
        return [seen.path], []
    top, links = context.resolved("/".join(names[:fixed]))
    return list(_matching(top, names[fixed:], context)), links


def _at(path: str, context: Context, filtered: Filter) -> Iterator[Found]:
    """What a source is that a path names: a file, or a folder with what is below it."""
    target, links = context.resolved(path)
    yield from links
    kind = context.kind(target)
    if kind is not None and target:
        yield Found(target, kind)
    if kind == "folder":
        yield from context.below(target, filtered)


def _matching(top: str, pattern: list[str], context: Context) -> Iterator[str]:
    if any("[" in name for name in pattern):
        # A set can hold a slash, so the names of the pattern need not be those of a path.
        start = len(top) + 1 if top else 0
        paths = (found.path for found in context.below(top))
        yield from (path for path in paths if wildcards.matches("/".join(pattern), path[start:]))
        return
    for name in context.names(top):
        path = f"{top}/{name}" if top else name
        if wildcards.matches(pattern[0], name) and (kind := context.kind(path)):
            if len(pattern) == 1:
                yield path
            elif kind == "folder":
                yield from _matching(path, pattern[1:], context)
