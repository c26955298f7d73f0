"""Component documents: what of AWSTOE's rules the service checks when a component is created."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from .errors import Refused, invalid

_OBJECT = {"ExecuteBash", "ExecuteBinary", "ExecuteDocument", "ExecutePowerShell", "Assert"}
_OPTIONAL = {"Reboot", "UpdateOS", "Assert"}
_LIST = {
    "AppendFile", "CopyFile", "CopyFolder", "CreateFile", "CreateFolder", "CreateSymlink", "DeleteFile",
    "DeleteFolder", "ListFiles", "MoveFile", "MoveFolder", "ReadFile", "S3Download", "S3Upload",
    "SetFileEncoding", "SetFileOwner", "SetFilePermissions", "SetFolderOwner", "SetFolderPermissions",
    "SetRegistry", "WebDownload",
}  # fmt: skip
_EITHER = {"InstallMSI", "UninstallMSI"}
ACTIONS = _OBJECT | _OPTIONAL | _LIST | _EITHER
"""The 30 action modules."""

PHASES = {"build", "validate", "test", "container-host-test"}
_DOCUMENT = {"name", "description", "schemaVersion", "parameters", "constants", "phases"}
_PHASE = {"name", "steps"}
_STEP = {"name", "action", "if", "loop", "timeoutSeconds", "onFailure", "maxAttempts", "inputs"}
_NAME = re.compile(r"[A-Za-z0-9_-]{3,128}")


@dataclass(frozen=True)
class Parameter:
    """A parameter that a component declares."""

    name: str
    default: str | None
    description: str | None

    def described(self) -> dict[str, Any]:
        """As the service tells it."""
        told: dict[str, Any] = {"name": self.name, "type": "String"}
        if self.default is not None:
            told["defaultValue"] = [self.default]
        if self.description:
            told["description"] = self.description
        return told


@dataclass(frozen=True)
class Step:
    """A step of a phase."""

    name: str
    action: str


@dataclass(frozen=True)
class Document:
    """A component document that keeps the rules."""

    phases: dict[str, list[Step]]
    parameters: list[Parameter] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """TEST if `test` is the only phase, else BUILD."""
        return "TEST" if list(self.phases) == ["test"] else "BUILD"


def read(data: str) -> Document:
    """The document that a component's data are; refused with all that is wrong with it."""
    try:
        content = yaml.safe_load(data)
    except yaml.YAMLError as error:
        raise _refused([f"the data are not YAML: {error}"]) from None
    check = _Check()
    document = check.document(content)
    if check.wrong:
        raise _refused(check.wrong)
    return document


