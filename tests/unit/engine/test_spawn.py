"""Started processes: where they run, what they get, how they are refused."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from imgbake.engine import spawn


def _said(argv: Sequence[str], cwd: Path, env: dict[bytes, bytes] | None = None) -> tuple[int, str]:
    """How a program exits, and what it writes."""
    reader, writer = os.pipe()
    try:
        process = spawn.start(argv, os.environb if env is None else env, cwd, stdout=writer, stderr=writer)
    finally:
        os.close(writer)
    with open(reader, encoding="utf-8") as output:
        text = output.read()
    return spawn.Child(process).wait(), text


def test_it_runs_where_it_is_told(tmp_path: Path) -> None:
    assert _said(["/bin/pwd"], tmp_path) == (0, f"{tmp_path}\n")
    assert _said(["pwd"], Path.cwd()) == (0, f"{Path.cwd()}\n")


def test_words_with_spaces_and_quotes_arrive_as_they_are(tmp_path: Path) -> None:
    words = ["a b", "'", '"', "$HOME", "", "-n"]
    assert _said(["printf", "%s,", *words], tmp_path) == (0, "a b,',\",$HOME,,-n,")


def test_a_program_is_looked_for_where_its_environment_says(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "greet"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    env = {b"PATH": os.fsencode(program.parent) + b":/bin"}
    assert _said(["greet"], tmp_path, env) == (0, "hello\n")
    assert _said(["greet"], Path.cwd(), env) == (0, "hello\n")
    assert _said(["bin/greet"], tmp_path) == (0, "hello\n")


@pytest.mark.parametrize("is_here", [True, False])
def test_what_cannot_be_run_is_refused_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_here: bool
) -> None:
    if is_here:
        monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("no program")
    with pytest.raises(FileNotFoundError):
        _said(["./nowhere"], tmp_path)
    with pytest.raises(FileNotFoundError):
        _said(["no-such-program"], tmp_path)
    with pytest.raises(PermissionError):
        _said(["./text"], tmp_path)


def test_it_has_its_own_group_nothing_to_read_and_the_usual_signals(tmp_path: Path) -> None:
    shown = 'read line || echo none; ps -o pgid= -p $$ | tr -d " "; echo $$; grep SigIgn /proc/$$/status'
    code, text = _said(["/bin/sh", "-c", shown], tmp_path)
    nothing, group, leader, ignored = text.split("\n", 3)
    assert (code, nothing, group) == (0, "none", leader)
    assert not int(ignored.split()[1], 16) & 1 << (signal.SIGPIPE - 1)


def test_it_gets_no_file_that_we_have_open(tmp_path: Path) -> None:
    with open(tmp_path / "open", "w", encoding="utf-8"):
        code, text = _said(["/bin/sh", "-c", "ls -l /proc/$$/fd"], tmp_path)
    assert (code, "/open" in text, "/dev/null" in text) == (0, False, True)


def test_how_it_ended_is_told(tmp_path: Path) -> None:
    assert _said(["/bin/sh", "-c", "exit 3"], tmp_path)[0] == 3
    assert _said(["/bin/sh", "-c", "kill -9 $$"], tmp_path)[0] == -signal.SIGKILL
