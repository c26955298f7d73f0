"""Images that are Dockerfiles of the user's own, built whole by BuildKit or by the classic builder."""

from __future__ import annotations

import contextlib
import json
from collections import deque
from typing import Any

from imgbake.api import BakeError, Blueprint, Described, RunContext, StepError, Tree
from imgbake_docker import buildx, choosing, posting
from imgbake_docker.buildkit import BuildKit
from imgbake_docker.classic import CHATTER, CODE, STEP
from imgbake_docker.engine import Client
from imgbake_docker.options import Options
from imgbake_docker.packing import packed
from imgbake_dockerfile import parse
from imgbake_dockerfile.request import Request, documents, request

_TAIL = 20


def lower(described: Described, blueprint: Blueprint, options: Options) -> dict[str, str]:
    """The documents that say what is built. Raises BakeError for what can't be."""
    asked = request(described)
    if len(asked.platforms) > 1:
        hint = "an engine holds an image for one platform: give each a recipe's image of its own"
        raise BakeError(f"image '{blueprint.image}' is for several platforms", hint=hint)
    if options.platforms:
        hint = "write `platforms` in the image's table: what its Dockerfile copies may depend on it"
        raise BakeError(
            f"image '{blueprint.image}' is a Dockerfile, and its target says `platforms`", hint=hint
        )
    if options.builder == "classic":
        refuse_classic(described, 'write builder = "buildkit"')
    found = documents(described)
    if blueprint.epoch:
        found["epoch"] = f"{blueprint.epoch}\n"
    return found


def bake(client: Client, blueprint: Blueprint, options: Options, ctx: RunContext) -> tuple[str, str]:
    """Builds the image; returns its id on the engine, and the builder's name. Raises BakeError."""
    described = blueprint.described
    assert described is not None
    asked = request(described)
    platform = asked.platforms[0] if asked.platforms else ""
    builder = choosing.builder(options.builder, client)
    if not isinstance(builder, BuildKit):
        refuse_classic(described)
    _pull(client, described, platform, ctx)
    labels = {**options.labels, **asked.labels}
    with contextlib.ExitStack() as names:
        for name, of in asked.contexts.items():
            from imgbake_docker import bases

            names.enter_context(bases.named(client, described.bases[of], name, platform, ctx))
        if isinstance(builder, BuildKit):
            return _by_buildkit(builder, asked, labels, blueprint.epoch, ctx), builder.name
        return _by_classic(client, asked, described.files, labels, platform, ctx), builder.name


def refuse_classic(described: Described, hint: str = "install docker's buildx plugin") -> None:
    """Raises BakeError for what only BuildKit can do."""
    asked = request(described)
    what = asked.only_buildkit or ("`cache_to`" if asked.cache_to else "")
    if what:
        raise BakeError(f"{what}: the engine's classic builder has no such thing", hint=hint)


def _pull(client: Client, described: Described, platform: str, ctx: RunContext) -> None:
    """Brings the images that the build takes to the engine, by digest and with the user's own passwords."""
    for image in request(described).images:
        base = described.bases[image.reference]
        is_here = base.facts.get("is_local") or image.reference in request(described).contexts.values()
        if image.role == "syntax" or not base.digest or is_here:
            continue
        name = base.reference if "@" in base.reference else f"{base.reference}@{base.digest}"
        if client.image(name) is None:
            from imgbake_docker import bases

            bases.pull(client, base.reference, base.digest, platform, ctx)


def _by_buildkit(
    builder: BuildKit, asked: Request, labels: dict[str, str], epoch: int, ctx: RunContext
) -> str:
    told = ctx.work / "image"
    into = ("--load", f"--iidfile={told}")
    buildx.build(builder.command, asked, labels, epoch, into, ctx)
    return told.read_text().strip()


def _by_classic(
    client: Client, asked: Request, files: Tree, labels: dict[str, str], platform: str, ctx: RunContext
) -> str:
    dockerfile, context = packed(asked, files, ctx)
    parameters: dict[str, Any] = {
        "rm": "1", "forcerm": "1", "version": "1", "dockerfile": dockerfile, "target": asked.target,
        "buildargs": json.dumps(asked.args), "labels": json.dumps(labels), "platform": platform,
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
