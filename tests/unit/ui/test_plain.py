import io
import subprocess
import sys

import pytest

from imgbake.events import (
    BuildFinished,
    BuildStarted,
    Event,
    NodeFailed,
    NodeFinished,
    NodeNote,
    NodeOutput,
    NodeProgress,
    NodeSkipped,
    NodeStarted,
)
from imgbake.ui import Mode, for_progress

MIB = 1 << 20


def said(*events: Event, mode: Mode = "plain") -> str:
    stream = io.StringIO()
    screen = for_progress(mode, stream, {})
    for event in events:
        screen.on(event)
    screen.close()
    return stream.getvalue()


def test_a_build_that_succeeds() -> None:
    assert said(
        BuildStarted(0, nodes=5, jobs=2),
        NodeFinished(0, "task:old", "cached", 0.0),
        NodeStarted(0, "task:wheel", ("src/a.py changed", "src/b.py changed", "option run changed")),
        NodeStarted(0, "task:docs", ("never built",)),
        NodeOutput(1, "task:wheel", "building"),
        NodeOutput(1, "task:wheel", ""),
        NodeNote(2, "task:docs", "no theme was set\nso the default is used"),
        NodeFinished(2, "task:docs", "ran", 0.04),
        NodeFinished(3, "task:wheel", "ran", 3.12),
        NodeFinished(3, "base:python", "restored", 0.2),
        NodeFinished(4, "image:shop", "ran", 1.5, reference="shop@sha256:0123"),
        BuildFinished(4, seconds=4.2, ran=3, cached=12, restored=1, failed=0, skipped=0),
    ) == (
        "task:wheel: runs: src/a.py changed (and 2 more)\n"
        "task:docs: runs: never built\n"
        "task:wheel | building\n"
        "task:wheel |\n"
        "task:docs: note: no theme was set\n"
        "task:docs:   so the default is used\n"
        "task:docs: done in 0.04 s\n"
        "task:wheel: done in 3.1 s\n"
        "base:python: restored in 0.20 s\n"
        "image:shop: done in 1.5 s -> shop@sha256:0123\n"
        "slowest: task:wheel 3.1 s, image:shop 1.5 s\n"
        "3 ran, 12 cached, 1 restored in 4.2 s\n"
    )


FAILURE = NodeFailed(
    3,
    "task:wheel",
    0.31,
    "`make`\nended with exit code 2",
    "install a compiler",
    ("cc: not found", "Error 2"),
)
END = BuildFinished(4, seconds=61, ran=0, cached=1, restored=0, failed=1, skipped=1)
REPEATED = (
    "failed: task:wheel: `make`\n"
    "  see the whole log: imgbake log task:wheel\n"
    "1 failed, 1 skipped, 1 cached in 1 min 1 s\n"
)


def test_a_failure_shows_its_last_lines_message_and_hint_and_is_repeated_at_the_end() -> None:
    assert said(
        NodeStarted(0, "task:wheel", ("never built",)),
        FAILURE,
        NodeSkipped(3, "image:shop", "task:wheel failed"),
        END,
    ) == (
        "task:wheel: runs: never built\n"
        "task:wheel | cc: not found\n"
        "task:wheel | Error 2\n"
        "task:wheel: failed after 0.31 s: `make`\n"
        "task:wheel:   ended with exit code 2\n"
        "task:wheel: hint: install a compiler\n"
        "image:shop: skipped: task:wheel failed\n" + REPEATED
    )


def test_last_lines_that_stand_right_above_are_not_repeated() -> None:
    lines = [NodeOutput(1, "task:wheel", line) for line in ("make", "cc: not found", "Error 2")]
    assert said(*lines, FAILURE).count("Error 2") == 1
    assert said(*lines, NodeOutput(2, "task:other", "hello"), FAILURE).count("Error 2") == 2


def test_quiet_shows_failures_and_nothing_else() -> None:
    started = NodeStarted(0, "task:wheel", ("never built",))
    good = BuildFinished(4, seconds=1, ran=1, cached=0, restored=0, failed=0, skipped=0)
    assert said(started, NodeOutput(1, "task:wheel", "x"), good, mode="quiet") == ""
    assert said(started, FAILURE, END, mode="quiet") == (
        "task:wheel | cc: not found\n"
        "task:wheel | Error 2\n"
        "task:wheel: failed after 0.31 s: `make`\n"
        "task:wheel:   ended with exit code 2\n"
        "task:wheel: hint: install a compiler\n" + REPEATED
    )


def test_quiet_says_that_a_build_was_interrupted() -> None:
    end = BuildFinished(1, seconds=1.3, ran=0, cached=0, restored=0, failed=0, skipped=1, interrupted=True)
    assert said(end, mode="quiet") == "interrupted: 1 skipped in 1.3 s\n"


def test_a_second_attempt_says_so() -> None:
    assert said(NodeStarted(0, "task:get", ("timed out",), attempt=2)) == (
        "task:get: runs again (attempt 2): timed out\n"
    )


def test_progress_is_a_line_every_ten_seconds_at_most() -> None:
    steps = [
        NodeProgress(time, "task:get", int(time * MIB), 40 * MIB, "bytes") for time in (1, 9, 12, 14, 23)
    ]
    assert said(NodeStarted(0, "task:get", ()), *steps) == (
        "task:get: runs\ntask:get: 12.0 MiB of 40.0 MiB (30%)\ntask:get: 23.0 MiB of 40.0 MiB (57%)\n"
    )
    files = [NodeProgress(time, "task:x", 5, 0, "files") for time in (0, 11)]
    assert said(*files) == "task:x: 5 files\n"
    copied = [NodeProgress(time, "deliver:x", 42, 100, "% copied") for time in (0, 11)]
    assert said(*copied) == "deliver:x: 42% copied\n"


def test_nothing_to_do() -> None:
    def end(cached: int) -> BuildFinished:
        return BuildFinished(0, seconds=0.04, ran=0, cached=cached, restored=0, failed=0, skipped=0)

    assert said(end(10_000)) == "10000 cached in 0.04 s\n"
    assert said(end(0)) == "nothing to do in 0.04 s\n"


def test_many_failures_are_counted_at_the_end() -> None:
    failures = [NodeFailed(0, f"task:n{number}", 0, "no") for number in range(25)]
    end = BuildFinished(0, seconds=0, ran=0, cached=0, restored=0, failed=25, skipped=0)
    assert said(*failures, end).endswith("failed: task:n19: no\nfailed: 5 more\n25 failed in 0.00 s\n")


def test_what_the_stream_cannot_encode_is_spelled_out() -> None:
    raw = io.BytesIO()
    screen = for_progress("plain", io.TextIOWrapper(raw, encoding="ascii"), {})
    screen.on(NodeOutput(0, "task:x", "é 日"))
    assert raw.getvalue() == b"task:x | \\xe9 \\u65e5\n"


@pytest.mark.parametrize("mode", ["plain", "quiet", "json"])
def test_a_reader_that_goes_away_does_not_stop_the_build(mode: str) -> None:
    program = (
        "import sys; from imgbake.ui import for_progress; from imgbake.events import NodeFailed\n"
        f"screen = for_progress({mode!r}, sys.stderr, {{}})\n"
        "for number in range(20000): screen.on(NodeFailed(0, 'task:x', 0, 'no'))\n"
        "screen.close(); print('built')"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", program], **pipes) as process:  # type: ignore[call-overload]
        process.stderr.close()
        assert process.stdout.read() == b"built\n"
    assert process.returncode == 0
