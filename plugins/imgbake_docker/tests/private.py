"""A registry that issues passwords, as Amazon's do. For the tests of all who take images from there."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgbake_aws.sites import Site
from imgbake_docker.tests.projects import Put
from imgbake_oci import amazon as issuing
from imgbake_regions.tests.conftest import account as account
from imgbake_regions.tests.conftest import amazon as amazon
from imgbake_regions.tests.projects import Account
from tests.services.amazon import EcrRegistry


@pytest.fixture
def private(
    tmp_path: Path, base: Path, registry: Put, account: Account, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EcrRegistry]:
    """One with busybox as `private:1`, where nobody has logged in, at an address that engines reach."""
    behind = registry(base, "private", "1").partition("/")[0]
    account.client("ecr", "eu-west-1").create_repository(repositoryName="private")
    with contextlib.closing(account.cloud.registry(behind, "eu-west-1")) as made:
        site = (made.account, Site(made.region))
        monkeypatch.setattr(issuing, "owner", lambda host: site if host == made.host else None)
        settings = tmp_path / "settings" / "config.json"
        settings.parent.mkdir()
        settings.write_text(json.dumps({"auths": {"r.example.com": {"auth": "bWU6c2VjcmV0"}}}))
        monkeypatch.setenv("DOCKER_CONFIG", str(settings.parent))
        yield made
