"""The build arguments of a Dockerfile: what each ARG is for, and which of them somebody must give.

An argument is needed when no default is there for it, and what it decides is used in a way that takes
no default either: `$name` in a FROM or another instruction, or its name in a RUN, which has it in its
environment. `${name:-word}` and `${name:+word}` can do without it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec
from msgspec.structs import replace

from imgbake.api import Problem, did_you_mean
from imgbake_dockerfile import platforms, predefined
from imgbake_dockerfile.expansion import BadExpansion
from imgbake_dockerfile.links import Link, links, needed, parents
from imgbake_dockerfile.parsing import parse
from imgbake_dockerfile.planning import asked_platform, target_stage
from imgbake_dockerfile.scope import Scope
from imgbake_dockerfile.stages import Stage, split
from imgbake_dockerfile.syntax import Dockerfile, Instruction
from imgbake_dockerfile.taking import arguments


class Argument(msgspec.Struct, frozen=True):
    """An ARG."""

    name: str
    stage: str  # the name or number of the stage that it stands in; empty before the first FROM
    line: int
    default: str | None = None  # expanded, if that is possible yet; a stage's can stand above FROM
    value: str | None = None  # what the build will use: the given value, or else the default
    needed: bool = False  # used, and without a default: without it, the build will likely fail
    help: str = ""  # the comment above it that starts with its name


def listed(
    dockerfile: Dockerfile, given: Mapping[str, str] | None = None, *, target: str = "", platform: str = ""
) -> tuple[Argument, ...]:
    """Every ARG but the predefined ones, in order. Raises DockerfileError.

    What a target doesn't need, needs no arguments. Arguments that are missing are no errors here.
    """
    return _Listing(dockerfile, dict(given or {}), target, platform).all()


def missing(found: Iterable[Argument]) -> tuple[str, ...]:
    """The names of the arguments that are needed and have no value, each once."""
    return tuple(dict.fromkeys(one.name for one in found if one.needed and one.value is None))


def undeclared(
    dockerfile: Dockerfile, given: Iterable[str], triggers: Iterable[str] = ()
) -> tuple[Problem, ...]:
    """A problem for each given argument that no ARG declares, neither here nor in the bases' triggers."""
    known: dict[str, None] = {}
    triggered = [instruction for text in triggers for instruction in parse(text, "ONBUILD").instructions]
    for instruction in (*dockerfile.instructions, *triggered):
        for declaring in (instruction, instruction.trigger):
            if declaring and declaring.name == "ARG":
                known.update(dict.fromkeys(name for name, _ in arguments(declaring)))
    file = dockerfile.source.file
    return tuple(
        Problem(
            f"{file} has no ARG '{name}'",
            hint=did_you_mean(name, known) or f"there is no ARG in {file}",
        )
        for name in given
        if name not in known and not predefined.is_predefined(name)
    )


class _Listing:
    """Goes through the ARGs as a build would, but nothing that is missing stops it."""

    def __init__(self, dockerfile: Dockerfile, given: dict[str, str], target: str, platform: str) -> None:
        self._given = given
        self._stages = split(dockerfile)
        self._target = target_stage(self._stages, target)
        self._file = dockerfile
        self._escape = dockerfile.escape
        self._above = Scope(
            predefined.values(platforms.host(), asked_platform(platform), self._target.name, given),
            self._escape,
        )
        self._defaulted = {
            name
            for instruction in self._stages.globals
            for name, text in arguments(instruction)
            if text is not None
        }
        found = [self._argument(arg, "", self._above) for arg in self._stages.globals]
        self._global = [one for of in found for one in of]
        self._parents = parents(self._stages.stages, lambda stage: _tried(self._above, stage.base))
        self._needed = frozenset(needed(self._target.index, self._parents, self._links))

    def all(self) -> tuple[Argument, ...]:
        """All of them, in order."""
        inside = [one for stage in self._stages.stages for one in self._of_stage(stage)]
        wanted = {one.name for one in inside if one.needed}
        above = [replace(one, needed=self._is_needed_above(one, wanted)) for one in self._global]
        return tuple(one for one in (*above, *inside) if not predefined.is_predefined(one.name))

    def _links(self, index: int) -> Iterator[Link]:
        return links(self._file, self._stages, index, self._body(self._stages.stages[index]))

    def _body(self, stage: Stage) -> list[Instruction]:
        """A stage's instructions, after what its base in this Dockerfile triggers."""
        parent = self._parents[stage.index]
        above = self._stages.stages[parent].instructions if parent is not None else ()
        triggers = [
            replace(found.trigger, first=stage.start.first, last=stage.start.last)
            for found in above
            if found.trigger
        ]
        return [*triggers, *stage.instructions]

    def _of_stage(self, stage: Stage) -> list[Argument]:
        scope = Scope({}, self._escape, is_open=True)
        found: list[Argument] = []
        body = self._body(stage)
        for place, instruction in enumerate(body):
            if instruction.name == "ENV":
                for name, value in instruction.pairs:
                    scope.set_env(name, _tried(scope, value))
            if instruction.name == "ARG":
                after = [*body[place + 1 :], *self._below(stage)]
                for one, (_, text) in zip(
                    self._argument(instruction, stage.label, scope), arguments(instruction), strict=True
                ):
                    lacks = text is None and one.name not in self._defaulted and stage.index in self._needed
                    found.append(replace(one, needed=lacks and _uses(after, one.name)))
        return found

    def _below(self, stage: Stage) -> list[Instruction]:
        """The instructions of the needed stages that are FROM this one, or from one of those."""
        inherited = {stage.index}
        found: list[Instruction] = []
        for other in self._stages.stages[stage.index + 1 :]:
            if self._parents[other.index] in inherited:
                inherited.add(other.index)
                found += self._body(other) if other.index in self._needed else ()
        return found

    def _argument(self, instruction: Instruction, stage: str, scope: Scope) -> list[Argument]:
        """What an ARG declares, and sets in the scope."""
        found = []
        for name, text in arguments(instruction):
            default = _tried(scope, text) if text is not None or not stage else self._above.get(name)
            value = self._given.get(name, default)
            if value is not None:
                scope.set_arg(name, value)
            help = next((c[len(name) + 1 :] for c in instruction.comments if c.startswith(name + " ")), "")
            found.append(Argument(name, stage, instruction.first, default, value, help=help))
        return found

    def _is_needed_above(self, one: Argument, wanted: Collection[str]) -> bool:
        """Is it used by a FROM, by another ARG before it, or by a stage that declares it again?"""
        if one.name in self._defaulted:
            return False
        starts = [self._stages.stages[index].start for index in self._needed]
        return one.name in wanted or _uses([*starts, *self._stages.globals], one.name)


def _tried(scope: Scope, text: str | None) -> str | None:
    """The text expanded; as it is written, if that isn't possible yet."""
    try:
        found = scope.expand(text) if text is not None else None
    except BadExpansion:
        found = None
    return text if found is None else found


def _uses(instructions: Iterable[Instruction], name: str) -> bool:
    """Does one of them use the variable, in a way that takes no default?"""
    word = re.escape(name)
    can_do_without = re.compile(rf"\$\{{{word}:?[-+]")
    plainly = re.compile(rf"\$\{{?{word}(?!\w)")
    by_name = re.compile(rf"(?<!\w){word}(?!\w)")  # a command has it in its environment
    for instruction in instructions:
        text = "\n".join([instruction.text, *(document.content for document in instruction.heredocs)])
        if (by_name if instruction.name == "RUN" else plainly).search(can_do_without.sub("", text)):
            return True
    return False
