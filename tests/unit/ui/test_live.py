import contextlib
import io
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pyte
import pytest
import rich.console

from imgbake.events import (
    BuildFinished,
    BuildStarted,
    Event,
    NodeFailed,
    NodeFinished,
    NodeOutput,
    NodeProgress,
    NodeSkipped,
    NodeStarted,
)
from imgbake.ui import Mode, for_progress
from imgbake.ui.canvas import Canvas
from imgbake.ui.frame import Frame, cut
from imgbake.ui.json_lines import JsonLines
from imgbake.ui.lines import Lines
from imgbake.ui.live import LiveView
from imgbake.ui.plain import Plain
from imgbake.ui.quiet import Quiet
from imgbake.ui.tables import cells
from imgbake.ui.wording import Line

MIB = 1 << 20


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def shown(*events: Event, width: int = 60, height: int = 12, after: float = 2.0) -> list[str]:
    clock = Clock()
    frame = Frame(clock)
    for event in events:
        frame.on(event)
    clock.now += after
    return [line.text for line in frame.rows(width, height)]


def running(*names: str) -> list[Event]:
    return [NodeStarted(0, name, ("never built",)) for name in names]


def test_a_frame_shows_running_nodes_and_counts() -> None:
    assert shown(
        BuildStarted(0, nodes=40, jobs=3),
        *[NodeFinished(0, f"task:old{number}", "cached", 0) for number in range(9)],
        *running("task:wheel", "base:python", "task:docs", "task:gone", "task:bad"),
        NodeFinished(0, "task:gone", "ran", 1),
        NodeFailed(0, "task:bad", 1, "no"),
        NodeSkipped(0, "task:after", "task:bad failed"),
        NodeOutput(0, "task:wheel", "\x1b[2Jcompiling"),
        NodeOutput(0, "task:wheel", "  "),
        NodeProgress(0, "base:python", 10 * MIB, 40 * MIB, "bytes"),
    ) == [
        "  task:wheel     2.0 s  compiling",
        "  base:python    2.0 s  10.0 MiB of 40.0 MiB (25%), 0 B/s",
        "  task:docs      2.0 s  never built",
        "12/40 done, 3 running, 9 cached, 1 failed, 1 skipped, 2.0 s",
    ]


def test_a_rate_is_what_came_since_the_first_progress() -> None:
    clock = Clock()
    frame = Frame(clock)
    for event in running("task:get"):
        frame.on(event)
    frame.on(NodeProgress(0, "task:get", 10 * MIB, 40 * MIB, "bytes"))  # resumed: ten were there already
    clock.now += 4
    frame.on(NodeProgress(0, "task:get", 30 * MIB, 40 * MIB, "bytes"))
    assert "30.0 MiB of 40.0 MiB (75%), 5.0 MiB/s" in frame.rows(80, 10)[0].text


@pytest.mark.parametrize("width", [1, 3, 10, 20, 40, 200])
@pytest.mark.parametrize("height", [1, 2, 5, 50])
def test_a_frame_fits(width: int, height: int) -> None:
    events = running(*(f"task:名前-{number}-{'long' * 9}" for number in range(20)))
    lines = shown(*events, NodeOutput(0, "task:名前-0-" + "long" * 9, "x" * 500), width=width, height=height)
    assert all(cells(line) <= width for line in lines)
    assert len(lines) <= max(2, height)


def test_more_nodes_than_rows_are_counted() -> None:
    lines = shown(*running(*"abcdefgh"), height=6, width=40)
    assert [line.split()[0] for line in lines[:3]] == ["a", "b", "c"]
    assert lines[3] == "  and 5 more"
    assert lines[4] == "0/0 done, 8 running, 2.0 s"


def test_a_cut_text_ends_in_dots() -> None:
    assert cut("abcdefgh", 8) == "abcdefgh"
    assert cut("abcdefghi", 8) == "abcde..."
    assert cells(cut("日本語日本語", 8)) <= 8


