"""What a container prints, as lines."""

from __future__ import annotations

from collections.abc import Iterator

from imgbake_docker import containers


class _Engine:
    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    def logs(self, container: str, *, stream: bool, follow: bool) -> Iterator[bytes]:
        return iter(self._pieces)


def _lines(*pieces: bytes) -> list[str]:
    found: list[str] = []
    containers.printed(_Engine(*pieces), "id")(found.append)
    return found


def test_lines_come_whole_however_they_are_cut() -> None:
    assert _lines(b"on", b"e\ntwo\n\nthr", b"ee") == ["one", "two", "", "three"]


def test_a_line_without_an_end_is_not_kept_in_memory() -> None:
    endless = _lines(*(100 * [bytes(1 << 15)]))
    assert sum(map(len, endless)) == 100 << 15 and max(map(len, endless)) < 1 << 17
