"""Paths in a recipe: in the project with forward slashes, or in an image from its root."""

from __future__ import annotations

import re

from imgbake.model import At
from imgbake.recipe.faults import Fault

_PLAIN = re.compile(r"(?:(?!\.{0,2}(?:/|$))[^/\\]+(?:/|$))+")  # no empty, '.' or '..' segment
_WILD = re.compile(r"[*?\[]")


def in_project(paths: tuple[str, ...], at: At, what: str, faults: list[Fault]) -> tuple[str, ...]:
    """Paths or globs of files in the project, without "." and "..". Those that leave it add faults."""
    if all(map(_PLAIN.fullmatch, paths)):
        return paths
    return tuple(_tidy(path, at / index, what, faults) for index, path in enumerate(paths))


def one_in_project(path: str, at: At, what: str, faults: list[Fault]) -> str:
    """The same for a single path."""
    return path if _PLAIN.fullmatch(path) else _tidy(path, at, what, faults)


def in_image(path: str, at: At, faults: list[Fault]) -> str:
    """An absolute path in an image, without "." and empty segments; a slash at its end stays."""
    segments = [segment for segment in path.split("/") if segment not in ("", ".")]
    if not path.startswith("/"):
        hint = f'write "/{path}"' if path else "it begins with a slash"
        faults.append(Fault(at, f"'{path}' is not an absolute path", hint, value=True))
    elif ".." in segments:
        faults.append(Fault(at, f"'{path}' has a '..' in it", "write the path without it", value=True))
    folder = "/" if segments and path.endswith(("/", "/.")) else ""
    return "/" + "/".join(segments) + folder


def _tidy(path: str, at: At, what: str, faults: list[Fault]) -> str:
    segments = _normal(path)
    problem, hint = _problem(path, segments)
    if problem:
        faults.append(Fault(at, f"the {what} '{path}' {problem}", hint, value=True))
    if problem or not segments:
        return path if problem else "."
    return "/".join(segments) + ("/" if path.endswith("/") else "")


def _problem(path: str, segments: list[str] | None) -> tuple[str, str]:
    relative = "paths are relative to the recipe's folder, and stay in it"
    if not path:
        return "is empty", relative
    if "\\" in path:
        return "has a backslash in it", "write paths with forward slashes"
    if path.startswith("/"):
        return "is absolute", relative
    if segments is None:
        return "leaves the project", relative
    if ".." in path.split("/") and _WILD.search(path):
        return "has both a wildcard and '..'", "write it without '..'"
    return "", ""


def _normal(path: str) -> list[str] | None:
    """The segments of a path with '..' taken back; None when it leads out of the project."""
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if not segments:
                return None
            segments.pop()
        elif segment not in ("", "."):
            segments.append(segment)
    return segments
