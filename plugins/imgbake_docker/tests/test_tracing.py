"""What BuildKit tells of a build that was posted, as lines."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbake_docker.tracing import Trace


def field(number: int, value: int | bytes | str) -> bytes:
    """A field of a message, in protobuf's encoding."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    *high, last = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(byte | 0x80 for byte in high), last])


def at(seconds: int, nanoseconds: int = 0) -> bytes:
    return field(1, seconds) + field(2, nanoseconds)


def vertex(digest: str, name: str, *more: bytes) -> bytes:
    return field(1, field(1, digest) + field(2, "sha256:before") + field(3, name) + b"".join(more))


def log(digest: str, text: bytes, seconds: int) -> bytes:
    return field(3, field(1, digest) + field(2, at(seconds)) + field(3, 1) + field(4, text))


STARTED = field(5, at(100))


def heard(*messages: bytes) -> list[str]:
    trace = Trace()
    return [line for message in messages for line in trace.hear(message)]


def test_work_is_numbered_as_it_begins_and_told_when_it_ends() -> None:
    assert heard(
        vertex("a", "[1/2] RUN one"),
        vertex("b", "[2/2] RUN two", STARTED),
        vertex("a", "[1/2] RUN one", STARTED),
        vertex("b", "[2/2] RUN two", STARTED, field(6, at(101, 500_000_000))),
        vertex("a", "[1/2] RUN one", STARTED, field(4, 1), field(6, at(100))),
        vertex("a", "[1/2] RUN one", STARTED, field(4, 1), field(6, at(100))),
    ) == ["#1 [2/2] RUN two", "#2 [1/2] RUN one", "#1 DONE 1.5s", "#2 CACHED"]


def test_what_failed_is_remembered_and_what_was_cancelled_for_it_is_not() -> None:
    trace = Trace()
    over = field(6, at(101))
    message = vertex("a", "[1/2] RUN one", STARTED, over, field(7, "exit code: 1"))
    message += vertex("b", "[2/2] RUN two", STARTED, over, field(7, "context canceled"))
    assert list(trace.hear(message)) == [
        "#1 [1/2] RUN one",
        "#1 ERROR: exit code: 1",
        "#2 [2/2] RUN two",
        "#2 CANCELED",
    ]
    assert trace.failed == "[1/2] RUN one"


@given(st.lists(st.binary(max_size=20)))
def test_what_is_printed_comes_out_in_whole_lines_however_it_was_cut(pieces: list[bytes]) -> None:
    ended = vertex("a", "RUN", STARTED, field(6, at(103)))
    lines = heard(vertex("a", "RUN", STARTED), *(log("a", piece, 102) for piece in pieces), ended)
    assert lines[0] == "#1 RUN" and lines[-1] == "#1 DONE 3.0s"
    assert all(line.startswith("#1 2.000 ") for line in lines[1:-1])
    printed = b"".join(pieces).decode(errors="replace").removesuffix("\n")
    assert "\n".join(line.removeprefix("#1 2.000 ") for line in lines[1:-1]) == printed


@given(st.binary(max_size=60))
def test_nonsense_is_refused_or_says_nothing(message: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert heard(message) == []


def test_a_message_that_is_cut_short_is_refused() -> None:
    with pytest.raises(ValueError, match="cut short"):
        heard(vertex("a", "RUN", STARTED)[:-1])
