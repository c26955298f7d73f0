"""Authorization at registries: basic, or bearer tokens kept by scope (distribution, auth specifications).

Nothing is asked before a registry has refused: its answer 401 names the scheme. From then on every
request to the same place brings its token along, which is renewed before it ends, or when it is refused.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Sequence
from urllib.parse import urlencode

import msgspec

from imgbake_oci.reference import Reference
from imgbake_oci.registry.addresses import follow
from imgbake_oci.registry.challenge import Challenge
from imgbake_oci.registry.credentials import Credential, Credentials
from imgbake_oci.registry.failures import RegistryError, login, shown
from imgbake_oci.registry.origins import Origins, insecure
from imgbake_oci.registry.patience import TRANSIENT, Transient, Watch
from imgbake_oci.registry.transport import Request, Response, Transport
from imgbake_tasks.retry import retry_after

Scopes = tuple[str, ...]

_CLIENT = "imgbake"
_ANSWER_LIMIT = 1 << 20
_DEFAULT_LIFETIME = 60.0  # seconds, when a token does not say (the specification's default)
_USED = 0.9  # the part of its lifetime during which a token is used


class _Token(msgspec.Struct):
    token: str | None = None
    access_token: str | None = None
    expires_in: float | None = None

    @property
    def lifetime(self) -> float:
        """Seconds."""
        return _DEFAULT_LIFETIME if self.expires_in is None else self.expires_in


class _Pass(msgspec.Struct, frozen=True):
    """An Authorization header, and until when (monotonic seconds) it is good."""

    header: str
    until: float


class _Gate:
    """What is known of one registry and one set of scopes."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.held: _Pass | None = None


class Auth:
    """The headers that open registries. Safe from threads; threads with one need share one token."""

    def __init__(self, transport: Transport, origins: Origins, credentials: Credentials) -> None:
        self._transport = transport
        self._origins = origins
        self._credentials = credentials
        self._lock = threading.Lock()
        self._gates: dict[tuple[str, str, Scopes], _Gate] = {}
        self._challenges: dict[str, Challenge] = {}

    def header(self, reference: Reference, scopes: Scopes, watch: Watch) -> str:
        """The Authorization header for these scopes; empty while the registry has not asked for one."""
        if reference.registry not in self._challenges:
            return ""
        return self._pass(reference, scopes, "", watch)

    def renew(
        self, reference: Reference, scopes: Scopes, asked: list[Challenge], refused: str, watch: Watch
    ) -> str:
        """The header to try after a refusal of the header `refused`, by the challenges that came with it;
        empty when there is nothing else to try."""
        by_scheme = {challenge.scheme: challenge for challenge in asked}
        challenge = by_scheme.get("bearer") or by_scheme.get("basic")
        if not challenge:
            return ""
        self._challenges[reference.registry] = challenge
        return self._pass(reference, scopes, refused, watch)

    def advice(self, reference: Reference) -> str:
        """What a user can do who is not let in."""
        found = self._credentials.find(reference)
        remark = f" ({found.remark})" if found.remark else ""
        if found.credential and found.credential.identity_token:
            known = f"the identity token from {found.credential.source} does not allow it; "
        elif found.credential:
            known = f"user '{found.credential.username}' from {found.credential.source} may not; "
        else:
            known = ""
        return f"{known}check the name, or log in with `{login(reference)}`{remark}"

    def _pass(self, reference: Reference, scopes: Scopes, refused: str, watch: Watch) -> str:
        gate = self._gate(reference, scopes)
        with gate.lock:
            held = gate.held
            if not held or held.header == refused or time.monotonic() > held.until:
                gate.held = held = self._get(reference, scopes, refused, watch)
            return held.header if held.header != refused else ""

    def _gate(self, reference: Reference, scopes: Scopes) -> _Gate:
        with self._lock:
            return self._gates.setdefault((reference.registry, reference.repository, scopes), _Gate())

    def _get(self, reference: Reference, scopes: Scopes, refused: str, watch: Watch) -> _Pass:
        challenge = self._challenges[reference.registry]
        credential = self._credentials.find(reference).credential
        if challenge.scheme == "basic":
            if credential and _basic(credential) == refused:
                credential = self._credentials.find(reference, credential.password).credential
            return _Pass(_basic(credential), credential.until) if credential else _Pass("", float("inf"))
        home = self._origins.origin(reference.api_host, watch)
        realm = follow(f"{home}/", challenge.parameters.get("realm", ""))
        request = _token_request(realm, challenge, scopes, credential)
        self._check_realm(reference, request, credential)
        started = time.monotonic()
        with self._transport.send(request, watch) as response:
            token = self._read_token(reference, response)
        return _Pass(f"Bearer {token.token or token.access_token}", started + token.lifetime * _USED)

    def _check_realm(self, reference: Reference, request: Request, credential: Credential | None) -> None:
        """A password goes nowhere in the clear, wherever a registry sends us."""
        if credential and not self._origins.allows(request.origin):
            message = (
                f"{reference.registry}: wants the password sent to {shown(request.url)}, which is not HTTPS"
            )
            raise RegistryError(message, hint=insecure(request.origin))

    def _read_token(self, reference: Reference, response: Response) -> _Token:
        body = response.read(_ANSWER_LIMIT)
        if response.status in TRANSIENT:
            error = RegistryError(
                f"{reference.registry}: no token: HTTP {response.status}", status=response.status
            )
            raise Transient(error, after=retry_after(response.headers.get("Retry-After")))
        if response.status != 200:
            message = f"{reference.registry}: unauthorized: no token for {reference.repository}"
            raise RegistryError(message, hint=self.advice(reference), status=response.status)
        try:
            token = msgspec.json.decode(body, type=_Token, strict=False)
        except msgspec.DecodeError as error:
            realm = shown(response.request.url)
            raise RegistryError(f"{reference.registry}: {realm} answered no token") from error
        return token


def _token_request(
    realm: str, challenge: Challenge, scopes: Scopes, credential: Credential | None
) -> Request:
    """The request for a token: GET (token specification), or POST with an identity token (OAuth2)."""
    service = challenge.parameters.get("service", "")
    wanted = scopes or tuple(challenge.parameters.get("scope", "").split())
    if credential and credential.identity_token:
        form = {"grant_type": "refresh_token", "service": service, "client_id": _CLIENT}
        form |= {"scope": " ".join(wanted), "refresh_token": credential.identity_token}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return Request("POST", realm, headers, urlencode(form).encode())
    query: Sequence[tuple[str, str]] = [("service", service)] if service else []
    query = [*query, *(("scope", scope) for scope in wanted)]
    headers = {"Authorization": _basic(credential)} if credential else {}
    url = realm + ("&" if "?" in realm else "?") + urlencode(query)
    return Request("GET", url, headers)


def _basic(credential: Credential) -> str:
    pair = f"{credential.username}:{credential.password}"
    return "Basic " + base64.b64encode(pair.encode()).decode()
