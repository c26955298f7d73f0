"""Who may do what: open, basic, or bearer tokens (distribution's token and OAuth2 specifications)."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import time
from collections.abc import Mapping
from urllib.parse import parse_qs

import msgspec

from imgbake.testing.registry.messages import Answer, Ask, refuse

_NAME = re.compile(r"/v2/(.+)/(?:manifests|blobs|tags)/")


class Access:
    """The rules of one registry. `mode` is "" (open), "basic" or "bearer".

    An account may do everything. With bearer tokens and `anonymous_pull`, everybody may pull, with an
    anonymous token. `lifetime` is how many seconds a token is good for.
    """

    def __init__(
        self,
        mode: str = "",
        accounts: Mapping[str, str] | None = None,
        *,
        anonymous_pull: bool = True,
        lifetime: int = 300,
    ) -> None:
        self.mode = mode
        self.accounts = dict(accounts or {})
        self.anonymous_pull = anonymous_pull
        self.lifetime = lifetime
        self._tokens: dict[str, tuple[float, frozenset[str]]] = {}
        self._identities: dict[str, str] = {}

    def refusal(self, ask: Ask, url: str) -> Answer | None:
        """The answer 401 with its challenge when this request is not allowed, else None."""
        needed = _needed(ask)
        scheme, _, value = ask.headers.get("Authorization", "").partition(" ")
        if self.mode == "basic" and not (scheme == "Basic" and self._account(value)):
            return _challenge('Basic realm="test registry"')
        if self.mode == "bearer" and not (scheme == "Bearer" and self._covers(value, needed)):
            scope = f',scope="{" ".join(sorted(needed))}"' if needed else ""
            return _challenge(f'Bearer realm="{url}/token",service="test registry"{scope}')
        return None

    def token(self, ask: Ask) -> Answer:
        """The token endpoint: GET with basic credentials or none, or POST with an identity token."""
        if ask.method == "POST":
            form = {name: values[0] for name, values in parse_qs(ask.read().decode()).items()}
            user = self._identities.get(form.get("refresh_token", ""), "")
            return self._issue(user, form.get("scope", "")) if user else refuse(401, "UNAUTHORIZED")
        scheme, _, value = ask.headers.get("Authorization", "").partition(" ")
        user = self._account(value) if scheme == "Basic" else ""
        if scheme and not user:
            return refuse(401, "UNAUTHORIZED", "incorrect username or password")
        return self._issue(user, ask.query.get("scope", ""))

    def identity_token(self, user: str) -> str:
        """A long-lived token by which this account gets bearer tokens without its password."""
        token = f"identity-{secrets.token_hex(8)}"
        self._identities[token] = user
        return token

    def expire_tokens(self) -> None:
        """Makes every bearer token given out so far invalid."""
        self._tokens.clear()

    def _account(self, value: str) -> str:
        try:
            user, _, password = base64.b64decode(value).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return ""
        return user if user and self.accounts.get(user) == password else ""

    def _issue(self, user: str, scopes: str) -> Answer:
        granted = frozenset(
            f"{name}:{action}"
            for name, action in _actions(scopes)
            if user or (action == "pull" and self.anonymous_pull)
        )
        token = f"token-{secrets.token_hex(8)}"
        self._tokens[token] = (time.monotonic() + self.lifetime, granted)
        body = {"token": token, "access_token": token, "expires_in": self.lifetime}
        return Answer(200, {"Content-Type": "application/json"}, msgspec.json.encode(body))

    def _covers(self, token: str, needed: frozenset[str]) -> bool:
        expires, granted = self._tokens.get(token, (0.0, frozenset()))
        wanted = {f"{name}:{action}" for name, action in _actions(" ".join(needed))}
        return time.monotonic() < expires and wanted <= granted


def _needed(ask: Ask) -> frozenset[str]:
    """The scopes that a request needs, as a challenge writes them."""
    match = _NAME.match(ask.path)
    if not match:
        return frozenset()
    actions = "pull" if ask.method in ("GET", "HEAD") else "pull,push"
    scopes = {f"repository:{match[1]}:{actions}"}
    if source := ask.query.get("from"):
        scopes.add(f"repository:{source}:pull")
    return frozenset(scopes)


def _actions(scopes: str) -> list[tuple[str, str]]:
    """Repository and action, for each action of each scope in the text."""
    parsed = [scope.rpartition(":") for scope in scopes.split()]
    return [(name, action) for name, _, actions in parsed for action in actions.split(",")]


def _challenge(challenge: str) -> Answer:
    return refuse(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": challenge})
