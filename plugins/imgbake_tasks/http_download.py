"""A download that survives what networks do: it goes on where it was cut off, and is checked at the end."""

from __future__ import annotations

import http.client
import re

import msgspec

from imgbake.api import Artifact, PartsContext, RunContext, StepError
from imgbake_tasks import http_exchange, http_request, partial, place, retry
from imgbake_tasks.http import HttpOptions
from imgbake_tasks.http_exchange import Header
from imgbake_tasks.partial import Partial, Version
from imgbake_tasks.patient import Patience
from imgbake_tasks.retry import Transient

_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


def run(options: HttpOptions, target: str, ctx: RunContext) -> Artifact:
    """Downloads to the project-relative target. Raises StepError; then what was there stays."""
    to = place.inside(ctx.root, target)
    under_way = partial.of_node(ctx.root, ctx.name)
    tag = retry.until_done(ctx, options.attempts, lambda: _attempt(options, under_way, ctx))
    size = under_way.size()
    place.put_file(under_way.path, to)
    under_way.discard()
    facts = {"url": options.shown, "bytes": size, **({"version": tag} if tag else {})}
    return Artifact(kind="files", reference=options.shown, facts=facts)


def version(options: HttpOptions, ctx: PartsContext) -> str:
    """What the server says of its present version: ETag or Last-Modified. Raises StepError."""
    patience = Patience(stall=min(options.stall_timeout, 20.0), check=lambda: None)
    ca = http_request.authorities(options, ctx.root)
    hint = "say `refresh = false` to use what was downloaded before"
    for method in ("HEAD", "GET"):
        request = msgspec.structs.replace(http_request.request(options, ctx.reveal), method=method)
        expects = (
            options.expects
            if method == "GET"
            else lambda status: options.expects(status) or status in (403, 405, 501)
        )
        try:
            with http_exchange.answer(request, expects, patience, ca) as response:
                if not options.expects(response.status):
                    continue  # a server that knows no HEAD
                tag = http_exchange.validator(response) or response.headers.get("ETag", "")
        except Transient as trouble:
            raise StepError(trouble.message, hint=hint) from None
        if tag:
            return tag
    raise StepError(
        f"{options.shown}: the server says neither ETag nor Last-Modified, so `refresh` can't work",
        hint="say `always = true` to download it in every build",
    )


def _attempt(options: HttpOptions, under_way: Partial, ctx: RunContext) -> str:
    """One request, for what is still missing. Returns the version that the server told."""
    known = under_way.version()
    offset = under_way.size()
    if known is None or known.source != _source(options) or not (known.validator or options.checksum):
        known, offset = None, 0
    request = http_request.request(options, ctx.reveal)
    request = msgspec.structs.replace(request, headers=request.headers + _resuming(known, offset))
    patience = Patience(stall=options.stall_timeout, check=ctx.check)
    ca = http_request.authorities(options, ctx.root)

    def expects(status: int) -> bool:
        return options.expects(status) or (offset > 0 and status in (206, 416))

    with http_exchange.answer(request, expects, patience, ca) as response:
        validator = http_exchange.validator(response)
        _receive(response, options, offset, under_way, ctx)
    if options.checksum:
        under_way.verify(options.checksum, options.shown, ctx, resumed=offset > 0)
    return validator


def _source(options: HttpOptions) -> str:
    return f"{options.shown} {options.checksum}"


def _resuming(known: Version | None, offset: int) -> tuple[Header, ...]:
    """The headers that ask for the rest, if the file is still the same (RFC 9110, 13.1.5 and 14.2)."""
    if not known or not offset:
        return ()
    same = (Header("If-Range", known.validator),) if known.validator else ()
    return (Header("Range", f"bytes={offset}-"), *same)


def _size(response: http.client.HTTPResponse) -> int:
    length = response.headers.get("Content-Length", "")
    return int(length) if response.status != 206 and length.isdigit() else -1


def _receive(
    response: http.client.HTTPResponse, options: HttpOptions, offset: int, under_way: Partial, ctx: RunContext
) -> None:
    """Adds the body to the file. Raises Transient when it must be asked for again."""
    begin, total = _range(response)
    if response.status == 416 and offset == total:
        return  # all of it was here already
    if response.status == 416 or (response.status == 206 and begin != offset):
        under_way.discard()
        raise Transient("the server has another file than before; starting again", wait=0)
    resumed = response.status == 206
    version = Version(_source(options), http_exchange.validator(response), _size(response))
    done = offset if resumed else 0
    with under_way.resume() if resumed else under_way.start(version) as file:
        for piece in http_exchange.body(response, options.shown):
            ctx.check()
            file.write(piece)
            done += len(piece)
            ctx.progress(done, max(total if resumed else version.size, 0))


def _range(response: http.client.HTTPResponse) -> tuple[int, int]:
    """Where a partial body begins, and the whole size; -1 for what the server doesn't say."""
    match = _RANGE.match(response.headers.get("Content-Range", ""))
    begin, total = match.groups() if match else (None, None)
    return int(begin or -1), int(total) if total and total.isdigit() else -1
