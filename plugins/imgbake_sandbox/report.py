"""What a sandbox wrote down about itself. Its exit code alone can't tell a command's 125 from its own."""

from __future__ import annotations

from pathlib import Path

import msgspec

from imgbake_sandbox import records


class Ended(msgspec.Struct, frozen=True):
    """A command that ended: its exit code (128 and the number for a signal), and how long it took."""

    code: int
    seconds: float


class Failed(msgspec.Struct, frozen=True):
    """The sandbox, or a command in it, could not be started. For what can be done see `refusals.advice`."""

    stage: str  # spec, unshare, map, mount, overlay, user, command
    number: int  # the kernel's error number, or 0
    message: str


class Report(msgspec.Struct, frozen=True):
    """The commands that ended, in order; what failed; and what works, but not as it should."""

    ended: tuple[Ended, ...] = ()
    failed: Failed | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Report:
        """The report of a spec. Empty when the sandbox was killed before it could say anything."""
        try:
            found = records.Records(path.read_bytes())
        except FileNotFoundError:
            return cls()
        ended = tuple(Ended(int(code), float(seconds)) for _, code, seconds in found.all("ended"))
        failures = [Failed(stage, int(number), text) for stage, number, text in found.all("failed")]
        notes = tuple(text for (text,) in found.all("note"))
        return cls(ended, failures[0] if failures else None, notes)
