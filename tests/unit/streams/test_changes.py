"""How streams change: histories, what is meant, followers, rollbacks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from imgbake.errors import UsageError
from imgbake.streams.changes import (
    Pointed,
    added,
    earlier,
    fail,
    forget_intents,
    intend,
    point,
    release,
    remove,
    roll_back,
)
from imgbake.streams.model import Failure, Intent, Known, Revision, Stream

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EMPTY = Stream(NOW)


def revision(image: str, source: str = "python:3.12", generation: int = 0) -> Revision:
    return Revision(image, f"{source}@{image}", NOW, generation, "import")


def moved(stream: Stream, tag: str, *images: str) -> Stream:
    for image in images:
        stream = point(stream, {tag: Pointed(revision(image))})
    return stream


def images(stream: Stream, tag: str) -> list[str]:
    return [each.image for each in stream.tags[tag].history]


def test_the_same_image_again_changes_nothing() -> None:
    once = moved(EMPTY, "3.12", "a")
    later = Pointed(Revision("a", "python:3.12@a", NOW + timedelta(days=1), 0, "import"))
    assert point(once, {"3.12": later}) is once


def test_a_new_image_is_put_in_front() -> None:
    assert images(moved(EMPTY, "3.12", "a", "b"), "3.12") == ["b", "a"]


def test_going_back_to_an_image_is_a_new_entry() -> None:
    assert images(moved(EMPTY, "3.12", "a", "b", "a"), "3.12") == ["a", "b", "a"]


def test_the_same_image_meant_anew_bears_the_new_number() -> None:
    history = (revision("b", generation=1), revision("a"))
    assert added(history, revision("b", generation=2)) == (revision("b", generation=2), revision("a"))


def test_the_same_image_from_elsewhere_is_put_right_in_place() -> None:
    history = added((revision("a"),), revision("a", "mirror/python:3.12"))
    assert [(each.image, each.reference) for each in history] == [("a", "mirror/python:3.12@a")]


def test_another_image_by_the_same_reference_is_put_right_in_place() -> None:
    history = added((Revision("a", "there", NOW),), Revision("b", "there", NOW))
    assert [(each.image, each.reference) for each in history] == [("b", "there")]


def test_what_is_known_of_images_goes_with_the_last_entry() -> None:
    stream = point(EMPTY, {"1": Pointed(revision("a"), Known(facts={"size": 1}))})
    stream = moved(stream, "2", "b")
    assert set(stream.images) == {"a", "b"}
    assert set(remove(stream, "1").images) == {"b"}


def test_what_is_meant_waits_until_it_is_imported() -> None:
    stream = intend(moved(EMPTY, "3.12", "a"), {"3.12": Intent("python:3.12")})
    assert stream.tags["3.12"].is_pending
    assert images(stream, "3.12") == ["a"]
    stream = moved(stream, "3.12", "a")
    assert not stream.tags["3.12"].is_pending
    assert intend(stream, {"3.12": Intent("python:3.12")}) is stream


def test_what_is_not_imported_waits_for_nothing() -> None:
    by_hand = {"x": Intent("python:3.12", reference=True), "y": Intent("image:shop"), "z": Intent()}
    stream = intend(EMPTY, by_hand)
    assert not any(tag.is_pending for tag in stream.tags.values())


def test_a_failed_import_keeps_the_image_and_says_why() -> None:
    stream = intend(moved(EMPTY, "3.12", "a"), {"3.12": Intent("python:3.12")})
    failed = fail(stream, {"3.12": Failure("no answer", NOW, 1)})
    assert images(failed, "3.12") == ["a"]
    assert failed.tags["3.12"].failure == Failure("no answer", NOW, 1)
    assert not failed.tags["3.12"].is_pending
    assert moved(failed, "3.12", "a").tags["3.12"].failure is None


def test_the_same_failure_again_is_no_news() -> None:
    stream = fail(intend(EMPTY, {"3.12": Intent("python:3.12")}), {"3.12": Failure("no answer", NOW)})
    assert fail(stream, {"3.12": Failure("no answer", NOW + timedelta(hours=1))}) is stream


def test_followers_go_where_the_followed_tag_goes() -> None:
    stream = moved(EMPTY, "3.12", "a")
    stream = intend(stream, {"latest": Intent(alias="3"), "3": Intent(alias="3.12")})
    assert images(stream, "latest") == images(stream, "3") == ["a"]
    stream = moved(stream, "3.12", "b")
    assert images(stream, "latest") == ["b", "a"]
    assert stream.followers() == {"3.12": ["3", "latest"]}


def test_a_follower_of_another_tag_from_now_on_remembers_what_it_was() -> None:
    stream = moved(moved(EMPTY, "3.11", "old"), "3.12", "new")
    stream = intend(stream, {"latest": Intent(alias="3.11")})
    stream = intend(stream, {"latest": Intent(alias="3.12")})
    assert images(stream, "latest") == ["new", "old"]
    assert images(moved(stream, "3.11", "older"), "latest") == ["new", "old"]


def test_a_tag_follows_nothing_that_is_not_there() -> None:
    with pytest.raises(UsageError, match=r"'latest' can't follow '3': this stream has no tag '3'"):
        intend(EMPTY, {"latest": Intent(alias="3")})


def test_tags_do_not_follow_each_other_in_a_circle() -> None:
    with pytest.raises(UsageError, match=r"can't follow"):
        intend(EMPTY, {"a": Intent(alias="b"), "b": Intent(alias="c"), "c": Intent(alias="b")})


def test_what_is_followed_is_not_removed() -> None:
    stream = intend(moved(EMPTY, "3.12", "a"), {"latest": Intent(alias="3.12")})
    with pytest.raises(UsageError, match=r"'3\.12' can't be removed: latest would follow nothing"):
        remove(stream, "3.12")
    assert remove(remove(stream, "latest"), "3.12").tags == {}


def test_a_rollback_is_a_new_entry_that_holds_the_tag() -> None:
    stream = moved(EMPTY, "3.12", "a", "b")
    back = roll_back(stream, "3.12", stream.tags["3.12"].history[1], NOW, "b is broken")
    tag = back.tags["3.12"]
    assert images(back, "3.12") == ["a", "b", "a"]
    assert tag.current and (tag.current.cause, tag.current.reason) == ("rollback", "b is broken")
    assert tag.hold and tag.hold.reason == "b is broken"
    assert release(back, "3.12").tags["3.12"].hold is None


def test_followers_go_back_too() -> None:
    stream = intend(moved(EMPTY, "3.12", "a", "b"), {"latest": Intent(alias="3.12")})
    back = roll_back(stream, "3.12", stream.tags["3.12"].history[1], NOW)
    assert images(back, "latest") == ["a", "b"]


def test_a_second_rollback_goes_further_back() -> None:
    stream = moved(EMPTY, "3.12", "a", "b", "c")
    for wanted in ("b", "a"):
        to = earlier(stream.tags["3.12"], 1)
        assert to is not None and to.image == wanted
        stream = roll_back(stream, "3.12", to, NOW)
    assert earlier(stream.tags["3.12"], 1) is None
    assert images(stream, "3.12") == ["a", "b", "c", "b", "a"]


def test_steps_count_images() -> None:
    tag = moved(EMPTY, "3.12", "a", "b", "c").tags["3.12"]
    assert [(found := earlier(tag, steps)) and found.image for steps in range(4)] == ["c", "b", "a", None]


def test_a_tag_of_which_nothing_is_meant_keeps_its_image() -> None:
    stream = intend(moved(EMPTY, "3.12", "a"), {"3.12": Intent("python:3.12", every="15m")})
    stream = forget_intents(stream, ["3.12", "no-such-tag"])
    assert stream.tags["3.12"].intent is None
    assert images(stream, "3.12") == ["a"]
