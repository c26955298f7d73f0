"""A target whose AMIs are made by a test, so that a test of their ways has none to bake."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import msgspec

from imgbake.api import Artifact, Blueprint, Lowered, ResolveContext, RunContext, Target, hookimpl
from imgbake_aws import asking, outcome


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was made."""

    regions: dict[str, str] = {}


class Premade:
    """AMIs that are there."""

    kind: ClassVar[str] = "premade"
    version: ClassVar[int] = 1
    artifact: ClassVar[str] = "ami"
    phases: ClassVar[frozenset[str]] = frozenset({"build"})

    def __init__(self, options: Options) -> None:
        self._options = options

    def lower(self, blueprint: Blueprint) -> Lowered:
        return Lowered({})

    def bake(self, blueprint: Blueprint, lowered: Lowered, ctx: RunContext) -> Artifact:
        regions = self._options.regions
        return outcome.artifact(regions, next(iter(regions)), "")

    def test(self, artifact: Artifact, blueprint: Blueprint, ctx: RunContext) -> None:
        """Nothing to test."""

    def question(self, artifact: Artifact) -> tuple[Callable[[Sequence[str]], Sequence[bool]], str]:
        return asking.are_present, asking.question(artifact.facts["regions"], "")

    def present(self, artifact: Artifact, ctx: ResolveContext) -> bool:
        return True


@hookimpl
def imgbake_targets() -> list[type[Target]]:
    return [Premade]
