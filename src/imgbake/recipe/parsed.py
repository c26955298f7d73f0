"""Parsed TOML, kept by content: tomllib is written in Python and slow for a large recipe.

A file of the folder is named by the digest of the TOML text and holds the digest of what follows,
then the tables in msgpack. It is a cache: one that is missing, damaged or cannot be written costs
time and nothing else. What holds a password in a URL is not kept.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

_FORMAT = b"imgbake parsed 1\n"  # changed when a file of the folder comes to mean something else
_DIGEST_SIZE = hashlib.sha256().digest_size
_FEW = 4  # files that are always kept
_MOST_BYTES = 32 << 20
_PASSWORD = re.compile(rb"://[^/\s\"'@]*:[^/\s\"'@]*@|https?://[^/\s\"'@]+@")


def parse(text: str, folder: Path | None, *, keep: bool = True) -> dict[str, Any]:
    """The tables of a TOML text, from the folder if it was parsed before; it is kept there if `keep`.

    Raises ValueError (a TOMLDecodeError, mostly) or RecursionError when it cannot be parsed.
    """
    if folder is None:
        return _parse(text)
    file = folder / hashlib.sha256(_FORMAT + text.encode()).hexdigest()
    table = _load(file)
    if table is None:
        table = _parse(text)
        if keep:
            with suppress(OSError):
                _save(file, table)
    return table


def _parse(text: str) -> dict[str, Any]:
    import tomllib  # costs several milliseconds, and most recipes were parsed before

    return tomllib.loads(text)


def _load(file: Path) -> dict[str, Any] | None:
    try:
        data = file.read_bytes()
    except OSError:
        return None
    payload = data[_DIGEST_SIZE:]
    if hashlib.sha256(payload).digest() != data[:_DIGEST_SIZE]:
        return None
    try:
        return msgspec.msgpack.decode(payload, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        return None


def _save(file: Path, table: dict[str, Any]) -> None:
    payload = _encoded(table)
    if payload is None or _PASSWORD.search(payload):
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.parent / f".{file.name}.{os.getpid()}"
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(hashlib.sha256(payload).digest() + payload)
    new.replace(file)
    _prune(file.parent)


def _encoded(table: dict[str, Any]) -> bytes | None:
    """The tables in msgpack; None when they would not come back the same, as a date would not."""
    try:
        payload = msgspec.msgpack.encode(table)
        same: bool = msgspec.msgpack.decode(payload) == table
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
        return None
    return payload if same else None


def _prune(folder: Path) -> None:
    """Removes the oldest files of a folder that has become large."""
    with os.scandir(folder) as entries:
        files = [(entry.stat(follow_symlinks=False), entry.path) for entry in entries]
    files.sort(key=lambda item: item[0].st_mtime_ns, reverse=True)
    total = 0
    for number, (status, path) in enumerate(files):
        total += status.st_size
        if number >= _FEW and total > _MOST_BYTES:
            Path(path).unlink()
