"""Whatever a command does, its layer on what was below gives what the command saw when it ended."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgbake_sandbox.tests import trees
from imgbake_sandbox.tests.trees import needs_root, operations

components = st.lists(st.lists(operations, min_size=1, max_size=15), min_size=1, max_size=3)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    with trees.memory(tmp_path / "memory") as folder:
        yield folder


@needs_root
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(components)
def test_layers_on_their_base_are_what_the_commands_saw(
    memory: Path, components: list[list[tuple[Any, ...]]]
) -> None:
    with trees.scratch(memory) as folder:
        lowers = [trees.some_of_everything(folder / "base")]
        for number, commands in enumerate(components):
            lowers.append(_baked(folder, number, lowers, commands))


def _baked(folder: Path, number: int, lowers: list[Path], commands: list[tuple[Any, ...]]) -> Path:
    """Runs commands on these folders, and returns the folder of the layer that was made of it."""
    upper = folder / f"upper-{number}"
    upper.mkdir()
    with trees.mounted(lowers, upper) as root:
        for command in commands:
            trees.run(root, command)
        seen = trees.snapshot(root)
        linked = _linked(upper)
        found = trees.captured(upper, lowers)
        digest = trees.layer(found, upper, folder / f"{number}.tar.gz")
    extracted = folder / f"layer-{number}"
    trees.extracted(folder / f"{number}.tar.gz", extracted)
    with trees.mounted([*lowers, extracted]) as root:
        assert trees.snapshot(root) == seen
        for names in linked:
            assert len({(root / name).lstat().st_ino for name in names}) == 1
    trees.settled(found, upper)
    assert trees.bare_snapshot(upper) == trees.bare_snapshot(extracted)
    again = folder / f"again-{number}.tar.gz"
    assert trees.layer(trees.captured(extracted, lowers), extracted, again) == digest
    return extracted


def _linked(upper: Path) -> list[list[str]]:
    """The names of each file that has more than one."""
    found: dict[int, list[str]] = defaultdict(list)
    for folder, _, files in os.walk(upper):
        for name in files:
            path = Path(folder, name)
            if not path.is_char_device():
                found[path.lstat().st_ino].append(str(path.relative_to(upper)))
    return [names for names in found.values() if len(names) > 1]
