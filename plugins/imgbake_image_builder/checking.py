"""Whether a document is one that AWSTOE runs: every rule of it, all problems in one run. Pure.

docs.aws.amazon.com/imagebuilder/latest/userguide/toe-use-documents.html and the pages below it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from imgbake.api import Problem, did_you_mean
from imgbake_image_builder import marked
from imgbake_image_builder.marked import Node, Text
from imgbake_image_builder.modules import EITHER_SHAPE, MODULES, OPERATORS, Module
from imgbake_image_builder.references import Names, check_references

PHASES = ("build", "validate", "test", "container-host-test")
_RUN_BY_ITSELF = PHASES[:3]
_TOP = ("name", "description", "schemaVersion", "parameters", "constants", "phases")
_STEP = ("name", "action", "if", "loop", "timeoutSeconds", "onFailure", "maxAttempts", "inputs")
_ON_FAILURE = ("Abort", "Continue", "Ignore")
_NAME = re.compile(r"[A-Za-z0-9_-]{3,128}")
_LONGEST = 64 << 10  # bytes
_ALGORITHMS = ("MD5", "SHA1", "SHA256", "SHA512")


def check(file: str, text: str, params: Mapping[str, str], platform: str) -> list[Problem]:
    """All that is wrong with a document, given these parameters, on this platform (empty for any)."""
    source = Text(file, text)
    if len(text.encode()) > _LONGEST:
        source.problems.append(Problem(f"{file} is longer than 64 KiB, which is all that a component holds"))
    root = source.root()
    if root is not None:
        _Checker(source, platform).document(root, params)
    return source.problems


class _Checker:
    def __init__(self, source: Text, platform: str) -> None:
        self._source, self._platform = source, platform
        self._add = source.add

    def document(self, root: Node, params: Mapping[str, str]) -> None:
        entries = self._source.table(root, "the document")
        if not marked.is_table(root):
            return
        self._known(entries, _TOP, "a document")
        self._version(root, entries)
        names = Names()
        for section, needed in (("parameters", "type"), ("constants", "value")):
            if section in entries:
                self._declared(entries[section][1], section, needed, names)
        for name in params:
            if name not in names.parameters:
                hint = did_you_mean(name, names.parameters) or "the document declares it in `parameters`"
                message = f"the document has no parameter '{name}', which the recipe gives"
                self._source.problems.append(Problem(f"{self._source.file}: {message}", None, hint))
        if "phases" in entries:
            self._phases(entries["phases"][1], names)
        else:
            self._add(root, "the document has no 'phases'")

    def _version(self, root: Node, entries: Mapping[str, tuple[Node, Node]]) -> None:
        if "schemaVersion" not in entries:
            self._add(root, "the document has no 'schemaVersion'", "write schemaVersion: 1.0")
        elif entries["schemaVersion"][1].value not in ("1.0", "1"):
            self._add(entries["schemaVersion"][1], "'schemaVersion' must be 1.0")
        for key in ("name", "description"):
            if key in entries and not marked.is_scalar(entries[key][1]):
                self._add(entries[key][1], f"'{key}' must be text")

    def _declared(self, node: Node, section: str, needed: str, names: Names) -> None:
        one = section[:-1]
        for item in self._source.items(node, f"'{section}'"):
            entries = self._source.table(item, f"a {one}")
            if marked.is_table(item) and len(entries) != 1:
                self._add(item, f"each entry of '{section}' is one {one}", "write - NAME: {type: string, …}")
            for name, (key, value) in entries.items():
                if not _NAME.fullmatch(name):
                    self._add(key, f"'{name}' can't be a name", "3 to 128 letters, digits, _ and - make one")
                elif name in names.all:
                    self._add(
                        key, f"the name '{name}' is taken", "parameters and constants share their names"
                    )
                names.declare(name, is_parameter=section == "parameters")
                self._declaration(name, value, key, one, needed)

    def _declaration(self, name: str, value: Node, key: Node, one: str, needed: str) -> None:
        said = self._source.table(value, f"the {one} '{name}'")
        known = ("type", "default", "description") if one == "parameter" else ("type", "value", "description")
        self._known(said, known, f"a {one}")
        if "type" not in said:
            self._add(key, f"the {one} '{name}' has no 'type'", "write type: string")
        elif said["type"][1].value != "string":
            self._add(said["type"][1], f"a {one}'s type is string, and no other")
        if needed == "value" and "value" not in said:
            self._add(key, f"the constant '{name}' has no 'value'")

    def _phases(self, node: Node, names: Names) -> None:
        found: list[str] = []
        for item in self._source.items(node, "'phases'"):
            entries = self._source.table(item, "a phase")
            self._known(entries, ("name", "steps"), "a phase")
            name = self._phase_name(item, entries, found)
            found.append(name)
            names.enter(name)
            if "steps" not in entries:
                self._add(item, "the phase has no 'steps'")
                continue
            steps = self._source.items(entries["steps"][1], "'steps'")
            if not steps and marked.is_list(entries["steps"][1]):
                self._add(entries["steps"][0], f"the phase '{name}' has no steps")
            for step in steps:
                self._step(step, names)
        if marked.is_list(node) and not set(found) & set(_RUN_BY_ITSELF):
            self._add(node, f"a document has one of the phases {', '.join(_RUN_BY_ITSELF)}")

    def _phase_name(self, item: Node, entries: Mapping[str, tuple[Node, Node]], found: Iterable[str]) -> str:
        if "name" not in entries:
            self._add(item, "the phase has no 'name'", f"it is one of {', '.join(PHASES)}")
            return ""
        node = entries["name"][1]
        name = str(node.value)
        if name not in PHASES:
            hint = did_you_mean(name, PHASES)
            self._add(node, f"Image Builder runs no phase '{name}'", hint)
        elif name in found:
            self._add(node, f"there is a phase '{name}' already")
        return name

    def _step(self, item: Node, names: Names) -> None:
        entries = self._source.table(item, "a step")
        if not marked.is_table(item):
            return
        self._known(entries, _STEP, "a step")
        name = ""
        if "name" not in entries:
            self._add(item, "the step has no 'name'")
        else:
            name = str(entries["name"][1].value)
            if name in names.steps:
                self._add(entries["name"][1], f"the phase has a step '{name}' already")
        self._limits(entries)
        loop = self._loop(entries["loop"][1]) if "loop" in entries else None
        if "if" in entries:
            self._condition(entries["if"][1])
        module = self._action(item, entries)
        if module is not None:
            self._inputs(item, entries, module, str(entries["action"][1].value))
        check_references(self._source, entries, names, loop)
        names.add_step(name, module.outputs if module else None)

    def _limits(self, entries: Mapping[str, tuple[Node, Node]]) -> None:
        if "timeoutSeconds" in entries:
            seconds = marked.number(entries["timeoutSeconds"][1])
            if seconds is None or seconds < -1 or seconds == 0:
                hint = "write seconds above 0, or -1 for no limit"
                self._add(entries["timeoutSeconds"][1], "'timeoutSeconds' is no time", hint)
        if "maxAttempts" in entries:
            attempts = marked.number(entries["maxAttempts"][1])
            if attempts is None or attempts < 1:
                self._add(entries["maxAttempts"][1], "'maxAttempts' must be a number from 1 on")
        if "onFailure" in entries and entries["onFailure"][1].value not in _ON_FAILURE:
            hint = f"it is one of {', '.join(_ON_FAILURE)}"
            self._add(
                entries["onFailure"][1],
                f"'onFailure' can't be {marked.kind_of(entries['onFailure'][1])}",
                hint,
            )

    def _action(self, item: Node, entries: Mapping[str, tuple[Node, Node]]) -> Module | None:
        if "action" not in entries:
            self._add(item, "the step has no 'action'")
            return None
        node = entries["action"][1]
        module = MODULES.get(str(node.value)) if marked.is_scalar(node) else None
        if module is None:
            hint = did_you_mean(str(node.value), MODULES) or f"there are {', '.join(MODULES)}"
            self._add(node, f"there is no action module {marked.kind_of(node)}", hint)
        elif self._platform and self._platform not in module.platforms:
            self._add(node, f"{node.value} does not run on {self._platform}")
        return module

    def _inputs(
        self, item: Node, entries: Mapping[str, tuple[Node, Node]], module: Module, action: str
    ) -> None:
        if "inputs" not in entries:
            if not module.needs_none:
                self._add(item, f"the step has no 'inputs', which {action} needs")
            return
        node = entries["inputs"][1]
        if action == "Assert":
            self._condition(node)
        elif module.takes_list and not (action in EITHER_SHAPE and marked.is_table(node)):
            for each in self._source.items(node, f"the inputs of {action}"):
                self._input(each, module, action)
        elif not (module.needs_none and marked.is_scalar(node)):
            self._input(node, module, action)

    def _input(self, node: Node, module: Module, action: str) -> None:
        said = self._source.table(node, f"an input of {action}")
        if not marked.is_table(node):
            return
        self._known(said, tuple(module.inputs), f"an input of {action}")
        for name in module.required:
            if name not in said:
                self._add(node, f"{action} needs '{name}'")
        if module.one_of and len([name for name in module.one_of if name in said]) != 1:
            self._add(node, f"{action} needs either {' or '.join(map(repr, module.one_of))}")
        for name, (_, value) in said.items():
            self._value(name, value, module.inputs.get(name, "any"))
        if action == "WebDownload":
            self._checksum(node, said)

    def _value(self, name: str, value: Node, kind: str) -> None:
        if kind == "text" and not marked.is_scalar(value):
            self._add(value, f"'{name}' must be text, not {marked.kind_of(value)}", marked.quoted_hint(value))
        elif kind == "flag" and not marked.is_flag(value):
            self._add(value, f"'{name}' must be true or false, not {marked.kind_of(value)}")
        elif kind == "number" and marked.number(value) is None and "{{" not in str(value.value):
            self._add(value, f"'{name}' must be a number, not {marked.kind_of(value)}")
        elif kind == "texts":
            for each in self._source.items(value, f"'{name}'"):
                if not marked.is_scalar(each):
                    hint = "a text with a colon in it needs quotes"
                    self._add(each, f"'{name}' is a list of texts, not of {marked.kind_of(each)}", hint)

    def _checksum(self, node: Node, said: Mapping[str, tuple[Node, Node]]) -> None:
        if ("checksum" in said) != ("algorithm" in said):
            self._add(node, "WebDownload takes 'checksum' and 'algorithm' together")
        if "algorithm" in said:
            algorithm = said["algorithm"][1]
            if algorithm.value not in _ALGORITHMS and "{{" not in str(algorithm.value):
                hint = f"it is one of {', '.join(_ALGORITHMS)}"
                self._add(algorithm, f"there is no algorithm {marked.kind_of(algorithm)}", hint)

    def _loop(self, node: Node) -> str:
        """Checks a loop, and returns the name by which it is referred to."""
        said = self._source.table(node, "'loop'")
        self._known(said, ("name", "for", "forEach"), "a loop")
        if ("for" in said) == ("forEach" in said):
            self._add(node, "a loop has either 'for' or 'forEach'")
        if "for" in said:
            self._counted(said["for"][1])
        if "forEach" in said:
            each = said["forEach"][1]
            if marked.is_table(each):
                listed = self._source.table(each, "'forEach'")
                self._known(listed, ("list", "delimiter"), "'forEach'")
                if "list" not in listed:
                    self._add(each, "'forEach' has no 'list'")
            else:
                for item in self._source.items(each, "'forEach'"):
                    if not marked.is_scalar(item):
                        self._add(item, "loops go over texts")
        return str(said["name"][1].value) if "name" in said else "loop"

    def _counted(self, node: Node) -> None:
        said = self._source.table(node, "'for'")
        self._known(said, ("start", "end", "updateBy"), "'for'")
        for name in ("start", "end", "updateBy"):
            if name not in said:
                self._add(node, f"'for' has no '{name}'")
            elif marked.number(said[name][1]) is None and "{{" not in str(said[name][1].value):
                self._add(said[name][1], f"'{name}' must be a whole number")
        numbers = [
            marked.number(said[name][1]) if name in said else None for name in ("start", "end", "updateBy")
        ]
        start, end, step = numbers
        if step == 0:
            self._add(said["updateBy"][1], "'updateBy' can't be 0")
        elif start is not None and end is not None and step is not None and (end - start) * step < 0:
            self._add(node, "the loop never ends: 'updateBy' leads away from 'end'")

    def _condition(self, node: Node) -> None:
        """An `if`, or the inputs of Assert: operators, and what they lead to."""
        if marked.is_list(node):
            for each in node.value:
                self._condition(each)
            return
        said = self._source.table(node, "a condition")
        for name, (key, value) in said.items():
            if name in ("and", "or"):
                for each in self._source.items(value, f"'{name}'"):
                    self._condition(each)
            elif name == "not":
                self._condition(value)
            elif name not in OPERATORS and name not in ("then", "else", "input", "value", "pattern"):
                self._add(key, f"there is no operator '{name}'", did_you_mean(name, OPERATORS))

    def _known(self, said: Mapping[str, tuple[Node, Node]], known: tuple[str, ...], of: str) -> None:
        for name, (key, _) in said.items():
            if name not in known:
                self._add(key, f"{of} has no '{name}'", did_you_mean(name, known))
