"""What a sandbox writes down about itself, for who started it. Read by `report`."""

from __future__ import annotations

import os

from imgbake_sandbox import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from imgbake_sandbox.failure import Failure

_APPENDING = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


class Writer:
    """Appends to a report, a record at a time, so that half of one is never taken for a whole.

    ended    the number of a command, its exit code, seconds
    failed   the stage, the kernel's error number, a message: no (further) command was run
    note     a line for the user
    """

    def __init__(self, file: int) -> None:
        """`file` is an open descriptor, or -1 when nobody wants to know."""
        self.file = file

    @classmethod
    def to(cls, path: str) -> Writer:
        """A writer to the file at a path, or to nobody where there is no path."""
        return cls(os.open(path, _APPENDING, 0o600) if path else -1)

    def ended(self, number: int, code: int, seconds: float) -> None:
        """A command has ended."""
        self._write("ended", str(number), str(code), f"{seconds:.3f}")

    def failed(self, failure: Failure) -> None:
        """The sandbox, or a command, could not be started. Standard error says so too."""
        self._write("failed", failure.stage, str(failure.number), failure.message)
        _say(failure.message)

    def note(self, text: str) -> None:
        """Something that isn't as it should be, but works. Standard error says so too."""
        self._write("note", text)
        _say(text)

    def _write(self, *record: str) -> None:
        if self.file >= 0:
            os.write(self.file, records.encode([record]))


def _say(text: str) -> None:
    os.write(2, f"sandbox: {text}\n".encode("utf-8", "surrogateescape"))
