"""`container`: a command in a container of an image, on the project's files."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from imgbake.api import (
    Artifact,
    BakeError,
    Part,
    PartsContext,
    Pin,
    RunContext,
    Step,
    UsageError,
    hookimpl,
    parse_size,
)
from imgbake_docker.mounting import Mount
from imgbake_oci.reference import parse

_LIMIT = {"decides": False}
_STREAM = "stream:"
_IMAGE_ID = re.compile(r"(sha256:)?[0-9a-f]{64}")


class ContainerOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a recipe says of a container."""

    image: Annotated[
        str,
        Meta(
            description="An image of a registry or of the engine, or `stream:NAME:TAG`; it is pulled if it"
            " isn't there",
            min_length=1,
        ),
    ]
    run: Annotated[
        str | tuple[str, ...],
        Meta(
            description="A shell script, which ends at its first failing line; or a program and its"
            " arguments. Without it the image runs as it says itself"
        ),
    ] = ()
    shell: Annotated[
        tuple[str, ...],
        Meta(description="What runs a shell script in the image: program and arguments", min_length=1),
    ] = ("/bin/sh", "-ec")
    env: Annotated[dict[str, str], Meta(description="Variables to set; the place for secrets")] = {}
    pass_env: Annotated[
        tuple[str, ...], Meta(description="Environment variables to hand in, which decide")
    ] = ()
    mounts: Annotated[
        tuple[Mount, ...] | None,
        Meta(description="What of the project, and which volumes, it finds where. Default: all, at /project"),
    ] = None
    workdir: Annotated[
        str, Meta(description="The folder to run in. Default: where the whole project is, else the image's")
    ] = ""
    user: Annotated[
        str, Meta(description="User, and group, by name or number. Default: you, who own what it writes")
    ] = ""
    network: Annotated[
        str, Meta(description='A network of the engine, "host" or "none". Default: the engine\'s')
    ] = ""
    memory: Annotated[
        str | int | None, Meta(description='The most it may use: bytes, or "2GB"', extra=_LIMIT)
    ] = None
    cpus: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="Processors, 1.5 for one and a half", extra=_LIMIT),
    ] = None

    def __post_init__(self) -> None:
        """Raises ValueError for what can't be run; the key that it is about stands in backticks."""
        if not self.image.startswith(_STREAM) and "{{" not in self.image and not self.is_id:
            _as_value_error("image", lambda: parse(self.image))
        if self.memory is not None and "{{" not in str(self.memory):
            _as_value_error("memory", self.memory_bytes)
        if self.workdir and not self.workdir.startswith(("/", "{{")):
            raise ValueError(f"`workdir` is an absolute path in the image, and {self.workdir!r} is not")
        places = [mount.to.rstrip("/") for mount in self.mounted]
        if twice := next((place for place in places if places.count(place) > 1), None):
            raise ValueError(f"`mounts`: two of them are at {twice}")

    @property
    def mounted(self) -> tuple[Mount, ...]:
        """What is mounted."""
        return (Mount(source=".", to="/project"),) if self.mounts is None else self.mounts

    @property
    def is_id(self) -> bool:
        """Is the image named by its id on the engine?"""
        return _IMAGE_ID.fullmatch(self.image) is not None

    def memory_bytes(self) -> int | None:
        """The limit in bytes. Raises UsageError."""
        found = parse_size(self.memory) if isinstance(self.memory, str) else self.memory
        if found is not None and found <= 0:
            raise UsageError("nothing runs without memory", hint='write a size such as "2GB"')
        return found


class Container:
    """Runs a command in a container on a docker engine, and succeeds when the command does."""

    kind: ClassVar[str] = "container"
    version: ClassVar[int] = 1

    def __init__(self, options: ContainerOptions) -> None:
        self.options = options

    def outputs(self, folder: str) -> tuple[str, ...]:
        """Nothing besides the recipe's `outputs`."""
        return ()

    def parts(self, ctx: PartsContext) -> Iterable[Part]:
        """The image, and the variables that the recipe names. Raises BakeError for a secret in `run`."""
        from imgbake_docker import images

        said = self._said(ctx)
        words = (said.run,) if isinstance(said.run, str) else said.run
        if any(ctx.reveal(word) != word for word in (*words, *said.shell)):
            hint = 'the engine shows it to everybody: write env = { NAME = "{{ … }}" } and use $NAME'
            raise BakeError("`run` names a secret", hint=hint)
        for name in said.pass_env:
            ctx.env(name)
        # An option by its label: which image it is makes no input, without which a task always runs.
        return (Part("option image by digest", images.identity(said, ctx)),)

    def pin(self, ctx: PartsContext) -> Pin | None:
        """The digest that the registry gives the image now; None for one that only the engine has."""
        from imgbake_docker import images

        return None if self.options.image.startswith(_STREAM) else images.pin(self.options, ctx)

    def run(self, ctx: RunContext) -> Artifact:
        """Pulls the image if need be, and runs the container. Raises StepError when it fails."""
        from imgbake_docker import executing, images
        from imgbake_docker.engine import connected

        said = self._said(ctx)
        passed = {name: os.environ[name] for name in said.pass_env if name in os.environ}
        with connected() as client:
            image = images.ready(client, said, ctx)
            executing.execute(client, image, said, passed, ctx)
        return Artifact(kind="files", reference=said.image, facts={"image": image})

    def _said(self, ctx: PartsContext | RunContext) -> ContainerOptions:
        """The options, with what a stream means by the image."""
        return msgspec.structs.replace(self.options, image=ctx.meant(self.options.image))


@hookimpl
def imgbake_steps() -> list[type[Step]]:
    """The kind `container`."""
    return [Container]


def _as_value_error(key: str, check: Callable[[], object]) -> None:
    try:
        check()
    except BakeError as error:
        raise ValueError(f"`{key}`: {error.message}; {error.hint}") from None
