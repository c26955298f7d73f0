"""A url as a recipe writes it, taken apart before secrets are put in, so that none can change its shape."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from imgbake.api import StepError

_SSH = ("ssh://", "git+ssh://", "ssh+git://")
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?:(?P<user>[^/?#]*)@)?(?P<rest>.*)", re.DOTALL)


class Address(msgspec.Struct, frozen=True):
    """Who is asked, and as whom. Every text may still name secrets; `plain` may be shown and kept."""

    plain: str  # without user and password, but for ssh, where the user is part of the place
    user: str | None = None
    password: str | None = None


def parsed(url: str) -> Address:
    """The parts of a url. What is no url (a path, git's host:path) is all `plain`."""
    match = _URL.fullmatch(url)
    if match is None:
        return Address(url)
    plain = match["scheme"] + match["rest"]
    if match["user"] is None:
        return Address(plain)
    user, colon, password = match["user"].partition(":")
    if match["scheme"].lower() in _SSH:
        return Address(f"{match['scheme']}{user}@{match['rest']}")  # ssh takes no password from a url
    return Address(plain, unquote(user), unquote(password) if colon else None)


def split(url: str, shown: str) -> SplitResult:
    """A url with secrets put in, split. Raises StepError, which only tells `shown`, if it is none."""
    try:
        found = urlsplit(url)
        host, _ = (found.hostname or "").encode("idna"), found.port
    except ValueError:  # its text would show the url
        host = b""
    if not host:
        raise StepError(f"{shown}: this is no url with a host", hint="a url is SCHEME://HOST[:PORT]/PATH")
    return found
