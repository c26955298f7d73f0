"""Arguments that `--save` keeps for the next builds: a TOML file in the project's state."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from imgbake.errors import BakeError

NAME = "args.toml"


def read(path: Path) -> dict[str, str]:
    """What is saved; nothing where there is no file. Raises BakeError for one that nobody saved so."""
    try:
        found: dict[str, str] = msgspec.toml.decode(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise BakeError(f"can't read saved arguments: {path}: {error.strerror}") from None
    except ValueError as error:
        raise _broken(path, str(error)) from None
    for name, value in found.items():
        if not isinstance(value, str):
            raise _broken(path, f"'{name}' is no string")
    return found


def save(path: Path, values: Mapping[str, str]) -> None:
    """Adds values to what is saved. Raises BakeError."""
    import tomli_w

    text = tomli_w.dumps(dict(sorted(({**read(path), **values}).items())))
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(exist_ok=True)
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise BakeError(f"can't save arguments: {path}: {error.strerror}") from None


def _broken(path: Path, why: str) -> BakeError:
    return BakeError(f"{path} can't be read: {why}", hint="mend it, or remove it and use --save again")
