"""Text from elsewhere, made harmless: no line of a log may move the cursor or clear the screen."""

from __future__ import annotations

import re

# Escape sequences carry no text: control strings (OSC, DCS, …) up to their end, CSI sequences, and
# the two-byte rest (ECMA-48). A control string that never ends goes on to the end of the line.
_SEQUENCES = (
    r"(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|$)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[ -/]+[0-~]"
    r"|\x1b[0-Z\\`-~]"
)
# Every control character but the tab; what would break a line or reorder it; undecodable bytes.
_UNSAFE = "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"


def visible(line: str) -> str:
    """One line as a terminal would finally show it, with no control characters but tabs.

    Colours and other escape sequences are dropped. Of text overwritten by carriage returns, as
    progress bars do, the last is kept. What is left of control characters is spelled out: \\x07.
    """
    if line.isprintable():
        return line
    line = re.sub(_SEQUENCES, "", line)
    line = next((piece for piece in reversed(re.split(r"[\r\n]", line)) if piece), "")
    return re.sub(_UNSAFE, _spelled, line)


def _spelled(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
