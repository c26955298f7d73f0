"""`script`: a command, or a shell script of several lines, that makes files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from imgbake.api import Artifact, Part, PartsContext, RunContext, StepError
from imgbake_tasks import place


class ScriptOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a recipe says of a script."""

    run: Annotated[
        str | tuple[str, ...],
        Meta(
            description="A shell script, which ends at its first failing line; or a program and its arguments"
        ),
    ]
    shell: Annotated[
        tuple[str, ...], Meta(description="What runs a shell script: program and arguments", min_length=1)
    ] = ("/bin/sh", "-ec")
    env: Annotated[dict[str, str], Meta(description="Variables to add; the place for secrets")] = {}
    pass_env: Annotated[tuple[str, ...], Meta(description="Environment variables that decide")] = ()
    tools: Annotated[tuple[str, ...], Meta(description="Programs that decide: a new one runs it again")] = ()
    cwd: Annotated[str, Meta(description="The folder to run in, relative to the project")] = "."

    def __post_init__(self) -> None:
        if not self.run:
            raise ValueError("`run` is empty")
        place.checked("cwd", self.cwd)


class Script:
    """Runs a command and succeeds when the command does."""

    kind: ClassVar[str] = "script"
    version: ClassVar[int] = 1
    local: ClassVar[bool] = True

    def __init__(self, options: ScriptOptions) -> None:
        self.options = options

    def outputs(self, folder: str) -> tuple[str, ...]:
        """Nothing besides the recipe's `outputs`."""
        return ()

    def parts(self, ctx: PartsContext) -> Iterable[Part]:
        """The variables and programs that the recipe names: looking at one makes it decide."""
        for name in self.options.pass_env:
            ctx.env(name)
        for name in self.options.tools:
            ctx.tool(name)
        return ()

    def run(self, ctx: RunContext) -> Artifact:
        """Runs the command. Raises StepError when it fails."""
        options = self.options
        folder = place.inside(ctx.root, options.cwd)
        if not folder.is_dir():
            raise StepError(f"there is no folder {options.cwd} to run in", hint="make it, or change `cwd`")
        ctx.run(options.run, env=options.env, cwd=folder, shell=options.shell)
        return Artifact(kind="files")
