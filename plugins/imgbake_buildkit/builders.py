"""BuildKit's builders: as buildx knows them, or a buildkitd at an address, and how they refuse."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from imgbake.api import BakeError, RunContext, StepError
from imgbake_buildkit.options import Options
from imgbake_docker import choosing
from imgbake_docker.buildx import GONE, WHY_GONE

_NAME = "imgbake"  # of a builder at an address, in settings of its own
_SAID = re.compile(r"^(?:ERROR: )+(?:failed to (?:build|solve): )*(.+)$")
_NOT_RUNNING = (
    "is it running? `builder` says where it is: tcp://HOST:PORT, unix:///PATH, or a name of"
    " `docker buildx ls`"
)
_BOOTING = re.compile(r"^ > \[internal\] booting buildkit:$")  # where it failed
_PATIENCE = 20  # seconds for a connection, as buildx has it
_SECRET = "IMGBAKE_SECRET_"
_REFUSALS = {
    GONE: WHY_GONE,
    r"no builder \"?([^\" ]+)\"? found": "`docker buildx ls` lists those that there are",
    r"exporter is not supported for the docker driver": "the builder in use is the docker engine's own, which"
    " hands out no images: name another in `builder`; `docker buildx create` makes one",
    r"connection refused|no such file or directory|failed to list workers|context deadline": _NOT_RUNNING,
}


class Builder(msgspec.Struct, frozen=True):
    """A builder, and what its commands find in their environment."""

    command: tuple[str, ...]  # `buildx build` for it
    name: str  # as messages call it
    env: dict[str, str] = {}


def buildx() -> tuple[str, ...]:
    """The command of buildx. Raises BakeError when there is none."""
    found = choosing.buildx()
    if not found:
        hint = "install docker's buildx, which needs no engine: `docker-buildx` or `buildx` on PATH will do"
        raise BakeError("the target 'buildkit' works through buildx, which is not installed", hint=hint)
    return found


@contextlib.contextmanager
def opened(options: Options, ctx: RunContext) -> Iterator[Builder]:
    """The builder that the options mean. What it refuses inside of the block becomes a BakeError."""
    builder = _builder(options, ctx)
    try:
        yield builder
    except StepError as error:
        raise _refusal(builder, error) from None


def build(
    builder: Builder, flags: Sequence[str], folder: Path, secrets: Sequence[str], ctx: RunContext
) -> None:
    """Builds the Dockerfile of a folder, with these arguments of the recipe as secrets. Raises StepError."""
    given = [f"--secret=id={name},env={_SECRET}{name}" for name in secrets]
    env: Mapping[str, str] = {_SECRET + name: f"{{{{ {name} }}}}" for name in secrets}
    ctx.run(
        [*builder.command, "--progress=plain", "--provenance=false", *flags, *given, str(folder)],
        env={**builder.env, **env},
        title="docker buildx build",
    )


def into(folder: Path, *, dated: bool = False) -> str:
    """The flag that writes an image to a folder, as an OCI layout.

    With `dated`, no file bears a later time than SOURCE_DATE_EPOCH, if the BuildKit is one that can do that.
    """
    return f"--output=type=oci,tar=false,dest={folder}" + (",rewrite-timestamp=true" if dated else "")


def _builder(options: Options, ctx: RunContext) -> Builder:
    program = buildx()
    if not options.is_address:
        chosen = [f"--builder={options.builder}"] if options.builder else []
        named = f"the builder '{options.builder}'" if options.builder else "the builder in use"
        return Builder((*program, "build", *chosen), named)
    named = f"BuildKit at {options.builder}"
    try:
        _reach(options.builder)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise BakeError(f"{named} can't be used: {why}", hint=_NOT_RUNNING) from None
    env = {"BUILDX_CONFIG": str(ctx.work / "buildx")}  # no settings of the user's are touched
    ctx.run(
        [*program, "create", f"--name={_NAME}", "--driver=remote", options.builder], env=env, capture=True
    )
    return Builder((*program, "build", f"--builder={_NAME}"), named, env)


def _reach(address: str) -> None:
    """Raises OSError or ValueError where nobody is; buildx waits long then, and does not say why."""
    scheme, _, rest = address.partition("://")
    if scheme == "unix":
        with socket.socket(socket.AF_UNIX) as there:
            there.connect(rest)
    elif scheme == "tcp" and (url := urlsplit(address)).port:
        socket.create_connection((url.hostname or "", url.port), _PATIENCE).close()


def _refusal(builder: Builder, error: StepError) -> StepError:
    """What is raised instead, if it was the builder that failed and not what it built."""
    said = next((match[1] for line in reversed(error.tail) if (match := _SAID.match(line))), "")
    for pattern, hint in _REFUSALS.items():
        if re.search(pattern, said) and "exit code" not in said:
            return StepError(f"{builder.name} can't be used: {said}", hint=hint, tail=error.tail)
    if any(map(_BOOTING.match, error.tail)):
        hint = "`docker buildx inspect --bootstrap` starts one without a build"
        return StepError(f"{builder.name} can't be started: {said}", hint=hint, tail=error.tail)
    return error
