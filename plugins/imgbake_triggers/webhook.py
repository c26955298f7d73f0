"""The trigger `webhook`: tells another system by HTTP, signed so that it knows who speaks."""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated, ClassVar

import msgspec

from imgbake.api import BakeError, Moved, ResolveContext, Trigger, hookimpl

_STALL = 30.0  # seconds


class WebhookOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of a trigger with `uses = "webhook"`."""

    url: Annotated[str, msgspec.Meta(description="Where the JSON is sent to, by POST.")]
    secret: Annotated[
        str,
        msgspec.Meta(
            description="What the receiver knows, too; a secret argument, `{{ name }}`. With it the header "
            "`X-Hub-Signature-256` holds the HMAC of the body."
        ),
    ] = ""
    headers: Annotated[dict[str, str], msgspec.Meta(description="More headers; may hold secrets.")] = {}

    def __post_init__(self) -> None:
        """Raises ValueError for an address that can't be one."""
        if not self.url.startswith(("http://", "https://", "{{")):
            raise ValueError("`url` is http://HOST/PATH or https://HOST/PATH")


class Webhook:
    """Sends what has moved as JSON, by POST, signed as GitHub signs (HMAC-SHA256 of the body).

    An answer from 200 to 299 says that it is done; else it is sent again later, with the same
    `X-Imgbake-Delivery`.
    """

    kind: ClassVar[str] = "webhook"
    version: ClassVar[int] = 1

    def __init__(self, options: WebhookOptions) -> None:
        self._options = options

    def fire(self, moved: Moved, ctx: ResolveContext) -> str:
        from imgbake_tasks.http_exchange import Header, Request, answer
        from imgbake_tasks.patient import Patience
        from imgbake_tasks.retry import Transient

        body = msgspec.json.encode(moved, order="sorted")
        headers = tuple(Header(name, value, secret=True) for name, value in self._headers(body, ctx).items())
        shown = self._options.url.partition("?")[0]
        request = Request("POST", ctx.reveal(self._options.url), shown, headers, body)
        try:
            with answer(request, lambda status: 200 <= status < 300, Patience(_STALL, ctx.check)) as response:
                return f"sent to {shown}: {response.status}"
        except Transient as error:
            raise BakeError(error.message, hint=error.hint) from None

    def _headers(self, body: bytes, ctx: ResolveContext) -> dict[str, str]:
        more = {name: ctx.reveal(value) for name, value in self._options.headers.items()}
        delivery = hashlib.sha256(body).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "X-Imgbake-Event": "moved",
            "X-Imgbake-Delivery": delivery,
        }
        if self._options.secret:
            signed = hmac.new(ctx.reveal(self._options.secret).encode(), body, hashlib.sha256).hexdigest()
            headers["X-Hub-Signature-256"] = f"sha256={signed}"
        return {**headers, **more}


@hookimpl
def imgbake_triggers() -> list[type[Trigger]]:
    """The kind `webhook`."""
    return [Webhook]
