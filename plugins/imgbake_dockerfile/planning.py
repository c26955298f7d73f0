"""What a build of a Dockerfile takes, for given arguments, target and platform.

A stage is gone through from its base on, so that each instruction is expanded with the variables that
it sees. The base's environment and triggers are asked for; as long as nobody knows them, a variable
that no instruction sets can't be told, and there are no triggers.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from msgspec.structs import replace

from imgbake.api import did_you_mean
from imgbake_dockerfile import platforms, predefined
from imgbake_dockerfile.build import Base, Bases, Build
from imgbake_dockerfile.checking import check_instruction
from imgbake_dockerfile.links import SCRATCH, Link, links, needed, parents
from imgbake_dockerfile.located import DockerfileError
from imgbake_dockerfile.parsing import parse
from imgbake_dockerfile.platforms import BadPlatform, Platform
from imgbake_dockerfile.scope import DEFAULT_PATH, Scope
from imgbake_dockerfile.stages import Stage, Stages, split
from imgbake_dockerfile.syntax import Dockerfile, Instruction
from imgbake_dockerfile.taking import Taking, arguments, expanded

_ONBUILD = re.compile(r"\s*ONBUILD\s*", re.IGNORECASE)
_NO_TRIGGERS = ("ONBUILD", "FROM", "MAINTAINER")


def plan(
    dockerfile: Dockerfile,
    args: Mapping[str, str] | None = None,
    *,
    target: str = "",
    platform: str = "",
    build_platform: str = "",
    bases: Bases | None = None,
    folders: Collection[str] = (),
    all_stages: bool = False,
) -> Build:
    """Finds what a build takes. Raises DockerfileError.

    `target` is a stage's name, the last stage when empty. The platforms are this machine's when empty.
    `folders` are the names that stand for folders, in --from and in mounts. With `all_stages`, those before
    the target count that it doesn't need: the classic builder makes them all the same.
    """
    here = asked_platform(build_platform)
    asked = asked_platform(platform) if platform else here
    planner = _Planner(dockerfile, dict(args or {}), target, asked, bases, folders)
    planner.set_globals(here)
    return planner.plan(all_stages)


def target_stage(stages: Stages, target: str) -> Stage:
    """The stage with this name, or the last one. Raises DockerfileError."""
    if not target:
        return stages.stages[-1]
    found = stages.named(target)
    if found is None:
        hint = did_you_mean(target, [stage.name for stage in stages.stages if stage.name])
        raise DockerfileError(f"there is no stage '{target}'", hint=hint or "no stage has a name here")
    return found


def asked_platform(text: str) -> Platform:
    """The platform that a text names, this machine's when it is empty. Raises DockerfileError."""
    try:
        return platforms.normal(platforms.platform(text)) if text else platforms.host()
    except BadPlatform as error:
        raise DockerfileError(str(error)) from None


