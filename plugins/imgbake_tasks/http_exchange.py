"""One HTTP request and its answer: redirects, and which failures are worth another try.

Follows RFC 9110 (semantics) and RFC 9112 (messages). No message made here holds a revealed secret:
urls are shown as the recipe writes them, and of those that a server redirects to only the host.
"""

from __future__ import annotations

import contextlib
import http.client
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import SplitResult, quote, urljoin, urlsplit

import msgspec

from imgbake.api import StepError
from imgbake_tasks import address, failures, http_connection
from imgbake_tasks.http_connection import Connection
from imgbake_tasks.patient import Patience
from imgbake_tasks.retry import Transient, retry_after

_REDIRECTS = 10
_REDIRECT = frozenset({301, 302, 303, 307, 308})
_CHUNK = 1 << 18
_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
# Asking twice does no more than asking once (RFC 9110, 9.2.2).
_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})
# The server says that it did not do it: worth another try with any method.
_NOT_DONE = frozenset({408, 425, 429, 503})


class Header(msgspec.Struct, frozen=True):
    """A header to send. A secret one goes to no other host than the one it was meant for."""

    name: str
    value: str
    secret: bool = False


class Request(msgspec.Struct, frozen=True):
    """What is asked, secrets put in, and how it may be shown."""

    method: str
    url: str
    shown: str
    headers: tuple[Header, ...] = ()
    body: bytes | None = None

    def __repr__(self) -> str:
        return f"{self.method} {self.shown}"


@contextlib.contextmanager
def answer(
    request: Request, expects: Callable[[int], bool], patience: Patience, ca: Path | None = None
) -> Iterator[http.client.HTTPResponse]:
    """The answer, its body still to be read.

    Raises Transient for what may go well the next time, StepError for what will not: an unexpected
    status, a name that doesn't exist, a certificate that isn't trusted, and whatever breaks once a
    request was sent that must not be sent twice.
    """
    try:
        for _ in range(_REDIRECTS):
            with _sent(request, patience, ca) as response:
                target = response.headers.get("Location", "")
                if expects(response.status) or response.status not in _REDIRECT or not target:
                    _expect(request, response, expects)
                    yield response
                    return
                request = _redirected(request, response.status, target)
    except Transient as trouble:
        if request.method in _IDEMPOTENT or trouble.undone:
            raise
        hint = f"a {request.method} is not repeated by itself: look whether it was done, then build again"
        raise StepError(trouble.message, hint=hint) from None
    raise StepError(f"{request}: more than {_REDIRECTS} redirects", hint="check `url` in a browser")


def body(response: http.client.HTTPResponse, shown: str) -> Iterator[memoryview]:
    """The pieces of a body, each only good until the next. Raises Transient when it ends too early."""
    buffer = memoryview(bytearray(_CHUNK))
    length, received = response.length, 0  # None: it ends where the connection, or the last chunk, does
    while count := response.readinto(buffer):
        received += count
        yield buffer[:count]
    if length is not None and received < length:
        raise Transient(f"{shown}: the connection ended after {received} of {length} bytes")


def validator(response: http.client.HTTPResponse) -> str:
    """What tells this version from others: a strong ETag, else a time of modification, else nothing."""
    tag = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


@contextlib.contextmanager
def _sent(request: Request, patience: Patience, ca: Path | None) -> Iterator[http.client.HTTPResponse]:
    """The answer to a request as it is, redirects not followed."""
    url = address.split(request.url, str(request))
    if url.scheme not in ("http", "https"):
        raise StepError(f"{request}: this is no http url", hint="it is http://HOST/PATH or https://HOST/PATH")
    connection = http_connection.made(url, patience, ca)
    try:
        with _failures(request, undone=True):
            connection.connect()
        with _failures(request, undone=False):
            _send(connection, url, request)
            yield connection.getresponse()
    finally:
        connection.end()


