"""The `files` of a component: where each comes from, where it goes, and whose it is there."""

from __future__ import annotations

import re

from imgbake.model import At, FileCopy
from imgbake.recipe.files import Section
from imgbake.recipe.paths import in_image, one_in_project
from imgbake.recipe.reading import Reading
from imgbake.recipe.tables import FileTable

_TASK = "task:"
_MODE = re.compile(r"[0-7]{3,4}")
_OWNER = re.compile(r"(\d{1,10})(?::(\d{1,10}))?", re.ASCII)
_LARGEST_ID = 2**32 - 2  # the one above means "nobody in particular" to the kernel


def file_copy(file: FileTable, at: At, tasks: Section, reading: Reading) -> FileCopy:
    """One line of `files`, with its faults added to the reading."""
    return FileCopy(
        _source(file.source, at / "from", tasks, reading),
        in_image(file.to, at / "to", reading.faults),
        at,
        _mode(file.mode, at / "mode", reading),
        _owner(file.owner, at / "owner", reading),
        file.unpack,
        file.exclude,
    )


def _source(source: str, at: At, tasks: Section, reading: Reading) -> str:
    if not source.startswith(_TASK):
        return one_in_project(source, at, "source", reading.faults)
    name = source.removeprefix(_TASK)
    if name not in tasks.tables:
        reading.unknown(at, "task", name, tasks.tables)
    return source


def _mode(mode: str | None, at: At, reading: Reading) -> int | None:
    if mode is None or _MODE.fullmatch(mode):
        return int(mode, 8) if mode else None
    reading.fault(at, f"'{mode}' is no mode", 'write three or four octal digits, such as "0644"')
    return None


def _owner(owner: str | None, at: At, reading: Reading) -> tuple[int, int]:
    if owner is None:
        return (0, 0)
    match = _OWNER.fullmatch(owner)
    user, group = (int(match[1]), int(match[2] or match[1])) if match else (-1, -1)
    if 0 <= user <= _LARGEST_ID and 0 <= group <= _LARGEST_ID:
        return (user, group)
    hint = 'write numbers, such as "1000:1000": names mean different numbers in different images'
    reading.fault(at, f"'{owner}' is no user and group", hint)
    return (0, 0)
