"""What a container finds of the project, and which volumes of the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from imgbake.api import StepError
from imgbake_tasks import place


class Mount(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A file or folder of the project, or a volume, at a path in a container."""

    to: Annotated[
        str, Meta(description="An absolute path in the container", extra_json_schema={"pattern": "^/"})
    ]
    source: Annotated[str, Meta(description="A file or folder of the project, `.` for all of it")] = (
        msgspec.field(name="from", default="")
    )
    volume: Annotated[str, Meta(description="A volume of the engine by name, made when it isn't there")] = ""
    read_only: Annotated[bool, Meta(description="May it only be read?")] = False

    def __post_init__(self) -> None:
        """Raises ValueError; the key that it is about stands in backticks."""
        if not self.to.startswith(("/", "{{")):
            raise ValueError(f"`to` is an absolute path, and {self.to!r} is not")
        if bool(self.source) == bool(self.volume):
            raise ValueError("a mount has either `from` or `volume`")
        place.checked("from", self.source)

    @property
    def is_project(self) -> bool:
        """Is it the whole of the project?"""
        return bool(self.source) and not self.source.strip("./")

    def document(self, root: Path) -> dict[str, Any]:
        """As the engine takes it (HostConfig.Mounts). Raises StepError when there is nothing to mount."""
        found: dict[str, Any] = {"Target": self.to, "ReadOnly": self.read_only}
        if self.volume:
            return {**found, "Type": "volume", "Source": self.volume}
        path = place.inside(root, self.source)
        if not path.exists():
            hint = "make it, or let a task make it and name that in `needs`"
            raise StepError(f"there is no {self.source} to mount at {self.to}", hint=hint)
        return {**found, "Type": "bind", "Source": str(path.resolve())}
