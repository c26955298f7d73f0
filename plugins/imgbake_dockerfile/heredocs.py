"""Heredocs of RUN, COPY and ADD: which documents a line announces."""

from __future__ import annotations

import re

from imgbake_dockerfile.expansion import BadExpansion, Style, expand
from imgbake_dockerfile.syntax import Heredoc

_MARK = re.compile(r"([0-9]*)<<(-?)[\t\n\f\r ]*([^<]*)")
_WORDS = Style(keep_quotes=True, keep_escapes=True, keep_unset=True)
_NAME = Style(keep_unset=True)
_QUOTED_NAME = Style(keep_unset=True, keep_quotes=True)


def announced(line: str) -> tuple[Heredoc, ...]:
    """The heredocs that a line announces, in order, without their content. Raises BadExpansion."""
    try:
        words = expand(line, {}, _WORDS).words
    except BadExpansion:
        return ()  # a quote is open: to a shell this is no heredoc, and BuildKit leaves it to the shell
    return tuple(found for word in words if (found := heredoc(word)))


def heredoc(word: str) -> Heredoc | None:
    """The heredoc that a word announces, without its content. Raises BadExpansion."""
    match = _MARK.fullmatch(word)
    if match is None or not match[3]:
        return None
    # Where quotes come away, a part of the name is quoted, and then nothing in the content is expanded.
    plain, quoted = (expand(match[3], {}, style).words for style in (_NAME, _QUOTED_NAME))
    if len(plain) != 1:
        return None
    if len(quoted) != 1:
        raise BadExpansion(f"'{match[3]}' is no name for a heredoc")
    name = plain[0]
    descriptor = int(match[1][:9] or 0)
    return Heredoc(name, "", _quotes(name) == _quotes(quoted[0]), bool(match[2]), descriptor)


def is_heredoc(word: str) -> bool:
    """Does the word announce a heredoc, so that it names no file?"""
    try:
        return heredoc(word) is not None
    except BadExpansion:
        return False


def _quotes(text: str) -> int:
    return text.count("'") + text.count('"')
