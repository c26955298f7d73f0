"""How stages depend on each other: what they are FROM, copy from, and mount from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from imgbake_dockerfile import mounts
from imgbake_dockerfile.expansion import BadExpansion, expand
from imgbake_dockerfile.located import DockerfileError
from imgbake_dockerfile.stages import Stage, Stages
from imgbake_dockerfile.syntax import Dockerfile, Instruction

SCRATCH = "scratch"
_NUMBER = re.compile(r"[+-]?[0-9]+")


class Link(msgspec.Struct, frozen=True):
    """Something that an instruction takes from a stage, or else from an image."""

    role: Literal["copy", "mount"]
    name: str  # as it is written
    stage: int | None
    instruction: Instruction


def parents(stages: Sequence[Stage], base: Callable[[Stage], str | None]) -> tuple[int | None, ...]:
    """For each stage the one that it is FROM; None for those FROM an image. `base` expands the name."""
    named: dict[str, int] = {}
    found: list[int | None] = []
    for stage in stages:
        found.append(named.get(base(stage) or ""))
        if stage.name:
            named[stage.name] = stage.index
    return tuple(found)


def links(dockerfile: Dockerfile, stages: Stages, stage: int, body: Iterable[Instruction]) -> Iterator[Link]:
    """What the instructions of a stage take from elsewhere. Raises DockerfileError."""
    for instruction in body:
        for link in _of_instruction(dockerfile, stages, instruction):
            if link.stage is not None and link.stage >= stage:
                own = link.stage == stage
                message = f"{link.name} is this stage itself" if own else f"stage {link.name} comes later"
                where = dockerfile.where(instruction, link.name)
                hint = "only what a stage above has made can be taken"
                raise DockerfileError(message, where=where, hint=hint)
            yield link


def needed(
    target: int, parents: Sequence[int | None], linked: Callable[[int], Iterable[Link]]
) -> tuple[int, ...]:
    """The stages that a target needs, itself included, in order. Only these are asked what they link to."""
    found: set[int] = set()
    pending: list[int | None] = [target]
    while pending:
        stage = pending.pop()
        if stage is not None and stage not in found:
            found.add(stage)
            pending += [parents[stage], *(link.stage for link in linked(stage))]
    return tuple(sorted(found))


def _of_instruction(dockerfile: Dockerfile, stages: Stages, instruction: Instruction) -> Iterator[Link]:
    if instruction.name == "COPY" and (name := instruction.flag("from")):
        yield _copied(dockerfile, stages, instruction, name)
    if instruction.name == "RUN":
        for text in instruction.flag_values("mount"):
            name = mounts.origin(text)
            stage = stages.named(name)
            if name and (stage or name != SCRATCH):
                yield Link("mount", name, stage.index if stage else None, instruction)


def _copied(dockerfile: Dockerfile, stages: Stages, instruction: Instruction, name: str) -> Link:
    try:
        is_plain = expand(name, {}).text == name
    except BadExpansion:
        is_plain = False
    if not is_plain:
        hint = "give the image a stage: FROM image AS name, where an ARG can stand; then COPY --from=name"
        where = dockerfile.where(instruction, name)
        raise DockerfileError("no variable can stand in --from", where=where, hint=hint)
    if _NUMBER.fullmatch(name):
        if not 0 <= int(name) < len(stages.stages):
            hint = f"stages are counted from 0 to {len(stages.stages) - 1}"
            where = dockerfile.where(instruction, name)
            raise DockerfileError(f"there is no stage {name}", where=where, hint=hint)
        return Link("copy", name, int(name), instruction)
    stage = stages.named(name)
    return Link("copy", name, stage.index if stage else None, instruction)
