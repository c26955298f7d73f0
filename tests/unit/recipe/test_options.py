"""Tables as typed options, with every fault found."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from imgbake.errors import PluginError
from imgbake.model import At
from imgbake.recipe import options
from imgbake.recipe.faults import Fault


class Inner(msgspec.Struct, frozen=True):
    size: int = 0


class Options(msgspec.Struct, frozen=True):
    name: str
    count: Annotated[int, Meta(ge=0, le=10)] = 1
    ratio: float = 0.5
    fast: bool = False
    run: str | tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    env: dict[str, str] = {}
    mode: Literal["copy", "move"] = "copy"
    inner: Inner | None = None
    parts: tuple[Inner, ...] = ()
    code: Annotated[str, Meta(pattern="^[a-z]+$", max_length=5)] = "a"
    some: Annotated[tuple[str, ...], Meta(min_length=1)] = ("x",)


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str


AT = At("f", ("tasks", "x"))


def faults_of(table: Any, type_: type[msgspec.Struct] = Options, **more: Any) -> list[tuple[str, str, str]]:
    """Place, message and hint of each fault."""
    found: list[Fault] = []
    value = options.read(table, type_, AT, found, **more)
    assert (value is None) == bool(found)
    return [(str(fault.at.path[2:]) if fault.at else "", fault.message, fault.hint) for fault in found]


def test_what_is_right_is_converted() -> None:
    faults: list[Fault] = []
    value = options.read({"name": "a", "run": ["b"], "inner": {"size": 2}}, Options, AT, faults)
    assert value == Options("a", run=("b",), inner=Inner(2))
    assert not faults


@pytest.mark.parametrize(
    ("key", "value", "message", "hint"),
    [
        ("name", 3, "'name' must be a string, not an integer", 'put it in quotes: name = "3"'),
        ("name", 3.1, "'name' must be a string, not a float", "put it in quotes"),
        ("name", True, "'name' must be a string, not a boolean", 'put it in quotes: name = "true"'),
        ("name", ["a"], "'name' must be a string, not an array", ""),
        ("name", datetime.date(2020, 1, 1), "'name' must be a string, not a date", ""),
        ("count", "3", "'count' must be an integer, not a string", "leave out the quotes: count = 3"),
        ("count", True, "'count' must be an integer, not a boolean", ""),
        ("count", -1, "'count' must be 0 or more", ""),
        ("count", 11, "'count' must be 10 or less", ""),
        ("ratio", "x", "'ratio' must be a number, not a string", ""),
        ("fast", "true", "'fast' must be a boolean, not a string", "leave out the quotes: fast = true"),
        (
            "run",
            1,
            "'run' must be a string or an array of strings, not an integer",
            'put it in quotes: run = "1"',
        ),
        ("tags", "a", "'tags' must be an array of strings, not a string", 'put it in brackets: tags = ["a"]'),
        ("tags", {}, "'tags' must be an array of strings, not a table", ""),
        ("env", [], "'env' must be a table of strings, not an array", ""),
        ("mode", "mvoe", "'mode' cannot be \"mvoe\"", 'did you mean \'move\'? choose from "copy", "move"'),
        ("mode", 1, "'mode' cannot be 1", 'choose from "copy", "move"'),
        ("code", "A1", "'code' cannot be 'A1'", "it must match ^[a-z]+$"),
        ("code", "abcdef", "'code' is longer than 5", ""),
        ("some", [], "'some' must not be empty", ""),
    ],
)
def test_a_value_of_the_wrong_type(key: str, value: Any, message: str, hint: str) -> None:
    assert faults_of({"name": "a", key: value}) == [(f"('{key}',)", message, hint)]


def test_everything_is_found_at_once() -> None:
    table = {
        "nmae": "x",
        "tags": ["a", 2, "b", False],
        "env": {"A": "1", "B": 2},
        "inner": {"sizee": 1, "size": "2"},
        "parts": [{"size": 1}, {"size": 1.5}, 3],
    }
    assert faults_of(table) == [
        ("('nmae',)", "unknown key 'nmae' in tasks.x", "did you mean 'name'?"),
        ("()", "'name' is missing in tasks.x", 'add name = "..."'),
        ("('tags', 1)", "'tags[1]' must be a string, not an integer", 'put it in quotes: "2"'),
        ("('tags', 3)", "'tags[3]' must be a string, not a boolean", 'put it in quotes: "false"'),
        ("('env', 'B')", "'B' must be a string, not an integer", 'put it in quotes: B = "2"'),
        ("('inner', 'sizee')", "unknown key 'sizee' in tasks.x.inner", "did you mean 'size'?"),
        ("('inner', 'size')", "'size' must be an integer, not a string", "leave out the quotes: size = 2"),
        ("('parts', 1, 'size')", "'size' must be an integer, not a float", ""),
        ("('parts', 2)", "'parts[2]' must be a table, not an integer", ""),
    ]


def test_unknown_keys_of_structs_that_would_ignore_them_are_found() -> None:
    assert faults_of({"name": "a", "inner": {"depth": 1}}) == [
        ("('inner', 'depth')", "unknown key 'depth' in tasks.x.inner", "known here: size")
    ]


def test_a_table_shared_by_two_structs() -> None:
    faults: list[Fault] = []
    table = {"url": "u", "name": "n"}
    assert options.read(table, Strict, AT, faults, beside=(Options,)) == Strict("u")
    assert options.read(table, Options, AT, faults, beside=(Strict,)) == Options("n")
    assert not faults
    assert faults_of({"urll": "u", "name": "n"}, Options, beside=(Strict,)) == [
        ("('urll',)", "unknown key 'urll' in tasks.x", "did you mean 'url'?")
    ]


def test_what_is_no_table() -> None:
    assert faults_of(3) == [("()", "'x' must be a table, not an integer", "")]


def test_what_only_the_type_itself_knows() -> None:
    class Checked(msgspec.Struct, frozen=True):
        low: int = 0
        high: int = 1

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("`low` is above `high`")

    assert faults_of({"low": 2}, Checked) == [("('low',)", "`low` is above `high`", "")]
    assert faults_of({"low": 2, "hihg": 3}, Checked)[0][1] == "unknown key 'hihg' in tasks.x"


def test_many_tables_at_once() -> None:
    faults: list[Fault] = []
    tables: dict[str, object] = {f"t{number}": {"name": f"n{number}"} for number in range(3)}
    found = options.read_all(tables, Options, lambda name: At("f", (name,)), faults)
    assert [value.name for value, is_right in found.values() if value and is_right] == ["n0", "n1", "n2"]
    tables["t1"] = {"name": 1, "count": 5}
    found = options.read_all(tables, Options, lambda name: At("f", (name,)), faults)
    assert [is_right for _, is_right in found.values()] == [True, False, True]
    assert [str(fault.at.path) for fault in faults if fault.at] == ["('t1', 'name')"]
    repaired = found["t1"][0]
    assert repaired is not None
    assert repaired.count == 5


def test_the_options_of_a_plugin_class() -> None:
    class Good:
        def __init__(self, options: Strict) -> None: ...

    class Untyped:
        def __init__(self, options) -> None: ...  # type: ignore[no-untyped-def]  # that is the fault

    class Several:
        def __init__(self, options: Strict, more: int) -> None: ...

    assert options.options_of(Good) is Strict
    for cls in (Untyped, Several, object):
        with pytest.raises(PluginError, match="does not declare its options"):
            options.options_of(cls)


json = st.recursive(
    st.booleans() | st.integers(-20, 20) | st.floats(allow_nan=False) | st.text(max_size=3) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
tables = st.dictionaries(st.sampled_from([*Options.__struct_fields__, "other"]), json, max_size=6)


@given(tables)
def test_faults_are_found_whenever_msgspec_refuses(table: dict[str, Any]) -> None:
    faults: list[Fault] = []
    value, is_right = options.read_repaired(table, Options, AT, faults)
    assert is_right == (not faults)
    assert value is not None
    if is_right:
        assert value == msgspec.convert(table, Options)
