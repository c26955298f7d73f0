"""`{{ name }}` in text, and secrets that stay what they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbake.engine.secrets import Secrets
from imgbake.model import Arg, At
from imgbake.recipe.expand import Expander
from imgbake.recipe.faults import Fault

AT = At("f", ("tasks", "a", "run"))
ARGS = {
    "version": Arg("version", AT, "1.4"),
    "missing": Arg("missing", AT),
    "token": Arg("token", AT, secret=True),
    "open": Arg("open", AT, "{{ tok"),
    "close": Arg("close", AT, "en }}"),
}
ENVIRON = {"HOME": "/root", "EVIL": "{{ token }}", "BYTES": "\udcff"}


def expanded(text: str, params: dict[str, str] | None = None) -> tuple[str, tuple[str, ...], list[str]]:
    """The text, the arguments that it reads, and the messages of its faults."""
    faults: list[Fault] = []
    value, read = Expander(ARGS, ENVIRON, faults).expand(text, AT, params)
    return value, read, [fault.message for fault in faults]


@pytest.mark.parametrize(
    ("text", "value", "read"),
    [
        ("plain } { text", "plain } { text", ()),
        ("v{{ version }}.{{version}}", "v1.4.1.4", ("version",)),
        ("{{ env.HOME }}/x", "/root/x", ()),
        ("{{ params.p }}", "param", ()),
        ("{{ params.secret }}", "x {{ token }}", ()),
        ("{{token}}", "{{ token }}", ("token",)),
        ("{{ missing }}", "{{ missing }}", ("missing",)),
        (r"\{{ version }}", "{{ version }}", ()),
        (r"\\{{ version }}", r"\{{ version }}", ()),
        ("{ {{ version }} }", "{ 1.4 }", ("version",)),
    ],
)
def test_values_are_put_in(text: str, value: str, read: tuple[str, ...]) -> None:
    params = {"p": "param", "secret": "x {{ token }}"}
    assert expanded(text, params) == (value, read, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ nothing }}", "there is no argument 'nothing'"),
        ("{{ version | upper }}", "there is no argument 'version | upper'"),
        ("{{}}", "there is no name between '{{' and '}}'"),
        ("a {{ version", "'{{' is not followed by a name and '}}'"),
        ("{{{ version }}}", "'{{' is not followed by a name and '}}'"),
        ("{{ params.p }}", "'{{ params.p }}' cannot be read here"),
        ("{{ env.NOPE }}", "the environment variable 'NOPE' is not set"),
        ("{{ env.BYTES }}", "the environment variable 'BYTES' is not valid UTF-8"),
    ],
)
def test_nothing_else_is_evaluated(text: str, message: str) -> None:
    assert expanded(text)[2] == [message]


@pytest.mark.parametrize(
    "text", ["{{ env.EVIL }}", "{{ open }}{{ close }}", r"\{{ token }}", "{{ open }}en }}"]
)
def test_a_secret_cannot_be_smuggled_in(text: str) -> None:
    assert expanded(text)[2] == [
        "the text comes to hold '{{ token }}', which would be read as a secret argument"
    ]


def test_variables_that_were_read_are_known() -> None:
    expander = Expander(ARGS, ENVIRON, [])
    expander.expand({"a": ["{{ env.HOME }}", {"b": "{{ env.NOPE }}"}]}, AT)
    assert expander.env_read == {"HOME": "/root", "NOPE": None}


def test_keys_and_numbers_stay_as_they_are() -> None:
    value = {"{{ version }}": 1, "n": [True, 1.5]}
    assert Expander(ARGS, ENVIRON, []).expand(value, AT) == (value, ())


def test_text_that_looks_slow_is_not() -> None:
    assert expanded("{{" + " " * 100_000)[2]
    assert expanded("{{ " * 10_000)[2]


pieces = st.lists(
    st.sampled_from(
        ["{{", "}}", "{", "}", " ", "token", "version", "open", "close", "env.EVIL", "\\", "params.x"]
    )
)


@given(pieces.map("".join))
def test_whatever_is_accepted_reveals_only_what_asked_for_the_secret(text: str) -> None:
    value, read, messages = expanded(text, {"x": "param"})
    if not messages:
        revealed = Secrets({"token": "hunter2"}).reveal(value)
        assert ("hunter2" in revealed) == ("token" in read)
