"""What the registry has of an image that was pushed from the cluster."""

from __future__ import annotations

from imgbake.api import Artifact, BakeError
from imgbake_oci.reference import parse_tag
from imgbake_oci.registry import Client, RegistryError

_GONE = (404,)


def is_there(artifact: Artifact) -> bool:
    """Do all tags mean this image? Raises BakeError when the registry can't be asked."""
    with Client() as client:
        try:
            return all(
                client.resolve(parse_tag(tag)).digest == artifact.digest for tag in artifact.facts["tags"]
            )
        except RegistryError as error:
            if error.status in _GONE:
                return False
            raise BakeError(f"{error.message}", hint=error.hint) from None
