"""What a tag remembers of triggers: when one is due, who may start it, and what is known afterwards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from imgbake.streams import changes, firing
from imgbake.streams.firing import LEASE, Who
from imgbake.streams.model import Fired, Hold, Revision, Stream, Tag

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ME, ME_LATER, OTHER = Who("here", "1"), Who("here", "2"), Who("elsewhere", "1")


def _stream(*images: str) -> Stream:
    stream = Stream(NOW, tags={"latest": Tag()})
    for image in images:
        revision = Revision(image, f"shop@{image}", NOW)
        stream = changes.point(stream, {"latest": changes.Pointed(revision)})
    return stream


def _is_due(stream: Stream, who: Who = ME, after: float = 0, config: str = "") -> bool:
    return firing.is_due(stream.tags["latest"], "shop/t", config, who, NOW + timedelta(seconds=after))


def _claimed(stream: Stream, who: Who = ME, config: str = "") -> Stream:
    return firing.claim(stream, "latest", "shop/t", config, who, NOW)


def _done(stream: Stream, who: Who = ME, error: str = "") -> Stream:
    return firing.confirm(stream, "latest", "shop/t", who, NOW, error)


def _last(stream: Stream) -> Fired:
    return stream.tags["latest"].fired["shop/t"]


def test_a_tag_that_points_nowhere_or_is_held_starts_nothing() -> None:
    assert not _is_due(_stream())
    held = Tag(history=_stream("a").tags["latest"].history, hold=Hold(NOW))
    assert not firing.is_due(held, "shop/t", "", ME, NOW)


def test_each_image_is_a_reason_once() -> None:
    stream = _stream("a")
    assert _is_due(stream)
    stream = _done(_claimed(stream))
    assert not _is_due(stream)
    assert _is_due(Stream(NOW, tags={"latest": _moved(stream, "b")}))


def _moved(stream: Stream, image: str) -> Tag:
    moved = changes.point(stream, {"latest": changes.Pointed(Revision(image, f"shop@{image}", NOW))})
    return moved.tags["latest"]


def test_only_one_can_claim() -> None:
    stream = _claimed(_stream("a"), OTHER)
    assert _claimed(stream, ME) is stream
    assert firing.is_claimed(stream, "latest", "shop/t", OTHER)
    assert not firing.is_claimed(stream, "latest", "shop/t", ME)
    assert _done(stream, ME) is stream


def test_a_claim_of_our_own_place_is_one_that_was_not_confirmed() -> None:
    stream = _claimed(_stream("a"), ME)
    assert _is_due(stream, ME_LATER)
    assert firing.is_claimed(_claimed(stream, ME_LATER), "latest", "shop/t", ME_LATER)


def test_a_claim_of_another_machine_ends_some_time() -> None:
    stream = _claimed(_stream("a"), OTHER)
    assert not _is_due(stream, ME, LEASE.total_seconds() - 1)
    assert _is_due(stream, ME, LEASE.total_seconds())


def test_failures_wait_longer_and_longer_but_another_image_does_not() -> None:
    stream = _stream("a")
    for seconds in (10, 20, 40):
        stream = _done(_claimed(_aged(stream)), error="no")
        assert not _is_due(stream, after=seconds - 1)
        assert _is_due(stream, after=seconds)
    assert firing.is_due(_moved(stream, "b"), "shop/t", "", ME, NOW)
    assert (_last(stream).failures, _last(stream).error) == (3, "no")
    assert _last(_done(_claimed(_aged(stream)))).failures == 0


def _aged(stream: Stream) -> Stream:
    tag = stream.tags["latest"]
    fired = {
        key: Fired(each.image, NOW - timedelta(days=1), failures=each.failures)
        for key, each in tag.fired.items()
    }
    return Stream(NOW, tags={"latest": Tag(history=tag.history, fired=fired)}, images=stream.images)


def test_another_definition_is_a_reason_only_where_it_matters() -> None:
    stream = _done(_claimed(_stream("a"), config="one"))
    assert not _is_due(stream) and not _is_due(stream, config="one")
    assert _is_due(stream, config="two")


def test_the_image_before_is_the_same_when_it_is_tried_again() -> None:
    stream = _done(_claimed(_stream("a")))
    stream = Stream(NOW, tags={"latest": _moved(stream, "b")})
    assert firing.before(stream.tags["latest"], "shop/t") == "a"
    stream = _done(_claimed(stream), error="no")
    assert firing.before(stream.tags["latest"], "shop/t") == "a"
