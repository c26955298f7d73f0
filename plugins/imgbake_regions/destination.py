"""The destination `ami-region`: one region of one account.

Its names, as they stand in plans and in the history of names:

    ssm:/shop/ami,region=eu-west-1              a parameter of Systems Manager
    launch-template:web,region=eu-west-1        the default version of a launch template, or its latest
    launch-permission:shop,region=eu-west-1     the newest AMI of an image that others may launch
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

from imgbake.api import Artifact, BakeError, Cargo, ResolveContext, RunContext, digest
from imgbake_aws import outcome, sdk, tags
from imgbake_aws.sites import Site
from imgbake_regions import asking, copies, parameters, settings, sharing, templates
from imgbake_regions.copies import Survey, Wanted
from imgbake_regions.options import PARAMETER, LaunchTemplate, Options
from imgbake_regions.sharing import Sharing
from imgbake_regions.waiting import AVAILABLE, Image

_SSM, _TEMPLATE, _PERMISSION = "ssm", "launch-template", "launch-permission"


class AmiRegion:
    """A region that gets AMIs."""

    kind: ClassVar[str] = "ami-region"
    version: ClassVar[int] = 1
    accepts: ClassVar[frozenset[str]] = frozenset({"ami"})

    def __init__(self, options: Options) -> None:
        self._options = options

    def pointers(self, image: str, tags: Sequence[str]) -> tuple[str, ...]:
        return tuple(f"{name},{self._options.site}" for name in self._names(image, tags))

    def find(self, cargo: Cargo, ctx: ResolveContext) -> Artifact | None:
        return self.found(cargo, ctx.project, ctx.shared(Survey))

    def deliver(self, cargo: Cargo, ctx: RunContext) -> Artifact:
        wanted = self._wanted(cargo)
        named = self._named(cargo, wanted, ctx.project)
        image = copies.brought(wanted, named, self._options, ctx)
        settings.apply(image, named, self._options)
        return self._delivered(image)

    def verify(self, cargo: Cargo, delivered: Artifact, ctx: RunContext) -> None:
        """EC2 has no digests to compare: all snapshots must be there, and complete."""
        wanted = delivered.facts["snapshots"]
        with sdk.asking(f"ec2:DescribeSnapshots in {self._site.region}"):
            found = self._site.client("ec2").describe_snapshots(SnapshotIds=wanted)["Snapshots"]
        for each in found:
            if each["State"] != "completed":
                raise BakeError(f"{each['SnapshotId']} of {delivered.reference} is {each['State']}")

    def require_movable(self, pointer: str, reference: str, ctx: ResolveContext) -> None:
        """A template must be there, and a parameter no secret."""
        if self._parsed(pointer)[0] != _PERMISSION:
            self.current(pointer, ctx)

    def current(self, pointer: str, ctx: ResolveContext) -> str:
        return self.meaning(pointer, ctx.project)

    def publish(self, pointer: str, reference: str, ctx: RunContext) -> None:
        kind, name = self._parsed(pointer)
        self._require(reference.partition("+")[0])
        if kind == _SSM:
            parameters.put(self._site, name, reference, self._options.ssm_data_type, ctx.check)
        elif kind == _TEMPLATE:
            templates.set_to(self._site, self._template(name), reference)
        else:
            self._sharing(name, ctx.project).set_to(reference)

    def withdraw(self, pointer: str, ctx: RunContext) -> None:
        kind, name = self._parsed(pointer)
        if kind == _SSM:
            parameters.remove(self._site, name)
        elif kind == _TEMPLATE:
            templates.unset(self._site, self._template(name))
        else:
            self._sharing(name, ctx.project).unset()

    def question(
        self, cargo: Cargo, delivered: Artifact, pointers: Sequence[str], ctx: ResolveContext | RunContext
    ) -> tuple[Callable[[Sequence[str]], Sequence[bool]], str]:
        """The same that `find` and `current` tell, as many requests, and no recipe to read."""
        asked = asking.question(self._options, ctx.project, cargo, delivered, pointers)
        return asking.are_in_regions, asked

    def found(self, cargo: Cargo, project: str, survey: Survey) -> Artifact | None:
        """What `find` finds, for a project."""
        wanted = self._wanted(cargo)
        image = copies.there(wanted, survey)
        if image is None or not settings.is_set(image, self._named(cargo, wanted, project), self._options):
            return None
        return self._delivered(image)

    def meaning(self, pointer: str, project: str) -> str:
        """What a pointer means now, for a project."""
        kind, name = self._parsed(pointer)
        if kind == _SSM:
            return parameters.current(self._site, name)
        if kind == _TEMPLATE:
            return templates.current(self._site, self._template(name))
        return self._sharing(name, project).current()

    @functools.cached_property
    def _site(self) -> Site:
        return self._options.site

    def _names(self, image: str, tags: Sequence[str]) -> Iterator[str]:
        for parameter in self._options.parameters:
            names = [f"{parameter}{image}/{tag}" for tag in tags] if parameter.endswith("/") else [parameter]
            for name in names:
                if not PARAMETER.fullmatch(name):
                    hint = "SSM takes letters, digits and _.- in the names of parameters"
                    raise BakeError(f"'{name}' can't be a parameter's name", hint=hint)
                yield f"{_SSM}:{name}"
        yield from (f"{_TEMPLATE}:{template}" for template in self._options.launch_templates)
        if sharing.wanted(self._options):
            yield f"{_PERMISSION}:{image}"

    def _parsed(self, pointer: str) -> tuple[str, str]:
        kind, _, rest = pointer.partition(":")
        return kind, rest.removesuffix(f",{self._site}")

    def _template(self, name: str) -> LaunchTemplate:
        return next(each for each in self._options.launch_templates if str(each) == name)

    def _sharing(self, image: str, project: str) -> Sharing:
        return Sharing(self._options, project, image)

    def _wanted(self, cargo: Cargo) -> Wanted:
        regions: dict[str, str] = cargo.artifact.facts.get("regions", {})
        options = self._options
        home = options.region if options.region in regions else next(iter(regions), "")
        if not home:
            hint = "it was made by an earlier imgbake, or by a plugin that doesn't say it: `imgbake build -B`"
            raise BakeError(f"nobody knows in which region {cargo.artifact.reference} is", hint=hint)
        return Wanted(
            regions[home],
            Site(home, options.profile),
            self._site,
            options.name,
            options.encrypted,
            options.kms_key_id,
        )

    def _named(self, cargo: Cargo, wanted: Wanted, project: str) -> dict[str, str]:
        """The tags by which it is known there, and those of the recipe."""
        own = {
            tags.PROJECT: project,
            tags.IMAGE: cargo.name,
            tags.COPY: wanted.key,
            tags.SOURCE: wanted.source,
        }
        return {**self._options.tags, **own}

    def _require(self, ami: str) -> None:
        """Raises BakeError unless the AMI is there."""
        filters = [{"Name": "image-id", "Values": [ami]}, {"Name": "state", "Values": [AVAILABLE]}]
        with sdk.asking(f"ec2:DescribeImages {ami} in {self._site.region}"):
            found = self._site.client("ec2").describe_images(Filters=filters)["Images"]
        if not found:
            raise BakeError(f"{ami} is not available in {self._site.region}", hint="run it again")

    def _delivered(self, image: Image) -> Artifact:
        ami = str(image["ImageId"])
        facts = {
            "sent": 0,
            "there": 0,
            "regions": {self._site.region: ami},
            "account": image.get("OwnerId", ""),
            "snapshots": outcome.snapshots(image),
        }
        return Artifact("delivery", digest.of_bytes(ami.encode()), ami, facts)
