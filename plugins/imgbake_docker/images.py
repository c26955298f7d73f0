"""The image that a container runs: which one it is by content, and having it on the engine.

A reference is pinned by its own digest or by imgbake.lock, in the table that bases use. One that is not
means what the engine has by this name, as for `docker run`; only when it has nothing the registry is asked.
What was pulled bears the registry's digest on the engine too, so both say the same of one image.
"""

from __future__ import annotations

import msgspec

from imgbake.api import BakeError, PartsContext, Pin, RunContext
from imgbake_docker import bases, engine, origin
from imgbake_docker.container import ContainerOptions
from imgbake_docker.engine import Client
from imgbake_oci.reference import Reference, parse


def identity(said: ContainerOptions, ctx: PartsContext) -> str:
    """The digest of the image: its id if only the engine has it. Raises BakeError."""
    if said.is_id:
        return said.image
    if known := _pinned(said, ctx):
        return known
    ctx.volatile()
    with engine.connected() as client:
        return _on(client, said.image) or _asked(said.image)


def pin(said: ContainerOptions, ctx: PartsContext) -> Pin | None:
    """What the registry says of the image now, None where it has no say. Raises BakeError."""
    if said.is_id or parse(said.image).digest:
        return None
    with engine.connected() as client:
        found = client.image(said.image)
    if found is not None and origin.is_made_here(found, said.image, ctx):
        return None
    return Pin(origin.PINS, said.image, _asked(said.image))


def ready(client: Client, said: ContainerOptions, ctx: RunContext) -> str:
    """The engine's id of the image, which is pulled if it isn't there. Raises BakeError."""
    known = "" if said.is_id else _pinned(said, ctx)
    name = said.image if said.is_id else _repository(parse(said.image))
    found = client.image(f"{name}@{known}" if known else said.image)
    if found is None and said.is_id:
        raise BakeError(f"the engine has no image {said.image}", hint="name it by repository and tag")
    if found is None:
        digest = known or _asked(said.image)
        bases.pull(client, said.image, digest, "", ctx)
        found = client.image(f"{name}@{digest}")
        if found is None:
            raise BakeError(f"the engine pulled {said.image}, and does not have it")
        if not known:
            client.tag(found["Id"], name, parse(said.image).tag)
    return str(found["Id"])


def _pinned(said: ContainerOptions, ctx: PartsContext | RunContext) -> str:
    return parse(said.image).digest or ctx.pinned(origin.PINS, said.image) or ""


def _on(client: Client, image: str) -> str:
    """What the engine's image of this name is by content, empty when it has none."""
    found = client.image(image)
    if found is None:
        return ""
    own = parse(image).name
    digests = [parse(text) for text in found.get("RepoDigests") or ()]
    return min((each.digest for each in digests if each.name == own), default=str(found["Id"]))


def _asked(image: str) -> str:
    """What the registry says. Raises BakeError."""
    try:
        return origin.registry_digest(image)
    except BakeError as error:
        message = f"the docker engine has no image {image}, and {error.message}"
        raise BakeError(message, hint=error.hint) from None


def _repository(name: Reference) -> str:
    return msgspec.structs.replace(name, tag="", digest="").familiar
