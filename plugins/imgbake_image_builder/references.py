"""`{{ … }}` in a document: a parameter, a constant, a loop, or what an earlier step took or gave. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from imgbake.api import did_you_mean
from imgbake_image_builder import marked
from imgbake_image_builder.marked import Node, Text

_REFERENCE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_CHAIN = re.compile(r"([^.\s]+)\.([^.\s]+)\.(inputs|outputs)(.*)")
_ON_THE_BUILDER = ("build", "validate")


class Names:
    """What can be referred to, at the step that is being looked at."""

    def __init__(self) -> None:
        self.parameters: set[str] = set()
        self.all: set[str] = set()  # parameters and constants
        self.steps: set[str] = set()  # of this phase
        self._phase = ""
        self._done: dict[tuple[str, str], tuple[str, ...] | None] = {}

    def declare(self, name: str, *, is_parameter: bool) -> None:
        """Adds a parameter or a constant."""
        self.all.add(name)
        if is_parameter:
            self.parameters.add(name)

    def enter(self, phase: str) -> None:
        """Goes on to a phase."""
        self._phase, self.steps = phase, set()

    def add_step(self, name: str, outputs: tuple[str, ...] | None) -> None:
        """Adds a step, with what it gives; None when nobody knows."""
        self.steps.add(name)
        self._done[self._phase, name] = outputs

    def problem(self, reference: str, loop: str | None) -> tuple[str, str]:
        """What is wrong with a reference, and what to do; empty when nothing is."""
        if reference in self.all:
            return "", ""
        holder, _, what = reference.rpartition(".")
        if what in ("index", "value") and holder.count(".") == 0 and holder:
            if loop is None:
                return f"'{reference}' is of a loop, and the step has none", ""
            return ("", "") if holder in ("loop", loop) else (f"the step has no loop '{holder}'", "")
        chain = _CHAIN.fullmatch(reference)
        if chain is None:
            near = did_you_mean(reference, self.all)
            return f"nothing is named '{reference}'", near or "declare it in `parameters` or `constants`"
        return self._chained(chain)

    def _chained(self, chain: re.Match[str]) -> tuple[str, str]:
        phase, step, side, rest = chain.groups()
        if (phase, step) not in self._done:
            steps = [f"{phase}.{step}" for phase, step in self._done]
            return f"no step {phase}.{step} comes before this one", did_you_mean(f"{phase}.{step}", steps)
        if (phase in _ON_THE_BUILDER) != (self._phase in _ON_THE_BUILDER):
            hint = f"'{phase}' and '{self._phase}' run on different machines"
            return f"{phase}.{step} can't be seen from here", hint
        outputs = self._done[phase, step]
        name = re.split(r"[.\[\]]+", rest.strip("."))[-1]
        if side == "outputs" and outputs is not None and not any(each in rest for each in outputs):
            hint = f"it gives {', '.join(outputs)}" if outputs else "its action gives nothing"
            return f"{phase}.{step} gives no '{name}'", hint
        return "", ""


def check_references(
    source: Text, entries: Mapping[str, tuple[Node, Node]], names: Names, loop: str | None
) -> None:
    """Checks all references of a step. They stand in inputs, conditions and loops, and nowhere else."""
    for key, (_, value) in entries.items():
        for node in marked.texts(value):
            for found in _REFERENCE.finditer(str(node.value)):
                if key not in ("inputs", "loop", "if"):
                    source.add(node, f"'{found[0]}' is not put in here", "only in `inputs`, `loop` and `if`")
                    continue
                problem, hint = names.problem(found[1], loop)
                if problem:
                    source.add(node, problem, hint)
