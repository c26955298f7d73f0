"""Whose AWS it is: profiles, roles that are assumed, addresses of services, and what is not allowed."""

from __future__ import annotations

import json

import pytest

from imgbake.api import Artifact, BakeError
from imgbake.testing.project import Project
from imgbake_aws import owned, sdk, tags
from imgbake_aws.tests.clouds import HERE, THERE, TRUSTY, Cloud
from imgbake_aws.tests.fixtures import profiles as profiles


def bake(profile: str) -> str:
    """Makes an AMI of ours by the credentials of a profile."""
    ec2 = sdk.client("ec2", profile=profile)
    (machine,) = ec2.run_instances(ImageId=TRUSTY, MinCount=1, MaxCount=1)["Instances"]
    ami: str = ec2.create_image(InstanceId=machine["InstanceId"], Name="app")["ImageId"]
    ec2.terminate_instances(InstanceIds=[machine["InstanceId"]])
    ec2.create_tags(Resources=[ami], Tags=tags.written({tags.IMAGE: "app", tags.PROJECT: "project"}))
    return ami


def listed(project: Project, *words: str, env: dict[str, str] | None = None) -> list[tuple[str, str, str]]:
    """Id, account and region of the AMIs that `imgbake ami ls` finds."""
    ran = project.run("ami", "ls", "--all-projects", "--format", "json", *words, env=env)
    assert ran.code == 0, ran.stderr
    return [(ami["id"], ami["account"], ami["region"]) for ami in json.loads(ran.stdout)]


def test_a_profile_says_account_and_region(profiles: None, project: Project) -> None:
    here, there = bake("people"), bake("baker")
    assert listed(project, "--profile", "people") == [(here, HERE, "us-east-1")]
    assert listed(project, "--profile", "baker") == [(there, THERE, "eu-west-1")]
    assert listed(project, env={"AWS_PROFILE": "baker"}) == [(there, THERE, "eu-west-1")]


def test_a_role_is_assumed_at_the_address_of_its_service(
    profiles: None, project: Project, moto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = bake("baker")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    for service in ("EC2", "STS", "SSM", "AUTO_SCALING"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", moto)
    assert listed(project, "--profile", "baker") == [(there, THERE, "eu-west-1")]
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    ran = project.run("ami", "ls", "--all-projects", "--profile", "baker")
    assert ran.code == 1 and "http://127.0.0.1:9" in ran.stderr and "Traceback" not in ran.stderr


def test_a_role_is_assumed_once(profiles: None, cloud: Cloud) -> None:
    with cloud.asked() as asked:
        for region in ("eu-west-1", "eu-central-1", "eu-west-1"):
            sdk.client("ec2", region, "baker").describe_instances()
    assert [each.split()[0] for each in asked].count("sts:AssumeRole") == 1


def test_without_credentials_it_says_so(profiles: None, project: Project) -> None:
    ran = project.run("ami", "ls", "--all-projects", "--region", "us-east-1")
    assert ran.code == 1 and "there are no credentials for AWS" in ran.stderr, ran.stderr
    ran = project.run("ami", "ls", "--all-projects", "--profile", "nobody")
    assert ran.code == 1 and "(nobody) could not be found" in ran.stderr, ran.stderr


def test_what_is_not_allowed_is_named(cloud: Cloud, project: Project) -> None:
    with cloud.allowing("ec2:DescribeImages") as env:
        ran = project.run("ami", "ls", "--all-projects", env=env)
        assert (ran.code, ran.stdout) == (0, "")
    with cloud.allowing("ec2:DescribeInstances") as env:
        ran = project.run("ami", "ls", "--all-projects", env=env)
        assert ran.code == 1 and "ec2:DescribeImages in us-east-1: AWS refused" in ran.stderr
        assert "allow the action ec2:DescribeImages" in ran.stderr


def test_an_ami_that_may_not_be_marked_is_none_the_worse(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    ami, said = bake(""), list[str]()
    artifact = Artifact("ami", facts={"regions": {"us-east-1": ami}, "snapshots": {"us-east-1": []}})
    with cloud.allowing("ec2:DescribeImages") as env:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        owned.mark(artifact, {"a": "b"}, "", said.append)
    assert f"`imgbake ami` will not know {ami}: ec2:CreateTags {ami} in us-east-1" in said[0]


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        (
            "User: arn:aws:iam::1:user/a is not authorized to perform: imagebuilder:GetImage on resource: "
            "arn:aws:imagebuilder:eu-west-1:1:image/app/1.0.0/1 because no policy allows it",
            "allow the action imagebuilder:GetImage on arn:aws:imagebuilder:eu-west-1:1:image/app/1.0.0/1",
        ),
        ("You are not authorized to perform this operation.", "allow the action s3:GetObject"),
    ],
)
def test_a_refusal_says_what_to_allow(said: str, hint: str) -> None:
    from botocore.exceptions import ClientError

    refusal = ClientError({"Error": {"Code": "AccessDenied", "Message": said}}, "GetObject")
    with pytest.raises(BakeError) as error, sdk.asking("s3:GetObject bucket/key"):
        raise refusal
    assert str(error.value).startswith("s3:GetObject bucket/key: AWS refused: AccessDenied")
    assert error.value.hint.startswith(hint)
