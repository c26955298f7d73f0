"""The life of an image: its states, its workflows, what comes out, and how it ends."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.services.image_builder import ComponentFails, ImageBuilder, ManualClock
from tests.services.image_builder.tests.samples import Samples, to


def advance(service: ImageBuilder, seconds: float) -> None:
    assert isinstance(service.clock, ManualClock)
    service.clock.advance(seconds)


def test_an_image_goes_through_its_states_as_time_goes_by(service: ImageBuilder, account: Samples) -> None:
    image = account.started()
    assert image == "arn:aws:imagebuilder:us-east-1:123456789012:image/golden/1.0.0/1"
    seen = []
    for seconds in (0, 1, 1, 5, 3, 2, 1):
        advance(service, seconds)
        seen.append(account.status(image))
    assert seen == [
        "PENDING",
        "CREATING",
        "BUILDING",
        "TESTING",
        "DISTRIBUTING",
        "INTEGRATING",
        "AVAILABLE",
    ]
    (ami,) = account.get(image)["outputResources"]["amis"]
    assert (ami["region"], ami["accountId"], ami["state"]) == (
        "us-east-1",
        "123456789012",
        {"status": "AVAILABLE"},
    )


def test_states_happen_in_order_though_nobody_looked(service: ImageBuilder, account: Samples) -> None:
    image = account.started()
    advance(service, 3600)
    assert account.status(image) == "AVAILABLE"
    kinds = [
        (execution["type"], execution["status"], execution["startTime"][17:19])
        for execution in account.client.list_workflow_executions(imageBuildVersionArn=image)[
            "workflowExecutions"
        ]
    ]
    assert kinds == [
        ("BUILD", "COMPLETED", "02"),
        ("TEST", "COMPLETED", "07"),
        ("DISTRIBUTION", "COMPLETED", "10"),
    ]


def test_without_tests_there_is_no_testing(service: ImageBuilder, account: Samples) -> None:
    image = account.started(imageTestsConfiguration={"imageTestsEnabled": False})
    advance(service, 7)
    assert account.status(image) == "DISTRIBUTING"


def test_each_image_of_a_recipe_is_a_build(account: Samples) -> None:
    recipe, infrastructure = account.recipe(), account.infrastructure()
    images = [account.image(recipe, infrastructure) for _ in range(2)]
    assert [image.rpartition("/")[2] for image in images] == ["1", "2"]
    version = images[0].rpartition("/")[0]
    listed = account.client.list_image_build_versions(imageVersionArn=version)["imageSummaryList"]
    assert [entry["arn"] for entry in listed] == images


def test_the_steps_of_a_workflow(service: ImageBuilder, account: Samples) -> None:
    image = account.started()
    advance(service, 4)
    (execution,) = account.client.list_workflow_executions(imageBuildVersionArn=image)["workflowExecutions"]
    name = execution["workflowExecutionId"]
    steps = account.client.list_workflow_step_executions(workflowExecutionId=name)["steps"]
    assert [step["status"] for step in steps] == ["COMPLETED"] * 2 + ["RUNNING"] + ["PENDING"] * 3
    assert '"instanceId": "i-' in steps[0]["outputs"]
    step = account.client.get_workflow_step_execution(stepExecutionId=steps[2]["stepExecutionId"])
    assert (step["action"], step["imageBuildVersionArn"]) == ("CollectImageMetadata", image)


def test_a_component_that_fails_is_named(service: ImageBuilder, account: Samples) -> None:
    service.faults.add(ComponentFails(component="hardening", phase="build", message="exit status 7"))
    image = account.started()
    advance(service, 7)
    state = account.get(image)["state"]
    assert state["status"] == "FAILED"
    assert "exit status 7" in state["reason"]
    context = state["failureContext"]
    assert (context["imageStatus"], context["failedStep"]) == ("BUILDING", "ApplyBuildComponents")
    failure = context["componentFailure"]
    assert failure.pop("componentArn").endswith("component/hardening/1.0.0/1")
    assert failure == {
        "phaseName": "build",
        "stepName": "One",
        "action": "ExecuteBash",
        "errorMessage": "exit status 7",
    }
    steps = account.client.list_workflow_step_executions(workflowExecutionId=context["workflowExecutionId"])[
        "steps"
    ]
    assert [step["status"] for step in steps] == ["COMPLETED", "FAILED"] + ["SKIPPED"] * 3 + ["COMPLETED"]


def test_a_retry_goes_on_where_tests_failed(service: ImageBuilder, account: Samples) -> None:
    service.faults.add(ComponentFails(component="hardening", phase="test", times=1))
    image = account.started()
    advance(service, 60)
    ami = account.get(image)["outputResources"]["amis"][0]["image"]
    assert account.status(image) == "FAILED"
    account.client.retry_image(imageBuildVersionArn=image)
    assert account.status(image) == "TESTING"
    advance(service, 60)
    assert account.status(image) == "AVAILABLE"
    assert [entry["image"] for entry in account.get(image)["outputResources"]["amis"]] == [ami]
    executions = account.client.list_workflow_executions(imageBuildVersionArn=image)["workflowExecutions"]
    assert [entry["retried"] for entry in executions] == [False, True, False, False]


def test_what_failed_to_build_is_not_retried_nor_what_did_not_fail(
    service: ImageBuilder, account: Samples
) -> None:
    service.faults.add(ComponentFails(component="hardening", phase="build", times=1))
    image = account.started()
    with pytest.raises(ClientError, match="in state PENDING"):
        account.client.retry_image(imageBuildVersionArn=image)
    advance(service, 60)
    with pytest.raises(ClientError, match="stopped in state BUILDING"):
        account.client.retry_image(imageBuildVersionArn=image)


def test_a_cancelled_image_is_over(service: ImageBuilder, account: Samples) -> None:
    image = account.started()
    advance(service, 3)
    account.client.cancel_image_creation(imageBuildVersionArn=image)
    advance(service, 60)
    assert account.status(image) == "CANCELLED"
    assert account.get(image)["outputResources"] == {}
    with pytest.raises(ClientError, match="can't be cancelled"):
        account.client.cancel_image_creation(imageBuildVersionArn=image)


def test_a_running_image_can_not_be_deleted(service: ImageBuilder, account: Samples) -> None:
    image = account.started()
    with pytest.raises(account.client.exceptions.ResourceDependencyException):
        account.client.delete_image(imageBuildVersionArn=image)
    advance(service, 60)
    account.client.delete_image(imageBuildVersionArn=image)
    assert account.client.list_images()["imageVersionList"] == []


def test_the_waiter_of_boto3_waits(service: ImageBuilder, account: Samples) -> None:
    image = account.started()
    advance(service, 60)
    waiter = account.client.get_waiter("image_available")
    waiter.wait(imageBuildVersionArn=image, WaiterConfig={"Delay": 0, "MaxAttempts": 1})


def test_a_pipeline_runs_once_at_a_time(service: ImageBuilder, account: Samples) -> None:
    pipeline = account.pipeline(account.recipe(), account.infrastructure(), imageTags={"team": "a"})
    image = account.client.start_image_pipeline_execution(imagePipelineArn=pipeline)["imageBuildVersionArn"]
    with pytest.raises(account.client.exceptions.ResourceInUseException):
        account.client.start_image_pipeline_execution(imagePipelineArn=pipeline)
    advance(service, 60)
    images = account.client.list_image_pipeline_images(imagePipelineArn=pipeline)["imageSummaryList"]
    assert [(entry["arn"], entry["tags"]) for entry in images] == [(image, {"team": "a"})]
    found = account.client.get_image_pipeline(imagePipelineArn=pipeline)["imagePipeline"]
    assert (found["lastRunStatus"], found["consecutiveFailures"]) == ("AVAILABLE", 0)


def test_an_image_is_made_of_exactly_one_recipe(account: Samples) -> None:
    infrastructure = account.infrastructure()
    with pytest.raises(ClientError, match="Exactly one of"):
        account.client.create_image(infrastructureConfigurationArn=infrastructure)
    with pytest.raises(ClientError, match="Exactly one of"):
        account.image(account.recipe(), infrastructure, containerRecipeArn=account.container())


def test_a_container_comes_out_as_uris(service: ImageBuilder, account: Samples) -> None:
    infrastructure = account.infrastructure()
    image = account.client.create_image(
        containerRecipeArn=account.container(), infrastructureConfigurationArn=infrastructure
    )["imageBuildVersionArn"]
    advance(service, 60)
    assert account.get(image)["outputResources"]["containers"] == [
        {"region": "us-east-1", "imageUris": ["123456789012.dkr.ecr.us-east-1.amazonaws.com/boxes:1.0.0-1"]}
    ]


def test_own_workflows_replace_the_managed_ones(service: ImageBuilder, account: Samples) -> None:
    steps = "- {name: Go, action: LaunchInstance}\n- {name: Do, action: ExecuteComponents}\n"
    data = f"schemaVersion: 1.0\nsteps:\n{steps}"
    flow = account.client.create_workflow(name="short", semanticVersion="1.0.0", type="BUILD", data=data)
    used = [{"workflowArn": flow["workflowBuildVersionArn"]}]
    recipe, infrastructure = account.recipe(), account.infrastructure()
    with pytest.raises(ClientError, match="executionRole"):
        account.image(recipe, infrastructure, workflows=used)
    image = account.image(recipe, infrastructure, workflows=used, executionRole="builder")
    advance(service, 7)
    assert account.status(image) == "DISTRIBUTING"
    (build, _) = account.client.list_workflow_executions(imageBuildVersionArn=image)["workflowExecutions"]
    assert (build["workflowBuildVersionArn"], build["totalStepCount"]) == (flow["workflowBuildVersionArn"], 2)


def test_an_image_changes_its_state(service: ImageBuilder, account: Samples) -> None:
    image = account.started()
    with pytest.raises(account.client.exceptions.ResourceInUseException):
        account.client.start_resource_state_update(resourceArn=image, state={"status": "DEPRECATED"})
    advance(service, 60)
    account.client.start_resource_state_update(resourceArn=image, state={"status": "DEPRECATED"})
    assert account.status(image) == "DEPRECATED"
    assert account.client.list_images()["imageVersionList"] == []
    assert len(account.client.list_images(includeDeprecated=True)["imageVersionList"]) == 1


def test_an_ami_is_distributed_without_a_build(service: ImageBuilder, account: Samples) -> None:
    image = account.client.distribute_image(
        sourceImage="ami-0123456789abcdef0",
        distributionConfigurationArn=account.distribution(to("us-east-1", "eu-west-1")),
        executionRole="distributor",
    )["imageBuildVersionArn"]
    advance(service, 60)
    amis = account.get(image)["outputResources"]["amis"]
    assert [ami["region"] for ami in amis] == ["us-east-1", "eu-west-1"]


def test_packages_and_findings_are_what_a_test_put_there(service: ImageBuilder, account: Samples) -> None:
    image = account.started()
    advance(service, 60)
    found = next(resource for resource in service.store if str(resource.arn) == image)
    found.packages.append({"packageName": "bash", "packageVersion": "5.2"})
    found.findings.append({"title": "CVE-1", "severity": "HIGH"})
    packages = account.client.list_image_packages(imageBuildVersionArn=image)["imagePackageList"]
    assert packages == [{"packageName": "bash", "packageVersion": "5.2"}]
    high = [{"name": "severity", "values": ["HIGH"]}]
    assert account.client.list_image_scan_findings(filters=high)["findings"][0]["title"] == "CVE-1"
