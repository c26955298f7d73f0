"""Where a key of a TOML text stands."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from imgbake.recipe.location import literal, locate

TEXT = """\
title = "x" # comment with = and [brackets]

[tasks.wheel]
run = 'python -m build'
"quoted key" = 1
inputs = [
  "a.py",  # first
  "b.py",
]
env.DEEP.name = 3

[components.app]
files = [
  { from = "a", to = "/a" },
  { from = "b", to = "/b", mode = "06\\"40" },
]
text = \"\"\"
not = a key
[not.a.table]
\"\"\"
after = true

[[servers]]
host = "one"
[[servers]]
host = "two"
[servers.tls]
cert = "c.pem"
"""


def found(path: tuple[str | int, ...], *, value: bool = False, piece: str = "") -> tuple[str, str]:
    """Where the key is, and the characters that are meant."""
    where = locate("f", TEXT, path, value=value, piece=piece)
    text = where.text[where.column - 1 : where.column - 1 + where.width]
    return f"{where.line}:{where.column}", text


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        (("title",), ("1:1", "title"), ("1:9", '"x"')),
        (("tasks",), ("3:2", "tasks"), ("3:2", "tasks")),
        (("tasks", "wheel"), ("3:8", "wheel"), ("3:8", "wheel")),
        (("tasks", "wheel", "run"), ("4:1", "run"), ("4:7", "'python -m build'")),
        (("tasks", "wheel", "quoted key"), ("5:1", '"quoted key"'), ("5:16", "1")),
        (("tasks", "wheel", "inputs"), ("6:1", "inputs"), ("6:10", "[")),
        (("tasks", "wheel", "inputs", 1), ("8:3", '"b.py"'), ("8:3", '"b.py"')),
        (("tasks", "wheel", "env", "DEEP"), ("10:5", "DEEP"), ("10:5", "DEEP")),
        (("tasks", "wheel", "env", "DEEP", "name"), ("10:10", "name"), ("10:17", "3")),
        (("components", "app", "files", 1, "from"), ("15:5", "from"), ("15:12", '"b"')),
        (("components", "app", "files", 1, "mode"), ("15:28", "mode"), ("15:35", '"06\\"40"')),
        (("components", "app", "text"), ("17:1", "text"), ("17:8", '"""')),
        (("components", "app", "after"), ("21:1", "after"), ("21:9", "true")),
        (("servers", 0, "host"), ("24:1", "host"), ("24:8", '"one"')),
        (("servers", 1), ("25:1", "[[servers]]"), ("25:1", "[[servers]]")),
        (("servers", 1, "host"), ("26:1", "host"), ("26:8", '"two"')),
        (("servers", 1, "tls", "cert"), ("28:1", "cert"), ("28:8", '"c.pem"')),
    ],
)
def test_keys_and_values_are_found(path: Any, key: tuple[str, str], value: tuple[str, str]) -> None:
    assert found(path) == key
    assert found(path, value=True) == value


def test_what_is_not_there_is_shown_at_the_nearest_table() -> None:
    assert found(("tasks", "wheel", "outputs")) == ("3:8", "wheel")
    assert found(("tasks", "wheel", "outputs", 3), value=True) == ("3:8", "wheel")
    assert found(("components", "app", "files", 7)) == ("13:1", "files")
    assert str(locate("f", TEXT, ("nothing",))) == "f"
    assert str(locate("f", TEXT, ())) == "f"


def test_a_piece_of_a_value_is_found() -> None:
    assert found(("tasks", "wheel", "run"), piece="-m build") == ("4:15", "-m build")
    assert found(("components", "app", "text"), piece="a key") == ("18:7", "a key")
    assert found(("tasks", "wheel", "run"), value=True, piece="gone") == ("4:7", "'python -m build'")


def test_windows_lines_and_strange_characters() -> None:
    where = locate("f", 'a = 1\r\n"\\u00e9\tb" = "x\u2028y"\r\nc = 3\r\n', ("c",))
    assert (where.line, where.column, where.text) == (3, 1, "c = 3")
    assert "\u2028" not in locate("f", '"é" = "x\u2028y"', ("é",)).text


def test_a_number_keeps_how_it_was_written() -> None:
    assert literal("[args]\npython = 3.10 # not 3.1", ("args", "python")) == "3.10"
    assert literal("a = 1", ("b",)) is None


def test_text_that_breaks_off_is_no_trap() -> None:
    for length in range(len(TEXT)):
        locate("f", TEXT[:length], ("tasks", "wheel", "run"))


keys = st.text(min_size=1, max_size=4)
values = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(keys, values, max_size=4))
def test_every_key_of_any_toml_is_found(table: dict[str, Any]) -> None:
    text = tomli_w.dumps(table)
    assert tomllib.loads(text) == table
    for path, value in paths(table, ()):
        where = locate("f", text, path)
        assert where.line, path
        if isinstance(value, int) and not isinstance(value, bool):
            assert literal(text, path) == str(value)


def paths(value: Any, path: tuple[str | int, ...]) -> list[tuple[tuple[str | int, ...], Any]]:
    """Every path in a value, and what is there."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    below = [((*path, key), item) for key, item in items]
    return below + [deeper for inner, item in below for deeper in paths(item, inner)]
