"""Why a sandbox could not be made, from the process that tried to the one that tells the user."""

from __future__ import annotations

NOT_MADE = 125  # the exit codes of `docker run`: the sandbox itself failed,
NOT_EXECUTABLE = 126  # the command is there but can't be run,
NOT_FOUND = 127  # or isn't there


class Failure(Exception):
    """What failed: at which stage, in words for the user, with the kernel's error number if it has one."""

    def __init__(self, stage: str, message: str, number: int | None = 0, code: int = NOT_MADE) -> None:
        super().__init__(message)
        self.stage = stage
        self.message = message
        self.number = number or 0
        self.code = code
