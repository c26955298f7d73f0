"""Credentials for the Secret and for ourselves: from docker's configuration, and from Amazon ECR."""

from __future__ import annotations

import base64
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError

from imgbake.api import Artifact, BakeError
from imgbake.testing.registry import Registry
from imgbake_aws import sdk
from imgbake_kaniko import credentials, pushed
from imgbake_oci.reference import parse
from imgbake_regions.tests.conftest import account as account
from imgbake_regions.tests.conftest import amazon as amazon
from imgbake_regions.tests.projects import Account

ECR = parse("123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/shop:1")


class Context:
    """All of a context that is needed here."""

    keep = False

    def __init__(self) -> None:
        self._made: dict[Any, Any] = {}

    def shared(self, cls: Any) -> Any:
        return self._made.setdefault(cls, cls())

    def check(self) -> None:
        """Goes on."""

    def progress(self, done: int, total: int) -> None:
        assert done <= total

    def log(self, line: str) -> None:
        """Is heard by nobody."""


@pytest.fixture
def ctx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A context, where nobody has logged in."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return Context()


def logged_in(folder: Path, monkeypatch: pytest.MonkeyPatch, auths: dict[str, Any]) -> None:
    (folder / "config.json").write_text(json.dumps({"auths": auths}))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))


def test_what_docker_login_left_is_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ctx: Any
) -> None:
    pair = base64.b64encode(b"me:secret").decode()
    token = {"identitytoken": "a token", "auth": base64.b64encode(b"0:").decode()}
    logged_in(tmp_path, monkeypatch, {"r.example.com": {"auth": pair}, "https://index.docker.io/v1/": token})
    references = [parse("r.example.com/shop"), parse("python"), parse("nobody.example.com/a")]
    assert credentials.auths(references, ctx) == {
        "r.example.com": {"auth": pair},
        "https://index.docker.io/v1/": {"identitytoken": "a token"},
    }


def test_ecr_gives_a_password_where_nobody_has_logged_in(account: Account, ctx: Any) -> None:
    ((registry, entry),) = credentials.auths([ECR], ctx).items()
    assert registry == ECR.registry
    assert isinstance(entry, dict)
    assert base64.b64decode(str(entry["auth"])).startswith(b"AWS:")


def test_what_was_pushed_to_ecr_is_looked_for_as_who_pushed_it(account: Account, ctx: Any) -> None:
    with ExitStack() as stack:
        behind = stack.enter_context(Registry())
        digest = behind.add_image("team/shop:1", [b"layer"])
        account.cloud.registry(behind.host, "eu-west-1")
        credentials.ensure_repository(ECR, ctx)
        image = Artifact("container", digest, str(ECR), {"tags": [str(ECR)]})
        assert pushed.is_there(image, ctx)
        behind.add_image("team/shop:1", [b"another"])
        assert not pushed.is_there(image, ctx)


def test_a_repository_that_is_missing_is_made_once(account: Account, ctx: Any) -> None:
    assert credentials.ensure_repository(ECR, ctx)
    assert not credentials.ensure_repository(ECR, ctx)
    found = account.client("ecr", "eu-west-1").describe_repositories()["repositories"]
    assert [each["repositoryName"] for each in found] == ["team/shop"]
    assert not credentials.ensure_repository(parse("registry.example.com/team/shop"), ctx)


def test_aws_that_does_not_answer_is_an_error_for_users(
    monkeypatch: pytest.MonkeyPatch, account: Account, ctx: Any
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(sdk, "_TRIES", 1)
    with pytest.raises(BakeError, match=r"ecr:GetAuthorizationToken in eu-west-1: AWS can't be reached"):
        credentials.auths([ECR], ctx)


def test_a_context_waits_in_a_bucket_while_it_is_needed(account: Account, ctx: Any, tmp_path: Path) -> None:
    from imgbake_docker.tests.blueprints import blueprint
    from imgbake_kaniko import buckets, executor
    from imgbake_kaniko.options import Options
    from imgbake_kaniko.plan import plan as planned

    bucket = account.client("s3")
    bucket.create_bucket(Bucket="contexts")
    options = Options(tags=("registry.example.com/shop:1",), context="s3://contexts/imgbake/")
    plan = planned(blueprint(), options, "0123456789")
    context = tmp_path / "context.tar.gz"
    context.write_bytes(b"context")
    note = tmp_path / "kaniko" / "shop@cluster.context"
    assert f"--context=s3://contexts/imgbake/{plan.name}.tar.gz" in executor.arguments(plan)
    with buckets.kept(context, plan, note, ctx):
        found = bucket.get_object(Bucket="contexts", Key=f"imgbake/{plan.name}.tar.gz")
        assert found["Body"].read() == b"context"
        left = note.read_text()
    assert "Contents" not in bucket.list_objects_v2(Bucket="contexts")
    assert not note.exists()

    note.write_text(left)  # as when the bake was killed
    bucket.put_object(Bucket="contexts", Key=f"imgbake/{plan.name}.tar.gz", Body=b"context")
    with buckets.kept(context, planned(blueprint(), Options(tags=options.tags), "1"), note, ctx):
        assert "Contents" not in bucket.list_objects_v2(Bucket="contexts")
    assert not note.exists()


def test_a_bucket_that_refuses_to_forget_a_context_hides_no_failure(
    account: Account, ctx: Any, tmp_path: Path
) -> None:
    from imgbake_docker.tests.blueprints import blueprint
    from imgbake_kaniko import buckets
    from imgbake_kaniko.options import Options
    from imgbake_kaniko.plan import plan as planned

    account.client("s3").create_bucket(Bucket="contexts")
    options = Options(tags=("registry.example.com/shop:1",), context="s3://contexts")
    context = tmp_path / "context.tar.gz"
    context.write_bytes(b"context")
    bucket = sdk.client("s3")

    def refuse(**_: object) -> None:
        raise ConnectTimeoutError(endpoint_url="s3")

    bucket.meta.events.register("before-call.s3.DeleteObject", refuse)
    note = tmp_path / "shop@cluster.context"
    try:
        with (
            pytest.raises(BakeError, match="the component failed"),
            buckets.kept(context, planned(blueprint(), options, "1"), note, ctx),
        ):
            raise BakeError("the component failed")
    finally:
        bucket.meta.events.unregister("before-call.s3.DeleteObject", refuse)
    assert note.exists()
