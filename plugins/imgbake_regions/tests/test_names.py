"""What leads to AMIs in a region: parameters, launch templates, and who may launch them."""

from __future__ import annotations

import json

import pytest

from imgbake.testing.shop import results
from imgbake_aws import sdk
from imgbake_regions import waiting
from imgbake_regions.tests.projects import HOME, Account, Regions
from tests.services.amazon import Fault

EU, AU = "eu-west-1", "ap-southeast-2"
NAMED = 'ssm_parameter = "/shop/ami"'
FRIENDS = '["111122223333", "444455556666"]'
UNIT = "arn:aws:organizations::123456789012:ou/o-abcd1234/ou-ab12-cdef3456"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_FIRST", 0.05)
    monkeypatch.setattr(sdk, "_TRIES", 1)


def test_a_parameter_holds_the_ami(project: Regions, account: Account) -> None:
    project.to(eu_west_1=NAMED)
    project.distribute()
    found = account.client("ssm", EU).get_parameter(Name="/shop/ami")["Parameter"]
    assert found["Value"] == account.only(EU)["ImageId"] and found["DataType"] == "aws:ec2:image"


def test_below_a_place_each_image_and_tag_has_one(project: Regions, account: Account) -> None:
    project.to(eu_west_1='ssm_parameter = ["/amis/", "current"]', more='tags = ["1.4", "stable"]')
    project.distribute()
    ami = account.only(EU)["ImageId"]
    names = ("/amis/shop/1.4", "/amis/shop/stable", "current")
    assert [account.parameter(EU, name) for name in names] == [ami] * 3


def test_names_are_put_back(project: Regions, account: Account) -> None:
    project.to(us_east_1=NAMED, eu_west_1=NAMED)
    project.distribute()
    first = account.parameter(EU)
    project.rebake()
    project.to(us_east_1=NAMED, eu_west_1=NAMED)
    project.distribute()
    assert account.parameter(HOME) == project.baked and account.parameter(EU) != first
    ran = project.run("distribute", "--rollback", "--format", "json")
    assert ran.code == 0 and account.parameter(EU) == first and account.parameter(HOME) != project.baked
    ran = project.run("distribute", "--rollback")
    assert ran.code == 0 and account.parameter(EU) == "" == account.parameter(HOME)
    assert "removed" in ran.stdout


def test_what_somebody_else_has_moved_is_left_alone(project: Regions, account: Account) -> None:
    project.to(eu_west_1=NAMED)
    project.distribute()
    other = account.bake("another", EU)
    account.client("ssm", EU).put_parameter(Name="/shop/ami", Value=other, Type="String", Overwrite=True)
    ran = project.run("distribute", "--rollback")
    assert ran.code == 1 and "which is not from here" in ran.stdout
    assert account.parameter(EU) == other


def test_if_one_name_cannot_move_the_others_are_put_back(project: Regions, account: Account) -> None:
    project.to(us_east_1=NAMED, eu_west_1=NAMED)
    project.distribute()
    before = account.parameter(HOME), account.parameter(EU)
    project.rebake()
    project.to(us_east_1=NAMED, eu_west_1=NAMED)
    account.cloud.faults.append(Fault("InternalServerError", EU, "PutParameter", 500))
    ran = project.distribute(code=3)
    assert set(results(ran)) <= {"put back", "delivered"}
    assert (account.parameter(HOME), account.parameter(EU)) == before


def test_a_launch_template_gets_a_version_that_is_the_default(project: Regions, account: Account) -> None:
    web = account.template(EU, "web", InstanceType="t3.small")
    batch = account.template(EU, "batch", InstanceType="m5.large")
    said = f'launch_templates = [{{ name = "web" }}, {{ id = "{batch}", set_default = false }}]'
    project.to(eu_west_1=said)
    project.distribute()
    ami = account.only(EU)["ImageId"]
    assert account.version(EU, web, "$Default") == (2, {"InstanceType": "t3.small", "ImageId": ami})
    assert account.version(EU, batch, "$Default")[0] == 1
    assert account.version(EU, batch, "$Latest") == (2, {"InstanceType": "m5.large", "ImageId": ami})
    assert results(project.distribute()) == ["there"]
    assert account.version(EU, web, "$Latest")[0] == 2


def test_a_launch_template_is_put_back_to_the_version_that_it_had(project: Regions, account: Account) -> None:
    web = account.template(EU, "web", InstanceType="t3.small")
    said = 'launch_templates = [{ name = "web" }]'
    project.to(eu_west_1=said)
    project.distribute()
    project.rebake()
    project.to(eu_west_1=said)
    project.distribute()
    assert account.version(EU, web, "$Default")[0] == 3
    for number in (2, 1):
        assert project.run("distribute", "--rollback").code == 0
        assert account.version(EU, web, "$Default")[0] == number
    assert account.version(EU, web, "$Latest")[0] == 3


def test_a_launch_template_that_is_not_there_is_said_before_anything_moves(
    project: Regions, account: Account
) -> None:
    project.to(us_east_1=NAMED, eu_west_1='launch_templates = [{ name = "wep" }]')
    ran = project.distribute(code=3)
    assert "there is no launch template wep in eu-west-1" in ran.stderr
    assert not account.amis(EU) and account.parameter(HOME) == ""
    ran = project.run("distribute", "-n")
    assert ran.code == 1 and "there is no launch template wep" in ran.stdout


