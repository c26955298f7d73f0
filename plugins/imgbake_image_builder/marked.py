"""YAML with places: what a document says, and in which line and column it says it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from imgbake.api import BakeError, Problem, Where

Node = Any
"""A node of PyYAML, which comes without types."""

_NUMBER = re.compile(r"[-+]?\d+")


class Text:
    """A YAML file, and the problems that are found in it."""

    def __init__(self, file: str, text: str) -> None:
        self.file, self.text = file, text
        self.problems: list[Problem] = []
        self._lines = text.splitlines()

    def root(self) -> Node | None:
        """The root of the only document in it; None, with a problem added, when there is none."""
        yaml = sdk()
        try:
            node = yaml.compose(self.text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            said = getattr(error, "problem", None) or str(error).partition("\n")[0]
            where = self._where(mark.line, mark.column, 1) if mark else Where(self.file)
            self.problems.append(Problem(f"this is no YAML: {said}", where))
            return None
        if node is None:
            self.problems.append(Problem("the document is empty", Where(self.file)))
        return node

    def add(self, node: Node, message: str, hint: str = "") -> None:
        """Adds a problem at the place of a node."""
        start, end = node.start_mark, node.end_mark
        width = end.column - start.column if end.line == start.line else 1
        self.problems.append(Problem(message, self._where(start.line, start.column, width), hint))

    def table(self, node: Node, what: str) -> dict[str, tuple[Node, Node]]:
        """The entries of a mapping: key to the nodes of key and value. What can't be one is a problem."""
        if not is_table(node):
            self.add(node, f"{what} must be a mapping, not {kind_of(node)}")
            return {}
        found: dict[str, tuple[Node, Node]] = {}
        for key, value in node.value:
            if key.id != "scalar":
                self.add(key, f"a key of {what} must be text", quoted_hint(key))
            elif key.value in found:
                self.add(key, f"'{key.value}' is said twice in {what}")
            else:
                found[key.value] = key, value
        return found

    def items(self, node: Node, what: str) -> list[Node]:
        """The entries of a sequence. What can't be one is a problem."""
        if not is_list(node):
            self.add(node, f"{what} must be a list, not {kind_of(node)}")
            return []
        return list(node.value)

    def _where(self, line: int, column: int, width: int) -> Where:
        text = self._lines[line] if line < len(self._lines) else ""
        return Where(self.file, line + 1, column + 1, text, max(1, width))


def sdk() -> Any:
    """PyYAML. Raises BakeError where it isn't installed."""
    try:
        import yaml
    except ImportError:
        hint = "`pip install imgbake[image-builder]`"
        raise BakeError("documents of Image Builder need PyYAML", hint=hint) from None
    return yaml


def is_table(node: Node) -> bool:
    """Is it a mapping?"""
    return bool(node.id == "mapping")


def is_list(node: Node) -> bool:
    """Is it a sequence?"""
    return bool(node.id == "sequence")


def is_text(node: Node) -> bool:
    """Is it text, quoted or of a kind that YAML takes for text?"""
    return bool(node.id == "scalar" and node.tag == "tag:yaml.org,2002:str")


def is_flag(node: Node) -> bool:
    """Is it true or false, or a text that may become it?"""
    return bool(node.id == "scalar" and (node.tag.endswith(":bool") or "{{" in node.value))


def is_scalar(node: Node) -> bool:
    """Is it one value?"""
    return bool(node.id == "scalar")


def number(node: Node) -> int | None:
    """A whole number; None when it is none."""
    return int(node.value) if node.id == "scalar" and _NUMBER.fullmatch(node.value) else None


def texts(node: Node) -> Iterator[Node]:
    """All text below a node, keys included."""
    if node.id == "scalar":
        yield node
    elif node.id == "sequence":
        for each in node.value:
            yield from texts(each)
    else:
        for key, value in node.value:
            yield from texts(key)
            yield from texts(value)


def kind_of(node: Node) -> str:
    """What a node is, in words."""
    if node.id == "scalar":
        return "empty" if node.tag.endswith(":null") else f"'{node.value[:40]}'"
    return "a list" if node.id == "sequence" else "a mapping"


def quoted_hint(node: Node) -> str:
    """Why a reference without quotes is a mapping for YAML."""
    return "a value that begins with {{ needs quotes" if node.id == "mapping" else ""
