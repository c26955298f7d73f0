"""The end of a log in CloudWatch, which shows what it was told some seconds later."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from imgbake_aws import sdk

_LINES = 100  # that are of interest
_WAIT = 0.5  # seconds between two looks
_QUIET = 4  # looks that show nothing new, after which a log is whole
_MOST = 60  # looks: somebody may go on writing


def end_of(
    region: str, profile: str, group: str, stream: str, pause: Callable[[float], None]
) -> tuple[str, ...]:
    """The last lines of a stream, when none has come for a while; none if there is no such stream.

    Raises BakeError when AWS refuses.
    """
    with sdk.asking(f"logs:GetLogEvents {group} {stream}"):
        log = _Log(sdk.client("logs", region, profile), group, stream)
        quiet = 0
        for _ in range(_MOST):
            quiet = 0 if log.look() else quiet + 1
            if quiet > _QUIET:
                break
            pause(_WAIT)
    return tuple(log.lines)


class _Log:
    """A stream, and the last lines of it that were seen."""

    def __init__(self, client: sdk.Client, group: str, stream: str) -> None:
        self._client = client
        self._where = {"logGroupName": group, "logStreamName": stream, "limit": _LINES}
        self._next = ""  # what names the page after those that were seen
        self.lines: deque[str] = deque(maxlen=_LINES)

    def look(self) -> bool:
        """Reads what is new. Was there anything?"""
        if not self._next:
            return self._read_end()
        found = False
        while True:  # a page may be empty, or have fewer than there are: at the end the token stays
            page = self._get(nextToken=self._next, startFromHead=True)
            self.lines.extend(_lines(page))
            found |= bool(page["events"])
            if page["nextForwardToken"] == self._next:
                return found
            self._next = page["nextForwardToken"]

    def _read_end(self) -> bool:
        """Reads the last lines, backwards until there are enough."""
        try:
            page = self._get(startFromHead=False)
        except self._client.exceptions.ResourceNotFoundException:
            return False
        lines, forward, back = _lines(page), page["nextForwardToken"], ""
        while len(lines) < _LINES and page["nextBackwardToken"] != back:
            back = page["nextBackwardToken"]
            page = self._get(nextToken=back, startFromHead=False)
            lines = [*_lines(page), *lines]
        self.lines.extend(lines)
        if lines:
            self._next = forward
        return bool(lines)

    def _get(self, **where: object) -> Any:
        return self._client.get_log_events(**self._where, **where)


def _lines(page: dict[str, Any]) -> list[str]:
    return [str(event.get("message", "")).rstrip() for event in page["events"]]
