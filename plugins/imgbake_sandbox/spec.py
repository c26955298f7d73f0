"""What is to be run in a sandbox: a value, and the command that runs it.

spec = Spec(identity, lowers=[...], upper=..., work=..., commands=[Command(["make"])])
ctx.run([spec.write(ctx.work / "spec")], start=serving.server(identity).start, check=False)
report = Report.read(...)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from imgbake_sandbox import records, starting
from imgbake_sandbox.identity import Identity

_SYSTEM = ("/proc", "/sys", "/dev")


class Command(msgspec.Struct, frozen=True):
    """A program and its arguments. `title` is a line printed before it runs, if it isn't empty.

    `variable` names an environment variable that holds one more argument, as a `Secret`'s does.
    """

    argv: tuple[str, ...]
    title: str = ""
    variable: str = ""


class Bind(msgspec.Struct, frozen=True):
    """A file or folder of the host, and where it is inside. Only `writable` ones can be changed there."""

    source: Path
    target: str
    writable: bool = False


class Secret(msgspec.Struct, frozen=True):
    """A read-only file of the command's user, in memory. Its content is that of an environment variable.

    The variable is one of the process that the spec's command starts: a spec lies on a disk.
    """

    target: str
    variable: str


class Limits(msgspec.Struct, frozen=True):
    """Of all that runs in the sandbox together: bytes of memory, processors, processes."""

    memory: int | None = None
    cpus: float | None = None
    processes: int | None = None


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """Commands, and the sandbox that they run in one after the other until one fails.

    They share /tmp and everything else; processes that one leaves running end with it.
    """

    identity: Identity
    lowers: tuple[Path, ...]  # layers as overlayfs has them, the bottom one first; never changed
    upper: Path | None = None  # what changes; its owner and permissions are the root's. None: in memory
    work: Path | None = None  # an empty folder on the file system of `upper`, used once
    commands: tuple[Command, ...] = ()  # none: the sandbox is only tried
    env: dict[str, str] = {}  # besides PATH and HOME, which have values if they are not here
    cwd: str = "/"  # made if it isn't there
    user: str = ""  # of the image: name, uid, name:group, uid:gid; empty is root
    network: Literal["host", "none"] = "host"
    binds: tuple[Bind, ...] = ()
    secrets: tuple[Secret, ...] = ()
    tmpfs: tuple[str, ...] = ("/tmp", "/run")  # they start with the folders that the image has there
    hostname: str = "imgbake"
    limits: Limits = Limits()
    tty: bool = False  # for a person: standard input and output are a terminal
    report: Path | None = None  # a file that is added to, see `Report`

    def write(self, path: Path) -> str:
        """Writes the spec and returns its absolute path. Its folder must be there while the sandbox is.

        Raises ValueError for what no sandbox can have, and OSError.
        """
        _check(self)
        path.write_bytes(records.encode(self._records()))
        return str(path.absolute())

    def command(self, path: Path, python: str = "") -> list[str]:
        """Writes the spec, as `write` does, and returns the command that runs it.

        It is to be started by this very process. `python` is the interpreter to use, ours by default.
        """
        return starting.arguments("enter", self.write(path), str(os.getpid()), python=python)

    def _records(self) -> Iterator[tuple[str, ...]]:
        yield from self.identity.records()
        yield from (("lower", str(path.absolute())) for path in self.lowers)
        for name, path in (("upper", self.upper), ("work", self.work), ("report", self.report)):
            if path:
                yield name, str(path.absolute())
        for command in self.commands:
            yield "command", command.title, command.variable, *command.argv
        yield from (("env", *item) for item in self.env.items())
        yield "cwd", self.cwd
        yield "user", self.user
        yield "network", self.network
        for bind in self.binds:
            yield "bind", str(bind.source.absolute()), bind.target, "write" if bind.writable else "read"
        yield from (("secret", secret.target, secret.variable) for secret in self.secrets)
        yield from (("tmpfs", path) for path in self.tmpfs)
        yield "hostname", self.hostname
        for name in Limits.__struct_fields__:
            value = getattr(self.limits, name)
            if value is not None:
                yield "limit", name, str(value)
        if self.tty:
            yield "tty", "yes"


def _check(spec: Spec) -> None:
    targets = [
        *(bind.target for bind in spec.binds),
        *(secret.target for secret in spec.secrets),
        *spec.tmpfs,
    ]
    for path in (*targets, spec.cwd):
        if not path.startswith("/") or ".." in path.split("/"):
            raise ValueError(f"'{path}' is no absolute path without '..'")
    for path in targets:
        if (
            os.path.normpath(path) == "/"
            or path.startswith(tuple(f"{name}/" for name in _SYSTEM))
            or path in _SYSTEM
        ):
            raise ValueError(f"nothing can be put at '{path}'")
    if spec.upper and not spec.work:
        raise ValueError("an upper folder needs a work folder")
    if any(not command.argv for command in spec.commands):
        raise ValueError("a command is empty")
