"""What a recipe may be made of."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.services.image_builder.tests.samples import Samples, document


def using(arn: str, **parameters: str) -> dict[str, Any]:
    given = [{"name": name, "value": [value]} for name, value in parameters.items()]
    return {"componentArn": arn, **({"parameters": given} if given else {})}


def test_a_component_is_used_once_whatever_its_version(account: Samples) -> None:
    first, second = account.component("tools"), account.component("Tools", semanticVersion="2.0.0")
    for again in (first, second, second.rpartition("/")[0], second.replace("2.0.0/1", "x.x.x")):
        with pytest.raises(ClientError, match="are the same component"):
            account.recipe(first, again)
    assert account.recipe(first, account.component("others"))


def test_parameters_must_be_declared_and_given(account: Samples) -> None:
    parameters = [{"Port": {"type": "string"}}, {"User": {"type": "string", "default": "app"}}]
    arn = account.component(data=document("build", parameters=parameters))
    with pytest.raises(ClientError, match="not defined in the provided component: Colour") as refused:
        account.recipe(components=[using(arn, Port="80", Colour="red")])
    assert refused.value.response["Error"]["Code"] == "InvalidParameterCombinationException"
    with pytest.raises(ClientError, match="must be given: Port"):
        account.recipe(components=[using(arn, User="me")])
    assert account.recipe(components=[using(arn, Port="80")])


def test_all_is_for_one_platform(account: Samples) -> None:
    linux, windows = account.component("one"), account.component("two", platform="Windows")
    with pytest.raises(ClientError, match="one is for Linux, two is for Windows"):
        account.recipe(linux, windows)
    parent = "arn:aws:imagebuilder:us-east-1:aws:image/windows-server-2022-english-full-base-x86/x.x.x"
    with pytest.raises(ClientError, match="for one platform"):
        account.recipe(linux, parentImage=parent)


@pytest.mark.parametrize(
    "parent",
    [
        "ami-0123456789abcdef0",
        "ami-01234567",
        "ssm:/aws/service/ami",
        "ssm:arn:aws:ssm:us-east-1::parameter/x",
    ],
)
def test_parents(account: Samples, parent: str) -> None:
    assert account.recipe(parentImage=parent)


def test_a_parent_that_is_not_there_is_refused(account: Samples) -> None:
    with pytest.raises(account.client.exceptions.ResourceNotFoundException):
        account.recipe(parentImage="arn:aws:imagebuilder:us-east-1:123456789012:image/none/x.x.x")


@pytest.mark.parametrize(
    ("ebs", "problem"),
    [
        ({"volumeType": "gp2", "iops": 300}, "iops is only for"),
        ({"volumeType": "io1"}, "iops is required"),
        ({"volumeType": "gp2", "throughput": 200}, "throughput is only for"),
    ],
)
def test_volumes_that_can_not_be_are_refused(account: Samples, ebs: Any, problem: str) -> None:
    with pytest.raises(ClientError, match=problem):
        account.recipe(blockDeviceMappings=[{"deviceName": "/dev/xvda", "ebs": ebs}])


def test_a_container_recipe_has_one_template(account: Samples) -> None:
    assert account.container()
    with pytest.raises(ClientError, match="Exactly one of"):
        account.container(name="both", dockerfileTemplateUri="s3://bucket/Dockerfile")


def test_the_declared_parameters_are_told(account: Samples) -> None:
    about = {"type": "string", "default": "80", "description": "where to listen"}
    arn = account.component(data=document("build", parameters=[{"Port": about}]))
    component = account.client.get_component(componentBuildVersionArn=arn)["component"]
    assert component["parameters"] == [
        {"name": "Port", "type": "String", "defaultValue": ["80"], "description": "where to listen"}
    ]
