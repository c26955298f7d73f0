"""Variables in the words of instructions, as BuildKit's shell lexer replaces them.

    $name ${name}       the value, or nothing
    ${name:-word}       the word if the variable is unset or empty; with `-`, only if it is unset
    ${name:+word}       the word if it is set and not empty; with `+`, if it is set
    ${name:?word}       an error with the word if it is unset or empty; with `?`, if it is unset
    ${name#pattern}     without the shortest start that matches; with `##`, the longest
    ${name%pattern}     without the shortest end that matches; with `%%`, the longest
    ${name/pattern/new} with the first match replaced; with `//`, every match

Single quotes keep everything as it is, double quotes all but variables, and the escape character
keeps the next one. Quotes and escapes are taken away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from imgbake_dockerfile import shell_patterns
from imgbake_dockerfile.go import is_space

_SPECIAL = "@*#?-$!0"  # one character each, as in a shell; never set here
_DEEPEST = 50  # `${a:-${b:-…}}` in each other: more is no Dockerfile but an attack on the stack


class BadExpansion(ValueError):
    """A word that can't be expanded, and why."""


class Unset(BadExpansion):
    """A `${name:?word}` whose variable is missing."""


class Expanded(NamedTuple):
    """A word with its variables replaced."""

    text: str
    words: tuple[str, ...]  # the text where it is split at spaces that no quotes protect
    used: frozenset[str]  # the variables that were asked for and are set
    unset: frozenset[str]  # and those that aren't


class Style(NamedTuple):
    """What to keep that is taken away otherwise."""

    escape: str = "\\"
    keep_quotes: bool = False
    keep_escapes: bool = False
    keep_unset: bool = False  # a variable that isn't set stays as it is written
    plain_quotes: bool = False  # quotes are characters like others


_PLAIN = Style()


def expand(word: str, variables: Mapping[str, str], style: Style = _PLAIN) -> Expanded:
    """Expands a word. Raises BadExpansion."""
    lexer = _Lexer(word, variables, style)
    text, words = lexer.until("", style.keep_escapes)
    return Expanded(text, tuple(words), frozenset(lexer.used), frozenset(lexer.unset))


class _Words:
    """Collects characters into words, which unquoted spaces separate."""

    def __init__(self, buffer: list[str]) -> None:
        self._found: list[str] = []
        self._buffer = buffer
        self._inside = False
        buffer.clear()

    def add(self, text: str) -> None:
        """Adds text whose spaces separate."""
        for char in text:
            if not is_space(char):
                self.add_quoted(char)
            elif self._inside and self._buffer:
                self._found.append("".join(self._buffer))
                self._buffer.clear()
                self._inside = False

    def add_quoted(self, text: str) -> None:
        """Adds text whose spaces don't."""
        if text:
            self._buffer.append(text)
        self._inside = True

    def all(self) -> list[str]:
        """The words."""
        if self._buffer:
            self._found.append("".join(self._buffer))
            self._buffer.clear()
        return self._found


