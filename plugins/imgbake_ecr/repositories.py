"""Repositories of ECR: whether they are there, made when they aren't, and which tags can't be moved."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from imgbake.api import BakeError, Turns
from imgbake_aws import sdk
from imgbake_aws.sites import Site
from imgbake_aws.tags import written
from imgbake_ecr.options import Create

_IMMUTABLE = ("IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION")

Repository = dict[str, Any]


class Repositories:
    """What a run was told of repositories. Safe from threads; one for all nodes of a run."""

    def __init__(self) -> None:
        self._turns = Turns()
        self._found: dict[tuple[Site, str, str], Repository | None] = {}

    def get(self, site: Site, account: str, name: str, check: Callable[[], None]) -> Repository | None:
        """A repository, None when there is none. Asked once, unless it was made since. Raises BakeError."""
        key = site, account, name
        with self._turns.alone(key, check):  # a region that is slow to answer keeps nobody from others
            if self._found.get(key) is None:
                self._found[key] = _described(site, account, name)
            return self._found[key]


def require(site: Site, account: str, name: str, create: Create) -> None:
    """Makes a repository, if it isn't there, and what belongs to it and isn't there. Raises BakeError."""
    of = {"registryId": account, "repositoryName": name}
    ecr = site.client("ecr")
    with sdk.asking(f"ecr:CreateRepository {name} in {site.region}"), _known("RepositoryAlreadyExists"):
        ecr.create_repository(**of, **_request(create))
    if create.lifecycle_policy and not _has(ecr.get_lifecycle_policy, of, "LifecyclePolicyNotFound", site):
        with sdk.asking(f"ecr:PutLifecyclePolicy {name} in {site.region}"):
            ecr.put_lifecycle_policy(**of, lifecyclePolicyText=create.lifecycle_policy)
    if create.policy and not _has(ecr.get_repository_policy, of, "RepositoryPolicyNotFound", site):
        with sdk.asking(f"ecr:SetRepositoryPolicy {name} in {site.region}"):
            ecr.set_repository_policy(**of, policyText=create.policy)


def is_fixed(repository: Repository, tag: str) -> bool:
    """Can a tag never be moved?"""
    filters = repository.get("imageTagMutabilityExclusionFilters") or ()
    is_left_out = any(fnmatch.fnmatchcase(tag, each["filter"]) for each in filters)
    return repository.get("imageTagMutability") in _IMMUTABLE and not is_left_out


def untag(site: Site, account: str, name: str, tag: str) -> None:
    """Removes a tag. Raises BakeError."""
    with sdk.asking(f"ecr:BatchDeleteImage {name}:{tag} in {site.region}"):
        done = site.client("ecr").batch_delete_image(
            registryId=account, repositoryName=name, imageIds=[{"imageTag": tag}]
        )
    for each in done.get("failures", ()):
        raise BakeError(f"{name}:{tag} in {site.region} can't be removed: {each['failureReason']}")


def _has(get: Callable[..., Any], of: dict[str, str], code: str, site: Site) -> bool:
    """Does a repository have a policy?"""
    with sdk.asking(f"the policies of {of['repositoryName']} in {site.region}"), _known(code):
        get(**of)
        return True
    return False


@contextmanager
def _known(code: str) -> Iterator[None]:
    """Lets this be no error."""
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if sdk.code_of(error) != f"{code}Exception":
            raise


def _described(site: Site, account: str, name: str) -> Repository | None:
    with sdk.asking(f"ecr:DescribeRepositories {name} in {site.region}"):
        ecr = site.client("ecr")
        try:
            found = ecr.describe_repositories(registryId=account, repositoryNames=[name])["repositories"]
        except ecr.exceptions.RepositoryNotFoundException:
            return None
    repository: Repository = found[0]
    return repository


def _request(create: Create) -> dict[str, Any]:
    found: dict[str, Any] = {
        "imageScanningConfiguration": {"scanOnPush": create.scan_on_push},
        "imageTagMutability": "IMMUTABLE" if create.immutable_tags else "MUTABLE",
        "tags": written(create.tags),
    }
    if create.mutable_tags:
        found["imageTagMutability"] = "IMMUTABLE_WITH_EXCLUSION"
        found["imageTagMutabilityExclusionFilters"] = [
            {"filterType": "WILDCARD", "filter": tag} for tag in create.mutable_tags
        ]
    if create.kms_key:
        found["encryptionConfiguration"] = {"encryptionType": "KMS", "kmsKey": create.kms_key}
    return found
