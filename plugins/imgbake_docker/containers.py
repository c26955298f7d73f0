"""The phases validate and test: commands in a container of an image, removed afterwards.

All commands of a phase run in one container, so that each finds what those before it left. What leads
from one to the next is a loop in the component's own shell, if that is one; each command is then given
to the shell as always.
"""

from __future__ import annotations

import io
import posixpath
import shlex
import tarfile
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from imgbake.api import BakeError, RunContext, Setup, StepError, TimedOut
from imgbake_docker import building, throwaway
from imgbake_docker.engine import Client
from imgbake_docker.following import follow

_SHELLS = frozenset({"ash", "bash", "dash", "ksh", "mksh", "sh", "zsh"})
_MARK = "\x01imgbake-command "
_TAIL = 20
_LONGEST_LINE = 1 << 16  # bytes


def run(
    client: Client,
    image: str,
    phase: str,
    component: str,
    commands: Sequence[str],
    setup: Setup,
    ctx: RunContext,
) -> None:
    """Runs a phase of a component on an image. Raises StepError when a command fails."""
    ctx.log(f"-- {component}: {phase}")
    if setup.caches:
        hint = 'leave `caches` out, or bake the image with `uses = "oci"`'
        raise BakeError(f"component '{component}': a container of {phase} has no `caches`", hint=hint)
    try:
        for number, argv in enumerate(_argvs(commands, setup.shell)):
            _Run(client, image, argv, commands[number:], setup, ctx).run()
    except TimedOut as error:
        raise TimedOut(f"component '{component}': {phase} {error.message}", hint=error.hint) from None
    except StepError as error:
        hint = f"`docker run --rm -it --entrypoint sh {image[7:19]}` shows what it finds"
        raise StepError(f"component '{component}': {error.message}", hint=hint, tail=error.tail) from None


def surroundings(client: Client, setup: Setup) -> dict[str, Any]:
    """The arguments for a new container in which commands find what their component says."""
    host = client.create_host_config(
        network_mode=setup.network,
        mem_limit=setup.memory,
        memswap_limit=setup.memory,
        nano_cpus=None if setup.cpus is None else round(setup.cpus * 1_000_000_000),
        pids_limit=setup.processes,
    )
    found: dict[str, Any] = {"host_config": host, "healthcheck": {"test": ["NONE"]}}
    if setup.user is not None:
        found["user"] = setup.user
    if setup.workdir is not None:
        found["working_dir"] = setup.workdir
    return found


def give_secrets(client: Client, container: str, setup: Setup, ctx: RunContext) -> None:
    """Puts the secrets where commands find them: into a container that is removed afterwards."""
    if not setup.secrets:
        return
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name in setup.secrets:
            value = ctx.reveal(f"{{{{ {name} }}}}").encode()
            member = tarfile.TarInfo(f"run/secrets/{name}")
            member.size, member.mode = len(value), 0o444
            tar.addfile(member, io.BytesIO(value))
    client.put_archive(container, "/", data.getvalue())


def printed(client: Client, container: str) -> Callable[[Callable[[str], None]], None]:
    """What `follow` takes: hands over each line that a container prints, until it has ended.

    One that is too long to be kept whole comes in pieces.
    """

    def read(put: Callable[[str], None]) -> None:
        rest = b""
        for piece in client.logs(container, stream=True, follow=True):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                put(line.decode("utf-8", "replace"))
            if len(rest) > _LONGEST_LINE:
                put(rest.decode("utf-8", "replace"))
                rest = b""
        if rest:
            put(rest.decode("utf-8", "replace"))

    return read


def _argvs(commands: Sequence[str], shell: Sequence[str]) -> list[list[str]]:
    """What containers run: one for all commands, or for want of a loop one for each."""
    if posixpath.basename(shell[0]) not in _SHELLS:
        return [[*shell, command] for command in commands]
    each = f'{shlex.join(shell)} "$c" </dev/null || exit $?'
    loop = f'n=0; for c do printf "{_MARK}%s\\n" $n; n=$((n+1)); {each}; done'
    return [[shell[0], "-c", loop, shell[0], *commands]]


class _Run:
    """One container, from its creation to its removal."""

    def __init__(
        self,
        client: Client,
        image: str,
        argv: list[str],
        commands: Sequence[str],
        setup: Setup,
        ctx: RunContext,
    ) -> None:
        self._client, self._image, self._argv = client, image, argv
        self._commands, self._setup, self._ctx = commands, setup, ctx
        self._command = commands[0]
        self._tail: deque[str] = deque(maxlen=_TAIL)

    def run(self) -> None:
        """Runs it. Raises StepError."""
        client = self._client
        asked = surroundings(client, self._setup)
        asked |= {"entrypoint": self._argv[:1], "command": self._argv[1:]}
        with throwaway.container(client, self._image, self._ctx, **asked) as container:
            give_secrets(client, container, self._setup, self._ctx)
            if not self._argv_has_marks():
                self._begin(self._command)
            client.start(container)
            for line in follow(printed(client, container), lambda: None, self._ctx, self._setup.timeout):
                self._hear(line)
            code = client.wait(container)["StatusCode"]
        if code:
            message = f"`{building.first_line(self._command)}` exited with code {code}"
            raise StepError(message, tail=tuple(self._tail))

    def _argv_has_marks(self) -> bool:
        return len(self._argv) > 2 and _MARK in self._argv[2]

    def _hear(self, line: str) -> None:
        if line.startswith(_MARK):
            self._begin(self._commands[int(line.removeprefix(_MARK))])
            return
        self._tail.append(line)
        self._ctx.log(line)

    def _begin(self, command: str) -> None:
        self._command = command
        self._ctx.log(f"$ {building.first_line(command)}")
