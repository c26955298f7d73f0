"""A user's Dockerfile, built by BuildKit: what buildx is told, and how it tells of a failure."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from imgbake.api import BakeError, Described, RunContext, StepError
from imgbake_docker import logins
from imgbake_dockerfile import parse
from imgbake_dockerfile.request import Request, of_registries, request
from imgbake_oci.reference import Reference
from imgbake_oci.reference import parse as parse_reference

_SECRET = "IMGBAKE_SECRET_"
_FAILED_AT = re.compile(r"^Dockerfile:(\d+)$")
_FAILED_STEP = re.compile(r"^ > \[[^]]*\] (.+):$")
_FAILED_SHELL = re.compile(
    r"(?:executor failed running \[|process \")(?:\S+ )+?-\w*c (.+)(?:\]|\" did not complete successfully): "
)
_EXIT_CODE = re.compile(r"exit code: (\d+)")
_NO_GIT = {"BUILDX_GIT_INFO": "false"}  # it would go into provenance, which isn't asked for
_CHATTER = (
    r"failed to (?:build|solve|create LLB definition|compute cache key|calculate checksum of ref \S+)"
    r"(?: with frontend [\w.-]+)?: "
)
_FAILED = re.compile(rf"^ERROR: (?:{_CHATTER}|rpc error: code = \w+ desc = )*(.+)$")
_TOO_OLD = "moby.buildkit.frontend.contexts"  # what a BuildKit before 0.10 says that it lacks
_UNREAD = re.compile(r"dockerfile parse error (?:on )?line (\d+): (.+)$")

GONE = r"Unavailable\b|error reading from server|failed to receive status"
"""What is said of a BuildKit that ended during a build."""

WHY_GONE = "did it end during the build? Is it still running, and has it enough memory?"


def build(
    command: Sequence[str],
    described: Described,
    labels: Mapping[str, str],
    epoch: int,
    into: Sequence[str],
    ctx: RunContext,
    env: Mapping[str, str] | None = None,
) -> None:
    """Builds it. `command` is `buildx build` for a builder, `into` says what becomes of the image.

    BuildKit takes from the folder what it needs, and knows what it has already. Raises StepError.
    """
    asked = request(described)
    dockerfile = ctx.work / "Dockerfile"
    dockerfile.write_text(asked.dockerfile.text)
    (ctx.work / "Dockerfile.dockerignore").write_text("\n".join(asked.ignore.patterns) + "\n")
    flags = [f"--file={dockerfile}", *into, *_flags(asked, labels, epoch, ctx)]
    secret = {f"{_SECRET}{each.id}": f"{{{{ {each.arg} }}}}" for each in asked.secrets if each.arg}
    try:
        ctx.run(
            [*command, *flags, str(ctx.root / asked.folder)],
            env={**_NO_GIT, **logins.of_command(_references(described), ctx), **(env or {}), **secret},
            title="docker buildx build",
        )
    except StepError as error:
        raise failure(asked, error) from None


def image_id(metadata: Path) -> str:
    """The engine's id of what was built, of what `--metadata-file` says.

    An engine that keeps images in containerd knows them by their manifest, and others by their
    configuration, which is all that `--iidfile` tells.
    """
    return str(json.loads(metadata.read_bytes())["containerimage.digest"])


def _references(described: Described) -> Iterator[Reference]:
    """The images in registries that it takes, and the caches there."""
    asked = request(described)
    for text in (*asked.cache_from, *asked.cache_to):
        said = dict(field.partition("=")[::2] for field in text.split(","))
        name = said.get("ref", "") if "type" in said else text  # without a type it is a reference
        if said.get("type", "registry") == "registry":
            with contextlib.suppress(BakeError):  # what is no reference is told by buildx
                yield parse_reference(name)
    yield from (parse_reference(base.reference) for _, base in of_registries(described))


def _flags(asked: Request, labels: Mapping[str, str], epoch: int, ctx: RunContext) -> Iterator[str]:
    yield from ("--progress=plain", "--provenance=false")
    yield from (f"--build-arg={name}={value}" for name, value in asked.args.items())
    yield from (f"--label={name}={value}" for name, value in labels.items())
    yield from (f"--ssh={text}" for text in asked.ssh)
    yield from (f"--cache-from={text}" for text in asked.cache_from)
    yield from (f"--cache-to={text}" for text in asked.cache_to)
    for secret in asked.secrets:
        if secret.file:
            yield f"--secret=id={secret.id},src={ctx.root / Path(secret.file).expanduser()}"
        else:
            yield f"--secret=id={secret.id},env={secret.env or _SECRET + secret.id}"
    yield from (f"--build-context={name}={ctx.root / path}" for name, path in asked.folders.items())
    if asked.target:
        yield f"--target={asked.target}"
    if asked.platforms:
        yield f"--platform={','.join(asked.platforms)}"
    if asked.network != "default":
        yield f"--network={asked.network}"
    if epoch:
        yield f"--build-arg=SOURCE_DATE_EPOCH={epoch}"
    if ctx.force:
        yield "--no-cache"


def failure(asked: Request, error: StepError) -> StepError:
    """The error of a build, at the line of the user's Dockerfile where it failed, if BuildKit tells it."""
    lines = error.tail
    at = next(
        (int(match[1]) for line in lines if (match := _FAILED_AT.match(line))), _failed_line(asked, lines)
    )
    said = next((match[1] for line in reversed(lines) if (match := _FAILED.match(line))), error.message)
    if unread := _UNREAD.search(said):
        hint = "is this BuildKit too old for it? `# syntax=docker/dockerfile:1` asks for a new reader"
        return asked.failure(unread[2], int(unread[1]), lines, hint)
    if _TOO_OLD in said:
        hint = "take Docker 23 or BuildKit 0.10, or begin the file with `# syntax=docker/dockerfile:1`"
        return asked.failure("this BuildKit is too old for folders in `contexts`", 0, lines, hint)
    code = _EXIT_CODE.search(said)
    if not code and re.search(GONE, said):
        return StepError(f"BuildKit does not answer any more: {said}", hint=WHY_GONE, tail=lines)
    if code and at:
        said = f"`{asked.dockerfile.text.splitlines()[at - 1].strip()}` exited with code {code[1]}"
    return asked.failure(said, at, lines)


def _failed_line(asked: Request, lines: Sequence[str]) -> int:
    """The line that failed, if BuildKit is an older one, which tells only the instruction.

    Variables are replaced in what it tells, but not in the command that a shell was given.
    """
    steps = {match[1] for line in lines if (match := _FAILED_STEP.match(line))}
    shells = (match[1] for line in lines if (match := _FAILED_SHELL.search(line)))
    steps |= {f"RUN {_unquoted(command)}" for command in shells}
    found = (one.first for one in parse(asked.dockerfile.text).instructions if one.text in steps)
    return next(found, 0)


def _unquoted(command: str) -> str:
    """A command that may be told with Go's escapes, which are nearly those of JSON."""
    try:
        return str(json.loads(f'"{command}"'))
    except ValueError:
        return command
