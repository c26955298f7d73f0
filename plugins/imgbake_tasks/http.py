"""`http`: a download, or a call of another system's API, whose answer becomes a file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from imgbake.api import Artifact, Part, PartsContext, RunContext
from imgbake_tasks import address, checksum, place
from imgbake_tasks.address import Address


class HttpOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a recipe says of a download or a call."""

    url: Annotated[str, Meta(description="What to ask, http:// or https://", min_length=1)]
    to: Annotated[str, Meta(description="The file to write; else one in the task's own folder")] = ""
    checksum: Annotated[str, Meta(description="What the body must be: sha256:<hex> or sha512:<hex>")] = ""
    refresh: Annotated[bool, Meta(description="Ask in every build whether there is a newer version")] = False
    method: Annotated[str, Meta(description="The request's method", pattern="^[A-Z]+$")] = "GET"
    headers: Annotated[dict[str, str], Meta(description="Headers to send; values may hold secrets")] = {}
    body: Annotated[str | None, Meta(description="Text to send; may hold secrets")] = None
    json: Annotated[dict[str, Any] | None, Meta(description="A table to send as JSON")] = None
    status: Annotated[
        int | tuple[int, ...] | None, Meta(description="The statuses that are right; else any 2xx")
    ] = None
    keep: Annotated[
        Literal["body", "status", "headers", "none"], Meta(description="What of the answer is written")
    ] = "body"
    select: Annotated[str, Meta(description="Keep one value of a JSON body, such as 'assets.0.id'")] = ""
    attempts: Annotated[int, Meta(description="How often to try when network or server fail", ge=1)] = 5
    stall_timeout: Annotated[float, Meta(description="Seconds without a byte that end a try", gt=0)] = 60.0
    ca: Annotated[str, Meta(description="A PEM file of authorities to trust besides the system's")] = ""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://", "{{")):
            raise ValueError(f"`url` starts with http:// or https://, and {self.shown!r} does not")
        place.checked("to", self.to)
        place.checked("ca", self.ca)
        if self.checksum:
            checksum.checked(self.checksum)
        if self.body is not None and self.json is not None:
            raise ValueError("`body` and `json` are two ways to say what is sent: give one")
        if self.select and self.keep != "body":
            raise ValueError(f"`select` picks from the body, and `keep = {self.keep!r}` leaves the body out")
        if self.refresh and not self.is_download:
            raise ValueError(
                "`refresh` is for a download; a call runs again when its options change, or `always`"
            )

    @property
    def is_download(self) -> bool:
        """Is it a plain GET whose body is kept whole? Only that can go on where it was cut off."""
        sends_nothing = self.body is None and self.json is None
        return self.method == "GET" and sends_nothing and self.keep == "body" and not self.select

    @property
    def shown(self) -> str:
        """The url as it may be seen: without user and password, query left as the recipe writes it."""
        return self.address.plain

    @property
    def address(self) -> Address:
        """The url, taken apart."""
        return address.parsed(self.url)

    def expects(self, status: int) -> bool:
        """Is this the status, or one of the statuses, of a good answer?"""
        if self.status is None:
            return 200 <= status < 300
        return status in (self.status if isinstance(self.status, tuple) else (self.status,))


class Http:
    """Asks a server, and keeps what the recipe wants of its answer."""

    kind: ClassVar[str] = "http"
    version: ClassVar[int] = 1

    def __init__(self, options: HttpOptions) -> None:
        self.options = options

    def outputs(self, folder: str) -> tuple[str, ...]:
        """The file that is kept, if one is."""
        if self.options.keep == "none":
            return ()
        return (self.options.to or f"{folder}/{place.file_name(urlsplit(self.options.shown).path)}",)

    def parts(self, ctx: PartsContext) -> Iterable[Part]:
        """What the body must be, if that is known, or the version that the server has now, or the request.

        Raises StepError when the version can't be asked.
        """
        options = self.options
        if options.checksum:
            yield Part("checksum", options.checksum)
        if not options.is_download:
            yield Part("request", f"{options.method} {options.shown}")
        if options.refresh:
            from imgbake_tasks import http_download

            ctx.volatile()
            yield Part("version", http_download.version(options, ctx))

    def run(self, ctx: RunContext) -> Artifact:
        """Asks the server. Raises StepError when it refuses, cannot be reached, or sends the wrong bytes."""
        from imgbake_tasks import http_call, http_download

        target = next(iter(self.outputs(ctx.folder)), "")
        work = http_download.run if self.options.is_download else http_call.run
        return work(self.options, target, ctx)
