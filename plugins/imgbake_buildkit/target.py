"""The target `buildkit`: an image baked by BuildKit, wherever that is, and kept like one of the target `oci`.

    Dockerfile, archives ──buildx──> a builder: a container, a pod, a buildkitd at an address
                                        └── an OCI layout ──> the store, and links to it in the project

The builder holds nothing but its cache. So what was baked is whole without it, can be exported and pushed
by ourselves, and may be an index over several platforms.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from imgbake.api import Artifact, Blobs, Blueprint, Lowered, ResolveContext, RunContext
from imgbake_buildkit import lowering
from imgbake_buildkit.options import Options
from imgbake_oci import kept


class BuildKit:
    """Bakes images by a builder of buildx, or a buildkitd; needs no docker engine."""

    kind: ClassVar[str] = "buildkit"
    version: ClassVar[int] = 1
    artifact: ClassVar[str] = "container"
    phases: ClassVar[frozenset[str]] = frozenset({"build", "validate", "test"})
    accepts: ClassVar[frozenset[str]] = frozenset({"dockerfile"})

    def __init__(self, options: Options) -> None:
        self._options = options

    def lower(self, blueprint: Blueprint) -> Lowered:
        """A Dockerfile, and what is in the archives that it adds; or the user's own."""
        return Lowered(lowering.lower(blueprint, self._options))

    def require(self, blueprint: Blueprint) -> None:
        """All goes through buildx."""
        from imgbake_buildkit import builders

        builders.buildx()

    def bake(self, blueprint: Blueprint, lowered: Lowered, ctx: RunContext) -> Artifact:
        from imgbake_buildkit import baking

        images = baking.bake(blueprint, lowered.documents["Dockerfile"], self._options, ctx)
        return kept.keep(images, {}, kept.place(blueprint.image, blueprint.target), ctx)

    def test(self, artifact: Artifact, blueprint: Blueprint, ctx: RunContext) -> None:
        """Runs the commands of each component on the finished image, and keeps nothing of it."""
        from imgbake_buildkit import testing

        testing.test(artifact, blueprint, self._options, ctx)

    def present(self, artifact: Artifact, ctx: ResolveContext) -> bool:
        return kept.present(artifact, ctx)

    def restorable(self, artifact: Artifact, ctx: ResolveContext) -> bool:
        return kept.restorable(artifact, ctx)

    def restore(self, artifact: Artifact, ctx: RunContext) -> bool:
        return kept.restore(artifact, ctx)

    def shell(
        self,
        artifact: Artifact | None,
        blueprint: Blueprint,
        at: str,
        commands: tuple[str, ...],
        ctx: RunContext,
    ) -> int:
        """Runs commands for the user, or a shell, on this machine: a builder keeps nothing to be entered."""
        from imgbake_buildkit.bases import FETCHED
        from imgbake_oci import entering

        return entering.shell(artifact, blueprint, at, commands, FETCHED, ctx)

    def formats(self) -> tuple[str, ...]:
        return ("oci", "oci-archive", "docker-archive")

    def export(self, artifact: Artifact, blobs: Blobs, to: Path, form: str, name: str) -> None:
        from imgbake_oci import exporting

        exporting.export(artifact, blobs, to, form, name.partition("@")[0], self._options.tags)

    def push(self, artifact: Artifact, ctx: RunContext) -> tuple[str, ...]:
        from imgbake_oci import pushing

        return pushing.push(artifact, self._options.tags, ctx)
