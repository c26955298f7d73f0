"""Says hello over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import parse_qs

StartResponse = Callable[[str, list[tuple[str, str]]], object]


def application(environ: dict[str, str], start_response: StartResponse) -> Iterable[bytes]:
    """The WSGI application: `/?name=World` is answered with a greeting."""
    names = parse_qs(environ.get("QUERY_STRING", "")).get("name", ["world"])
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"Hello, {names[0]}!\n".encode()]
