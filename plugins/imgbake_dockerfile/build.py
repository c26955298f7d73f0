"""What a build takes, as values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import msgspec
from msgspec.structs import replace

from imgbake_dockerfile.stages import Stage

Role = Literal["base", "copy", "mount", "syntax"]


class Base(msgspec.Struct, frozen=True):
    """What an image's config says to the stages that are FROM it."""

    env: dict[str, str] = {}
    triggers: tuple[str, ...] = ()  # its ONBUILD


Bases = Callable[[str, str], Base | None]
"""Tells of an image, by reference and platform; None for one that isn't known."""


class Image(msgspec.Struct, frozen=True):
    """An image that the build takes from outside, as it is named, with variables replaced."""

    reference: str
    platform: str  # empty for the one of `# syntax=`, which runs where the build runs
    role: Role
    line: int  # 0 if an argument names it


class Seen(msgspec.Struct, frozen=True):
    """Files of a context that an instruction can see."""

    path: str  # from the context's root, without a first slash; empty for the root
    line: int
    is_pattern: bool = False  # `*`, `?` and `[…]` stand for others, as in Go's filepath.Match
    include: str = ""  # of --parents: only what matches this below the path
    exclude: tuple[str, ...] = ()
    context: str = ""  # the name of another folder that it is in; empty for the build's own context


class Remote(msgspec.Struct, frozen=True):
    """A URL or a git repository that ADD fetches."""

    url: str | None  # None if a variable decides it that can't be told
    checksum: str | None
    line: int


class Secret(msgspec.Struct, frozen=True):
    """A secret, or the keys of an ssh agent, that a RUN mounts."""

    kind: Literal["secret", "ssh"]
    id: str
    required: bool
    line: int


class Build(msgspec.Struct, frozen=True):
    """What a build takes."""

    stages: tuple[Stage, ...]  # those that the target needs, in order, with the triggers put in
    images: tuple[Image, ...] = ()
    seen: tuple[Seen, ...] = ()
    everything: str = ""  # why all of every context counts as seen; empty when it doesn't
    remotes: tuple[Remote, ...] = ()
    secrets: tuple[Secret, ...] = ()
    args: dict[str, str] = {}  # the given arguments that can change the result
    platform_args: tuple[str, ...] = ()  # the arguments that it uses and that BuildKit sets, sorted


def merged(builds: Iterable[Build]) -> Build:
    """What builds of one Dockerfile for several platforms take together."""
    all = list(builds)
    stages = {stage.index: stage for build in reversed(all) for stage in build.stages}
    required = {(secret.kind, secret.id) for build in all for secret in build.secrets if secret.required}
    secrets = {(secret.kind, secret.id): secret for build in all for secret in build.secrets}
    return Build(
        tuple(stages[index] for index in sorted(stages)),
        tuple(dict.fromkeys(image for build in all for image in build.images)),
        tuple(dict.fromkeys(seen for build in all for seen in build.seen)),
        next((build.everything for build in all if build.everything), ""),
        tuple(dict.fromkeys(remote for build in all for remote in build.remotes)),
        tuple(replace(each, required=key in required) for key, each in secrets.items()),
        {name: value for build in all for name, value in build.args.items()},
        tuple(sorted({name for build in all for name in build.platform_args})),
    )
