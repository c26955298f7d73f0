"""What Packer prints with -machine-readable, as lines of a log and as errors that name their place.

    1795253898,,ui,say,==> amazon-ebs.shop: Creating AMI tags
    1795253851,amazon-ebs.shop,error,Script exited with non-zero exit status: 3

A line is a time, a target, a type and data; in the data commas and line breaks are escaped
(developer.hashicorp.com/packer/docs/commands, Machine-Readable Output).
"""

from __future__ import annotations

import posixpath
import re
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from imgbake.api import Blueprint, StepError
from imgbake_aws import sdk
from imgbake_packer.scripts import END, MARK

_TAIL = 20  # lines
_SPEAKER = re.compile(r"^(?:==> |--> |    )?[\w-]+\.[\w-]+: ?")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_EXIT_CODE = re.compile(r"exited with non-zero exit status: (\d+)")
_ARTIFACT_ID = re.compile(r"^\d+,id,(.*)")
_REFUSED = "Error: "
_PLACE = re.compile(r"on (?:(\S.*) )?line (\d+)")  # of a fault in a template; without a file it says nothing
_CLEANING_UP = "Provisioning step had errors"
_NOISE = ("Wait completed after", "Builds finished", "Some builds didn't complete", "Build '")
_NOISE_OF_SCRIPTS = "Provisioning with shell script: "


class Report:
    """Takes Packer's lines, and remembers how far it was and what went wrong."""

    def __init__(
        self, blueprint: Blueprint, folder: Path, log: Callable[[str], None], templates: str = ""
    ) -> None:
        self._log, self._folder = log, f"{folder}/"
        self._templates = templates  # the folder of a user's own, relative to the project
        self._commands = {
            f"{layer.component} {phase} {number}": command
            for layer in blueprint.layers
            for phase in ("build", "validate", "test")
            for number, command in enumerate(getattr(layer, phase), 1)
        }
        self._components = {layer.component for layer in blueprint.layers}
        self._at = ""  # the last mark of a script
        self._doing = ""  # what Packer said last that it does
        self._phase = ""
        self._errors: list[str] = []
        self._refusals: list[str] = []
        self._has_failed = False  # what Packer does from then on is cleaning up
        self.artifacts: dict[str, str] = {}  # by the name of their build, the last one of each
        self._tail: deque[str] = deque(maxlen=_TAIL)

    def take(self, line: str) -> None:
        """One line of Packer's output."""
        fields = _ANSI.sub("", line).split(",", 3)
        if len(fields) < 4 or not fields[0].isdigit():
            self._say(line)
            return
        _, target, kind, data = fields
        if kind == "ui":
            how, _, text = data.partition(",")
            if how == "error" and _plain(text).lstrip().startswith(_REFUSED):
                said = _plain(text).replace(self._folder, "")
                self._refusals += _refusals(said, self._templates)
            for each in _plain(text).replace(self._folder, "").splitlines():
                self._take_said(how, each)
        elif kind == "artifact" and (found := _ARTIFACT_ID.match(data)):
            self.artifacts[target] = _plain(found[1])
        elif kind == "error":
            self._errors.append(_plain(data).strip())

    def failure(self, code: int) -> StepError:
        """Why Packer ended with this code: by what component, command or step, and what it printed."""
        said = "; ".join(dict.fromkeys(self._errors)) or "; ".join(self._refusals)
        tail = tuple(self._tail)
        command = self._commands.get(self._at)
        exited = _EXIT_CODE.search(said)
        if command is not None and exited is not None:
            first = command.strip().splitlines()[0]
            shown = first if first == command.strip() else f"{first} …"
            component, phase, _ = self._at.rsplit(" ", 2)
            message = f"component '{component}': {phase}: `{shown}` exited with code {exited[1]}"
            return StepError(message, tail=tail)
        if self._at and exited is not None:
            component, _, what = self._at.rpartition(" ")
            return StepError(f"component '{component}': its {what} could not be put in place", tail=tail)
        if self._at and said:
            return StepError(f"component '{self._at.rsplit(' ', 2)[0]}': {said}", tail=tail)
        during = f" while it was at “{self._doing}”" if self._doing else ""
        return StepError(f"Packer failed{during}: {said or f'exit code {code}'}", hint=_hint(said), tail=tail)

    def _take_said(self, how: str, text: str) -> None:
        spoken = _SPEAKER.sub("", text)
        if spoken.startswith(MARK):
            self._mark(spoken.removeprefix(MARK).strip())
        elif how == "error" or spoken.startswith(_CLEANING_UP):
            self._has_failed = True
            if spoken.strip():
                self._say(spoken)
        elif text.startswith("--> ") or spoken.startswith(_NOISE_OF_SCRIPTS):
            return
        elif spoken.strip() and not spoken.removeprefix("==> ").startswith(_NOISE):
            if text.startswith("==> ") and not self._has_failed:
                self._doing = spoken.strip()
            self._say(spoken)

    def _mark(self, at: str) -> None:
        self._at = "" if at == END else at
        if not self._at:
            return
        component, _, what = at.partition(" ")
        phase = f"{component}: {what.split(' ')[0]}"
        if phase != self._phase:
            self._phase = phase
            self._log(f"-- {phase}")
        if command := self._commands.get(at):
            self._log("$ " + command.strip().splitlines()[0])

    def _say(self, text: str) -> None:
        self._tail.append(text)
        self._log(text)


def _plain(data: str) -> str:
    return data.replace("%!(PACKER_COMMA)", ",").replace("\\n", "\n").replace("\\r", "")


def _refusals(text: str, folder: str) -> Iterator[str]:
    """The faults of a template: the place of each, its headline, and the paragraphs that say more."""
    for fault in filter(str.strip, text.split(_REFUSED)):
        headline, *rest = [" ".join(part.split()) for part in fault.strip().split("\n\n")]
        at = next((found for part in rest if (found := _PLACE.match(part)) and found[1]), None)
        place = f"{posixpath.normpath(posixpath.join(folder, at[1]))}:{at[2]}: " if at else ""
        said = [headline.rstrip(":"), *(part for part in rest if not _PLACE.match(part))]
        yield place + ": ".join(said)


def _hint(said: str) -> str:
    """What to do about what Packer says often."""
    if allowed := sdk.allowing(said):
        return allowed
    known = {
        "NoCredentialProviders": "set AWS_PROFILE or AWS_ACCESS_KEY_ID, or run where a role gives them",
        "UnauthorizedOperation": "the message names the action that is not allowed; `aws sts "
        "decode-authorization-message` tells more",
        "InvalidAMIID.NotFound": "AMIs belong to a region: is the base there?",
        "Timeout waiting for SSH": "can the machine be reached, and is `ssh_username` right?",
        "unable to authenticate": "is `ssh_username` right?",
        "Output directory exists": "Packer writes into none that exists: remove it, or let each bake have "
        "its own, such as 'out/\\{{ timestamp }}'",
        "Unknown source": "`packer init` has not installed the plugin: name it in `plugins`",
    }
    return next((hint for word, hint in known.items() if word in said), "")
