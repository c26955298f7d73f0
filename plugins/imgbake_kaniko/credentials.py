"""Who we are at registries, for the Secret of a Job: what `docker login` left here, or tokens of ECR."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Any

from imgbake.api import BakeError, Json
from imgbake_kaniko.manifests import auth_key
from imgbake_oci.reference import Reference
from imgbake_oci.registry import Credential, credentials

_ECR = re.compile(r"([0-9]{12})\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
_SDK_HINT = "`pip install imgbake[ecr]`, or `docker login` there"


def auths(references: Iterable[Reference]) -> dict[str, Json]:
    """The `auths` of docker's config.json for these repositories. Raises BakeError.

    A registry has one entry: that of the first repository for which somebody has logged in.
    """
    known = credentials.from_environment()
    found: dict[str, Json] = {}
    for reference in references:
        key = auth_key(reference.registry)
        credential = known.find(reference).credential
        if credential is None and _ECR.fullmatch(reference.registry):
            credential = _ecr_token(reference)
        if credential is not None and key not in found:
            found[key] = _entry(credential)
    return found


def ensure_repository(reference: Reference) -> bool:
    """Makes a repository of Amazon ECR that is missing. Says whether it did. Raises BakeError."""
    place = _ECR.fullmatch(reference.registry)
    if place is None:
        return False
    client = _client(place[2])
    errors = client.exceptions
    with _Explained(reference):
        try:
            client.describe_repositories(registryId=place[1], repositoryNames=[reference.repository])
        except errors.RepositoryNotFoundException:
            client.create_repository(registryId=place[1], repositoryName=reference.repository)
            return True
    return False


def _ecr_token(reference: Reference) -> Credential:
    """A password that is good for twelve hours."""
    place = _ECR.fullmatch(reference.registry)
    assert place is not None
    with _Explained(reference):
        said = _client(place[2]).get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(said["authorizationToken"]).decode().partition(":")
    return Credential(user, password, source="Amazon ECR")


def _client(region: str) -> Any:
    try:
        import boto3
    except ImportError:
        raise BakeError("Amazon ECR needs boto3", hint=_SDK_HINT) from None
    return boto3.client("ecr", region_name=region)


class _Explained:
    """Turns what the SDK raises into an error for users."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        if isinstance(error, BotoCoreError | ClientError):
            hint = "the credentials of AWS are taken from where its own tools take them"
            raise BakeError(f"{self._reference.registry}: {error}", hint=hint) from None


def _entry(credential: Credential) -> Json:
    if credential.identity_token:
        return {"identitytoken": credential.identity_token}
    pair = f"{credential.username}:{credential.password}"
    return {"auth": base64.b64encode(pair.encode()).decode()}
