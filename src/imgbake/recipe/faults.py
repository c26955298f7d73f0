"""What is wrong with a recipe, as the readers find it: keys now, lines and columns when it is shown.

Finding a line costs a scan of the file, and a recipe without errors never pays for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from imgbake.errors import Problem, RecipeError, Where
from imgbake.model import At

_PASSWORD = re.compile(r"(?<=://)([^/\s\"'@:]*:)([^/\s\"'@]+)(?=@)")
_TOKEN = re.compile(r"(?<=https://)()([^/\s\"'@:]+)(?=@)")  # a user alone is a token to a web server


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong, placed by the keys of the recipe.

    `other` is a second place that the message is about: it ends with " at FILE:LINE:COLUMN" of it.
    """

    at: At | None  # None for what stands outside the recipe, such as an --arg
    message: str
    hint: str = ""
    value: bool = False  # the value of the key is meant, not the key
    piece: str = ""  # the part of the value that is meant
    other: At | None = None
    unknown: bool = False  # a name isn't there, but may be in a part of the recipe that could not be read
    where: Where | None = None  # known already, as it is for a syntax error


def problems(faults: Iterable[Fault], sources: Mapping[str, str]) -> RecipeError:
    """One error that shows every fault once, in the order of the files.

    `sources` gives the text of each file that an `At` may name. Passwords in URLs are masked.
    """
    order = {file: number for number, file in enumerate(sources)}
    found = [_problem(fault, sources) for fault in dict.fromkeys(faults)]
    return RecipeError(sorted(found, key=lambda problem: _position(problem.where, order)))


def masked(text: str) -> str:
    """The text with the password of every URL as stars, as many as it had characters."""
    if "://" not in text:
        return text
    for pattern in (_PASSWORD, _TOKEN):
        text = pattern.sub(lambda match: match[1] + "*" * len(match[2]), text)
    return text


def _problem(fault: Fault, sources: Mapping[str, str]) -> Problem:
    where = fault.where or _where(fault.at, sources, fault.value, fault.piece)
    other = _where(fault.other, sources)
    message = f"{fault.message} at {other}" if other else fault.message
    if where:
        where = msgspec.structs.replace(where, text=masked(where.text))
    return Problem(masked(message), where, masked(fault.hint))


def _where(at: At | None, sources: Mapping[str, str], value: bool = False, piece: str = "") -> Where | None:
    if at is None:
        return None
    from imgbake.recipe.location import locate  # only a recipe with errors is scanned

    return locate(at.file, sources.get(at.file, ""), at.path, value=value, piece=piece)


def _position(where: Where | None, order: Mapping[str, int]) -> tuple[int, int, int]:
    if where is None:
        return (-1, 0, 0)
    return (order.get(where.file, len(order)), where.line, where.column)
