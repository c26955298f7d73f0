"""When tags are due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from imgbake.app import schedule
from imgbake.app.importing import Imported
from imgbake.app.schedule import Looked, next_look, spread
from imgbake.streams.model import Failure, Hold, Intent, Revision, Tag

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def tag(generation: int = 1, **intent: str) -> Tag:
    revision = Revision("a", "python@a", NOW - HOUR, generation)
    return Tag(Intent("python", **intent), 1, history=(revision,))  # type: ignore[arg-type]  # `every` or `cron`


@pytest.mark.parametrize(
    ("found", "looked", "due"),
    [
        (tag(), None, None),
        (tag(every="90m"), None, NOW + HOUR / 2),
        (tag(every="90m"), Looked(NOW), NOW + 1.5 * HOUR),
        (tag(cron="30 * * * *"), None, NOW - HOUR / 2),
        (tag(cron="30 * * * *"), Looked(NOW), NOW + HOUR / 2),
        (tag(every="15m", generation=0), None, schedule._EPOCH),
        (tag(generation=0), None, schedule._EPOCH),
        (tag(generation=0), Looked(NOW, 1), NOW + timedelta(seconds=10)),
        (tag(every="90m"), Looked(NOW, 3), NOW + timedelta(seconds=40)),
        (tag(every="90m"), Looked(NOW, 99), NOW + timedelta(minutes=15)),
        (tag(every="5s"), Looked(NOW, 9), NOW + timedelta(seconds=5)),
        (Tag(), None, None),
        (Tag(Intent("image:shop")), None, None),
        (Tag(Intent("python", every="1m"), hold=Hold(NOW)), None, None),
        (Tag(Intent("python", every="1h"), 1, Failure("", NOW, 1)), None, schedule._EPOCH),
    ],
)
def test_the_next_look(found: Tag, looked: Looked | None, due: datetime | None) -> None:
    assert next_look(found, looked) == due


def test_tags_of_one_interval_are_spread() -> None:
    intent, looked = Intent("python", every="1h"), Looked(NOW)
    moments = {spread(f"python:{number}", NOW + HOUR, intent, looked) for number in range(100)}
    assert len(moments) > 90
    assert all(NOW + HOUR <= moment <= NOW + 1.1 * HOUR for moment in moments)


def test_what_was_looked_at_is_remembered(tmp_path: Path) -> None:
    assert schedule.read(tmp_path) == {}
    schedule.note(tmp_path, [Imported("a:1", "failed"), Imported("b:1", "same")], NOW)
    schedule.note(tmp_path, [Imported("a:1", "failed")], NOW + HOUR)
    assert schedule.read(tmp_path) == {"a:1": Looked(NOW + HOUR, 2), "b:1": Looked(NOW)}
    schedule.note(tmp_path, [Imported("a:1", "moved")], NOW + 2 * HOUR)
    assert schedule.read(tmp_path)["a:1"] == Looked(NOW + 2 * HOUR)
    (tmp_path / schedule.NAME).write_text("damaged")
    assert schedule.read(tmp_path) == {}
