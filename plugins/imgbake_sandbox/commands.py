"""The commands of a component as a spec has them.

Their text and the values of secrets are handed to the sandbox in its own environment, where they are put in:
a spec lies on a disk.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from imgbake.api import Commands, RunContext, StepError
from imgbake_sandbox.spec import Command, Secret

_LONGEST = 128 * 1024  # bytes of one argument or variable, its end included (execve(2), MAX_ARG_STRLEN)
_SHOWN = 120  # characters of a command


def commands_of(commands: Commands, prompt: str = "") -> tuple[Command, ...]:
    """The commands; with a prompt, their first lines are printed before they run."""
    return tuple(
        Command(
            commands.setup.shell,
            title=prompt and f"{prompt}{first_line(text)}",
            variable=_of_command(number),
        )
        for number, text in enumerate(commands.commands)
    )


def secrets_of(commands: Commands) -> tuple[Secret, ...]:
    """The files of the secrets."""
    return tuple(Secret(f"/run/secrets/{name}", _of_secret(name)) for name in commands.setup.secrets)


def variables(commands: Commands) -> Mapping[str, str]:
    """What both refer to, for the environment of the sandbox. Secrets are still to be put in."""
    found = {_of_command(number): text for number, text in enumerate(commands.commands)}
    return found | {_of_secret(name): f"{{{{ {name} }}}}" for name in commands.setup.secrets}


def require_short(commands: Commands, ctx: RunContext) -> None:
    """Raises StepError for what the kernel hands to no program."""
    for number, text in enumerate(commands.commands):
        if _is_long(_of_command(number), commands, ctx):
            hint = "put it into a file that the component copies, and run that"
            raise StepError(f"`{first_line(text)}` is longer than 128 KiB", hint=hint)
    for name in commands.setup.secrets:
        if _is_long(_of_secret(name), commands, ctx):
            hint = "encrypt what is large, copy it, and give its key"
            raise StepError(f"the secret '{name}' is longer than 128 KiB", hint=hint)


def first_line(command: str) -> str:
    """What is shown of a command."""
    first, *more = command.strip().splitlines() or [""]
    return f"{first[:_SHOWN]} …" if more or len(first) > _SHOWN else first


def _is_long(variable: str, commands: Commands, ctx: RunContext) -> bool:
    value = ctx.reveal(variables(commands)[variable])
    return len(os.fsencode(f"{variable}={value}")) >= _LONGEST


def _of_command(number: int) -> str:
    return f"IMGBAKE_COMMAND_{number}"


def _of_secret(name: str) -> str:
    return f"IMGBAKE_SECRET_{name}"
