"""The target `docker`: an image baked by a docker engine, and kept there.

    base ── pulled, loaded, or there ──┐
    component ── ADD, ENV, RUN ────────┼── one stage after the other ── the image, by its id, tagged
    configuration ─────────────────────┘

The engine holds the image; the project holds nothing of it. So it counts only while the engine still
has it, which is asked in every build. What is lost is loaded again from the store if it was kept there
(`keep`), and otherwise baked again: with most of it in the engine's own cache that is as fast, and a copy
of each image in the store would double what it takes.

The files and the configuration are those that the target `oci` gives the image, but for what an engine
does by itself: commands leave what they write to /tmp and /run; `workdir` makes its folder; an image
whose base sets no PATH gets docker's; BuildKit makes /dev, /proc and /sys where a base lacks them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from imgbake.api import (
    Artifact,
    BakeError,
    Blobs,
    Blueprint,
    Lowered,
    ResolveContext,
    Resolved,
    RunContext,
    is_given,
)
from imgbake_docker import naming
from imgbake_docker.options import Options
from imgbake_oci import kept


class Docker:
    """Bakes images on a docker engine, by BuildKit or by the engine's classic builder."""

    kind: ClassVar[str] = "docker"
    version: ClassVar[int] = 1
    artifact: ClassVar[str] = "container"
    phases: ClassVar[frozenset[str]] = frozenset({"build", "validate", "test"})
    volatile: ClassVar[bool] = True
    accepts: ClassVar[frozenset[str]] = frozenset({"dockerfile"})

    def __init__(self, options: Options) -> None:
        self._options = options

    def names(self, image: str, target: str) -> tuple[str, ...]:
        """Its names on the engine, once all of them can be told."""
        given = all(map(is_given, self._options.tags))
        return naming.tags_of(image, self._options.tags) if given else ()

    def lower(self, blueprint: Blueprint) -> Lowered:
        """A Dockerfile, and what is in the archives that it adds; or the user's own."""
        if blueprint.described is not None:
            from imgbake_docker import dockerfiles

            return Lowered(dockerfiles.lower(blueprint.described, blueprint, self._options))
        if self._options.builder != "auto":
            from imgbake_docker import choosing

            choosing.check(blueprint, self._options.builder)
        from imgbake_docker import lowering

        return lowering.lower(blueprint, self._options)

    def require(self, blueprint: Blueprint) -> None:
        """Without buildx the engine's classic builder builds, which can't do everything."""
        from imgbake_docker import choosing, dockerfiles

        builder = choosing.kind(self._options.builder)
        if blueprint.described is None:
            choosing.check(blueprint, builder)
        elif builder == "classic":
            dockerfiles.refuse_classic(blueprint.described)

    def bake(self, blueprint: Blueprint, lowered: Lowered, ctx: RunContext) -> Artifact:
        from imgbake_docker.engine import connected

        tags = naming.tags_of(blueprint.image, self._options.tags)
        with connected() as client:
            made, builder = self._bake(client, blueprint, ctx)
            _tag(client, made["Id"], tags)
            facts: dict[str, Any] = {
                naming.ID: made["Id"],
                "tags": list(tags),
                "platform": f"{made['Os']}/{made['Architecture']}",
                "size": made["Size"],
                "builder": builder,
                "config": made.get("Config") or {},
            }
            if self._options.keep:
                from imgbake_docker import exporting

                facts["archive"] = exporting.kept(client, tags[0], ctx)
        return Artifact("container", made["Id"], f"docker-daemon:{tags[0]}", facts)

    def base(self, reference: str, ctx: ResolveContext) -> Resolved | None:
        """An image that the engine has by this name, and did not pull: one that was built or loaded there."""
        from imgbake_docker import engine, origin
        from imgbake_dockerfile.request import LOCAL

        if "@" in reference or reference == naming.SCRATCH:
            return None
        with engine.connected() as client:
            found = client.image(reference)
        if found is None or not origin.is_made_here(found, reference, ctx):
            return None
        facts = {LOCAL: True, "config": found.get("Config") or {}}
        return Resolved(Artifact("container", found["Id"], reference, facts), volatile=True)

    def _bake(self, client: Any, blueprint: Blueprint, ctx: RunContext) -> tuple[dict[str, Any], str]:
        """What the engine says of the image that it has built, and which builder did it."""
        from imgbake_docker import dockerfiles

        if blueprint.described is None:
            from imgbake_docker.baking import Baking

            baking = Baking(client, blueprint, self._options, ctx)
            return baking.bake(), baking.builder
        image, builder = dockerfiles.bake(client, blueprint, self._options, ctx)
        made = client.image(image)
        if made is None:
            raise BakeError("the engine has lost the image that it has built", hint="build again")
        return made, builder

    def test(self, artifact: Artifact, blueprint: Blueprint, ctx: RunContext) -> None:
        """Runs the commands of each component in a container of the finished image."""
        from imgbake_docker import containers
        from imgbake_docker.engine import connected

        with connected() as client:
            for layer in blueprint.layers:
                if layer.test:
                    image = naming.image_id(artifact)
                    containers.run(client, image, "test", layer.component, layer.test, layer.setup, ctx)

    def present(self, artifact: Artifact, ctx: ResolveContext) -> bool:
        """Does the engine still have the image, by its id and all of its names?"""
        from imgbake_docker import engine

        asked = self.question(artifact)
        if asked is not None and asked[0]([asked[1]])[0]:
            return True  # the quick way, which doesn't tell why not
        with engine.connected() as client:
            found = client.image(naming.image_id(artifact))
        return found is not None and set(artifact.facts["tags"]) <= set(found.get("RepoTags") or ())

    def question(self, artifact: Artifact) -> tuple[Callable[[Sequence[str]], Sequence[bool]], str] | None:
        """What tells the same as `present` in a few milliseconds; None for an engine that is elsewhere."""
        from imgbake_docker import asking, engine

        path = asking.usual_socket() or engine.unix_socket()
        if not path:
            return None
        return asking.are_present, asking.question(path, naming.image_id(artifact), artifact.facts["tags"])

    def restorable(self, artifact: Artifact, ctx: ResolveContext) -> bool:
        """Has the engine the image by its id, or the store an archive of it?"""
        from imgbake_docker import engine

        archive = artifact.facts.get("archive")
        if archive is not None and ctx.blobs.has(archive):
            return True
        with engine.connected() as client:
            return client.image(naming.image_id(artifact)) is not None

    def restore(self, artifact: Artifact, ctx: RunContext) -> bool:
        """Loads the archive if the engine lacks the image, and gives it back its names."""
        from imgbake_docker import engine, exporting

        with engine.connected() as client:
            if client.image(naming.image_id(artifact)) is None:
                exporting.load(client, str(artifact.facts.get("archive")), ctx)
                if client.image(naming.image_id(artifact)) is None:
                    return False
            _tag(client, naming.image_id(artifact), artifact.facts["tags"])
        return True

    def shell(
        self,
        artifact: Artifact | None,
        blueprint: Blueprint,
        at: str,
        commands: tuple[str, ...],
        ctx: RunContext,
    ) -> int:
        """Runs commands for the user, or a shell, in a throw-away container. Raises BakeError."""
        from imgbake_docker import entering

        return entering.shell(artifact, blueprint, at, commands, self._options, ctx)

    def formats(self) -> tuple[str, ...]:
        return ("docker-archive", "oci", "oci-archive")

    def export(self, artifact: Artifact, blobs: Blobs, to: Path, form: str, name: str) -> None:
        from imgbake_docker import exporting

        exporting.export(artifact, blobs, to, form, name)

    def pack(self, artifact: Artifact, ctx: RunContext) -> Artifact:
        """The image in a layout in the project: destinations can't read from an engine."""
        from imgbake_docker import exporting

        image, _, target = ctx.name.partition("@")
        return exporting.pack(artifact, kept.place(image, target), ctx)

    def push(self, artifact: Artifact, ctx: RunContext) -> tuple[str, ...]:
        from imgbake_docker import exporting

        if not self._options.tags:
            hint = 'write tags = ["registry.example.com/name:1"] on its target'
            raise BakeError(f"{ctx.name} has no tags to push to", hint=hint)
        return exporting.push(artifact, ctx)


def _tag(client: Any, image: str, tags: Any) -> None:
    for tag in tags:
        repository, _, name = tag.rpartition(":")
        client.tag(image, repository, name)
