"""The builder in the engine itself (POST /build). It has no caches and no secrets.

A stage is sent as a Dockerfile of its own, FROM the image that the stage before it became: so each
goes with the network and the limits of its component, and no file is sent twice.
"""

from __future__ import annotations

import json
import re
from collections import deque
from typing import Any

from imgbake.api import RunContext, Setup
from imgbake_docker import building, posting, proxies
from imgbake_docker.building import Order
from imgbake_docker.engine import Client
from imgbake_docker.sending import context

_TAIL = 20
_PERIOD = 100_000  # microseconds, of which a quota of the processors' time is given
STEP = re.compile(r"Step \d+/\d+ : (.*)", re.DOTALL)
_IMAGE = re.compile(r" ---> ([0-9a-f]{12})\b")
CHATTER = re.compile(
    r"Step \d+/\d+ : | ---> (Running in |Using cache|Removed intermediate container |[0-9a-f]{12}|\n)"
    r"|Removing intermediate container [0-9a-f]{12}|Successfully (built|tagged) "
    r"|\[Warning\] One or more build-args "
)
CODE = re.compile(r"returned a non-zero code: (\d+)")


class Classic:
    """Builds by the engine's own builder."""

    name = "classic"

    def __init__(self, client: Client) -> None:
        self._client = client

    def build(self, order: Order, ctx: RunContext) -> str:
        stage = order.stage
        setup = stage.layer.setup if stage.layer else Setup()
        return posting.build(
            self._client,
            _parameters(order, setup),
            lambda: context(stage.text(order.base), stage.archive(), order.files, ctx.progress),
            lambda: _Told(order, ctx),
            ctx,
            setup.timeout if stage.commands else None,
        )


class _Told:
    """What the engine has said of a build so far."""

    def __init__(self, order: Order, ctx: RunContext) -> None:
        self.image = ""
        self._order, self._ctx = order, ctx
        self._commands = iter(order.stage.commands)
        self._command = ""  # that runs
        self._below = ""  # the last image that was made
        self._line = ""  # what was printed since the last line break
        self._tail: deque[str] = deque(maxlen=_TAIL)

    def hear(self, message: dict[str, Any]) -> None:
        """Logs what a command prints. Raises StepError when the build has failed."""
        if "error" in message:
            self._print("\n")
            raise self._failure(str(message["error"]))
        if "aux" in message:
            self.image = message["aux"].get("ID", self.image)
        text = str(message.get("stream", ""))
        if not CHATTER.match(text):
            self._print(text)
            return
        self._print("\n" if self._line else "")
        if step := STEP.match(text):
            self._begin(step[1])
        elif image := _IMAGE.match(text):
            self._below = image[1]

    def _begin(self, instruction: str) -> None:
        self._command = next(self._commands, ("", ""))[1] if instruction.startswith("RUN ") else ""
        if self._command:
            self._ctx.log(f"$ {building.first_line(self._command)}")

    def _print(self, text: str) -> None:
        """Logs whole lines; the engine hands over what a command prints in pieces."""
        *lines, self._line = (self._line + text).split("\n")
        for line in filter(str.strip, lines):
            self._tail.append(line)
            self._ctx.log(line)

    def _failure(self, error: str) -> Exception:
        code = CODE.search(error)
        how = f"exited with code {code[1]}" if code and self._command else error.strip()
        return building.failure(self._order, self._command, how, tuple(self._tail), self._below)


def _parameters(order: Order, setup: Setup) -> dict[str, Any]:
    """The query of POST /build."""
    found: dict[str, Any] = {"rm": "1", "forcerm": "1", "networkmode": setup.network, "version": "1"}
    if order.anew:
        found["nocache"] = "1"
    if args := {**proxies.arguments(), **order.arguments}:
        found["buildargs"] = json.dumps(args)
    if order.platform:
        found["platform"] = order.platform
    if setup.memory is not None:
        found |= {"memory": setup.memory, "memswap": setup.memory}
    if setup.cpus is not None:
        found |= {"cpuperiod": _PERIOD, "cpuquota": round(setup.cpus * _PERIOD)}
    return found
