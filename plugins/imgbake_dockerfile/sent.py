"""A Dockerfile as it is sent to a builder. Pure.

It keeps the user's own lines, so that a builder's cache knows them from `docker build`, without comments
and blank lines. Images are named by digest. A stage that the target doesn't need keeps its place, as
stages can be named by number, but nothing in it; those after the target are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from imgbake_dockerfile.build import Build, Image
from imgbake_dockerfile.directives import directives
from imgbake_dockerfile.go import SPACES
from imgbake_dockerfile.request import Text
from imgbake_dockerfile.stages import Stage, split
from imgbake_dockerfile.syntax import Dockerfile, Instruction

_Line = tuple[str, int]


def sent(dockerfile: Dockerfile, build: Build, names: Mapping[str, str]) -> Text:
    """The text. `names` says what images are called instead of what the Dockerfile calls them."""
    lines = list(_lines(dockerfile, build, names))
    return Text("".join(f"{text}\n" for text, _ in lines), tuple(number for _, number in lines))


def _lines(dockerfile: Dockerfile, build: Build, names: Mapping[str, str]) -> Iterator[_Line]:
    stages = split(dockerfile)
    needed = {stage.index for stage in build.stages}
    yield from _directives(dockerfile, names)
    for instruction in stages.globals:
        yield from _own(dockerfile, instruction)
    for stage in stages.stages[: max(needed) + 1]:
        if stage.index not in needed:
            yield f"FROM scratch{_named(stage)}", stage.start.first
            continue
        yield from _start(dockerfile, stage, build, names)
        for instruction in stage.instructions:
            images = [image for image in build.images if image.line == instruction.first]
            yield from _renamed(_own(dockerfile, instruction), images, names)


def _directives(dockerfile: Dockerfile, names: Mapping[str, str]) -> Iterator[_Line]:
    for directive in directives(dockerfile.source):
        value = directive.value
        if directive.name == "syntax":
            image, space, rest = value.partition(" ")
            value = names.get(image, image) + space + rest
        yield f"# {directive.name}={value}", directive.line


def _start(dockerfile: Dockerfile, stage: Stage, build: Build, names: Mapping[str, str]) -> Iterator[_Line]:
    """The FROM of a stage, with the image that it means if it is one, and one for all platforms."""
    line = stage.start.first
    images = {each.reference for each in build.images if each.role == "base" and each.line == line}
    if len(images) != 1:
        yield from _own(dockerfile, stage.start)
    else:
        words = ["FROM", *stage.start.flags, *(names.get(image, image) for image in images)]
        yield " ".join(words) + _named(stage), line


def _named(stage: Stage) -> str:
    return f" AS {stage.name}" if stage.name else ""


def _own(dockerfile: Dockerfile, instruction: Instruction) -> Iterator[_Line]:
    """The lines of an instruction as they are written, but for comments and blank lines."""
    documents = [[*heredoc.content.split("\n")[:-1], heredoc.name] for heredoc in instruction.heredocs]
    last = instruction.last - sum(map(len, documents))
    for number in range(instruction.first, last + 1):
        text = dockerfile.source.lines[number - 1]
        if text.lstrip(SPACES)[:1] not in ("", "#"):
            yield text, number
    for document in documents:
        for text in document:
            last += 1
            yield text, last


def _renamed(lines: Iterator[_Line], images: list[Image], names: Mapping[str, str]) -> Iterator[_Line]:
    """The lines of an instruction with the images that it copies or mounts from."""
    for text, number in lines:
        for image in images:
            if image.role in ("copy", "mount"):
                flag = r"--from=" if image.role == "copy" else r"from="
                written = rf"(\b|(?=-))({flag}[\"']?){re.escape(image.reference)}(?=[\s,\"']|$)"
                name = names.get(image.reference, image.reference)
                text = re.sub(written, lambda match, name=name: f"{match[2]}{name}", text)  # type: ignore[misc]
        yield text, number
