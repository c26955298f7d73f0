"""Places in the project: which path an option may name, and putting files there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path
from urllib.parse import unquote

from imgbake.api import StepError

_WILD = frozenset("*?[]")


def checked(option: str, path: str) -> None:
    """Raises ValueError when an option's path leaves the project, or isn't one plain path.

    Text that still holds a recipe argument can't be judged yet and passes; `inside` sees it later.
    """
    if "{{" in path:
        return
    if path.startswith(("/", "~")) or ".." in path.split("/"):
        raise ValueError(f"`{option}` must stay inside the project, and {path!r} does not")
    if _WILD.intersection(path):
        raise ValueError(f"`{option}` is one path, and {path!r} has wildcards")


def inside(root: Path, path: str) -> Path:
    """A project-relative path as an absolute one. Raises StepError when it leads elsewhere."""
    full = root / path
    if full != root and not full.resolve().is_relative_to(root.resolve()):
        hint = "name a place inside the project; a symlink or '..' in the path leads elsewhere"
        raise StepError(f"{path} is outside the project", hint=hint)
    return full


def file_name(path: str) -> str:
    """A file name for the last segment of a url's path; a plain word for a secret, and for no name."""
    name = unquote(path.rpartition("/")[2])
    plain = "".join("_" if character in "/\0*?[]" else character for character in name)
    return plain if plain.strip(".") and "{{" not in plain else "download"


def put_file(source: Path, target: Path) -> None:
    """Moves a file to where it belongs, replacing what is there in one step.

    Raises StepError when a folder is in the way, OSError when the disk refuses.
    """
    if target.is_dir():
        hint = "remove it, or move `to`"
        raise StepError(f"{target} is a folder; a file should be written there", hint=hint)
    target.parent.mkdir(parents=True, exist_ok=True)
    new = _beside(target, "new")
    _bring(source, new)
    new.replace(target)


def put_folder(source: Path, target: Path) -> None:
    """Moves a folder to where it belongs, replacing what is there by two renames.

    Whoever looks between them sees nothing at all, and never half of either. What a killed run left
    of an earlier replacement is removed. Raises OSError when the disk refuses.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    new, old = _beside(target, "new"), _beside(target, "old")
    _remove(old)
    _bring(source, new)
    with contextlib.suppress(FileNotFoundError):
        target.rename(old)
    new.rename(target)
    _remove(old)


def _beside(target: Path, what: str) -> Path:
    return target.with_name(f".{target.name}.imgbake-{what}")


def _bring(source: Path, new: Path) -> None:
    """Moves a file or folder to a new place, also from another file system."""
    import shutil

    _remove(new)
    try:
        source.rename(new)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        try:
            shutil.move(source, new)
        except BaseException:
            _remove(new)
            raise


def _remove(path: Path) -> None:
    import shutil

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
