"""The end of a log in CloudWatch, of which the last lines come late."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence

import pytest

from imgbake.api import BakeError
from imgbake_aws.tests.clouds import Cloud
from imgbake_image_builder import logs

GROUP, STREAM = "/aws/imagebuilder/app", "1.0.0/1"
Write = Callable[[Sequence[str]], None]


@pytest.fixture
def write(cloud: Cloud) -> Write:
    """Writes lines to the log, each later than the one before."""
    client = cloud.client("logs")
    times = itertools.count(int(time.time() * 1000) - 60_000)

    def put(lines: Sequence[str]) -> None:
        if not client.describe_log_groups()["logGroups"]:
            client.create_log_group(logGroupName=GROUP)
            client.create_log_stream(logGroupName=GROUP, logStreamName=STREAM)
        events = [{"timestamp": next(times), "message": line} for line in lines]
        client.put_log_events(logGroupName=GROUP, logStreamName=STREAM, logEvents=events)

    return put


def read(*late: Callable[[], None]) -> tuple[str, ...]:
    """The end of the log; each wait gives something the time to happen."""
    happens = iter(late)
    return logs.end_of("us-east-1", "", GROUP, STREAM, lambda _: next(happens, lambda: None)())


def test_lines_that_come_late_are_waited_for(write: Write) -> None:
    write(["begun"])
    assert read(lambda: write(["make: Error 2"]), lambda: None, lambda: write(["failed", "end"])) == (
        "begun",
        "make: Error 2",
        "failed",
        "end",
    )


def test_a_log_that_is_made_late_is_waited_for(write: Write) -> None:
    assert read(lambda: None, lambda: write(["failed"])) == ("failed",)


def test_the_last_hundred_lines_are_read_in_their_order(write: Write) -> None:
    lines = [f"line {number}" for number in range(250)]
    write(lines[:130])
    assert read(lambda: write(lines[130:])) == tuple(lines[-100:])


def test_without_a_log_there_is_no_end(cloud: Cloud) -> None:
    assert read() == ()


def test_somebody_who_goes_on_writing_is_not_waited_for_all_day(write: Write) -> None:
    seen = read(*[lambda: write(["more"])] * 1000)
    assert 1 < len(seen) < 100


def test_what_cannot_be_read_is_said(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "http://127.0.0.1:9")
    monkeypatch.setattr("imgbake_aws.sdk._TRIES", 1)
    with pytest.raises(BakeError, match="logs:GetLogEvents /aws/imagebuilder/app"):
        read()
