"""Components that are documents in a target's own language: read, and checked before anything runs.

A document that is not there yet, because a task writes it or its name is wrong, is judged with its image.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imgbake.contract import Document, DocumentTaker
from imgbake.engine import blueprint
from imgbake.errors import BakeError
from imgbake.files.regular import read_file
from imgbake.model import Image, Recipe, Target
from imgbake.plugins import Plugins
from imgbake.recipe.faults import Fault


def read(root: Path, path: str) -> str:
    """The text of a document, relative to the project. Raises BakeError."""
    try:
        return read_file(root / path).decode("utf-8-sig")
    except FileNotFoundError:
        hint = "a path is relative to the recipe's folder"
        raise BakeError(f"there is no document {path}", hint=hint) from None
    except UnicodeDecodeError:
        raise BakeError(f"{path} is not valid UTF-8", hint="save it as UTF-8") from None
    except OSError as error:
        raise BakeError(f"{path} cannot be read: {error.strerror}") from None


def faults(recipe: Recipe, plugins: Plugins) -> list[Fault]:
    """What the targets find wrong with the documents that they are given, each fault once."""
    found = [
        fault
        for image in recipe.images.values()
        for name in image.targets
        if name in recipe.targets and any(component.document for component in image.components)
        for fault in _faults(image, recipe.targets[name], Path(recipe.root), plugins)
    ]
    return list(dict.fromkeys(found))


def _faults(image: Image, target: Target, root: Path, plugins: Plugins) -> Iterator[Fault]:
    cls: Any = plugins.target(target.uses)
    if not hasattr(cls, "check_documents"):
        return  # said already
    taker: DocumentTaker = cls(target.options)
    places = {each.name: each.at / "document" for each in image.components}
    for component, problems in taker.check_documents(_readable(image, root)).items():
        for problem in problems:
            at = None if problem.where else places[component]
            yield Fault(at, problem.message, problem.hint, value=True, where=problem.where)


def _readable(image: Image, root: Path) -> dict[str, Document]:
    """The documents that are there already, by component."""
    found: dict[str, Document] = {}
    for component in image.components:
        source = component.document
        if not source:
            continue
        with contextlib.suppress(BakeError):
            text = "" if blueprint.is_name(source) else read(root, source)
            found[component.name] = Document(source, text, component.params)
    return found
