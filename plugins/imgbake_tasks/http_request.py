"""The request that a recipe's options describe, with its secrets put in."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from imgbake_tasks import place
from imgbake_tasks.http import HttpOptions
from imgbake_tasks.http_exchange import Header, Request

Reveal = Callable[[str], str]


def request(options: HttpOptions, reveal: Reveal) -> Request:
    """What to send."""
    headers = {
        name: Header(name, reveal(value), secret="{{" in value) for name, value in options.headers.items()
    }
    given = {name.lower() for name in headers}
    address = options.address
    if address.user is not None and "authorization" not in given:
        pair = f"{reveal(address.user)}:{reveal(address.password or '')}"  # RFC 7617
        value = "Basic " + base64.b64encode(pair.encode()).decode()
        headers["Authorization"] = Header("Authorization", value, secret=True)
    if options.json is not None and "content-type" not in given:
        headers["Content-Type"] = Header("Content-Type", "application/json")
    return Request(
        options.method, reveal(address.plain), options.shown, tuple(headers.values()), _body(options, reveal)
    )


def authorities(options: HttpOptions, root: Path) -> Path | None:
    """The file that `ca` names. Raises StepError when it is outside the project."""
    return place.inside(root, options.ca) if options.ca else None


def _body(options: HttpOptions, reveal: Reveal) -> bytes | None:
    if options.json is not None:
        return msgspec.json.encode(_revealed(options.json, reveal))
    return None if options.body is None else reveal(options.body).encode()


def _revealed(value: Any, reveal: Reveal) -> Any:
    """A JSON value with secrets put into its texts."""
    if isinstance(value, str):
        return reveal(value)
    if isinstance(value, list):
        return [_revealed(item, reveal) for item in value]
    if isinstance(value, dict):
        return {key: _revealed(item, reveal) for key, item in value.items()}
    return value
