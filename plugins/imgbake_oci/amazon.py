"""Registries of Amazon ECR: where they are, and passwords for them.

A password lasts for hours, and is made anew in time. It is for those who have not logged in there; only the
destination `ecr`, which says in its options who we are, never asks what docker knows.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import re
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from imgbake.api import BakeError
from imgbake_oci.reference import Reference

if TYPE_CHECKING:  # all of HTTP and TLS, and how AWS is asked, which other registries don't need
    from imgbake_aws.sites import Site
    from imgbake_oci.registry import Client, Credential, Credentials

_REAL = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr(-fips)?\.(?P<region>[a-z0-9-]+)\."
    r"(amazonaws\.com(\.cn)?|on\.aws|on\.amazonwebservices\.com\.cn)"
)
_USED = 0.9  # the part of its lifetime during which a password is used


class _Held(msgspec.Struct, frozen=True):
    host: str
    credential: Credential


class Registries:
    """What ECR says of its registries. Safe from threads; one for all nodes of a run."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[Site, threading.Lock] = {}
        self._held: dict[Site, _Held] = {}

    def host(self, site: Site, home: str) -> str:
        """Where the registry is that everybody names `home`; elsewhere only for an emulator of ECR."""
        found = self._current(site).host
        return home if _REAL.fullmatch(found) else found

    def credential(self, site: Site, refused: str = "") -> Credential:
        """A password for the registries there, another one than the one that was refused."""
        return self._current(site, refused).credential

    def _current(self, site: Site, refused: str = "") -> _Held:
        with self._guard:
            lock = self._locks.setdefault(site, threading.Lock())
        with lock:
            held = self._held.get(site)
            if (
                held is None
                or held.credential.password == refused
                or time.monotonic() > held.credential.until
            ):
                self._held[site] = held = _ask(site)
            return held


def owner(host: str) -> tuple[str, Site] | None:
    """The account and the place of the registry that this host is; None for a host that isn't ECR's."""
    found = _REAL.fullmatch(host)
    if found is None:
        return None
    from imgbake_aws.sites import Site

    return found["account"], Site(found["region"])


def issued(reference: Reference, registries: Registries, known: Credentials) -> Credential | None:
    """The password for a repository of ECR's, if nobody is `known` to have logged in. Raises BakeError."""
    place = owner(reference.registry)
    if place is None or known.find(reference).credential is not None:
        return None
    with _advised(reference):
        return registries.credential(place[1])


def introduced(reference: Reference, client: Client, registries: Registries) -> Reference:
    """A reference as a client of registries reaches it, which is given passwords for a repository of ECR's
    if it knows of nobody who has logged in. Raises BakeError."""
    place = owner(reference.registry)
    if place is None or client.credentials.find(reference).credential is not None:
        return reference
    with _advised(reference):
        there = msgspec.structs.replace(reference, registry=registries.host(place[1], reference.registry))
    client.issue(there, issuer(registries, place[1]))
    return there


def issuer(registries: Registries, site: Site) -> partial[Credential]:
    """What issues passwords for the registries there."""
    return partial(registries.credential, site)


@contextlib.contextmanager
def _advised(reference: Reference) -> Iterator[None]:
    """Says what else can be done where no password is issued."""
    try:
        yield
    except BakeError as error:
        other = f"log in by `docker login {reference.registry}`"
        raise BakeError(error.message, hint="; or ".join(filter(None, (error.hint, other)))) from None


def _ask(site: Site) -> _Held:
    from imgbake_aws import sdk
    from imgbake_oci.registry import Credential

    with sdk.asking(f"ecr:GetAuthorizationToken in {site.region}"):
        said = site.client("ecr").get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(said["authorizationToken"]).decode().partition(":")
    left = (said["expiresAt"] - datetime.datetime.now(datetime.UTC)).total_seconds()
    credential = Credential(
        user, password, source=f"Amazon ECR in {site.region}", until=time.monotonic() + left * _USED
    )
    return _Held(urlsplit(said["proxyEndpoint"]).netloc, credential)
