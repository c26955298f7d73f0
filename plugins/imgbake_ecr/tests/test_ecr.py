"""Containers in ECR: passwords, repositories, immutable tags, regions and accounts."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from imgbake.testing.shop import Shop, results
from imgbake_aws.sites import Site
from imgbake_ecr import repositories
from imgbake_regions.tests.projects import Account
from tests.services.amazon import EcrRegistry, Fault

EU, US, MINE = "eu-west-1", "us-east-1", "123456789012"
Start = Callable[..., EcrRegistry]


class InEcr(Shop):
    """A project whose image goes to regions of ECR."""

    def into(
        self, more: str = "", *, content: str = "1", tags: Sequence[str] = ("1",), **regions: str
    ) -> None:
        self.write("app", content)
        tables = {
            name: f'uses = "ecr"\nregion = "{name.replace("_", "-")}"\n'
            + ("" if "account" in options else f'account = "{MINE}"\n')
            + ("" if "repository" in options else 'repository = "team/shop"\n')
            + options
            for name, options in regions.items()
        }
        self.to(tags=tags, more=more, **tables)


@pytest.fixture
def shop(tmp_path: Path) -> InEcr:
    return InEcr(tmp_path / "shop")


def test_an_image_goes_to_repositories_that_are_made(shop: InEcr, account: Account, ecr: Start) -> None:
    ecr(EU), ecr(US)
    said = 'create = { scan_on_push = true, immutable_tags = true, kms_key = "alias/shop" }'
    shop.into(eu_west_1=said, us_east_1="create = {}")
    ran = shop.distribute()
    assert results(ran) == ["published"] * 2
    reference = ran.json["arrivals"][0]["reference"]
    assert reference.startswith(f"{MINE}.dkr.ecr.{EU}.amazonaws.com/team/shop@sha256:")
    assert ran.json["arrivals"][0]["pointers"] == [f"{MINE}.dkr.ecr.{EU}.amazonaws.com/team/shop:1"]
    (made,) = account.client("ecr", EU).describe_repositories()["repositories"]
    assert made["imageScanningConfiguration"] == {"scanOnPush": True}
    assert made["imageTagMutability"] == "IMMUTABLE"
    assert made["encryptionConfiguration"]["encryptionType"] == "KMS"
    assert results(shop.distribute()) == ["there"] * 2


def test_with_nothing_to_do_registries_are_asked_and_no_recipe_is_read(
    shop: InEcr, account: Account, ecr: Start
) -> None:
    ecr(EU), ecr(US)
    shop.into(eu_west_1="create = {}", us_east_1="create = {}", tags=["1", "stable"])
    shop.distribute()
    time.sleep(0.1)  # until files are old enough to prove something
    shop.distribute()
    account.cloud.calls.clear()
    ran = shop.distribute()
    assert ran.stderr.startswith("nothing to do: ") and results(ran) == ["there"] * 2
    assert sorted(account.cloud.calls) == [f"ecr:GetAuthorizationToken {region}" for region in (EU, US)]
    gone = {"repositoryName": "team/shop", "imageIds": [{"imageTag": "stable"}]}
    account.client("ecr", EU).batch_delete_image(**gone)
    assert results(shop.distribute()) == ["published", "there"]


def test_a_region_that_is_slow_to_answer_keeps_nobody_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()

    def described(site: Site, account: str, name: str) -> repositories.Repository:
        assert site.region != EU or is_over.wait(60)
        return {"repositoryName": name}

    monkeypatch.setattr(repositories, "_described", described)
    asked = repositories.Repositories()
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(asked.get, Site(EU), MINE, "shop", lambda: None)
        quick = pool.submit(asked.get, Site(US), MINE, "shop", lambda: None)
        try:
            assert quick.result(30) == {"repositoryName": "shop"} and not slow.done()
        finally:
            is_over.set()


def test_a_missing_repository_is_said_unless_it_may_be_made(
    shop: InEcr, account: Account, ecr: Start
) -> None:
    ecr(EU)
    shop.into(eu_west_1="")
    ran = shop.distribute(code=1)
    assert f"there is no repository {MINE}.dkr.ecr.{EU}.amazonaws.com/team/shop" in ran.stderr
    assert "create = {}" in ran.stderr
    assert not account.client("ecr", EU).describe_repositories()["repositories"]


def test_each_image_has_a_repository_below_a_slash(shop: InEcr, account: Account, ecr: Start) -> None:
    ecr(EU)
    shop.into(eu_west_1='repository = "team/"\ncreate = {}')
    shop.distribute()
    (made,) = account.client("ecr", EU).describe_repositories()["repositories"]
    assert made["repositoryName"] == "team/shop"


def test_policies_are_put_also_when_a_run_was_killed_before(
    shop: InEcr, account: Account, ecr: Start
) -> None:
    ecr(EU)
    client = account.client("ecr", EU)
    client.create_repository(repositoryName="team/shop")
    rule = {"rulePriority": 1, "action": {"type": "expire"}}
    rule["selection"] = {"tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": 5}
    lifecycle = json.dumps({"rules": [rule]})
    statement = {"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "ecr:BatchGetImage"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    shop.into(eu_west_1=f"create = {{ lifecycle_policy = '{lifecycle}', policy = '{policy}' }}")
    shop.distribute()
    assert client.get_lifecycle_policy(repositoryName="team/shop")["lifecyclePolicyText"]
    assert "111122223333" in client.get_repository_policy(repositoryName="team/shop")["policyText"]


def test_an_immutable_tag_that_means_something_else_is_said_before_anything_moves(
    shop: InEcr, account: Account, ecr: Start
) -> None:
    ecr(EU), ecr(US)
    options = {"eu_west_1": "create = { immutable_tags = true }", "us_east_1": "create = {}"}
    shop.into(**options)
    shop.distribute()
    before = shop.distribute().json["arrivals"][1]["reference"]
    shop.into(**options, content="2")
    ran = shop.distribute(code=3)
    assert "team/shop:1 can't be moved: its repository has immutable tags" in ran.stderr
    assert results(ran) == ["failed", "delivered"]
    ran = shop.run("distribute", "-n")
    assert ran.code == 1 and "immutable tags" in ran.stdout
    shop.into(**options, content="1")
    assert shop.distribute().json["arrivals"][1]["reference"] == before
    assert results(shop.distribute()) == ["there", "there"]


def test_tags_that_are_left_out_of_immutability_move(shop: InEcr, account: Account, ecr: Start) -> None:
    ecr(EU)
    options = 'create = { immutable_tags = true, mutable_tags = ["lat*"] }'
    for number in "12":
        shop.into(eu_west_1=options, content=number, tags=[number, "latest"])
        assert results(shop.distribute()) == ["published"]


def test_tags_are_put_back_and_new_ones_removed(shop: InEcr, account: Account, ecr: Start) -> None:
    ecr(EU)
    for number in "12":
        shop.into(eu_west_1="create = {}", content=number)
        shop.distribute()
    first, second = (shop.run("distribute", "--rollback", "--format", "json") for _ in range(2))
    assert first.code == second.code == 0, first.stderr + second.stderr
    assert first.json[0]["reference"].startswith(f"{MINE}.dkr.ecr.{EU}.amazonaws.com/team/shop@sha256:")
    assert second.json[0]["reference"] == ""
    shop.into(eu_west_1="create = {}", content="1")
    assert results(shop.distribute()) == ["published"]


def test_a_password_that_is_refused_is_made_anew(shop: InEcr, account: Account, ecr: Start) -> None:
    registry = ecr(EU)
    registry.ends_after = 3
    account.client("ecr", EU).create_repository(repositoryName="team/shop")
    shop.into(eu_west_1="")
    assert results(shop.distribute()) == ["published"]
    assert account.cloud.count("ecr:GetAuthorizationToken") == 2


def test_a_password_is_made_once_for_a_run_and_anew_before_it_ends(
    shop: InEcr, account: Account, ecr: Start
) -> None:
    registry = ecr(EU)
    shop.into(eu_west_1="create = {}")
    shop.distribute()
    assert account.cloud.count("ecr:GetAuthorizationToken") == 1
    registry.lifetime = 0.0
    account.cloud.calls.clear()
    assert results(shop.distribute()) == ["there"]
    assert account.cloud.count("ecr:GetAuthorizationToken") > 1


def test_a_copy_without_a_recipe_gets_a_password_unless_somebody_has_logged_in(
    shop: InEcr, account: Account, ecr: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    ecr(EU)
    shop.into(eu_west_1="create = {}")
    shop.distribute()
    shop.build()
    to = f"{MINE}.dkr.ecr.{EU}.amazonaws.com/team/shop:2"
    ran = shop.run("copy", "oci:.imgbake/images/shop/oci", to, "--format", "json")
    assert ran.code == 0 and results(ran) == ["published"], ran.stderr
    ran = shop.run("copy", "oci:.imgbake/images/shop/oci", to.replace("shop", "other"))
    assert ran.code == 1 and "there is no repository" in ran.stderr

    host = to.partition("/")[0]
    known = {"auths": {host: {"username": "AWS", "password": "of docker login"}}}
    shop.write("docker/config.json", json.dumps(known))
    monkeypatch.setenv("DOCKER_CONFIG", str(shop.root / "docker"))
    account.cloud.calls.clear()
    shop.run("copy", "-n", "oci:.imgbake/images/shop/oci", to)
    assert account.cloud.calls == []


def test_bases_and_sources_get_a_password_where_they_are_asked(
    shop: InEcr, account: Account, ecr: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    ecr(EU)
    shop.into(eu_west_1="create = {}")
    shop.distribute()
    home = f"{MINE}.dkr.ecr.{EU}.amazonaws.com/team/shop"
    assert shop.run("copy", f"{home}:1", "oci:copied:1").code == 0
    above = f'[images.above]\nbase = "{home}:1"\ntargets = ["oci"]\nlabels = {{ a = "1" }}\n'
    shop.recipe(f'[targets.oci]\nuses = "oci"\ntags = ["{home}:2"]\n{above}')
    assert shop.run("lock").code == 0
    account.cloud.calls.clear()
    ran = shop.run("build", "--push", "--progress", "plain")
    assert ran.code == 0 and f"{home}:2@sha256:" in ran.stdout, ran.stderr
    assert account.cloud.calls == [f"ecr:GetAuthorizationToken {EU}"]

    account.cloud.calls.clear()
    shop.write("imgbake.toml", shop.read("imgbake.toml").replace('"1"', '"2"'))
    shop.build()
    assert account.cloud.calls == []
    (shop.root / "imgbake.lock").unlink()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    ran = shop.run("build")
    assert ran.code == 1 and "there are no credentials for AWS" in ran.stderr
    assert f"or log in by `docker login {MINE}.dkr.ecr" in ran.stderr


def test_another_account_is_reached_by_a_role(shop: InEcr, account: Account, ecr: Start) -> None:
    ecr(EU, account="111122223333")
    role = 'account = "111122223333"\nrole_arn = "arn:aws:iam::111122223333:role/push"\ncreate = {}'
    shop.into(eu_west_1=role)
    assert results(shop.distribute()) == ["published"]
    other = account.assume("111122223333")
    (made,) = account.client("ecr", EU, **other).describe_repositories()["repositories"]
    assert made["registryId"] == "111122223333"
    assert not account.client("ecr", EU).describe_repositories()["repositories"]


def test_a_region_that_refuses_harms_no_other(shop: InEcr, account: Account, ecr: Start) -> None:
    ecr(EU), ecr(US)
    shop_there = f"arn:aws:ecr:{EU}:{MINE}:repository/team/shop"
    said = f"User: me is not authorized to perform: ecr:CreateRepository on resource: {shop_there}"
    refused = Fault("AccessDeniedException", EU, "CreateRepository", 400, said)
    account.cloud.faults.append(refused)
    shop.into(eu_west_1="create = {}", us_east_1="create = {}")
    ran = shop.distribute(code=3)
    assert results(ran) == ["failed", "delivered"]
    assert f"ecr:CreateRepository team/shop in {EU}: AWS refused: AccessDeniedException" in ran.stderr
    assert f"allow the action ecr:CreateRepository on {shop_there}" in ran.stderr
    account.cloud.faults.clear()
    assert results(shop.distribute()) == ["published"] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ('account = "12"', "'12' is no account: they have 12 digits"),
        ('repository = "Team Shop"', "is no repository's name"),
        ('repository = "shop:1"', "is no repository's name"),
        ('role_arn = "push"', "'push' is no role"),
        ('create = { mutable_tags = ["x"] }', "all tags can be moved without `immutable_tags`"),
        ('create = { policy = "{" }', "is no JSON"),
        ("create = { scan = true }", "scan"),
    ],
)
def test_what_cannot_be_is_said_with_its_place(shop: InEcr, options: str, message: str) -> None:
    shop.into(eu_west_1=options)
    ran = shop.run("check")
    assert ran.code == 2 and message in ran.stderr and "imgbake.toml:" in ran.stderr, ran.stderr
