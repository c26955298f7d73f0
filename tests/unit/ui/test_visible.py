import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbake.ui.visible import visible


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain text, 日本, é", "plain text, 日本, é"),
        ("a\ttab stays", "a\ttab stays"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[Hcleared", "cleared"),
        ("\x1bcreset", "reset"),
        ("\x1b(Bcharset", "charset"),
        ("\x9b2Jeight-bit", "eight-bit"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;never ended", ""),
        ("10%\r50%\r100%", "100%"),
        ("100%\r", "100%"),
        ("\r\r", ""),
        ("bell\x07", "bell\\x07"),
        ("cut off\x1b[3", "cut off\\x1b[3"),
        ("a\x00b", "a\\x00b"),
        ("re\u202everse", "re\\u202everse"),
        ("bad \udcff", "bad \\udcff"),
    ],
)
def test_visible(line: str, shown: str) -> None:
    assert visible(line) == shown


@given(st.text(st.characters(max_codepoint=0x2100) | st.sampled_from("\x1b[]\x9b\r\n;m0J\x07\\")))
def test_nothing_that_controls_a_terminal_is_left(line: str) -> None:
    shown = visible(line)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") and c != "\t"]
    assert visible(shown) == shown
