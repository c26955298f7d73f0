import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbake.ui import colours
from imgbake.ui.tables import age, duration, size, table


def test_columns_are_aligned_with_no_trailing_spaces() -> None:
    rows = [("task:wheel", "fresh", "1.2 MiB"), ("image:日本", "never built", ""), ("x", "", "12 B")]
    assert table(rows, ("node", "state", "size"), right={2}).splitlines() == [
        "node        state           size",
        "task:wheel  fresh        1.2 MiB",
        "image:日本  never built",
        "x                           12 B",
    ]


def test_a_table_may_have_no_header_and_no_rows() -> None:
    assert table([("a", "b"), ("ccc", "d")]) == "a    b\nccc  d"
    assert table([], ("node", "state")) == "node  state"
    assert table([]) == ""


def test_styles_do_not_move_columns() -> None:
    text = table([("a", "x"), ("bbb", "y")], ("n", "s"), style=lambda cell: "red" if cell == "a" else "")
    assert text.splitlines() == [
        "\x1b[1mn\x1b[0m    \x1b[1ms\x1b[0m",
        "\x1b[31ma\x1b[0m    x",
        "bbb  y",
    ]


def test_cells_cannot_control_the_terminal() -> None:
    assert table([("\x1b[2Ja\x07", "b")]) == "a\\x07  b"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.00 s"), (0, "0.00 s"), (0.042, "0.04 s"), (0.994, "0.99 s"), (0.995, "1.0 s"),
        (4.24, "4.2 s"), (59.94, "59.9 s"), (59.95, "1 min 0 s"), (125, "2 min 5 s"), (3599.6, "1 h 0 min"),
        (3780, "1 h 3 min"), (86399.9, "1 d 0 h"), (90061, "1 d 1 h"),
    ],
)  # fmt: skip
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (102_348, "99.9 KiB"),
        (102_400, "100 KiB"), (1023 * 1024 + 600, "1.0 MiB"), (120 << 20, "120 MiB"), (5 << 30, "5.0 GiB"),
        (3 << 60, "3072 PiB"),
    ],
)  # fmt: skip
def test_size(count: int, text: str) -> None:
    assert size(count) == text


@given(st.integers(0, 1000 << 50))
def test_a_size_has_at_most_four_digits(count: int) -> None:
    number, _unit = size(count).split()
    assert float(number) < 1024 and len(number) <= 4


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "just now"), (12.9, "12 s ago"), (300, "5 min ago"), (7300, "2 h ago"), (4e5, "4 d ago")],
)  # fmt: skip
def test_age(seconds: float, text: str) -> None:
    assert age(seconds) == text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "0"}, False), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_and_those_who_want_them(environ: dict[str, str], wanted: bool) -> None:
    assert colours.wanted(Terminal(), environ) is wanted
    assert not colours.wanted(io.StringIO(), environ)
