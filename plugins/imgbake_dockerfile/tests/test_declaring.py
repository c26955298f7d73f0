"""The arguments of platforms for builders that have none."""

from __future__ import annotations

import pytest

from imgbake_dockerfile import Ignore
from imgbake_dockerfile.declaring import declared
from imgbake_dockerfile.platforms import platform
from imgbake_dockerfile.request import Request, Text


@pytest.mark.parametrize(
    ("text", "sent", "lines"),
    [
        ("FROM a\nARG TARGETARCH\n", "ARG TARGETARCH=arm64\nFROM a\nARG TARGETARCH\n", (0, 1, 2)),
        ("# escape=`\nFROM a\n", "# escape=`\nARG TARGETARCH=arm64\nFROM a\n", (1, 0, 2)),
        ("ARG TARGETARCH=x\nFROM a\n", "ARG TARGETARCH=x\nFROM a\n", (1, 2)),
        (
            "ARG TARGETARCH\nFROM a\n",
            "ARG TARGETARCH=arm64\nARG TARGETARCH\nARG TARGETARCH=arm64\nFROM a\n",
            (0, 1, 0, 2),
        ),
    ],
)
def test_what_no_default_gives_stands_above_the_first_from(
    text: str, sent: str, lines: tuple[int, ...]
) -> None:
    own = tuple(range(1, text.count("\n") + 1))
    asked = Request("Dockerfile", "", Text(text, own), Ignore(), platform_args=("TARGETARCH",))
    found = declared(asked, platform("linux/amd64"), platform("linux/arm64")).dockerfile
    assert (found.text, found.lines) == (sent, lines)
