"""The stages of a Dockerfile, and the ARGs before the first of them, which are for FROM."""

from __future__ import annotations

import msgspec

from imgbake_dockerfile.checking import check
from imgbake_dockerfile.located import DockerfileError
from imgbake_dockerfile.syntax import Dockerfile, Instruction


class Stage(msgspec.Struct, frozen=True):
    """A FROM, and the instructions after it."""

    index: int
    name: str  # in lower case; empty when there is none
    start: Instruction
    instructions: tuple[Instruction, ...] = ()

    @property
    def base(self) -> str:
        """What it is FROM, not expanded."""
        return self.start.words[0]

    @property
    def label(self) -> str:
        """Its name, or else its number, as COPY --from takes both."""
        return self.name or str(self.index)


class Stages(msgspec.Struct, frozen=True):
    """A Dockerfile's parts."""

    globals: tuple[Instruction, ...]  # every ARG before the first FROM
    stages: tuple[Stage, ...]

    def named(self, name: str) -> Stage | None:
        """The stage with this name, the last one if there are several. Letters' case doesn't count."""
        found = [stage for stage in self.stages if stage.name and stage.name == name.lower()]
        return found[-1] if found else None


def split(dockerfile: Dockerfile) -> Stages:
    """Checks a Dockerfile and takes it apart. Raises DockerfileError."""
    check(dockerfile)
    before: list[Instruction] = []
    stages: list[tuple[Instruction, list[Instruction]]] = []
    for instruction in dockerfile.instructions:
        if instruction.name == "FROM":
            stages.append((instruction, []))
        elif stages:
            stages[-1][1].append(instruction)
        elif instruction.name == "ARG":
            before.append(instruction)
        else:
            hint = "a Dockerfile starts with FROM; only ARG can stand before it"
            where = dockerfile.where(instruction)
            raise DockerfileError(f"{instruction.name} stands before FROM", where=where, hint=hint)
    if not stages:
        where = dockerfile.where(dockerfile.instructions[-1])
        raise DockerfileError("there is no FROM", where=where, hint="a Dockerfile starts with FROM")
    return Stages(
        tuple(before),
        tuple(Stage(index, _name(start), start, tuple(body)) for index, (start, body) in enumerate(stages)),
    )


def _name(start: Instruction) -> str:
    return start.words[2].lower() if len(start.words) == 3 else ""
