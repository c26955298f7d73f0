"""Plugins are loaded when a kind is asked for, by whichever thread asks first."""

from __future__ import annotations

import importlib
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from imgbake.entry_points import EntryPoint
from imgbake.plugins import Plugins

PLUGIN = """
import threading
from imgbake.api import hookimpl

asked, go_on = threading.Event(), threading.Event()

class Cell:
    kind, version = "cell", 1

@hookimpl
def imgbake_runners():
    asked.set()
    go_on.wait(20)
    return [Cell]
"""


def test_a_kind_is_found_while_another_thread_loads_its_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_cells.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    plugin = importlib.import_module("slow_cells")
    found = Plugins([EntryPoint("cell", "slow_cells")])
    second = threading.Event()

    def ask_too() -> object:
        plugin.asked.wait(20)
        second.set()
        return found.runner("cell")

    with ThreadPoolExecutor(2) as pool:
        asked: list[Future[object]] = [pool.submit(found.runner, "cell"), pool.submit(ask_too)]
        second.wait(20)
        threading.Timer(0.1, plugin.go_on.set).start()
        assert [each.result() for each in asked] == [plugin.Cell, plugin.Cell]