def test_others_may_launch_it_when_it_is_everywhere(project: Regions, account: Account) -> None:
    said = f'accounts = {FRIENDS}\norganizational_units = ["{UNIT}"]\nshare_snapshots = true'
    project.to(us_east_1=said, eu_west_1=said)
    project.distribute()
    for region in (HOME, EU):
        ami = account.only(region)
        assert account.may_launch(region, ami["ImageId"]) == sorted([*json.loads(FRIENDS), UNIT])
        assert account.may_read(region, ami) == json.loads(FRIENDS)
    assert results(project.distribute()) == ["there", "there"]


def test_nobody_may_launch_it_while_a_region_lacks_it(project: Regions, account: Account) -> None:
    project.to(us_east_1=f"accounts = {FRIENDS}", eu_west_1="")
    account.cloud.faults.append(Fault(region=EU))
    project.distribute(code=3)
    assert account.may_launch(HOME, project.baked) == []


def test_everybody_may_launch_it(project: Regions, account: Account) -> None:
    project.to(eu_west_1="public = true")
    project.distribute()
    assert account.only(EU)["Public"]


def test_what_others_may_launch_is_put_back(project: Regions, account: Account) -> None:
    said = f"accounts = {FRIENDS}"
    first = project.baked
    project.to(us_east_1=said)
    project.distribute()
    second = project.rebake()
    project.to(us_east_1=said)
    project.distribute()
    assert account.may_launch(HOME, first) == account.may_launch(HOME, second) == json.loads(FRIENDS)
    assert project.run("distribute", "--rollback").code == 0
    assert account.may_launch(HOME, first) == json.loads(FRIENDS) and account.may_launch(HOME, second) == []


def test_one_more_account_is_taken_back_alone(project: Regions, account: Account) -> None:
    project.to(us_east_1='accounts = ["111122223333"]')
    project.distribute()
    project.to(us_east_1=f"accounts = {FRIENDS}")
    assert results(project.distribute()) == ["published"]
    assert account.may_launch(HOME, project.baked) == json.loads(FRIENDS)
    assert project.run("distribute", "--rollback").code == 0
    assert account.may_launch(HOME, project.baked) == ["111122223333"]


def test_images_of_other_projects_keep_their_permissions(project: Regions, account: Account) -> None:
    foreign = account.bake(
        "other", **{"imgbake:project": "x", "imgbake:image": "shop", "imgbake:shared": "true"}
    )
    account.client("ec2").modify_image_attribute(
        ImageId=foreign, LaunchPermission={"Add": [{"UserId": "111122223333"}]}
    )
    project.to(us_east_1='accounts = ["111122223333"]')
    project.distribute()
    assert project.run("distribute", "--rollback").code == 0
    assert account.may_launch(HOME, foreign) == ["111122223333"]
    assert account.may_launch(HOME, project.baked) == []


def test_what_a_rollback_needs_is_not_pruned(project: Regions, account: Account) -> None:
    said = f"accounts = {FRIENDS}"
    for number in range(3):
        project.rebake(f"shop {number + 2}")
        project.to(eu_west_1=said)
        project.distribute()
    oldest, before, now = sorted(account.amis(EU).values(), key=lambda ami: ami["CreationDate"])
    words = ("ami", "prune", "--keep", "0", "--yes", "--region", EU, "--format", "json")
    ran = project.run(*words)
    assert ran.code == 0, ran.stderr
    assert [ami["id"] for ami in ran.json["amis"]] == [oldest["ImageId"]]
    assert set(account.amis(EU)) == {before["ImageId"], now["ImageId"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ('kms_key = "x"', "did you mean 'kms_key_id'?"),
        ('accounts = ["1234"]', "'1234' is no account: they have 12 digits"),
        ('organizations = ["o-abc"]', "'o-abc' is no organization's ARN"),
        ('role_arn = "images"', "'images' is no role"),
        ('external_id = "x"', "there is no `role_arn`"),
        ('ssm_parameter = "shop/ami"', "can't be a parameter's name"),
        ('ssm_parameter = "/aws/ami"', "can't be a parameter's name"),
        ('ssm_parameter = ["/a", "/a"]', "'/a' is named twice"),
        ("launch_templates = [{}]", "say one of them"),
        ('deprecate_after = "soon"', "'soon' is no time span"),
        ('deprecate_at = "tomorrow"', "'tomorrow' is no date"),
        ('deprecate_at = "2030-01-01"\ndeprecate_after = "9d"', "remove one"),
        ('tags = { "aws:x" = "y" }', "belong to AWS"),
        ("share_snapshots = true", "snapshots are shared with `accounts`"),
        ('name = "a:b"', "can't be an AMI's name"),
    ],
)
def test_what_cannot_be_is_said_with_its_place(project: Regions, options: str, message: str) -> None:
    project.to(eu_west_1=options)
    ran = project.run("check")
    assert ran.code == 2 and message in ran.stderr, ran.stderr
    assert "imgbake.toml:" in ran.stderr


def test_a_region_that_is_none_is_said(project: Regions) -> None:
    project.to(europe="")
    ran = project.run("check")
    assert ran.code == 2 and "'europe' is no region; they look like eu-west-1" in ran.stderr


def test_a_tag_that_is_no_parameters_name_is_said(project: Regions) -> None:
    project.to(eu_west_1='ssm_parameter = "/amis/"', more='tags = ["a+b"]')
    ran = project.run("check")
    assert ran.code == 2 and "can't be a parameter's name" in ran.stderr, ran.stderr
