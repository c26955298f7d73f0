"""With moto beside it, what comes out can be described."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tests.services.image_builder import ComponentFails, ImageBuilder, ManualClock
from tests.services.image_builder.tests.samples import Samples, to

PUBLIC = "ami-03cf127a"  # one of those that moto has


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = pytest.importorskip("moto.server").ThreadedMotoServer(
        ip_address="127.0.0.1", port=0, verbose=False
    )
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    yield f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    server.stop()


class Aws:
    """The account at moto."""

    def __init__(self, url: str) -> None:
        self._url = url

    def client(self, service: str, region: str = "us-east-1") -> Any:
        import boto3

        keys = {"aws_access_key_id": "tester", "aws_secret_access_key": "tester"}
        return boto3.client(service, region_name=region, endpoint_url=self._url, **keys)

    def instances(self) -> list[str]:
        found = self.client("ec2").describe_instances()["Reservations"]
        return [instance["State"]["Name"] for entry in found for instance in entry["Instances"]]


@pytest.fixture
def aws(moto: str) -> Aws:
    from urllib.request import Request, urlopen

    urlopen(Request(f"{moto}/moto-api/reset", method="POST"))
    return Aws(moto)


@pytest.fixture
def service(moto: str) -> Iterator[ImageBuilder]:
    with ImageBuilder(clock=ManualClock(), cloud=moto) as emulator:
        yield emulator


def advance(service: ImageBuilder, seconds: float) -> None:
    assert isinstance(service.clock, ManualClock)
    service.clock.advance(seconds)


def started(account: Samples, distributions: list[Any], **more: Any) -> str:
    recipe = account.recipe(account.component(), parentImage=PUBLIC, amiTags={"team": "a"})
    return account.image(
        recipe,
        account.infrastructure(**more),
        distributionConfigurationArn=account.distribution(distributions),
    )


def test_one_instance_builds_and_another_tests(service: ImageBuilder, account: Samples, aws: Aws) -> None:
    started(account, to("us-east-1"))
    seen = []
    for seconds in (3, 5, 60):
        advance(service, seconds)
        seen.append(aws.instances())
    assert seen == [["running"], ["terminated", "running"], ["terminated", "terminated"]]


def test_amis_are_there_in_each_region_shared_and_pointed_to(
    service: ImageBuilder, account: Samples, aws: Aws
) -> None:
    far = aws.client("ec2", "eu-west-1")
    template = far.create_launch_template(
        LaunchTemplateName="web", LaunchTemplateData={"InstanceType": "t3.micro"}
    )["LaunchTemplate"]["LaunchTemplateId"]
    distributions = to("us-east-1", "eu-west-1", ssmParameterConfigurations=[{"parameterName": "/golden"}])
    distributions[1]["launchTemplateConfigurations"] = [{"launchTemplateId": template}]
    for entry in distributions:
        shared = {"launchPermission": {"userIds": ["111111111111"]}}
        entry["amiDistributionConfiguration"] = {**entry["amiDistributionConfiguration"], **shared}
    image = started(account, distributions)
    advance(service, 60)
    amis = {ami["region"]: ami["image"] for ami in account.get(image)["outputResources"]["amis"]}
    for region, ami in amis.items():
        client = aws.client("ec2", region)
        (found,) = client.describe_images(ImageIds=[ami])["Images"]
        tags = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
        assert (found["State"], tags["team"], tags["Ec2ImageBuilderArn"]) == ("available", "a", image)
        shared_with = client.describe_image_attribute(ImageId=ami, Attribute="launchPermission")
        assert shared_with["LaunchPermissions"] == [{"UserId": "111111111111"}]
        assert aws.client("ssm", region).get_parameter(Name="/golden")["Parameter"]["Value"] == ami
    (version,) = far.describe_launch_template_versions(LaunchTemplateId=template, Versions=["$Default"])[
        "LaunchTemplateVersions"
    ]
    assert version["LaunchTemplateData"]["ImageId"] == amis["eu-west-1"]


@pytest.mark.parametrize(("ends", "state"), [(True, "terminated"), (False, "running")])
def test_the_instance_of_a_failure_stays_if_it_should(
    service: ImageBuilder, account: Samples, aws: Aws, ends: bool, state: str
) -> None:
    service.faults.add(ComponentFails(component="hardening"))
    image = started(account, to("us-east-1"), terminateInstanceOnFailure=ends)
    advance(service, 60)
    assert account.status(image) == "FAILED"
    assert aws.instances() == [state]


def test_a_cancelled_build_leaves_no_instance(service: ImageBuilder, account: Samples, aws: Aws) -> None:
    image = started(account, to("us-east-1"))
    advance(service, 3)
    account.client.cancel_image_creation(imageBuildVersionArn=image)
    assert aws.instances() == ["terminated"]


def test_a_parent_that_can_not_be_launched_fails_the_build(
    service: ImageBuilder, account: Samples, aws: Aws
) -> None:
    image = account.image(account.recipe(parentImage="ssm:/nothing"), account.infrastructure())
    advance(service, 60)
    state = account.get(image)["state"]
    assert state["status"] == "FAILED"
    assert "ParameterNotFound" in state["reason"]


def test_documents_are_read_from_s3(account: Samples, aws: Aws) -> None:
    from tests.services.image_builder.tests.samples import document

    aws.client("s3").create_bucket(Bucket="documents")
    aws.client("s3").put_object(Bucket="documents", Key="a.yaml", Body=document("test").encode())
    made = account.client.create_component(
        name="stored", semanticVersion="1.0.0", platform="Linux", uri="s3://documents/a.yaml"
    )["componentBuildVersionArn"]
    assert account.client.get_component(componentBuildVersionArn=made)["component"]["type"] == "TEST"


def test_a_repository_must_be_there(service: ImageBuilder, account: Samples, aws: Aws) -> None:
    image = account.client.create_image(
        containerRecipeArn=account.container(instanceConfiguration={"image": PUBLIC}),
        infrastructureConfigurationArn=account.infrastructure(),
    )["imageBuildVersionArn"]
    advance(service, 60)
    assert "The repository with name 'boxes' does not exist" in account.get(image)["state"]["reason"]