class _Lexer:
    """Reads one word, from left to right."""

    def __init__(self, text: str, variables: Mapping[str, str], style: Style) -> None:
        self.used: set[str] = set()
        self.unset: set[str] = set()
        self._text = text.removeprefix("\ufeff")
        self._place = 0
        self._variables = variables
        self._style = style
        self._keep_escapes = style.keep_escapes
        self._depth = 0
        # One for all depths, as in BuildKit: what is inside of ${…} makes forget the word it is in.
        self._buffer: list[str] = []

    def until(self, stop: str, keep_escapes: bool) -> tuple[str, list[str]]:
        """Reads to the stop character and over it, or to the end when there is none."""
        kept, self._keep_escapes = self._keep_escapes, keep_escapes
        self._depth += 1
        try:
            if self._depth > _DEEPEST:
                raise BadExpansion(f"variables are nested in more than {_DEEPEST} levels")
            return self._until(stop)
        finally:
            self._depth -= 1
            self._keep_escapes = kept

    def _until(self, stop: str) -> tuple[str, list[str]]:
        result: list[str] = []
        words = _Words(self._buffer)
        while char := self._peek():
            if char == stop:
                self._next()
                return "".join(result), words.all()
            if char == "$":
                text = self._variable()
                words.add(text)
            elif char in "'\"" and not self._style.plain_quotes:
                text = self._single_quoted() if char == "'" else self._double_quoted()
                words.add_quoted(text)
            elif char == "<":
                text = self._less()
                words.add_quoted(text)
            elif char == self._style.escape:
                text = self._escaped()
                if text:
                    words.add_quoted(text)
            else:
                text = self._next()
                words.add(text)
            result.append(text)
        if stop:
            raise BadExpansion(f"a '{stop}' is missing")
        return "".join(result), words.all()

    def _escaped(self) -> str:
        """An escape and what it escapes; one at the end is nothing."""
        escape = self._next()
        return (escape if self._keep_escapes else "") + self._next()

    def _single_quoted(self) -> str:
        start = self._place
        end = self._text.find("'", start + 1)
        if end < 0:
            raise BadExpansion("the single quote ' is not closed")
        self._place = end + 1
        return self._text[start : end + 1] if self._style.keep_quotes else self._text[start + 1 : end]

    def _double_quoted(self) -> str:
        self._next()
        quote = '"' if self._style.keep_quotes else ""
        result = quote
        while char := self._peek():
            if char == '"':
                self._next()
                return result + quote
            result += self._variable() if char == "$" else self._inside_quotes()
        raise BadExpansion('the double quote " is not closed')

    def _inside_quotes(self) -> str:
        char = self._next()
        if char != self._style.escape:
            return char
        kept = char if self._keep_escapes else ""
        if not self._peek():
            return kept
        # What needs no escape keeps it.
        return kept + (self._next() if self._peek() in ('"', "$", char) else char)

    def _less(self) -> str:
        """A `<`; or the `<<` of a heredoc, with the blanks before its name, which then split nothing."""
        result = self._next()
        if self._peek() == "<":
            result += self._next()
            while self._peek() and self._peek() in "\t\r ":
                result += self._next()
        return result

    def _variable(self) -> str:
        self._next()
        if self._peek() != "{":
            name = self._name()
            if not name:
                return "$"
            return self._value_or(name, "$" + name)
        self._next()
        if not self._peek():
            raise BadExpansion("a '}' is missing")
        if self._peek() in "{}:":
            raise BadExpansion("'${" + self._peek() + "' names no variable")
        name = self._name()
        operator = self._next()
        if operator == "}":
            return self._value_or(name, "${" + name + "}")
        if operator == "/":
            return self._with_replacement(name)
        or_empty = operator == ":"
        if or_empty:
            operator = self._next()
        elif operator not in ("+", "-", "?", "#", "%"):
            raise BadExpansion(f"'${{{name}{operator}' is no form of a variable")
        return self._modified(name, operator, or_empty)

    def _modified(self, name: str, operator: str, or_empty: bool) -> str:
        is_pattern = operator in ("#", "%")
        written = ":" * or_empty + operator
        if or_empty and is_pattern:
            raise BadExpansion(f"'{written}' is no form of a variable")
        word = self._part("}", is_pattern)
        value = self._value(name)
        if value is None and self._style.keep_unset:
            return "${" + name + written + word + "}"
        missing = value is None or (or_empty and not value)
        if operator == "-":
            return word if missing else value or ""
        if operator == "+":
            return "" if missing else word
        if operator == "?":
            if missing:
                state = "unset" if value is None else "empty"
                raise Unset(f"{name}: {word or f'may not be {state}'}")
            return value or ""
        if is_pattern:
            return self._without(value or "", operator, word)
        raise BadExpansion(f"'{written}' is no form of a variable")

    def _without(self, value: str, operator: str, pattern: str) -> str:
        longest = pattern.startswith(operator)
        cut = shell_patterns.without_prefix if operator == "#" else shell_patterns.without_suffix
        try:
            return cut(value, pattern[longest:], longest)
        except shell_patterns.BadPattern as error:
            raise BadExpansion(str(error)) from None

    def _with_replacement(self, name: str) -> str:
        everywhere = self._peek() == "/"
        if everywhere:
            self._next()
        pattern = self._part("/", True)
        replacement = self._part("}", True)
        value = self._value(name)
        if value is None and self._style.keep_unset:
            return "${" + name + "/" + pattern + "/" + replacement + "}"
        try:
            return shell_patterns.replaced(value or "", pattern, replacement, everywhere)
        except shell_patterns.BadPattern as error:
            raise BadExpansion(str(error)) from None

    def _part(self, stop: str, keep_escapes: bool) -> str:
        return self.until(stop, keep_escapes)[0]

    def _value_or(self, name: str, written: str) -> str:
        value = self._value(name)
        if value is None:
            return written if self._style.keep_unset else ""
        return value

    def _value(self, name: str) -> str | None:
        value = self._variables.get(name)
        (self.unset if value is None else self.used).add(name)
        return value

    def _name(self) -> str:
        start = self._place
        first = self._peek()
        if first.isdecimal():
            while self._peek().isdecimal():
                self._place += 1
        elif first and first in _SPECIAL:
            self._place += 1
        else:
            while (char := self._peek()) and (char.isalpha() or char.isdecimal() or char == "_"):
                self._place += 1
        return self._text[start : self._place]

    def _peek(self) -> str:
        return self._text[self._place : self._place + 1]

    def _next(self) -> str:
        char = self._peek()
        self._place += 1
        return char