class Terminal(io.StringIO):
    """A terminal that keeps each write, and shows what a person would see after them."""

    def __init__(self, columns: int = 60, rows: int = 12) -> None:
        super().__init__()
        self.writes: list[str] = []
        self.screen = pyte.Screen(columns, rows)
        self.screen.set_mode(pyte.modes.LNM)  # the tty driver turns a newline into a carriage return too
        self.environ = {"TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": str(rows)}

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.writes.append(text)
        pyte.Stream(self.screen).feed(text)
        return len(text)

    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display if line.strip()]


def test_a_canvas_draws_a_frame_and_the_lines_above_it_in_one_write() -> None:
    terminal = Terminal()
    canvas = Canvas(Lines(terminal), terminal.environ)
    canvas.draw([Line("task:a: done", "green")], [Line("  task:b"), Line("  task:c"), Line("1/3 done")])
    assert terminal.lines() == ["task:a: done", "  task:b", "  task:c", "1/3 done"]
    assert terminal.screen.buffer[0][0].fg == "green"
    assert terminal.screen.cursor.hidden
    before = len(terminal.writes)
    canvas.draw([Line("x" * 70)], [Line("  [b]ut :smile:"), Line("2/3 done")])
    assert len(terminal.writes) == before + 1
    assert terminal.lines() == ["task:a: done", "x" * 60, "x" * 10, "  [b]ut :smile:", "2/3 done"]
    canvas.close()
    canvas.close()
    assert terminal.lines() == ["task:a: done", "x" * 60, "x" * 10]
    assert not terminal.screen.cursor.hidden
    assert (terminal.screen.cursor.x, terminal.screen.cursor.y) == (0, 3)


def test_lines_that_scroll_away_leave_nothing_of_the_frame_behind() -> None:
    terminal = Terminal(rows=5)
    canvas = Canvas(Lines(terminal), terminal.environ)
    for number in range(20):
        canvas.draw([Line(f"done {number}")], [Line("  running"), Line(f"{number}/20 done")])
    assert terminal.lines() == ["done 17", "done 18", "done 19", "  running", "19/20 done"]
    canvas.close()
    assert terminal.lines() == ["done 18", "done 19"]  # done 17 has scrolled away


