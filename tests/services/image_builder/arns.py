"""The names of resources: arn:aws:imagebuilder:REGION:OWNER:KIND/NAME[/VERSION[/BUILD]]."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .versions import Version, normalised


@dataclass(frozen=True)
class Arn:
    """A resource's name. The version may have wildcards; workflows are of kind `workflow/build` and so on."""

    region: str
    owner: str
    kind: str
    name: str
    version: str = ""
    build: int = 0

    def __str__(self) -> str:
        text = f"arn:aws:imagebuilder:{self.region}:{self.owner}:{self.kind}/{self.name}"
        if self.version:
            text += f"/{self.version}"
        return f"{text}/{self.build}" if self.build else text

    @classmethod
    def read(cls, text: str) -> Arn:
        """The parts of a name whose form is checked already."""
        _, _, _, region, owner, resource = text.split(":", 5)
        kind, *parts = resource.split("/")
        if kind == "workflow":
            kind = f"{kind}/{parts.pop(0)}"
        name = normalised(parts.pop(0))
        version = parts.pop(0) if parts else ""
        return cls(region, owner, kind, name, version, int(parts[0]) if parts else 0)

    def at(self, version: str = "", build: int = 0) -> Arn:
        """The same resource in another version."""
        return replace(self, version=version, build=build)

    @property
    def semantic(self) -> Version:
        """The version, which has no wildcard."""
        return Version.read(self.version)
