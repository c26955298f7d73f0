"""The target `kaniko`: an image baked by a Job in a cluster, pushed to its tags from there.

    Dockerfile, archives ── uploaded ──> volume ──> Kaniko in a Job ──> registry, by digest
                                                                          └── test, in a pod of the image

The registry holds the image, and this machine nothing of it: so it counts only while the registry still
has it under its tags, which is asked in every build.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

from imgbake.api import (
    Artifact,
    BakeError,
    Blobs,
    Blueprint,
    Lowered,
    ResolveContext,
    RunContext,
    digest,
    is_given,
)
from imgbake_kaniko import lowering, manifests, naming
from imgbake_kaniko.options import Options
from imgbake_kaniko.plan import plan
from imgbake_kaniko.yaml_document import yaml

_RUN = re.compile(r"-[0-9a-f]{8}$")  # what tells the names of a bake from those of others


class Kaniko:
    """Bakes images by Kaniko, as Jobs in a Kubernetes cluster, and pushes them from there."""

    kind: ClassVar[str] = "kaniko"
    version: ClassVar[int] = 1
    artifact: ClassVar[str] = "container"
    phases: ClassVar[frozenset[str]] = frozenset({"build", "validate", "test"})
    volatile: ClassVar[bool] = True
    accepts: ClassVar[frozenset[str]] = frozenset({"dockerfile"})

    def __init__(self, options: Options) -> None:
        self._options = options

    def names(self, image: str, target: str) -> tuple[str, ...]:
        """What it is pushed to, once that can be told."""
        said = self._options
        texts = said.tags or (said.registry, said.environment or target, said.project or image)
        given = all(map(is_given, texts))
        return tuple(str(each) for each in naming.references(image, target, said)) if given else ()

    def lower(self, blueprint: Blueprint) -> Lowered:
        """The Dockerfile, and what is in its context. Beside them the manifests, named for what they bake:
        what they say of the image are options, and the rest decides nothing.
        """
        found = _documents(blueprint, self._options)
        said = "\n".join([self._options.namespace, *found.values()])
        run = digest.of_bytes(said.encode("utf-8", "surrogateescape"))
        made = manifests.documents(plan(blueprint, self._options, run.removeprefix("sha256:")))
        any_run = [_RUN.sub("-*", manifests.title(manifest)) for _, manifest in made]
        return Lowered(found, {name: yaml(manifest) for name, manifest in made}, tuple(any_run))

    def bake(self, blueprint: Blueprint, lowered: Lowered, ctx: RunContext) -> Artifact:
        """Runs the Job. Raises BakeError."""
        from imgbake_kaniko import baking

        made, facts = baking.bake(blueprint, self._options, lowered.documents["Dockerfile"], ctx)
        tags = [each.familiar for each in naming.references(blueprint.image, blueprint.target, self._options)]
        return Artifact("container", made, tags[0], {"tags": tags, **facts})

    def test(self, artifact: Artifact, blueprint: Blueprint, ctx: RunContext) -> None:
        """Runs the commands of each component in a pod of the finished image."""
        from imgbake_kaniko import testing

        testing.test(artifact, blueprint, self._options, ctx)

    def present(self, artifact: Artifact, ctx: ResolveContext) -> bool:
        """Has the registry the image under every tag? Raises BakeError when it can't be asked."""
        from imgbake_kaniko import pushed

        return pushed.is_there(artifact, ctx)

    def formats(self) -> tuple[str, ...]:
        return ("oci", "oci-archive")

    def export(self, artifact: Artifact, blobs: Blobs, to: Path, form: str, name: str) -> None:
        """Writes what the registry has."""
        from imgbake_kaniko import pushed

        pushed.export(artifact, blobs, to, form)

    def push(self, artifact: Artifact, ctx: RunContext) -> tuple[str, ...]:
        """What the Job has pushed already."""
        return tuple(f"{tag}@{artifact.digest}" for tag in artifact.facts["tags"])


def _documents(blueprint: Blueprint, options: Options) -> dict[str, str]:
    """The Dockerfile of components, or the user's own, and what is in the context."""
    if blueprint.described is not None:
        from imgbake_kaniko import dockerfiles

        return dockerfiles.lower(blueprint.described, blueprint, options)
    if options.is_cloned:
        hint = 'write `context = "volume"`: what components copy is put together here'
        raise BakeError("only an image that is a Dockerfile has a context that can be cloned", hint=hint)
    content = lowering.contents(blueprint)
    return {"Dockerfile": lowering.dockerfile(blueprint), **({"context.json": content} if content else {})}
