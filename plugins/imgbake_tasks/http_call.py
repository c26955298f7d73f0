"""A call of another system's API: one request, and what of its answer becomes a file."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import Any

import msgspec

from imgbake.api import Artifact, RunContext, StepError
from imgbake_tasks import checksum, http_exchange, http_request, place, retry
from imgbake_tasks.http import HttpOptions
from imgbake_tasks.patient import Patience


def run(options: HttpOptions, target: str, ctx: RunContext) -> Artifact:
    """Calls, and keeps what the recipe wants at the project-relative target. Raises StepError."""
    to = place.inside(ctx.root, target) if target else None
    status, kept = retry.until_done(ctx, options.attempts, lambda: _attempt(options, ctx))
    if to is not None:
        place.put_file(kept, to)
    return Artifact(kind="files", reference=options.shown, facts={"url": options.shown, "status": status})


def _attempt(options: HttpOptions, ctx: RunContext) -> tuple[int, Path]:
    """One request. Returns the status and the file of what is kept."""
    received = ctx.work / "body"
    patience = Patience(stall=options.stall_timeout, check=ctx.check)
    asked, ca = http_request.request(options, ctx.reveal), http_request.authorities(options, ctx.root)
    with http_exchange.answer(asked, options.expects, patience, ca) as response:
        with received.open("wb") as file:
            for piece in http_exchange.body(response, options.shown):
                ctx.check()
                file.write(piece)
        if options.checksum:
            checksum.verify(received, options.checksum, options.shown, ctx)
        return response.status, _kept(options, response, received)


def _kept(options: HttpOptions, response: http.client.HTTPResponse, received: Path) -> Path:
    """The file to keep, as `keep` and `select` say."""
    kept = received.with_name("kept")
    if options.keep == "status":
        kept.write_text(f"{response.status}\n")
    elif options.keep == "headers":
        headers = {name.lower(): value for name, value in sorted(response.headers.items())}
        kept.write_bytes(msgspec.json.format(msgspec.json.encode(headers)) + b"\n")
    elif options.select:
        kept.write_bytes(_selected(received.read_bytes(), options) + b"\n")
    else:
        return received
    return kept


def _selected(data: bytes, options: HttpOptions) -> bytes:
    """The value that `select` leads to: a text as it is, all else as JSON."""
    try:
        value = msgspec.json.decode(data)
    except msgspec.DecodeError:
        hint = "leave `select` out to keep the body as it is"
        raise StepError(
            f"{options.shown}: the answer is not JSON, so nothing can be selected", hint=hint
        ) from None
    walked: list[str] = []
    for key in options.select.split("."):
        value = _child(value, key, walked, options)
        walked.append(key)
    return value.encode() if isinstance(value, str) else msgspec.json.encode(value)


def _child(value: Any, key: str, walked: list[str], options: HttpOptions) -> Any:
    if isinstance(value, dict) and key in value:
        return value[key]
    if isinstance(value, list) and key.isdigit() and int(key) < len(value):
        return value[int(key)]
    place_of = f"'{'.'.join(walked)}'" if walked else "the top"
    has = f"the keys {', '.join(sorted(value)[:12])}" if isinstance(value, dict) else "no keys"
    if isinstance(value, list):
        has = f"a list of {len(value)}"
    raise StepError(
        f"{options.shown}: the answer has nothing at '{options.select}'", hint=f"at {place_of} there is {has}"
    )
