"""The resources of the account, in all regions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .arns import Arn
from .errors import missing
from .versions import Version, Wanted

Body = dict[str, Any]


class Resource:
    """A resource: its name, and what the service tells of it."""

    def __init__(self, arn: Arn, body: Body) -> None:
        self.arn, self.body = arn, body
        body["arn"] = str(arn)
        self.policy = ""  # who else may use it
        self.packages: list[Body] = []  # of an image: what is in it
        self.findings: list[Body] = []  # of an image: what scans have found


class Store:
    """Keeps resources in the order in which they were made."""

    def __init__(self) -> None:
        self._all: dict[str, Resource] = {}
        self.stocked: set[str] = set()  # the regions that have what is Amazon's

    def __iter__(self) -> Iterator[Resource]:
        return iter(list(self._all.values()))

    def add(self, resource: Resource) -> None:
        """Keeps a resource."""
        self._all[str(resource.arn)] = resource

    def remove(self, resource: Resource) -> None:
        """Forgets a resource."""
        del self._all[str(resource.arn)]

    def of(self, kind: str, region: str, owner: str = "") -> list[Resource]:
        """The resources of a kind in a region, such as `component`; `workflow` has all of its types."""
        return [
            resource
            for resource in self
            if resource.arn.kind.partition("/")[0] == kind
            and resource.arn.region == region
            and owner in ("", resource.arn.owner)
        ]

    def find(self, arn: Arn) -> Resource | None:
        """A resource by its name; with wildcards or without a build, the highest that there is."""
        exact = self._all.get(str(arn))
        if exact is not None or not arn.version or arn.build:
            return exact
        wanted = Wanted.read(arn.version)
        versions = [found for found in self.versions(arn) if wanted.matches(found.arn.semantic)]
        return max(versions, key=_order, default=None)

    def get(self, arn: Arn) -> Resource:
        """A resource by its name; refused if there is none."""
        found = self.find(arn)
        if found is None:
            raise missing(arn)
        return found

    def versions(self, arn: Arn) -> list[Resource]:
        """All versions and builds of a resource."""
        return [resource for resource in self if resource.arn.at() == arn.at()]

    def next_build(self, arn: Arn) -> int:
        """The number that a new build of a version gets."""
        builds = [found.arn.build for found in self.versions(arn) if found.arn.version == arn.version]
        return max(builds, default=0) + 1

    def latest(self, arn: Arn) -> Body:
        """The names by which a resource's newest versions can be asked for."""
        version = arn.semantic
        return {
            "latestVersionArn": str(arn.at("x.x.x")),
            "latestMajorVersionArn": str(arn.at(f"{version.major}.x.x")),
            "latestMinorVersionArn": str(arn.at(f"{version.major}.{version.minor}.x")),
            "latestPatchVersionArn": str(arn.at(str(version))),
        }


def _order(resource: Resource) -> tuple[Version, int]:
    return resource.arn.semantic, resource.arn.build