class _Planner:
    """One plan: first the stages and what they link to, then the needed ones, each from its base on."""

    def __init__(
        self,
        dockerfile: Dockerfile,
        args: dict[str, str],
        target: str,
        platform: Platform,
        bases: Bases | None,
        folders: Collection[str],
    ) -> None:
        self._file = dockerfile
        self._args = args
        self._platform = platform
        self._bases = bases or (lambda reference, platform: None)
        self._stages = split(dockerfile)
        self._target = target_stage(self._stages, target)
        self._folders = folders
        self._globals = Scope({}, dockerfile.escape)
        self._uses: dict[str, set[str]] = {}  # of each global ARG, the variables in its default
        self._names: list[str] = []  # what each stage is FROM
        self._parents: tuple[int | None, ...] = ()
        self._platforms: dict[int, str] = {}
        self._bodies: dict[int, tuple[Instruction, ...]] = {}
        self._links: dict[int, list[Link]] = {}
        self._scopes: dict[int, Scope] = {}
        self._taking = Taking(dockerfile, args, folders)

    def set_globals(self, here: Platform) -> None:
        """Sets what FROM can use, and expands all of them."""
        values = predefined.values(here, self._platform, self._target.name, self._args)
        self._globals = Scope(values, self._file.escape)
        for instruction in self._stages.globals:
            for name, default in arguments(instruction):
                self._set_global(instruction, name, default)
        self._names = [self._of_from(stage, stage.base) for stage in self._stages.stages]
        self._parents = parents(self._stages.stages, lambda stage: self._names[stage.index])

    def plan(self, all_stages: bool) -> Build:
        """All of it."""
        found = needed(self._target.index, self._parents, self._link)
        if all_stages:
            found = tuple(range(self._target.index + 1))
        self._take_syntax()
        for index in found:
            if index not in self._links:
                self._link(index)
            self._go_through(self._stages.stages[index])
        taking, used = self._taking, self._used_args(found)
        return Build(
            tuple(replace(self._stages.stages[index], instructions=self._bodies[index]) for index in found),
            tuple(taking.images),
            tuple(taking.seen),
            taking.everything,
            tuple(taking.remotes),
            tuple(taking.secrets.values()),
            self._deciding_args(used),
            tuple(sorted(filter(predefined.is_of_platform, used))),
        )

    def _set_global(self, instruction: Instruction, name: str, default: str | None) -> None:
        self._globals.used.clear()
        value = self._args.get(name)
        if value is None and default is not None:
            value = expanded(self._file, self._globals, instruction, default)
        self._uses.setdefault(name, set()).update(self._globals.used - {name})
        if value is not None:
            self._globals.set_arg(name, value)

    def _of_from(self, stage: Stage, word: str) -> str:
        """A word of a FROM."""
        found = expanded(self._file, self._globals, stage.start, word)
        if not found:
            where = self._file.where(stage.start, word)
            raise DockerfileError(f"'{word}' is empty", where=where, hint=_hint_of_unset(word))
        return found

    def _link(self, index: int) -> list[Link]:
        """What a stage links to. Its platform and its body with all triggers are known from then on."""
        stage = self._stages.stages[index]
        self._refuse_folder(stage)
        self._platforms[index] = self._platform_of(stage)
        self._bodies[index] = (*self._triggered(stage), *stage.instructions)
        self._links[index] = list(links(self._file, self._stages, index, self._bodies[index]))
        return self._links[index]

    def _refuse_folder(self, stage: Stage) -> None:
        """A name for a folder can be that of neither an image nor a stage."""
        name = self._names[stage.index]
        if self._parents[stage.index] is None and name in self._folders:
            where = self._file.where(stage.start, name)
            hint = f"write FROM scratch, and below it COPY --from={name} . /"
            raise DockerfileError(f"'{name}' is a folder, not an image", where=where, hint=hint)
        if stage.name in self._folders:
            where, hint = self._file.where(stage.start, stage.name), "give the folder another name"
            raise DockerfileError(f"'{stage.name}' is both a folder and a stage", where=where, hint=hint)

    def _platform_of(self, stage: Stage) -> str:
        """That of the image that it comes from in the end, whatever its own --platform says."""
        found = self._platform_of_from(stage)
        while (parent := self._parents[stage.index]) is not None:
            stage = self._stages.stages[parent]
            found = self._platform_of_from(stage)
        return str(self._platform if self._names[stage.index] == SCRATCH else found)

    def _platform_of_from(self, stage: Stage) -> Platform:
        text = stage.start.flag("platform")
        try:
            return platforms.platform(self._of_from(stage, text)) if text else self._platform
        except BadPlatform as error:
            where = self._file.where(stage.start, text)
            raise DockerfileError(str(error), where=where, hint=_hint_of_unset(text)) from None

    def _triggered(self, stage: Stage) -> tuple[Instruction, ...]:
        """The instructions that the base's ONBUILD puts before the stage's own."""
        parent = self._parents[stage.index]
        if parent is None:
            base = self._base(stage)
            texts = base.triggers if base else ()
        else:
            own = self._stages.stages[parent].instructions
            texts = tuple(_trigger_text(found) for found in own if found.name == "ONBUILD")
        return tuple(self._trigger(stage, text) for text in texts)

    def _trigger(self, stage: Stage, text: str) -> Instruction:
        parsed = parse(text, f"ONBUILD of {self._names[stage.index]}")
        found = parsed.instructions[0]
        if len(parsed.instructions) != 1 or found.name in _NO_TRIGGERS:
            hint = "a trigger is one instruction, and not ONBUILD, FROM or MAINTAINER"
            raise DockerfileError(f"'{text}' is no trigger", where=self._file.where(stage.start), hint=hint)
        check_instruction(replace(parsed, syntax=self._file.syntax), found)
        return replace(found, first=stage.start.first, last=stage.start.last)

    def _base(self, stage: Stage) -> Base | None:
        """What is known of the image that a stage is FROM."""
        name = self._names[stage.index]
        return Base() if name == SCRATCH else self._bases(name, self._platforms[stage.index])

    def _take_syntax(self) -> None:
        given = self._args.get("BUILDKIT_SYNTAX", "")
        if not given and self._file.syntax:
            self._taking.image(self._file.syntax, "", "syntax", self._file.syntax_line)
        elif given and given != "dockerfile.v0":
            self._taking.image(given.partition(" ")[0], "", "syntax", 0)

    def _go_through(self, stage: Stage) -> None:
        parent = self._parents[stage.index]
        scope = self._first_scope(stage) if parent is None else self._scopes[parent].copy()
        self._scopes[stage.index] = scope
        if parent is None and self._names[stage.index] != SCRATCH:
            platform = self._platforms[stage.index]
            self._taking.image(self._names[stage.index], platform, "base", stage.start.first)
        for link in self._links[stage.index]:
            if link.stage is None and link.name != SCRATCH and link.name not in self._folders:
                self._taking.image(link.name, str(self._platform), link.role, link.instruction.first)
        for instruction in self._bodies[stage.index]:
            self._taking.take(instruction, scope, self._globals)

    def _first_scope(self, stage: Stage) -> Scope:
        base = self._base(stage)
        if base is None:
            return Scope({}, self._file.escape, is_open=True)
        scope = Scope({"PATH": DEFAULT_PATH}, self._file.escape)
        for name, value in base.env.items():
            scope.set_env(name, value)
        return scope

    def _used_args(self, found: tuple[int, ...]) -> set[str]:
        """The arguments that a needed stage or its FROM uses, itself or by the default of others."""
        self._globals.used.clear()
        for index in found:
            start = self._stages.stages[index].start
            for word in (start.words[0], start.flag("platform")):
                expanded(self._file, self._globals, start, word)
        used = self._globals.used | self._taking.declared
        pending = list(used)
        while pending:
            new = self._uses.get(pending.pop(), set()) - used
            used |= new
            pending += new
        return used

    def _deciding_args(self, used: Collection[str]) -> dict[str, str]:
        """The given arguments that can change the result."""
        return {
            name: value
            for name, value in sorted(self._args.items())
            if name in used or name == "SOURCE_DATE_EPOCH" or name.startswith("BUILDKIT_")
        }


def _hint_of_unset(word: str) -> str:
    if "$" not in word:
        return ""
    return "give its build argument, or declare it with a default before the first FROM: ARG name=value"


def _trigger_text(instruction: Instruction) -> str:
    text = _ONBUILD.sub("", instruction.text, count=1)
    return "".join([text, *(f"\n{heredoc.content}{heredoc.name}" for heredoc in instruction.heredocs)])