def test_what_a_narrowed_terminal_wraps_is_erased_too(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    canvas = Canvas(Lines(terminal), terminal.environ)
    canvas.draw([], [Line("x" * 60), Line("y" * 41), Line("z")])
    monkeypatch.setattr(rich.console.Console, "width", 20)
    canvas.draw([], [Line("z")])
    assert terminal.writes[-1].count("\x1b[1A") == 3 + 3 + 1 - 1


def test_without_colours_there_are_none() -> None:
    terminal = Terminal()
    canvas = Canvas(Lines(terminal), {**terminal.environ, "NO_COLOR": "1"})
    canvas.draw([Line("done", "green")], [Line("1/2 done")])
    assert terminal.screen.buffer[0][0].fg == "default"


def test_a_live_view_ends_with_the_summary_and_no_frame() -> None:
    terminal = Terminal(columns=40)
    view = LiveView(terminal, terminal.environ)
    for event in running("task:a", "task:b"):
        view.on(event)
    view.on(NodeFinished(0, "task:a", "ran", 0.2))
    wait_until(lambda: terminal.lines()[-1:] != [] and "1 running" in terminal.lines()[-1])
    assert terminal.lines()[0] == "task:a: done in 0.20 s"
    assert terminal.lines()[1].startswith("  task:b ")
    view.on(NodeFailed(0, "task:b", 0.3, "ended with 2", "look", tail=("\x1b[2Jboom",)))
    view.on(BuildFinished(0, 0.4, 1, 0, 0, 1, 0))
    assert terminal.lines() == [
        "task:a: done in 0.20 s",
        "task:b | boom",
        "task:b: failed after 0.30 s: ended with",
        "2",
        "task:b: hint: look",
        "failed: task:b: ended with 2",
        "  see the whole log: imgbake log task:b",
        "1 failed, 1 ran in 0.40 s",
    ]
    view.close()
    assert not terminal.screen.cursor.hidden


def test_an_interrupted_build_says_what_it_was_stopped_in() -> None:
    terminal = Terminal()
    view = LiveView(terminal, terminal.environ)
    for event in running("task:a"):
        view.on(event)
    view.on(NodeSkipped(0, "task:a", "interrupted"))
    view.on(NodeSkipped(0, "task:b", "the build stopped"))
    view.on(BuildFinished(0, 1.3, 0, 4, 0, 0, 2, interrupted=True))
    assert terminal.lines() == ["task:a: skipped: interrupted", "interrupted: 2 skipped, 4 cached in 1.3 s"]


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("waited ten seconds")


def test_a_build_that_is_over_at_once_draws_nothing_and_loads_no_library() -> None:
    program = """
import io, sys
from imgbake.events import *
from imgbake.ui.live import LiveView
stream = io.StringIO()
view = LiveView(stream, {})
view.on(BuildStarted(0, 2, 1))
view.on(NodeFinished(0, "task:a", "cached", 0))
view.on(NodeStarted(0, "task:b", ()))
view.on(NodeFinished(0, "task:b", "ran", 0.01))
view.on(BuildFinished(0, 0.01, 1, 1, 0, 0, 0))
print(stream.getvalue(), [name for name in sys.modules if name.startswith("rich")])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "task:b: done in 0.01 s\n1 ran, 1 cached in 0.01 s\n []\n"


INTERRUPTED = """
import os, sys, time
from imgbake.events import NodeStarted
from imgbake.ui import Mode, for_progress
screen = for_progress("auto", sys.stderr, os.environ)
try:
    screen.on(NodeStarted(0, "task:slow", ("never built",)))
    time.sleep(60)
finally:
    screen.close()
"""


def test_ctrl_c_gives_the_cursor_back() -> None:
    main, other = pty.openpty()
    environ = {**os.environ, "TERM": "xterm", "CI": "", "NO_COLOR": "", "COLUMNS": "60", "LINES": "12"}
    with subprocess.Popen([sys.executable, "-c", INTERRUPTED], stderr=other, env=environ) as process:
        os.close(other)
        terminal = Terminal()
        while "1 running" not in "".join(terminal.lines()):
            terminal.write(os.read(main, 1 << 16).decode())
        assert terminal.screen.cursor.hidden
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # EIO: the other side is closed
            while text := os.read(main, 1 << 16):
                terminal.write(text.decode())
    os.close(main)
    assert not terminal.screen.cursor.hidden
    assert terminal.lines()[0] == "Traceback (most recent call last):"


@pytest.mark.parametrize(
    ("mode", "environ", "terminal", "kind"),
    [
        ("auto", {"TERM": "xterm"}, True, LiveView),
        ("auto", {"TERM": "xterm", "CI": "false", "NO_COLOR": ""}, True, LiveView),
        ("auto", {"TERM": "xterm", "CI": "1"}, True, Plain),
        ("auto", {"TERM": "xterm", "NO_COLOR": "1"}, True, Plain),
        ("auto", {"TERM": "dumb"}, True, Plain),
        ("auto", {}, True, Plain),
        ("auto", {"TERM": "xterm"}, False, Plain),
        ("tty", {"TERM": "xterm", "CI": "1", "NO_COLOR": "1"}, True, LiveView),
        ("tty", {"TERM": "dumb"}, True, Plain),
        ("tty", {"TERM": "xterm"}, False, Plain),
        ("plain", {"TERM": "xterm"}, True, Plain),
        ("json", {"TERM": "xterm"}, True, JsonLines),
        ("quiet", {"TERM": "xterm"}, True, Quiet),
    ],
)
def test_the_screen_for_a_mode(mode: Mode, environ: dict[str, str], terminal: bool, kind: type) -> None:
    stream = Terminal() if terminal else io.StringIO()
    assert type(for_progress(mode, stream, environ)) is kind


def test_choosing_a_screen_imports_no_library() -> None:
    program = (
        "import sys; import imgbake.ui\n"
        "imgbake.ui.for_progress('plain', sys.stderr, {})\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'rich', 'typer', 'click', 'asyncio'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
