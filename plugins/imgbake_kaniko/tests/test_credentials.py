"""Credentials for the Secret: from docker's configuration, and from Amazon ECR as moto plays it."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgbake.api import BakeError
from imgbake_kaniko import credentials
from imgbake_oci.reference import parse

ECR = parse("111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/shop:1")


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    """A server that answers as AWS does."""
    pytest.importorskip("boto3")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(
        ip_address="127.0.0.1", port=0, verbose=False
    )
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def account(aws: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty account at that server."""
    import boto3

    for name, value in (
        ("AWS_ENDPOINT_URL", aws),
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "b"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ):
        monkeypatch.setenv(name, value)
    reset = urllib.request.Request(f"{aws}/moto-api/reset", method="POST")
    with urllib.request.urlopen(reset):
        pass
    return boto3.client("ecr", region_name="eu-west-1")


def logged_in(folder: Path, monkeypatch: pytest.MonkeyPatch, auths: dict[str, Any]) -> None:
    (folder / "config.json").write_text(json.dumps({"auths": auths}))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))


def test_what_docker_login_left_is_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = base64.b64encode(b"me:secret").decode()
    token = {"identitytoken": "a token", "auth": base64.b64encode(b"0:").decode()}
    logged_in(tmp_path, monkeypatch, {"r.example.com": {"auth": pair}, "https://index.docker.io/v1/": token})
    references = [parse("r.example.com/shop"), parse("python"), parse("nobody.example.com/a")]
    assert credentials.auths(references) == {
        "r.example.com": {"auth": pair},
        "https://index.docker.io/v1/": {"identitytoken": "a token"},
    }


def test_ecr_gives_a_token_where_nobody_has_logged_in(
    account: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    ((registry, entry),) = credentials.auths([ECR]).items()
    assert registry == ECR.registry
    assert isinstance(entry, dict)
    assert base64.b64decode(str(entry["auth"])).startswith(b"AWS:")


def test_a_repository_that_is_missing_is_made_once(account: Any) -> None:
    assert credentials.ensure_repository(ECR)
    assert not credentials.ensure_repository(ECR)
    found = account.describe_repositories(registryId="111122223333")["repositories"]
    assert [each["repositoryName"] for each in found] == ["team/shop"]
    assert not credentials.ensure_repository(parse("registry.example.com/team/shop"))


def test_aws_that_does_not_answer_is_an_error_for_users(
    monkeypatch: pytest.MonkeyPatch, account: Any
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(BakeError, match=ECR.registry) as caught:
        credentials.auths([ECR])
    assert caught.value.hint


def test_a_context_waits_in_a_bucket_while_it_is_needed(account: Any, tmp_path: Path) -> None:
    import boto3

    from imgbake_docker.tests.blueprints import blueprint
    from imgbake_kaniko import buckets, executor
    from imgbake_kaniko.options import Options
    from imgbake_kaniko.plan import plan as planned

    bucket = boto3.client("s3", region_name="us-east-1")
    bucket.create_bucket(Bucket="contexts")
    options = Options(tags=("registry.example.com/shop:1",), context="s3://contexts/imgbake/")
    plan = planned(blueprint(), options, "0123456789")
    context = tmp_path / "context.tar.gz"
    context.write_bytes(b"context")
    assert f"--context=s3://contexts/imgbake/{plan.name}.tar.gz" in executor.arguments(plan)

    class Counted:
        keep = False

        def progress(self, done: int, total: int) -> None:
            assert done <= total

    with buckets.kept(context, plan, Counted()):  # type: ignore[arg-type]  # all of a RunContext that it needs
        found = bucket.get_object(Bucket="contexts", Key=f"imgbake/{plan.name}.tar.gz")
        assert found["Body"].read() == b"context"
    assert "Contents" not in bucket.list_objects_v2(Bucket="contexts")
