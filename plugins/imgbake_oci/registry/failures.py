"""What a registry's refusals mean, in words that say what to do (distribution-spec, error codes)."""

from __future__ import annotations

import http
import re
from urllib.parse import urlsplit

import msgspec

from imgbake.api import BakeError
from imgbake_oci.reference import HUB, Reference

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_LONGEST_MESSAGE = 300


class RegistryError(BakeError):
    """A registry refused or failed. `status` is the HTTP status (0 without one), `codes` the spec's."""

    def __init__(self, message: str, *, hint: str = "", status: int = 0, codes: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.codes = codes


class _Error(msgspec.Struct):
    code: str = ""
    message: str = ""


class _Errors(msgspec.Struct):
    errors: tuple[_Error, ...] = ()


def refusal(status: int, body: bytes, reference: Reference, verb: str, what: str) -> RegistryError:
    """The error for an answer that refuses.

    `verb` is "pull" or "push", `what` the very thing, such as "blob sha256:…". What the registry itself
    says is repeated, shortened.
    """
    errors = _spec_errors(body)
    said = "; ".join(dict.fromkeys(clean(error.message or error.code) for error in errors)).strip("; ")
    said = f": {said}" if said else ""
    where, doing = reference.registry, f"{verb} {what}"
    messages = {
        401: f"{where}: unauthorized to {verb} {reference.repository}{said}",
        403: f"{where}: not allowed to {verb} {reference.repository}{said}",
        404: f"{where}: could not {doing}: it is not there{said}",
        413: f"{where}: could not {doing}: it is too large for this registry{said}",
        429: f"{where}: too many requests{said}",
    }
    message = messages.get(status, f"{where}: could not {doing}: HTTP {status} {_phrase(status)}{said}")
    hints = {429: f"wait, or raise the limit: log in with `{login(reference)}`"}
    return RegistryError(
        message, hint=hints.get(status, ""), status=status, codes=tuple(error.code for error in errors)
    )


def login(reference: Reference) -> str:
    """The command by which a user logs in to the registry of this reference."""
    return "docker login" if reference.registry == HUB else f"docker login {reference.registry}"


def shown(url: str) -> str:
    """A URL as it may be printed: without query and user, which can hold secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def clean(text: str) -> str:
    """Text from elsewhere, made fit for one line of a terminal."""
    text = _CONTROL.sub(" ", text).strip()
    return text if len(text) <= _LONGEST_MESSAGE else text[:_LONGEST_MESSAGE] + "…"


def _spec_errors(body: bytes) -> tuple[_Error, ...]:
    try:
        return msgspec.json.decode(body, type=_Errors).errors
    except msgspec.DecodeError:
        return ()


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""
