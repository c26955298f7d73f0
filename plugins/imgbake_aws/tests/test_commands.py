"""`imgbake ami`: what is listed, what is removed, and what never is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from imgbake.engine.pointers import Move, Pointers
from imgbake.testing.project import Project
from imgbake_aws import pruning, tags
from imgbake_aws.tests.clouds import TRUSTY, Cloud


class Account:
    """An account with AMIs of ours, the first made is the oldest."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.ec2 = cloud, cloud.client("ec2")
        self._made = 0

    def bake(self, image: str = "app", project: str = "project", region: str = "us-east-1") -> str:
        """Makes an AMI as a bake does, without a machine that runs on."""
        ec2 = self.cloud.client("ec2", region)
        self._made += 1
        instance = ec2.run_instances(ImageId=TRUSTY, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
        ami: str = ec2.create_image(InstanceId=instance, Name=f"{image} {self._made}")["ImageId"]
        ec2.terminate_instances(InstanceIds=[instance])
        values = {tags.PROJECT: project, tags.IMAGE: image, tags.TARGET: "ami"}
        ec2.create_tags(Resources=[ami], Tags=tags.written(values))
        return ami

    def snapshots(self) -> set[str]:
        """All snapshots that are ours."""
        found = self.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
        return {each["SnapshotId"] for each in found}

    def snapshots_of(self, ami: str) -> set[str]:
        """The snapshots of an AMI."""
        disks = self.cloud.amis()[ami]["BlockDeviceMappings"]
        return {disk["Ebs"]["SnapshotId"] for disk in disks}


@pytest.fixture
def account(cloud: Cloud, project: Project) -> Account:
    """The account, and a project whose recipe says its name."""
    project.recipe('[project]\nname = "project"\n')
    return Account(cloud)


def prune(project: Project, *words: str) -> Any:
    ran = project.run("ami", "prune", "--format", "json", *words)
    assert ran.code == 0, ran.stderr
    return json.loads(ran.stdout)


def ids(found: Any) -> set[str]:
    return {ami["id"] for ami in found["amis"]}


def test_ours_are_listed_with_their_image_and_region(account: Account, project: Project) -> None:
    ours, elsewhere = account.bake(), account.bake(region="eu-west-1")
    foreign = account.bake(project="other")
    ran = project.run("ami", "ls", "--region", "us-east-1", "--region", "eu-west-1")
    assert ran.code == 0, ran.stderr
    head, *lines = ran.stdout.splitlines()
    assert head.split() == ["AMI", "REGION", "PROJECT", "IMAGE", "CREATED", "STATE", "USED", "BY"]
    assert [line.split()[:4] for line in lines] == [
        [ours, "us-east-1", "project", "app@ami"],
        [elsewhere, "eu-west-1", "project", "app@ami"],
    ]
    listed = json.loads(project.run("ami", "ls", "--all-projects", "--format", "json").stdout)
    assert {ami["id"] for ami in listed} == {ours, foreign}
    assert listed[0]["account"] == "123456789012" and len(listed[0]["snapshots"]) == 1


def test_nothing_is_removed_unless_confirmed(account: Account, project: Project) -> None:
    ami = account.bake()
    said = project.run("ami", "prune", "--keep", "0").stdout
    assert ami in said and "would remove 1 AMI and 1 snapshot; nothing was removed" in said
    assert ami in account.cloud.amis()


def test_the_newest_of_each_image_stay_and_snapshots_go_too(account: Account, project: Project) -> None:
    old, new, other = account.bake(), account.bake(), account.bake("web")
    snapshots = account.snapshots_of(old)
    by_age = sorted([old, new], key=lambda ami: (account.cloud.amis()[ami]["CreationDate"], ami))
    snapshots = account.snapshots_of(by_age[0])
    found = prune(project, "--keep", "1", "--yes")
    assert ids(found) == {by_age[0]} and set(found["snapshots"]) == snapshots and found["removed"]
    assert set(account.cloud.amis()) == {by_age[1], other}
    assert account.snapshots().isdisjoint(snapshots)


def test_snapshots_that_a_killed_run_left_go_with_the_next(
    account: Account, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, stays = account.bake(), account.bake()
    snapshots = account.snapshots_of(gone)
    account.ec2.create_tags(Resources=[stays], Tags=tags.written({tags.PROJECT: "other"}))
    with monkeypatch.context() as patch:
        patch.setattr(pruning, "remove_snapshot", _killed)
        assert project.run("ami", "prune", "--keep", "0", "--yes").code == 130
    assert set(account.cloud.amis()) == {stays} and snapshots < account.snapshots()
    assert "would remove 0 AMIs and 1 snapshot" in project.run("ami", "prune", "--keep", "0").stdout
    assert set(prune(project, "--keep", "9", "--yes")["snapshots"]) == snapshots
    assert account.snapshots().isdisjoint(snapshots)
    assert project.run("ami", "prune", "--keep", "0").stdout == "nothing to remove, kept 0\n"


def _killed(*_: object) -> bool:
    raise KeyboardInterrupt


def test_young_ones_stay(account: Account, project: Project) -> None:
    account.bake()
    assert ids(prune(project, "--older-than", "1h")) == set()
    assert len(ids(prune(project, "--older-than", "0d"))) == 1


@pytest.mark.parametrize("user", ["instance", "launch template", "launch configuration", "parameter"])
def test_what_something_points_to_is_never_removed(account: Account, project: Project, user: str) -> None:
    used, free = account.bake(), account.bake()
    if user == "instance":
        account.ec2.run_instances(ImageId=used, MinCount=1, MaxCount=1)
    elif user == "launch template":
        made = account.ec2.create_launch_template(
            LaunchTemplateName="web", LaunchTemplateData={"ImageId": used}
        )
        template = made["LaunchTemplate"]["LaunchTemplateId"]
        account.ec2.create_launch_template_version(
            LaunchTemplateId=template, LaunchTemplateData={"ImageId": TRUSTY}
        )
    elif user == "launch configuration":
        account.cloud.client("autoscaling").create_launch_configuration(
            LaunchConfigurationName="web", ImageId=used, InstanceType="t3.small"
        )
    else:
        account.cloud.client("ssm").put_parameter(Name="/web/ami", Value=used, Type="String")
    assert ids(prune(project, "--keep", "0", "--yes")) == {free}
    assert set(account.cloud.amis()) == {used}
    assert user in project.run("ami", "ls").stdout


def test_what_the_lock_file_names_stays(account: Account, project: Project) -> None:
    used, free = account.bake(), account.bake()
    project.write("imgbake.lock", f'[bases]\n"filter:owner=self,name=a" = "{used}"\n')
    assert ids(prune(project, "--keep", "0")) == {free}


def test_what_a_distribution_points_to_stays(account: Account, project: Project) -> None:
    first, second, third, free = (account.bake() for _ in range(4))
    names = Pointers(project.root / ".imgbake" / "pointers")
    for before, after in (("", first), (first, second), (second, third)):
        names.moving(Move("prod", "eu", "/shop/ami", before, f"eu-west-1:{after}", 0.0))
    assert ids(prune(project, "--keep", "0", "--yes")) == {first, free}
    assert set(account.cloud.amis()) == {second, third}
    assert "eu /shop/ami" in project.run("ami", "ls").stdout


def test_those_of_other_projects_and_of_nobody_stay(account: Account, project: Project) -> None:
    foreign = account.bake(project="other")
    by_hand = account.bake()
    account.ec2.delete_tags(Resources=[by_hand], Tags=[{"Key": tags.IMAGE}])
    assert ids(prune(project, "--keep", "0")) == set()
    assert ids(prune(project, "--keep", "0", "--project", "other")) == {foreign}
    assert ids(prune(project, "--keep", "0", "--all-projects")) == {foreign}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nobody says which AMIs may go"),
        (["--older-than", "soon"], "is no time span"),
        (["--keep", "1", "--project", "a", "--all-projects"], "exclude each other"),
    ],
)
def test_a_wrong_command_line_is_said(
    account: Account, project: Project, words: list[str], message: str
) -> None:
    ran = project.run("ami", "prune", *words)
    assert ran.code == 2 and message in ran.stderr


def test_without_a_recipe_it_asks_which_project(account: Account, project: Project) -> None:
    (project.root / "imgbake.toml").unlink()
    ran = project.run("ami", "ls")
    assert ran.code == 2 and "--all-projects" in ran.stderr
