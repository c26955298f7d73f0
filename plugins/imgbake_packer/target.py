"""The target `packer`: an image baked by Packer, from a template.

    component ── archive, script ──┐
    base ── source_ami ────────────┼── image.pkr.json ── packer build ── AMIs, by region
    options ── the machine ────────┘

The cloud holds what is made; the project holds nothing of it. So it counts only while the AMIs are
there and available, which is asked in every build, once for each region.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from imgbake.api import Artifact, Blueprint, Lowered, ResolveContext, RunContext
from imgbake_aws import bases
from imgbake_packer import lowering
from imgbake_packer.options import Options


class Packer:
    """Bakes machine images with Packer: AMIs by its builder amazon-ebs, others by their own options.

    `entrypoint`, `cmd`, `user` and what else an image says of containers means nothing to a machine;
    its labels become tags.
    """

    kind: ClassVar[str] = "packer"
    version: ClassVar[int] = 1
    artifact: ClassVar[str] = "ami"
    phases: ClassVar[frozenset[str]] = frozenset({"build", "validate", "test"})
    volatile: ClassVar[bool] = True
    accepts: ClassVar[frozenset[str]] = frozenset({"template"})
    base_table: ClassVar[type[bases.Searched]] = bases.Searched

    def __init__(self, options: Options) -> None:
        self._options = options

    def lower(self, blueprint: Blueprint) -> Lowered:
        """A template, the scripts that it runs, and what is in the archives that it brings."""
        return lowering.lower(blueprint, self._options)

    def bake(self, blueprint: Blueprint, lowered: Lowered, ctx: RunContext) -> Artifact:
        from imgbake_packer import baking

        return baking.bake(blueprint, lowered, self._options, ctx)

    def test(self, artifact: Artifact, blueprint: Blueprint, ctx: RunContext) -> None:
        """Runs the commands of all components on one new instance of the AMI."""
        from imgbake_packer import baking

        baking.test(artifact, blueprint, self._options, ctx)

    def present(self, artifact: Artifact, ctx: ResolveContext) -> bool:
        """Are its AMIs available in all of its regions, or its files there? No more can be asked for."""
        regions = artifact.facts.get("regions")
        if not regions:
            return all((ctx.root / file).exists() for file in artifact.facts.get("files", ()))
        from imgbake_aws import presence

        return presence.are_there(regions, self._options.profile, ctx)

    def question(self, artifact: Artifact) -> tuple[Callable[[Sequence[str]], Sequence[bool]], str]:
        """What tells the same as `present` for all images at once."""
        from imgbake_aws import asking

        return asking.are_present, asking.question(artifact.facts.get("regions", {}), self._options.profile)