class _Check:
    """Reads a document and notes what is wrong with it."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def document(self, content: object) -> Document:
        if not isinstance(content, dict):
            self.wrong.append("the document must be a mapping")
            return Document({})
        self._unknown(content, _DOCUMENT, "the document")
        if str(content.get("schemaVersion")) not in ("1.0", "1"):
            self.wrong.append(f"schemaVersion must be 1.0, not {content.get('schemaVersion')}")
        parameters = self._declared(content, "parameters")
        constants = self._declared(content, "constants")
        names = [parameter.name for parameter in parameters + constants]
        self.wrong += [f"'{name}' is declared twice" for name in _twice(names)]
        return Document(self._phases(content.get("phases")), parameters)

    def _declared(self, content: dict[str, Any], section: str) -> list[Parameter]:
        found = []
        for entry in self._list(content.get(section, []), section):
            if not isinstance(entry, dict) or len(entry) != 1:
                self.wrong.append(f"each of {section} must be a mapping with one name")
                continue
            ((name, about),) = entry.items()
            if not _NAME.fullmatch(str(name)):
                self.wrong.append(f"'{name}' in {section} must have 3 to 128 letters, digits, _ or -")
            if not isinstance(about, dict) or about.get("type") != "string":
                self.wrong.append(f"'{name}' in {section} must be of type string")
                continue
            if section == "constants" and "value" not in about:
                self.wrong.append(f"the constant '{name}' has no value")
            default = about.get("default")
            found.append(
                Parameter(str(name), None if default is None else str(default), about.get("description"))
            )
        return found

    def _phases(self, content: object) -> dict[str, list[Step]]:
        phases: dict[str, list[Step]] = {}
        for phase in self._list(content, "phases"):
            if not isinstance(phase, dict):
                self.wrong.append("each phase must be a mapping")
                continue
            name = str(phase.get("name"))
            self._unknown(phase, _PHASE, f"phase '{name}'")
            if name not in PHASES:
                self.wrong.append(f"'{name}' is no phase; there are {', '.join(sorted(PHASES))}")
            if name in phases:
                self.wrong.append(f"the phase '{name}' is there twice")
            phases[name] = self._steps(phase.get("steps"), name)
        if not phases:
            self.wrong.append("the document must have at least one phase")
        return phases

    def _steps(self, content: object, phase: str) -> list[Step]:
        steps = []
        for step in self._list(content, f"the steps of phase '{phase}'"):
            if not isinstance(step, dict):
                self.wrong.append(f"each step of phase '{phase}' must be a mapping")
                continue
            name, action = str(step.get("name", "")), str(step.get("action", ""))
            self._step(step, f"step '{name}' in phase '{phase}'")
            steps.append(Step(name, action))
        if not steps:
            self.wrong.append(f"the phase '{phase}' has no steps")
        self.wrong += [f"the step '{name}' is twice in '{phase}'" for name in _twice([s.name for s in steps])]
        return steps

    def _step(self, step: dict[str, Any], where: str) -> None:
        self._unknown(step, _STEP, where)
        if not step.get("name"):
            self.wrong.append(f"a step has no name: {where}")
        if step.get("action") not in ACTIONS:
            self.wrong.append(f"{where}: '{step.get('action')}' is no action")
        else:
            self._inputs(str(step["action"]), step.get("inputs"), where)
        timeout = step.get("timeoutSeconds", 7200)
        if not _whole(timeout) or not (timeout == -1 or timeout > 0):
            self.wrong.append(f"{where}: timeoutSeconds must be positive, or -1 for no limit")
        if not _whole(step.get("maxAttempts", 1)) or step.get("maxAttempts", 1) < 1:
            self.wrong.append(f"{where}: maxAttempts must be at least 1")
        if step.get("onFailure", "Abort") not in ("Abort", "Continue", "Ignore"):
            self.wrong.append(f"{where}: onFailure must be Abort, Continue or Ignore")
        self._loop(step.get("loop"), where)

    def _inputs(self, action: str, inputs: object, where: str) -> None:
        if not inputs and action not in _OPTIONAL:
            self.wrong.append(f"{where}: Action {action} has no inputs; it requires an 'inputs'")
        elif action in _LIST and not isinstance(inputs, list):
            self.wrong.append(f"{where}: the inputs of {action} must be a list")
        elif action in _OBJECT and inputs and not isinstance(inputs, dict):
            self.wrong.append(f"{where}: the inputs of {action} must be a mapping")

    def _loop(self, loop: object, where: str) -> None:
        if loop is None:
            return
        if not isinstance(loop, dict) or ("for" in loop) == ("forEach" in loop):
            self.wrong.append(f"{where}: a loop has either for or forEach")
            return
        turns = loop.get("for")
        if turns is None:
            return
        bounds = [turns.get(key) for key in ("start", "end", "updateBy")] if isinstance(turns, dict) else []
        match bounds:
            case [int(start), int(end), int(step)]:
                if step == 0 or (end - start) * step < 0:
                    self.wrong.append(f"{where}: the loop never ends")
            case _:
                self.wrong.append(f"{where}: for must have start, end and updateBy")

    def _unknown(self, content: dict[str, Any], known: set[str], where: str) -> None:
        self.wrong += [f"{where} can't have '{key}'" for key in content if key not in known]

    def _list(self, content: object, what: str) -> list[Any]:
        if isinstance(content, list):
            return content
        self.wrong.append(f"{what} must be a list")
        return []


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _twice(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _refused(wrong: list[str]) -> Refused:
    return invalid("data", "The document is not valid: " + "; ".join(wrong) + ".")
