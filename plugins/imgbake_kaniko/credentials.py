"""Who we are at registries: what `docker login` left here, or passwords that Amazon ECR issues."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from imgbake.api import Json, RunContext
from imgbake_ecr import repositories
from imgbake_ecr.options import Create
from imgbake_ecr.repositories import Repositories
from imgbake_kaniko.manifests import auth_key
from imgbake_oci import amazon
from imgbake_oci.amazon import Registries
from imgbake_oci.reference import Reference
from imgbake_oci.registry import Credential, credentials


def auths(references: Iterable[Reference], ctx: RunContext) -> dict[str, Json]:
    """The `auths` of docker's config.json for these repositories. Raises BakeError.

    A registry has one entry: that of the first repository for which somebody has logged in.
    """
    known = credentials.from_environment()
    found: dict[str, Json] = {}
    for reference in references:
        key = auth_key(reference.registry)
        credential = known.find(reference).credential
        credential = credential or amazon.issued(reference, ctx.shared(Registries), known)
        if credential is not None and key not in found:
            found[key] = _entry(credential)
    return found


def ensure_repository(reference: Reference, ctx: RunContext) -> bool:
    """Makes a repository of Amazon ECR that is missing. Says whether it did. Raises BakeError."""
    place = amazon.owner(reference.registry)
    if place is None:
        return False
    account, site = place
    if ctx.shared(Repositories).get(site, account, reference.repository, ctx.check) is not None:
        return False
    repositories.require(site, account, reference.repository, Create())
    return True


def _entry(credential: Credential) -> Json:
    if credential.identity_token:
        return {"identitytoken": credential.identity_token}
    pair = f"{credential.username}:{credential.password}"
    return {"auth": base64.b64encode(pair.encode()).decode()}
