"""A request to a registry's API: authorized, redirected, its refusals turned into errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from imgbake_oci.reference import Reference
from imgbake_oci.registry import challenge
from imgbake_oci.registry.addresses import at, follow, origin
from imgbake_oci.registry.auth import Auth
from imgbake_oci.registry.failures import RegistryError, refusal, shown
from imgbake_oci.registry.origins import Origins, insecure
from imgbake_oci.registry.patience import TRANSIENT, Retries, Transient, Watch, patiently
from imgbake_oci.registry.transport import Body, Request, Response, Transport
from imgbake_tasks.retry import retry_after

T = TypeVar("T")

_ERROR_LIMIT = 1 << 20
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5


class Call(msgspec.Struct, frozen=True):
    """What is asked of a registry.

    `path` is below /v2/REPOSITORY/, or an absolute URL that the registry itself gave. `what` is for
    messages: "shop:1". Answers other than the statuses in `expected` are errors. `mount_from` is
    a second repository that must be readable; `commits` says that the answer may take its time.
    """

    reference: Reference
    method: str
    path: str
    what: str
    expected: tuple[int, ...] = (200,)
    headers: Mapping[str, str] = {}
    body: Body = None
    pushes: bool = False
    mount_from: str = ""
    commits: bool = False
    deletes: bool = False

    @property
    def verb(self) -> str:
        """What is done, for messages."""
        return "push" if self.pushes else "pull"

    @property
    def scopes(self) -> tuple[str, ...]:
        """What a token must allow (distribution, token scopes)."""
        actions = ("pull,push" if self.pushes else "pull") + (",delete" if self.deletes else "")
        own = f"repository:{self.reference.repository}:{actions}"
        return (own, f"repository:{self.mount_from}:pull") if self.mount_from else (own,)


class Session:
    """Registries by their API. Safe from threads."""

    def __init__(self, transport: Transport, origins: Origins, auth: Auth, retries: Retries) -> None:
        self._retries = retries
        self._transport = transport
        self._origins = origins
        self._auth = auth

    def patiently(self, attempt: Callable[[], T], watch: Watch) -> T:
        """What `attempt` returns, tried again while it raises Transient. Raises its error in the end."""
        return patiently(attempt, self._retries, watch.check)

    def send(self, call: Call, watch: Watch) -> Response:
        """The answer to one try, its status an expected one; to be closed by the caller.

        Raises Transient for what may pass, RegistryError for a refusal, and what the watch raises.
        """
        request = self._request(call, watch)
        response = self._authorized(call, request, watch)
        if call.method in ("GET", "HEAD"):
            response = self._redirected(call, response, watch)
        if response.status in call.expected:
            return response
        with response:
            self._raise(call, response)
        raise AssertionError("unreachable")

    def _request(self, call: Call, watch: Watch) -> Request:
        home = self._origins.origin(call.reference.api_host, watch)
        url = at(follow(f"{home}/v2/{call.reference.repository}/", call.path), home)
        self._check_scheme(call, url)
        return Request(call.method, url, dict(call.headers), call.body, call.commits)

    def _authorized(self, call: Call, request: Request, watch: Watch) -> Response:
        """The answer, after at most one renewal of what we show. Only the registry itself is shown it."""
        if request.origin != self._origins.origin(call.reference.api_host, watch):
            return self._transport.send(request, watch)
        shown_first = self._auth.header(call.reference, call.scopes, watch)
        response = self._transport.send(_with(request, shown_first), watch)
        if response.status != 401:
            return response
        with response:
            body = response.read(_ERROR_LIMIT)
        # The connection is free again by now: a token may come from the same host.
        asked = challenge.parse(response.headers.get_all("WWW-Authenticate", []))
        header = self._auth.renew(call.reference, call.scopes, asked, shown_first, watch)
        if not header:
            raise self._refusal(call, 401, body)
        return self._transport.send(_with(request, header), watch)

    def _redirected(self, call: Call, response: Response, watch: Watch) -> Response:
        """The answer at the end of redirects, to which no authorization is shown (storage signs its URLs)."""
        for _ in range(_MOST_REDIRECTS):
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or not location:
                return response
            with response:
                response.read(_ERROR_LIMIT)
            url = follow(response.request.url, location)
            self._check_scheme(call, url)
            request = Request(call.method, url, dict(call.headers))
            response = self._transport.send(request, watch)
        response.close()
        raise RegistryError(
            f"{call.reference.registry}: could not {call.verb} {call.what}: too many redirects"
        )

    def _check_scheme(self, call: Call, url: str) -> None:
        if not self._origins.allows(origin(url)):
            message = f"{call.reference.registry}: could not {call.verb} {call.what}"
            message = f"{message}: it leads to {shown(url)}, which is not HTTPS"
            raise RegistryError(message, hint=insecure(origin(url)))

    def _raise(self, call: Call, response: Response) -> None:
        body = response.read(_ERROR_LIMIT)
        error = self._refusal(call, response.status, body)
        if response.status in TRANSIENT:
            raise Transient(error, after=retry_after(response.headers.get("Retry-After")))
        raise error

    def _refusal(self, call: Call, status: int, body: bytes) -> RegistryError:
        error = refusal(status, body, call.reference, call.verb, call.what)
        if status in (401, 403):
            error.hint = self._auth.advice(call.reference)
        return error


def _with(request: Request, authorization: str) -> Request:
    if not authorization:
        return request
    return msgspec.structs.replace(request, headers={**request.headers, "Authorization": authorization})
