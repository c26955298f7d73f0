"""Every error a user can meet, as data: what is wrong, where, and what to do.

    BakeError                  exit 1   a node failed, or the world refused
    ├── RecipeError            exit 2   the recipe is wrong: carries every problem found
    ├── UsageError             exit 2   the command line is wrong
    │   └── MissingArguments            and could be asked for what it lacks
    ├── StepError              exit 1   a step failed: carries the last lines of its log
    │   └── TimedOut                    because it took too long
    ├── Interrupted            exit 130 the user stopped us
    └── PluginError            exit 70  a plugin broke the contract: names it

Nothing below the command line prints an error or exits; it raises one of these.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

# Text from elsewhere must not move the cursor, nor show in another order than it has.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class Where(msgspec.Struct, frozen=True):
    """A place in a text file. Lines and columns count from 1; 0 says that only the file is known."""

    file: str
    line: int = 0
    column: int = 0
    text: str = ""  # the whole line, so that it can be shown
    width: int = 1  # how many characters of it are meant

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong, and what to write instead."""

    message: str
    where: Where | None = None
    hint: str = ""

    def render(self) -> str:
        """The problem as a compiler would print it: place, message, source line, caret, hint."""
        lines = [f"{self.where}: {self.message}" if self.where else self.message]
        if self.where and self.where.line:
            number = str(self.where.line)
            lines += [f" {number} | {self.where.text}", f" {' ' * len(number)} | {_carets(self.where)}"]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], "\n".join(lines))


def _carets(where: Where) -> str:
    """What points at the characters that are meant, below their line."""
    start = where.column - 1
    before, meant = where.text[:start], where.text[start : start + where.width]
    indent = "".join(char if char == "\t" else " " * _columns(char) for char in before)
    return indent + "^" * max(1, _columns(meant))


def _columns(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


class BakeError(Exception):
    """What the user did, or the world did, that stops us; never a bug of ours."""

    exit_code = 1

    def __init__(self, message: str, *, where: Where | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    @property
    def placed(self) -> str:
        """The message in one line, with its place."""
        return f"{self.where}: {self.message}" if self.where else self.message

    def render(self) -> str:
        """The whole message, ready to print."""
        return Problem(self.message, self.where, self.hint).render()


class RecipeError(BakeError):
    """Everything that is wrong with a recipe, found in one run."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems[0].message if problems else "the recipe is wrong")
        self.problems = tuple(problems)

    def render(self) -> str:
        """Every problem, then their number."""
        count = len(self.problems)
        total = "1 error in the recipe" if count == 1 else f"{count} errors in the recipe"
        return "\n\n".join([*(problem.render() for problem in self.problems), total])


class UsageError(BakeError):
    """The command line asks for what does not exist or does not go together."""

    exit_code = 2


class MissingArguments(UsageError):
    """Arguments that nobody gave: `names`, in the order in which they are needed.

    `about` tells of some of them what they are for, and what may be given.
    """

    def __init__(
        self,
        names: Sequence[str],
        secret: Collection[str],
        message: str,
        about: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.names = tuple(names)
        self.about = dict(about or {})
        self._secret = frozenset(secret)

    def is_secret(self, name: str) -> bool:
        """Must this one be asked for unseen?"""
        return name in self._secret


class StepError(BakeError):
    """A step failed. `tail` holds the last lines that it printed."""

    def __init__(self, message: str, *, hint: str = "", tail: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.tail = tuple(tail)


class TimedOut(StepError):
    """A step, or a command of it, took longer than it may."""


class Interrupted(BakeError):
    """The user asked us to stop."""

    exit_code = 130

    def __init__(self, message: str = "interrupted") -> None:
        super().__init__(message)


class PluginError(BakeError):
    """A plugin broke its contract, or failed in a way that it did not foresee."""

    exit_code = 70

    def __init__(self, plugin: str, message: str, *, hint: str = "") -> None:
        super().__init__(f"plugin {plugin}: {message}", hint=hint)
        self.plugin = plugin


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suggestion for a misspelt word: the nearest known ones, or the list when it is short."""
    import difflib  # costs 5 ms, and most runs misspell nothing

    names = sorted(set(known))
    near = difflib.get_close_matches(word, names, n=3, cutoff=0.6)
    if near:
        return "did you mean " + " or ".join(f"'{name}'" for name in near) + "?"
    if names and len(names) <= 12:
        return "known here: " + ", ".join(names)
    return ""
