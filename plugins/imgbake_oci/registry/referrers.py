"""What refers to a manifest: signatures, SBOMs, attestations (distribution-spec, "Listing Referrers")."""

from __future__ import annotations

import msgspec

from imgbake_oci.descriptor import Descriptor
from imgbake_oci.reference import Reference
from imgbake_oci.registry.addresses import next_page
from imgbake_oci.registry.failures import RegistryError
from imgbake_oci.registry.patience import Watch
from imgbake_oci.registry.session import Call, Session

_LIMIT = 4 << 20  # bytes of one page
_PAGES = 1000  # more than these are no end to be waited for


class _Listing(msgspec.Struct):
    manifests: tuple[Descriptor, ...] | None = None


def listed(session: Session, reference: Reference, digest: str, watch: Watch) -> list[Descriptor] | None:
    """What refers to this manifest of the reference's repository; None where a registry has no such list."""
    found: list[Descriptor] = []
    place = f"referrers/{digest}"
    for _ in range(_PAGES):
        page = session.patiently(lambda place=place: _page(session, reference, place, watch), watch)  # type: ignore[misc]  # mypy can't infer a lambda's default
        if page is None:
            return None
        found += page[0]
        place = page[1]
        if not place:
            break
    return found


def _page(
    session: Session, reference: Reference, place: str, watch: Watch
) -> tuple[tuple[Descriptor, ...], str] | None:
    """One page, and where the next one is."""
    call = Call(
        reference, "GET", place, f"what refers to {reference.repository}", expected=(200, 400, 404, 405)
    )
    with session.send(call, watch) as response:
        data = response.read(_LIMIT)
        if response.status != 200:
            return None
        following = next_page(response.request.url, response.headers.get("Link", ""))
    try:
        return msgspec.json.decode(data, type=_Listing).manifests or (), following
    except msgspec.DecodeError:
        if place.startswith("referrers/"):  # a page for people, of a server that knows no such place
            return None
        raise RegistryError(f"{reference.registry}: its list of referrers is not JSON") from None
