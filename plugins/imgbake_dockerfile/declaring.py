"""The arguments of platforms, for builders that have none of their own as BuildKit has. Pure.

They are declared with their values above the first FROM: there FROM finds them, and from there an ARG of a
stage takes its value unless it has a default, or an argument of this name was given. So BuildKit does it.
"""

from __future__ import annotations

from msgspec.structs import replace

from imgbake_dockerfile import predefined
from imgbake_dockerfile.parsing import parse
from imgbake_dockerfile.platforms import Platform
from imgbake_dockerfile.request import Request, Text
from imgbake_dockerfile.stages import split
from imgbake_dockerfile.taking import arguments


def declared(asked: Request, build: Platform, target: Platform) -> Request:
    """The same with those that it uses, when it is built on one platform for another."""
    if not asked.platform_args:
        return asked
    dockerfile = parse(asked.dockerfile.text)
    stages = split(dockerfile)
    known = dict(pair for instruction in stages.globals for pair in arguments(instruction))
    values = predefined.values(build, target, asked.target, asked.args)
    lines = {name: f"ARG {name}={values[name]}" for name in asked.platform_args if known.get(name) is None}
    again = [line for name, line in lines.items() if name in known]  # behind one that has no value
    text = _with(asked.dockerfile, stages.stages[0].start.first, again)
    text = _with(text, dockerfile.instructions[0].first, list(lines.values()))
    return replace(asked, dockerfile=text)


def _with(text: Text, place: int, lines: list[str]) -> Text:
    """The text with further lines before one, which stand nowhere in the user's file."""
    before, numbers = text.text.split("\n"), text.lines
    return Text(
        "\n".join([*before[: place - 1], *lines, *before[place - 1 :]]),
        (*numbers[: place - 1], *(0 for _ in lines), *numbers[place - 1 :]),
    )