@contextlib.contextmanager
def _failures(request: Request, *, undone: bool) -> Iterator[None]:
    """Turns what the network and the protocol raise into Transient and StepError."""
    try:
        with failures.network(str(request), undone=undone):
            yield
    except http.client.IncompleteRead:
        raise Transient(f"{request}: the connection ended within the body", undone=undone) from None
    except http.client.HTTPException as error:
        raise StepError(f"{request}: the answer is not HTTP ({type(error).__name__})") from None


def _send(connection: Connection, url: SplitResult, request: Request) -> None:
    host, proxy = http_connection.host(url), connection.proxy
    path = _plain(url.path or "/") + (f"?{_plain(url.query)}" if url.query else "")
    headers = {
        "Host": host,
        "User-Agent": "imgbake",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
        **http_connection.basic(url, "Authorization"),
        **(http_connection.basic(proxy, "Proxy-Authorization") if proxy else {}),
    }
    if request.body is not None or request.method in ("POST", "PUT", "PATCH"):
        headers["Content-Length"] = str(len(request.body or b""))
    given = {header.name.lower() for header in request.headers}
    connection.putrequest(
        request.method, f"http://{host}{path}" if proxy else path, skip_host=True, skip_accept_encoding=True
    )
    for name, value in headers.items():
        if name.lower() not in given:
            connection.putheader(name, value)
    for header in request.headers:
        connection.putheader(header.name, _legal(header))
    connection.endheaders(request.body)


def _plain(text: str) -> str:
    """Text of a url with what may not stand there (spaces, other alphabets) percent-encoded."""
    return quote(text, safe="%/:?#[]@!$&'()*+,;=-._~")


def _legal(header: Header) -> bytes:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", header.name):
        raise StepError(f"{header.name!r} can't be the name of a header")
    if re.search(r"[\r\n\0]", header.value):
        hint = "a secret read from a file often ends with a line break that doesn't belong to it"
        raise StepError(f"the header {header.name} would hold a line break", hint=hint)
    return header.value.encode()


def _redirected(request: Request, status: int, location: str) -> Request:
    """The request that a redirect asks for (RFC 9110, 15.4). Secrets stay with the host they are for."""
    old, new = urlsplit(request.url), address.split(_joined(request.url, location), f"{request} redirects")
    # Of where it leads only the host is shown: the server may repeat a secret in the path.
    shown = f"{request.shown.partition(' -> ')[0]} -> {new.scheme}://{http_connection.host(new)}"
    if new.scheme not in ("http", "https") or (old.scheme == "https" and new.scheme == "http"):
        raise StepError(f"{request.method} {shown}: redirected away from https", hint="check `url`")
    method, content, headers = request.method, request.body, request.headers
    if status == 303 or (status in (301, 302) and method == "POST"):
        method, content = ("HEAD" if method == "HEAD" else "GET"), None
        headers = tuple(header for header in headers if header.name.lower() != "content-type")
    if (old.scheme, http_connection.host(old)) != (new.scheme, http_connection.host(new)):
        if content is not None:
            hint = "make that the `url` if it is right"
            raise StepError(f"{request.method} {shown}: redirected to another host", hint=hint)
        headers = tuple(header for header in headers if not _stays(header))
    return Request(method, new.geturl(), shown, headers, content)


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:  # what isn't a url is judged by who reads it
        return location


def _stays(header: Header) -> bool:
    return header.secret or header.name.lower() in _SECRET_HEADERS


def _expect(request: Request, response: http.client.HTTPResponse, expects: Callable[[int], bool]) -> None:
    """Raises when the status is not a right one."""
    status = response.status
    if expects(status):
        return
    message = f"{request}: the server answers {status} {response.reason}".rstrip()
    if status in _NOT_DONE or (status >= 500 and status != 501):
        wait = retry_after(response.headers.get("Retry-After"))
        raise Transient(message, wait=wait, undone=status in _NOT_DONE)
    raise StepError(message, hint=_hint(status))


def _hint(status: int) -> str:
    if status in (401, 403):
        return 'check the password or token: headers = { Authorization = "Bearer {{ token }}" }'
    if status in (404, 410):
        return "check `url`"
    if 300 <= status < 400:
        return "the redirect names no place to go; check `url`"
    return "say `status` if this answer is right"
