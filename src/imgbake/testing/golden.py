"""What targets lower to, beside files that show it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def compare(folder: Path, documents: Mapping[str, str]) -> None:
    """Asserts that a folder has just these documents; with GOLDEN_UPDATE=1 it is given them first."""
    if os.environ.get("GOLDEN_UPDATE"):
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in documents.items():
            (folder / file).write_text(text)
    assert documents == {path.name: path.read_text() for path in folder.iterdir()}
