"""The targets `image-builder` and `image-builder-container`: images baked by EC2 Image Builder.

    component ── document ──────────┐
    base ── parentImage ────────────┼── recipe ──┐
    options ── machines, regions ───┴────────────┴── image, or pipeline ── AMIs by region, or containers

The cloud holds what is made; the project holds nothing of it. So it counts only while it is there, which
is asked in every build: for AMIs once for each region, together with those of other targets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from imgbake.api import Artifact, Blueprint, Document, Lowered, Problem, ResolveContext, RunContext
from imgbake_aws import bases
from imgbake_image_builder import existing, lowering
from imgbake_image_builder.options import AmiOptions, ContainerOptions, Options

_PHASES = frozenset({"build", "validate", "test"})


def _check(documents: Mapping[str, Document], options: Options) -> dict[str, Sequence[Problem]]:
    found: dict[str, Sequence[Problem]] = {}
    seen: dict[str, str] = {}
    for component, document in documents.items():
        problems = lowering.check_document(document.source, document.text, document.params, options)
        if ":" in document.source and not problems:
            first = seen.setdefault(existing.same_name(document.source), component)
            if first != component:
                message = f"this is the component that '{first}' is: to Image Builder versions make no other"
                problems = [Problem(message, hint="an image has each component once: remove one")]
        found[component] = problems
    return found


class _Told:
    """What the targets share: all but what they make."""

    version: ClassVar[int] = 1
    phases: ClassVar[frozenset[str]] = _PHASES
    volatile: ClassVar[bool] = True
    _options: Options

    def check_documents(self, documents: Mapping[str, Document]) -> Mapping[str, Sequence[Problem]]:
        return _check(documents, self._options)

    def lower(self, blueprint: Blueprint) -> Lowered:
        """A document for each component, and the requests that Image Builder gets."""
        return lowering.lower(blueprint, self._options)

    def bake(self, blueprint: Blueprint, lowered: Lowered, ctx: RunContext) -> Artifact:
        from imgbake_image_builder import baking

        return baking.bake(blueprint, lowered, self._options, ctx)

    def test(self, artifact: Artifact, blueprint: Blueprint, ctx: RunContext) -> None:
        """Image Builder has run the tests on what it made, or that would have failed."""
        ctx.log(f"tested by Image Builder: {artifact.facts.get('image', artifact.reference)}")


class ImageTarget(_Told):
    """Bakes AMIs with EC2 Image Builder. Their components may be documents of AWSTOE, or ARNs.

    `entrypoint`, `cmd`, `user` and what else an image says of containers means nothing to a machine;
    its labels become tags of the AMI.
    """

    kind: ClassVar[str] = "image-builder"
    artifact: ClassVar[str] = "ami"
    base_table: ClassVar[type[bases.Searched]] = bases.Searched

    def __init__(self, options: AmiOptions) -> None:
        self._options = options

    def present(self, artifact: Artifact, ctx: ResolveContext) -> bool:
        """Are its AMIs available in all of its regions?"""
        from imgbake_aws import presence

        return presence.are_there(artifact.facts.get("regions", {}), self._options.profile, ctx)

    def question(self, artifact: Artifact) -> tuple[Callable[[Sequence[str]], Sequence[bool]], str]:
        """What tells the same as `present` for all images at once, together with those of other targets."""
        from imgbake_aws import asking

        return asking.are_present, asking.question(artifact.facts.get("regions", {}), self._options.profile)


class ContainerTarget(_Told):
    """Bakes container images with EC2 Image Builder, into repositories of ECR."""

    kind: ClassVar[str] = "image-builder-container"
    artifact: ClassVar[str] = "container"

    def __init__(self, options: ContainerOptions) -> None:
        self._options = options

    def present(self, artifact: Artifact, ctx: ResolveContext) -> bool:
        """Does Image Builder say that the image is available?"""
        from imgbake_image_builder import running

        return running.is_available(artifact.facts["image"], self._options.profile)

    def question(self, artifact: Artifact) -> tuple[Callable[[Sequence[str]], Sequence[bool]], str]:
        """What tells the same as `present` for all images at the same time."""
        from imgbake_image_builder import asking

        return asking.are_available, asking.question(artifact.facts["image"], self._options.profile)
