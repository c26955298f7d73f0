"""Clients of AWS's services, and when they are made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imgbake.api import BakeError
from imgbake_aws import sdk
from imgbake_aws.tests.clouds import Cloud


def test_a_client_is_made_once(cloud: Cloud) -> None:
    assert sdk.client("ec2", "eu-west-1") is sdk.client("ec2", "eu-west-1")
    assert sdk.client("ec2", "eu-west-1") is not sdk.client("ec2", "us-east-1")


def test_credentials_that_were_renewed_are_used(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable)
    seen = []
    for number in range(2):
        file.write_text(f"[default]\naws_access_key_id = key{number}\naws_secret_access_key = none\n")
        os.utime(file, (number, number))
        seen.append(signed_by(sdk.client("ec2")))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    assert [*seen, signed_by(sdk.client("ec2"))] == ["key0", "key1", "another"]


def test_an_address_that_is_none_is_said(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "foo")
    with pytest.raises(BakeError, match="AWS can't be used: Invalid endpoint: foo"):
        sdk.client("ec2")


def signed_by(client: object) -> str:
    """The access key in a request of this client."""
    found = []
    client.meta.events.register(  # type: ignore[attr-defined]
        "before-send.ec2", lambda request, **more: found.append(request.headers["Authorization"])
    )
    client.describe_regions()  # type: ignore[attr-defined]
    return str(found[0].decode()).partition("Credential=")[2].partition("/")[0]


def test_a_value_that_aws_would_refuse_is_said(cloud: Cloud) -> None:
    with pytest.raises(BakeError) as error, sdk.asking("ecr:DescribeRepositories a"):
        sdk.client("ecr").describe_repositories(repositoryNames=["a"])
    assert error.value.message == (
        "ecr:DescribeRepositories a: AWS would refuse it: "
        "Invalid length for parameter repositoryNames[0], value: 1, valid min length: 2"
    )
