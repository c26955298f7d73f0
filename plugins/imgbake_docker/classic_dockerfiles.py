"""A user's Dockerfile, built by the engine's classic builder: what it is sent, and what it says."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from imgbake.api import RunContext, StepError, Tree
from imgbake_docker import posting, proxies
from imgbake_docker.classic import CHATTER, CODE, STEP
from imgbake_docker.engine import Client
from imgbake_docker.packing import packed
from imgbake_dockerfile import parse
from imgbake_dockerfile.declaring import declared
from imgbake_dockerfile.platforms import platform as parsed
from imgbake_dockerfile.request import Request

_TAIL = 20


def build(
    client: Client, asked: Request, files: Tree, labels: dict[str, str], platform: str, ctx: RunContext
) -> str:
    """Builds it, and returns the id of the image. Raises StepError."""
    here = parsed(client.platform())
    asked = declared(asked, here, parsed(platform) if platform else here)
    dockerfile, context = packed(asked, files, ctx)
    args = {**proxies.arguments(), **asked.args}
    parameters: dict[str, Any] = {
        "rm": "1", "forcerm": "1", "version": "1", "dockerfile": dockerfile, "target": asked.target,
        "buildargs": json.dumps(args), "labels": json.dumps(labels), "platform": platform,
        "networkmode": asked.network.removeprefix("default"), "nocache": "1" if ctx.force else "",
        "cachefrom": json.dumps(asked.cache_from),
    }  # fmt: skip
    empty = ("", "{}", "[]")
    query = {name: value for name, value in parameters.items() if value not in empty}
    return posting.build(client, query, context, lambda: _Told(asked, ctx), ctx)


class _Told:
    """What the classic builder has said so far."""

    def __init__(self, asked: Request, ctx: RunContext) -> None:
        self.image = ""
        self._asked, self._ctx = asked, ctx
        self._instructions = iter(parse(asked.dockerfile.text).instructions)
        self._line = 0  # of the instruction that is built
        self._text = ""
        self._open = ""  # what was printed since the last line break
        self._tail: deque[str] = deque(maxlen=_TAIL)

    def hear(self, message: dict[str, Any]) -> None:
        """Logs what is printed. Raises StepError when the build has failed."""
        if "error" in message:
            self._print("\n")
            raise self._failure(str(message["error"]).strip())
        if "aux" in message:
            self.image = message["aux"].get("ID", self.image)
        text = str(message.get("stream", ""))
        if step := STEP.match(text):
            self._print("\n" if self._open else "")
            instruction = next(self._instructions, None)
            self._line = instruction.first if instruction else 0
            self._text = step[1].strip()
            self._ctx.log(f"$ {self._text}")
        elif not CHATTER.match(text):
            self._print(text)

    def _print(self, text: str) -> None:
        *lines, self._open = (self._open + text).split("\n")
        for line in filter(str.strip, lines):
            self._tail.append(line)
            self._ctx.log(line)

    def _failure(self, error: str) -> StepError:
        code = CODE.search(error)
        said = f"`{self._text}` exited with code {code[1]}" if code else error
        return self._asked.failure(said, self._line, tuple(self._tail))
