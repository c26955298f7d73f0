"""The document of a stream: what was written is read, and a change is one line."""

from __future__ import annotations

import difflib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbake.errors import BakeError
from imgbake.streams.changes import Pointed, intend, point
from imgbake.streams.document import dump, parse
from imgbake.streams.model import Failure, Hold, Intent, Known, Revision, Stream, Tag

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FACTS = {"size": 10, "platforms": {"linux/amd64": "sha256:28", "linux/arm64": "sha256:16"}}
TEXT = """\
{
  "created": "2026-01-01T00:00:00Z",
  "format": 1,
  "generation": 1,
  "images": {
    "sha256:2816": {
      "facts": {
        "platforms": {"linux/amd64": "sha256:28", "linux/arm64": "sha256:16"},
        "size": 10
      }
    }
  },
  "labels": {
    "app": "python"
  },
  "tags": {
    "3.12": {
      "generation": 1,
      "history": [
        {"cause": "import", "created": "2026-01-01T00:00:00Z", "generation": 1, "image": "sha256:2816", \
"reference": "docker.io/library/python:3.12@sha256:2816"}
      ],
      "intent": {
        "every": "15m",
        "from": "docker.io/library/python:3.12"
      }
    }
  }
}
"""


def python(*images: str) -> Stream:
    source = "docker.io/library/python:3.12"
    stream = intend(Stream(NOW, labels={"app": "python"}), {"3.12": Intent(source, every="15m")})
    for image in images:
        revision = Revision(image, f"{source}@{image}", NOW, cause="import")
        stream = point(stream, {"3.12": Pointed(revision, Known(facts=FACTS))})
    return stream


def test_a_document_is_text_for_people() -> None:
    assert dump(python("sha256:2816")).decode() == TEXT
    assert parse(TEXT.encode(), "python") == python("sha256:2816")


def test_a_tag_that_moves_is_a_new_line_of_its_history() -> None:
    before, after = (dump(python(*images)).decode().splitlines() for images in (["a"], ["a", "b"]))
    changed = [line for line in difflib.ndiff(before, after) if line[0] in "+-"]
    added = [line for line in changed if '"cause"' in line]
    assert len(added) == 1 and added[0].startswith("+")
    assert all(line.startswith("+") for line in changed if '"facts"' not in line)


TIMES = st.datetimes(timezones=st.just(UTC))
REVISIONS = st.builds(Revision, st.text(), st.text(), TIMES, reason=st.text())
TAGS = st.builds(
    Tag,
    st.none() | st.builds(Intent, st.text(), annotations=st.dictionaries(st.text(), st.text(), max_size=2)),
    failure=st.none() | st.builds(Failure, st.text(), TIMES),
    hold=st.none() | st.builds(Hold, TIMES, st.text()),
    history=st.lists(REVISIONS, max_size=3).map(tuple),
)
KNOWN = st.builds(
    Known, facts=st.dictionaries(st.text(), st.none() | st.integers(0) | st.lists(st.text()), max_size=3)
)


@given(
    st.builds(
        Stream,
        TIMES,
        labels=st.dictionaries(st.text(), st.text(), max_size=3),
        tags=st.dictionaries(st.text(), TAGS, max_size=3),
        images=st.dictionaries(st.text(), KNOWN, max_size=3),
    )
)
def test_what_is_written_is_read(stream: Stream) -> None:
    assert parse(dump(stream), "python") == stream


@pytest.mark.parametrize("text", ["", "<<<<<<< HEAD", "{}", TEXT.replace('"intent"', '"intend"')])
def test_a_damaged_document_is_an_error_that_names_it(text: str) -> None:
    with pytest.raises(BakeError, match=r"the document of the stream 'python' is damaged: "):
        parse(text.encode(), "python")


def test_a_document_of_a_newer_imgbake_is_not_touched() -> None:
    newer = TEXT.replace('"format": 1', '"format": 2').replace('"intent"', '"plan"')
    with pytest.raises(BakeError, match=r"'python' was written by a newer imgbake"):
        parse(newer.encode(), "python")
