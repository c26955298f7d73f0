"""What is kept: names, versions, builds, tags, lists, and the order in which things are deleted."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.services.image_builder import ImageBuilder
from tests.services.image_builder.tests.samples import AMI, Samples, document, to

COMPONENT = "arn:aws:imagebuilder:us-east-1:123456789012:component/hardening"


def test_changed_content_is_a_new_build_and_the_same_is_there_already(account: Samples) -> None:
    assert account.component() == f"{COMPONENT}/1.0.0/1"
    with pytest.raises(account.client.exceptions.ResourceAlreadyExistsException, match="already exists"):
        account.component(name="Hardening")
    assert account.component(data=document("build")) == f"{COMPONENT}/1.0.0/2"
    assert account.component(semanticVersion="1.1.0") == f"{COMPONENT}/1.1.0/1"


@pytest.mark.parametrize("name", ["my_component", "My Component", "MY-component"])
def test_case_space_and_underscore_make_no_other_name(account: Samples, name: str) -> None:
    assert account.component(name).split("/")[1] == "my-component"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("x.x.x", "2.0.0/1"),
        ("1.x.x", "1.10.0/1"),
        ("1.2.x", "1.2.0/2"),
        ("1.2.0", "1.2.0/2"),
        ("1.2.0/1", "1.2.0/1"),
    ],
)
def test_wildcards_mean_the_newest(account: Samples, wanted: str, found: str) -> None:
    for version in ("2.0.0", "1.2.0", "1.10.0"):
        account.component(semanticVersion=version)
    account.component(semanticVersion="1.2.0", data=document("validate"))
    answer = account.client.get_component(componentBuildVersionArn=f"{COMPONENT}/{wanted}")
    assert answer["component"]["arn"] == f"{COMPONENT}/{found}"


@pytest.mark.parametrize("version", ["x.2.x", "1.x.8", f"1.0.{2**30}"])
def test_versions_with_holes_or_too_big_are_refused(account: Samples, version: str) -> None:
    with pytest.raises(account.client.exceptions.InvalidVersionNumberException):
        account.recipe(semanticVersion=version)


@pytest.mark.parametrize(
    ("wanted", "versions"), [("1.0.x", "1.0.0 1.0.1"), ("x.x.x", "0.0.1 0.0.2"), ("1.x.x", "1.0.0 1.0.1")]
)
def test_a_recipe_with_wildcards_gets_the_next_version(account: Samples, wanted: str, versions: str) -> None:
    made = [account.recipe(semanticVersion=wanted).rpartition("/")[2] for _ in range(2)]
    assert made == versions.split()


def test_a_recipe_has_no_builds(account: Samples) -> None:
    account.recipe()
    with pytest.raises(account.client.exceptions.ResourceAlreadyExistsException, match="ImageRecipe"):
        account.recipe(description="another")


def test_a_test_document_is_a_test_component(account: Samples) -> None:
    arn = account.component(data=document("test"))
    assert account.client.get_component(componentBuildVersionArn=arn)["component"]["type"] == "TEST"


def test_answers_say_how_to_ask_for_the_newest(account: Samples) -> None:
    answer = account.client.create_image_recipe(name="golden", semanticVersion="1.2.3", parentImage=AMI)
    ends = {key: arn.rpartition("/")[2] for key, arn in answer["latestVersionReferences"].items()}
    assert ends == {
        "latestVersionArn": "x.x.x",
        "latestMajorVersionArn": "1.x.x",
        "latestMinorVersionArn": "1.2.x",
        "latestPatchVersionArn": "1.2.3",
    }
    assert answer["requestId"]


def test_a_dry_run_that_would_succeed_is_an_error_and_makes_nothing(account: Samples) -> None:
    with pytest.raises(account.client.exceptions.DryRunOperationException) as refused:
        account.component(dryRun=True)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert account.client.list_components()["componentVersionList"] == []


def test_a_token_that_comes_again_is_answered_as_before(account: Samples) -> None:
    first = account.recipe(clientToken="one")
    assert account.recipe(clientToken="one") == first
    with pytest.raises(account.client.exceptions.IdempotentParameterMismatchException):
        account.recipe(clientToken="one", name="other")


def test_regions_know_nothing_of_each_other(service: ImageBuilder, account: Samples) -> None:
    arn = account.recipe()
    elsewhere = service.client("eu-west-1")
    assert elsewhere.list_image_recipes()["imageRecipeSummaryList"] == []
    with pytest.raises(ClientError, match="another region"):
        elsewhere.get_image_recipe(imageRecipeArn=arn)


def test_what_is_not_there_is_not_found(account: Samples) -> None:
    with pytest.raises(account.client.exceptions.ResourceNotFoundException) as refused:
        account.client.get_component(componentBuildVersionArn=f"{COMPONENT}/1.0.0/1")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_what_belongs_to_others_is_forbidden(account: Samples) -> None:
    with pytest.raises(account.client.exceptions.ForbiddenException):
        account.client.get_component(
            componentBuildVersionArn="arn:aws:imagebuilder:us-east-1:210987654321:component/secret/1.0.0/1"
        )


def test_amazon_has_components_and_images(account: Samples) -> None:
    update = "arn:aws:imagebuilder:us-east-1:aws:component/update-linux/x.x.x"
    parent = "arn:aws:imagebuilder:us-east-1:aws:image/amazon-linux-2023-x86/x.x.x"
    assert account.recipe(update, parentImage=parent)
    images = account.client.list_images(owner="Amazon")["imageVersionList"]
    assert {image["owner"] for image in images} == {"Amazon"}


def test_lists_come_in_pages(account: Samples) -> None:
    for patch in range(5):
        account.component(semanticVersion=f"1.0.{patch}")
    pages = account.client.get_paginator("list_components").paginate(PaginationConfig={"PageSize": 2})
    versions = [[found["version"] for found in page["componentVersionList"]] for page in pages]
    assert versions == [["1.0.0", "1.0.1"], ["1.0.2", "1.0.3"], ["1.0.4"]]


def test_a_token_of_another_list_is_refused(account: Samples) -> None:
    for patch in range(2):
        account.component(semanticVersion=f"1.0.{patch}")
    token = account.client.list_components(maxResults=1)["nextToken"]
    for wrong in (token[:-4], "nonsense"):
        with pytest.raises(account.client.exceptions.InvalidPaginationTokenException):
            account.client.list_components(maxResults=1, nextToken=wrong)
    with pytest.raises(account.client.exceptions.InvalidPaginationTokenException):
        account.client.list_images(maxResults=1, nextToken=token)


def test_lists_are_filtered(account: Samples) -> None:
    account.component("first")
    account.component("second", platform="Windows")

    def found(**wanted: str) -> list[str]:
        filters = [{"name": name, "values": [value]} for name, value in wanted.items()]
        return [
            entry["name"] for entry in account.client.list_components(filters=filters)["componentVersionList"]
        ]

    assert found(platform="Windows") == ["second"]
    assert found(name="first", type="BUILD") == ["first"]
    assert found(name="first", platform="Windows") == []
    with pytest.raises(ClientError, match="is no filter; there are"):
        found(colour="red")


def test_a_version_is_listed_once_and_its_builds_beside(account: Samples) -> None:
    account.component()
    account.component(data=document("build"))
    assert [entry["arn"] for entry in account.client.list_components()["componentVersionList"]] == [
        f"{COMPONENT}/1.0.0"
    ]
    builds = account.client.list_component_build_versions(componentVersionArn=f"{COMPONENT}/1.0.0")
    assert [entry["arn"][-7:] for entry in builds["componentSummaryList"]] == ["1.0.0/1", "1.0.0/2"]
    assert len(account.client.list_components(byName=True)["componentVersionList"]) == 1


def test_things_are_deleted_before_what_they_use(account: Samples) -> None:
    client = account.client
    component = account.component()
    recipe, infrastructure = account.recipe(component), account.infrastructure()
    distribution = account.distribution(to("us-east-1"))
    pipeline = account.pipeline(recipe, infrastructure, distributionConfigurationArn=distribution)
    deletions: list[tuple[Any, dict[str, str]]] = [
        (client.delete_image_pipeline, {"imagePipelineArn": pipeline}),
        (client.delete_distribution_configuration, {"distributionConfigurationArn": distribution}),
        (client.delete_infrastructure_configuration, {"infrastructureConfigurationArn": infrastructure}),
        (client.delete_image_recipe, {"imageRecipeArn": recipe}),
        (client.delete_component, {"componentBuildVersionArn": component}),
    ]
    for delete, name in deletions[1:]:
        with pytest.raises(client.exceptions.ResourceDependencyException):
            delete(**name)
    for delete, name in deletions:
        delete(**name)
    assert client.list_components()["componentVersionList"] == []


def test_an_update_replaces_all_but_name_and_tags(account: Samples) -> None:
    arn = account.infrastructure(description="old", keyPair="mine", tags={"team": "a"})
    account.client.update_infrastructure_configuration(
        infrastructureConfigurationArn=arn, instanceProfileName="others"
    )
    found = account.client.get_infrastructure_configuration(infrastructureConfigurationArn=arn)
    configuration = found["infrastructureConfiguration"]
    assert configuration["instanceProfileName"] == "others"
    assert (configuration["name"], configuration["tags"]) == ("small", {"team": "a"})
    assert not {"description", "keyPair"} & set(configuration)


def test_tags_come_and_go(account: Samples) -> None:
    arn = account.component(tags={"team": "a", "cost": "1"})
    account.client.tag_resource(resourceArn=arn, tags={"team": "b"})
    account.client.untag_resource(resourceArn=arn, tagKeys=["cost", "nothing"])
    assert account.client.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "b"}


def test_a_script_becomes_a_component(account: Samples) -> None:
    arn = account.client.import_component(
        name="script", semanticVersion="1.0.0", type="BUILD", format="SHELL", platform="Linux", data="id"
    )["componentBuildVersionArn"]
    component = account.client.get_component(componentBuildVersionArn=arn)["component"]
    assert "ExecuteBash" in component["data"]


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"subnetId": "subnet-1"}, "must be specified together"),
        ({"resourceTags": {"CreatedBy": "me"}}, "'CreatedBy' is reserved"),
        ({"placement": {"tenancy": "default", "hostId": "h-1"}}, "for the tenancy 'host' only"),
        ({"instanceMetadataOptions": {"httpTokens": "maybe"}}, "must match pattern optional|required"),
    ],
)
def test_an_infrastructure_that_can_not_be_is_refused(account: Samples, more: Any, problem: str) -> None:
    with pytest.raises(ClientError, match=problem):
        account.infrastructure(**more)


@pytest.mark.parametrize(
    ("distributions", "problem"),
    [
        (to("us-east-1", "us-east-1"), "more than once"),
        (
            [{"region": "us-east-1", "amiDistributionConfiguration": {"name": "golden"}}],
            "imagebuilder:buildDate",
        ),
        ([{"region": "us-east-1"}], "distributes nothing"),
        ([], "At least one"),
    ],
)
def test_a_distribution_that_can_not_be_is_refused(
    account: Samples, distributions: Any, problem: str
) -> None:
    with pytest.raises(ClientError, match=problem):
        account.distribution(distributions)


@pytest.mark.parametrize(
    "expression", ["cron(0 0 * * ? *)", "cron(0 9 ? * MON *)", "rate(1 day)", "rate(2 hours)"]
)
def test_schedules(account: Samples, expression: str) -> None:
    assert account.pipeline(
        account.recipe(), account.infrastructure(), schedule={"scheduleExpression": expression}
    )


@pytest.mark.parametrize(
    "expression", ["daily", "cron(0 0 * * *)", "cron(0 0 ? * ? *)", "cron(0 0 * *)", "rate(0 days)"]
)
def test_schedules_that_mean_nothing_are_refused(account: Samples, expression: str) -> None:
    with pytest.raises(ClientError, match="scheduleExpression"):
        account.pipeline(
            account.recipe(), account.infrastructure(), schedule={"scheduleExpression": expression}
        )


def test_a_policy_is_kept(account: Samples) -> None:
    arn = account.component()
    with pytest.raises(account.client.exceptions.ResourceNotFoundException):
        account.client.get_component_policy(componentArn=arn)
    account.client.put_component_policy(componentArn=arn, policy="{}")
    assert account.client.get_component_policy(componentArn=arn)["policy"] == "{}"
