import io
import json

import msgspec

from imgbake import events
from imgbake.ui import for_progress

EVENTS: list[events.Event] = [
    events.BuildStarted(1.5, nodes=5, jobs=2),
    events.NodeStarted(1.5, "task:wheel", ("never built",), attempt=2),
    events.NodeOutput(2.0, "task:wheel", "tab\t, \x1b[2Jé, 'quotes\" and\nnewline"),
    events.NodeProgress(2.0, "task:wheel", 1, 0, "bytes"),
    events.NodeNote(2.0, "task:wheel", "careful"),
    events.NodeFinished(3.0, "task:wheel", "ran", 1.25, "sha256:00", "wheel"),
    events.NodeFinished(3.0, "task:old", "cached", 0.0),
    events.NodeFailed(3.0, "task:x", 0.5, "no", "try again", ("a", "b")),
    events.NodeSkipped(3.0, "task:y", "task:x failed"),
    events.BuildFinished(4.0, 2.5, 1, 1, 0, 1, 1),
]


def lines(*happened: events.Event) -> list[str]:
    stream = io.StringIO()
    screen = for_progress("json", stream, {})
    assert screen.wants_cached
    for event in happened:
        screen.on(event)
    screen.close()
    return stream.getvalue().splitlines()


def test_every_event_is_one_line_that_reads_back_as_the_event() -> None:
    written = lines(*EVENTS)
    assert len(written) == len(EVENTS)
    for line, event in zip(written, EVENTS, strict=True):
        assert msgspec.json.decode(line, type=type(event)) == event


def test_every_kind_of_event_is_covered_above() -> None:
    assert {type(event) for event in EVENTS} == set(events.Event.__subclasses__())


def test_an_object_says_what_it_is() -> None:
    (line,) = lines(events.NodeSkipped(3.0, "task:y", "task:x failed"))
    assert json.loads(line) == {
        "event": "node-skipped", "time": 3.0, "node": "task:y", "because": "task:x failed",
    }  # fmt: skip


def test_bytes_that_are_no_text_are_spelled_out() -> None:
    (line,) = lines(events.NodeFailed(0, "task:x", 0, "bad \udcff", tail=("\udc80",)))
    assert json.loads(line)["error"] == "bad \\udcff"
    assert json.loads(line)["tail"] == ["\\udc80"]
