"""Where registries of ECR are, and passwords for them, which last for hours and are made anew in time."""

from __future__ import annotations

import base64
import datetime
import re
import threading
import time
from functools import partial
from urllib.parse import urlsplit

import msgspec

from imgbake_aws import sdk
from imgbake_aws.sites import Site
from imgbake_oci.reference import Reference
from imgbake_oci.registry import Client, Credential

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
    return (found["account"], Site(found["region"])) if found else None


def introduced(reference: Reference, client: Client, registries: Registries) -> Reference:
    """A reference as a client of registries reaches it, which is given passwords if it is ECR's."""
    place = owner(reference.registry)
    if place is None:
        return reference
    there = msgspec.structs.replace(reference, registry=registries.host(place[1], reference.registry))
    client.issue(there, issuer(registries, place[1]))
    return there


def issuer(registries: Registries, site: Site) -> partial[Credential]:
    """What issues passwords for the registries there."""
    return partial(registries.credential, site)


def _ask(site: Site) -> _Held:
    with sdk.asking(f"ecr:GetAuthorizationToken in {site.region}"):
        said = site.client("ecr").get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(said["authorizationToken"]).decode().partition(":")
    left = (said["expiresAt"] - datetime.datetime.now(datetime.UTC)).total_seconds()
    credential = Credential(
        user, password, source=f"Amazon ECR in {site.region}", until=time.monotonic() + left * _USED
    )
    return _Held(urlsplit(said["proxyEndpoint"]).netloc, credential)
