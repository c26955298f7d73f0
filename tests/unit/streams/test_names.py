"""Names of streams, tags and images."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from imgbake.errors import UsageError
from imgbake.streams.model import Known, Stream
from imgbake.streams.names import Named, image, is_stream, is_tag, parse

STREAM = Stream(
    datetime(2026, 1, 1, tzinfo=UTC),
    images={"sha256:2816aa": Known(), "sha256:2816bb": Known(), "ami-0abc": Known("ami")},
)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("python", Named("python")),
        ("python:3.12", Named("python", "3.12")),
        ("stream:python:3.12", Named("python", "3.12")),
        ("python@sha256:2816", Named("python", image="sha256:2816")),
        ("python@2816", Named("python", image="2816")),
        ("bases@ami-0abc", Named("bases", image="ami-0abc")),
    ],
)
def test_what_is_named(text: str, named: Named) -> None:
    assert parse(text) == named
    assert str(named) == text.removeprefix("stream:")


@pytest.mark.parametrize("text", ["", ":3.12", "Python:3.12", "docker.io/python:3.12", "python@", "a--b-:1"])
def test_what_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


@pytest.mark.parametrize("tag", ["latest", "3.12", "_x", "a" * 128])
def test_tags_are_those_of_registries(tag: str) -> None:
    assert is_tag(tag)


@pytest.mark.parametrize("tag", ["", ".x", "-x", "a b", "ä", "a" * 129, "a\n"])
def test_other_tags_are_refused(tag: str) -> None:
    assert not is_tag(tag)


def test_a_stream_is_called_what_any_shelf_can_keep() -> None:
    assert is_stream("a.b_c__d-e--f")
    assert not any(is_stream(name) for name in ("", "A", "a/b", ".a", "a-", "a___b", "n" * 101, "a\n"))


@pytest.mark.parametrize("wanted", ["sha256:2816aa", "2816aa", "sha256:2816a", "2816a"])
def test_the_beginning_of_a_digest_is_enough(wanted: str) -> None:
    assert image(Named("python", image=wanted), STREAM) == "sha256:2816aa"


def test_an_id_is_shortened_as_well() -> None:
    assert image(Named("bases", image="ami-0"), STREAM) == "ami-0abc"


def test_a_beginning_of_several_is_refused() -> None:
    with pytest.raises(UsageError, match=r"is several images: sha256:2816aa, sha256:2816bb"):
        image(Named("python", image="2816"), STREAM)


def test_what_was_never_tagged_is_not_found() -> None:
    with pytest.raises(UsageError, match=r"python@99: no tag of the stream has or had this image"):
        image(Named("python", image="99"), STREAM)
