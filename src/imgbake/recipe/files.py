"""The files of a recipe: imgbake.toml, what it includes, and their tables put together."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from imgbake.errors import UsageError, Where, did_you_mean
from imgbake.files.glob import PRIVATE, is_literal
from imgbake.files.regular import read_file
from imgbake.model import At
from imgbake.recipe import names
from imgbake.recipe.expand import texts
from imgbake.recipe.faults import Fault
from imgbake.recipe.parsed import parse

_NUL = re.compile(r"\\(?:u0000|U00000000|x00)")
SECTIONS = (
    "args",
    "tasks",
    "components",
    "images",
    "targets",
    "destinations",
    "distributions",
    "streams",
    "triggers",
)
_OWN_KEYS = ("project", "include")  # of the recipe itself, not of what it includes


class Document(msgspec.Struct, frozen=True):
    """One TOML file, parsed."""

    file: str  # as it is shown, and as an `At` names it
    text: str
    table: dict[str, Any]


class Section(msgspec.Struct, frozen=True):
    """All tables of one kind, such as [tasks], over all files. Their values are not checked yet."""

    name: str
    tables: dict[str, Any]
    files: dict[str, str]  # the file that each is in
    expands: bool  # is there text with `{{` in one of the files?

    def at(self, name: str) -> At:
        """The place of one of the tables."""
        return At(self.files[name], (self.name, name))


def read_documents(
    path: Path, parsed: Path | None, faults: list[Fault], *, keep: bool = True
) -> list[Document]:
    """The recipe, then what it includes. What cannot be read or parsed of them adds faults instead.

    `parsed` is the folder that keeps parsed TOML, if `keep`, for the next time. Raises UsageError when
    there is no recipe.
    """
    try:
        data = read_file(path)
    except FileNotFoundError:
        raise UsageError(f"there is no recipe {path}", hint=_where_else(path)) from None
    except OSError as error:
        raise UsageError(f"the recipe {path} cannot be read: {error.strerror}") from None
    recipe = _document(str(path), data, parsed, faults, keep)
    documents = [recipe]
    for file, at in _included(recipe, path, faults):
        try:
            data = Path(file).read_bytes()
        except OSError as error:
            faults.append(Fault(at, f"{file} cannot be read: {error.strerror}", value=True))
            continue
        documents.append(_document(file, data, parsed, faults, keep))
    return documents


def include_folders(recipe: Document, folder: Path) -> Iterator[Path]:
    """Where files to include are looked for by a pattern: one that comes to be there may be meant."""
    patterns = recipe.table.get("include", [])
    for pattern in patterns if isinstance(patterns, list) else []:
        parts = Path(pattern).parts if isinstance(pattern, str) else ()
        for index in range(len(parts)):
            if not is_literal("/".join(parts[: index + 1])):
                yield from _matching(folder, "/".join(parts[:index]), Path.is_dir) if index else [folder]


def sections(documents: list[Document], faults: list[Fault]) -> dict[str, Section]:
    """The tables of all files by section, with the faults of top-level keys and of names added."""
    for number, document in enumerate(documents):
        faults += _unknown_keys(document, included=number > 0)
    found = {name: _section(name, documents, faults) for name in SECTIONS}
    for section in found.values():
        faults += _bad_names(section)
    return found


def _where_else(path: Path) -> str:
    for folder in path.parent.resolve().parents:
        if (folder / path.name).is_file():
            return f"one is further up: write -C {os.path.relpath(folder)}"
    return "`imgbake init` writes one; -f FILE and -C DIR look elsewhere"


def _document(file: str, data: bytes, parsed: Path | None, faults: list[Fault], keep: bool) -> Document:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        line = before.rpartition("\n")[2]
        where = Where(file, before.count("\n") + 1, len(line) + 1, line)
        faults.append(Fault(None, "the file is not valid UTF-8", "save it as UTF-8", where=where))
        return Document(file, "", {})
    try:
        table = parse(text, parsed, keep=keep)
    except (ValueError, RecursionError) as error:
        from imgbake.recipe.salvage import salvaged  # only a recipe with errors is looked into

        text, table = salvaged(file, text, error, faults)
    if _NUL.search(text) and (found := list(_nul_faults(table, At(file, ())))):
        faults += found
        table = parse(_NUL.sub(r"\\uFFFD", text), None)
    return Document(file, text, table)


def _nul_faults(table: dict[str, Any], at: At) -> Iterator[Fault]:
    """Faults for text with a NUL, which neither a path nor a command may hold."""
    for place, value in texts(table, at):
        if "\0" in value:
            yield Fault(
                place, "the text holds a NUL character", "no file, command or variable can", value=True
            )


def _included(recipe: Document, path: Path, faults: list[Fault]) -> Iterator[tuple[str, At]]:
    """The files that the recipe includes, each once, with the place of the pattern."""
    patterns = recipe.table.get("include", [])
    at = At(recipe.file, ("include",))
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
        hint = 'write include = ["components/*.toml"]'
        faults.append(Fault(at, "'include' must be an array of strings", hint, value=True))
        return
    seen = {path.resolve()}
    for index, pattern in enumerate(patterns):
        files = _matching(path.parent, pattern)
        if not files:
            message = f"nothing matches '{pattern}'"
            faults.append(Fault(at / index, message, "patterns are relative to the recipe", value=True))
        for file in files:
            if (resolved := file.resolve()) not in seen:
                seen.add(resolved)
                yield str(file), at / index


def _matching(folder: Path, pattern: str, is_meant: Callable[[Path], bool] = Path.is_file) -> list[Path]:
    try:
        found = [path for path in sorted(folder.glob(pattern)) if is_meant(path)]
    except (ValueError, NotImplementedError, OSError):  # what cannot be a pattern matches nothing
        return []
    return [path for path in found if PRIVATE.isdisjoint(path.relative_to(folder).parts)]


def _unknown_keys(document: Document, *, included: bool) -> Iterator[Fault]:
    known = SECTIONS if included else (*_OWN_KEYS, *SECTIONS)
    for key in document.table:
        at = At(document.file, (key,))
        if key in known:
            continue
        if key in _OWN_KEYS:
            yield Fault(at, f"'{key}' belongs into the recipe itself, not into a file that it includes")
        else:
            yield Fault(at, f"unknown key '{key}'", did_you_mean(key, known))


def _section(name: str, documents: list[Document], faults: list[Fault]) -> Section:
    tables: dict[str, Any] = {}
    files: dict[str, str] = {}
    for document in documents:
        found = document.table.get(name, {})
        at = At(document.file, (name,))
        if not isinstance(found, dict):
            faults.append(Fault(at, f"'{name}' must be a table", f"write [{name}.NAME]", value=True))
            continue
        for key in found.keys() & tables.keys():
            message = f"{name}.{key} is defined twice, first"
            faults.append(Fault(at / key, message, "rename one of them", other=At(files[key], (name, key))))
        tables = {**found, **tables} if tables else found
        files = {**dict.fromkeys(found, document.file), **files}
    return Section(name, tables, files, any("{{" in document.text for document in documents))


def _bad_names(section: Section) -> Iterator[Fault]:
    for name in section.tables:
        if not names.is_name(name):
            message = f"'{name}' cannot be a name"
            most = f"up to {names.LONGEST} letters (a to z), digits, '.', '_' and '-'"
            hint = f"{most}, the first a letter or digit"
            yield Fault(section.at(name), message, hint)
    for known, name in names.doubles(section.tables):
        message = f"the name '{name}' differs only in spelling from '{known}'"
        yield Fault(section.at(name), message, "rename one of them", other=section.at(known))
