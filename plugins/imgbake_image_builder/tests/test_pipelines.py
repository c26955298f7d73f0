"""Images that a pipeline bakes, and images of containers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from imgbake.testing.registry import Registry
from imgbake_aws.tests.clouds import OTHER, TRUSTY, UBUNTU
from imgbake_image_builder.tests.projects import AMI, CONTAINER, OPTIONS, Baked, artifact
from imgbake_image_builder.tests.test_baking import HELLO
from tests.services.image_builder import ComponentFails

WEEKLY = 'pipeline = { schedule = { schedule_expression = "cron(0 0 ? * sun *)", timezone = "Etc/UTC" } }'


def _pipeline(project: Baked) -> Any:
    (found,) = project.service.store.of("image-pipeline", "us-east-1")
    return found.body


def test_a_pipeline_is_made_with_its_schedule_and_run(project: Baked) -> None:
    condition = 'pipeline_execution_start_condition = "EXPRESSION_MATCH_ONLY"'
    project.image(HELLO, WEEKLY.replace("timezone", f"{condition}, timezone"))
    made = artifact(project.build())
    assert made["reference"] in project.cloud.amis()
    pipeline = _pipeline(project)
    assert pipeline["schedule"] == {
        "scheduleExpression": "cron(0 0 ? * sun *)",
        "timezone": "Etc/UTC",
        "pipelineExecutionStartCondition": "EXPRESSION_MATCH_ONLY",
    }
    asked = project.asked()
    assert "StartImagePipelineExecution" in asked and "CreateImage" not in asked
    assert project.build().outcomes()[AMI] == "cached"


def test_another_schedule_changes_the_pipeline_and_bakes_nothing(project: Baked) -> None:
    project.image(HELLO, WEEKLY)
    first = artifact(project.build())
    project.asked()
    project.image(HELLO, WEEKLY.replace("sun", "mon").replace("} }", '}, status = "DISABLED" }'))
    second = artifact(project.build())
    assert second == first
    assert [name for name in project.asked() if name.startswith(("Create", "Start", "Update"))] == [
        "UpdateImagePipeline"
    ]
    assert _pipeline(project)["status"] == "DISABLED"


def test_what_else_has_changed_moves_the_pipeline_on(project: Baked) -> None:
    project.image(HELLO, WEEKLY)
    project.build()
    project.image(HELLO.replace("hello", "world"), WEEKLY)
    project.build()
    assert _pipeline(project)["imageRecipeArn"].endswith("/imgbake-project-app-ami/1.0.1")


def test_a_pipeline_with_a_schedule_follows_its_base(project: Baked) -> None:
    """By the AMI that it means now, Image Builder would know of no update."""
    ssm = project.cloud.client("ssm")
    ssm.put_parameter(Name="/golden", Value=TRUSTY, Type="String")
    project.image(HELLO, WEEKLY)
    project.recipe(project.read("imgbake.toml").replace(UBUNTU, "ssm:/golden,region=us-east-1"))
    project.build()
    (recipe,) = project.requests("CreateImageRecipe")
    assert recipe["parentImage"] == "ssm:/golden"
    ssm.put_parameter(Name="/golden", Value=OTHER, Type="String", Overwrite=True)
    project.asked()
    assert project.build().outcomes()[AMI] == "ran"
    assert project.asked("Create") == [] and _pipeline(project)["imageRecipeArn"].endswith("/1.0.0")
    project.recipe(project.read("imgbake.toml").replace(WEEKLY, "pipeline = {}"))
    project.build()
    (recipe,) = project.requests("CreateImageRecipe")
    assert recipe["parentImage"] == OTHER


def test_an_image_that_a_pipeline_follows_keeps_its_wildcard(project: Baked) -> None:
    project.image(HELLO)
    arn = artifact(project.build())["facts"]["image"].replace("/1.0.0/1", "/1.x.x")
    parent = f'[targets.weekly]\nuses = "image-builder"\nregion = "us-east-1"\n{OPTIONS}{WEEKLY}\n'
    child = f'[images.child]\nbase = {{ ami = "{arn}" }}\ntargets = ["weekly", "ami"]\n'
    project.recipe(project.read("imgbake.toml") + parent + child)
    project.build("child")
    parents = {each["name"]: each["parentImage"] for each in project.requests("CreateImageRecipe")}
    assert parents["imgbake-project-child-weekly"] == arn
    assert parents["imgbake-project-child-ami"].startswith("ami-")


def test_all_fields_get_there(project: Baked) -> None:
    """The emulator validates each request by the model of the API."""
    ec2 = project.cloud.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    options = f"""
        instance_types = ["c5.large"]
        subnet_id = "{subnet}"
        security_group_ids = ["{group}"]
        key_pair = "key"
        sns_topic_arn = "arn:aws:sns:us-east-1:123456789012:topic"
        resource_tags = {{ team = "shop" }}
        http_tokens = "required"
        http_put_response_hop_limit = 2
        log_bucket = "logs"
        log_prefix = "shop"
        placement = {{ availability_zone = "us-east-1a", tenancy = "default" }}
        terminate_instance_on_failure = false
        working_directory = "/tmp"
        description = "all of it"
        tags = {{ team = "shop" }}
        tests = {{ timeout_minutes = 90 }}
        enhanced_image_metadata = false
        scanning = {{ scan_result_condition = {{ maximum_severity_label = "HIGH" }} }}
        execution_role = "builder"
        logging = {{ image_log_group_name = "/shop/images" }}
        volumes = [{{ device_name = "/dev/xvda", volume_size = 20, volume_type = "gp3", throughput = 200 }},
                   {{ device_name = "/dev/sdb", no_device = true }}]
        ami_name = "shop"
        ami_tags = {{ release = "1" }}
        ami_watermarks = ["shop-1"]
        user_data = "#!/bin/sh"
        uninstall_ssm_agent = true
        [[targets.ami.distribution]]
        region = "us-east-1"
        description = "here"
        ami_tags = {{ where = "here" }}
        launch_permission = {{ user_ids = ["111122223333"] }}
        ssm_parameter_configurations = [{{ parameter_name = "/shop/ami", data_type = "aws:ec2:image" }}]
    """
    project.image(HELLO, options, 'labels = { from = "imgbake" }')
    made = artifact(project.build())
    tags = {tag["Key"]: tag["Value"] for tag in project.cloud.amis()[made["reference"]]["Tags"]}
    assert tags["release"] == "1" and tags["where"] == "here" and tags["from"] == "imgbake"
    machines = next(project.requests("CreateInfrastructureConfiguration"))
    assert machines["terminateInstanceOnFailure"] is False and machines["logging"]["s3Logs"] == {
        "s3BucketName": "logs",
        "s3KeyPrefix": "shop",
    }
    (image,) = project.requests("CreateImage")
    assert image["loggingConfiguration"] == {"logGroupName": "/shop/images"}
    assert image["imageTestsConfiguration"] == {"imageTestsEnabled": True, "timeoutMinutes": 90}


@pytest.fixture
def base(project: Baked) -> Iterator[str]:
    """An image in a registry, and a repository of the account for what stands on it."""
    project.cloud.client("ecr").create_repository(repositoryName="shop")
    with Registry() as registry:
        name = f"{registry.host}/base:1"
        project.recipe(f'[targets.oci]\nuses = "oci"\ntags = ["{name}"]\n[images.base]\nbase = "scratch"\n')
        project.build("--push")
        yield name


def test_a_container_in_a_repository(project: Baked, base: str) -> None:
    project.container(
        base,
        HELLO + '\nenv = { MODE = "1" }',
        'container_tags = ["1"]\ninstance_volumes = [{ device_name = "/dev/xvda", volume_size = 40 }]',
        'entrypoint = ["app"]',
    )
    made = artifact(project.build(), CONTAINER)
    assert made["kind"] == "container" and made["reference"] in made["facts"]["uris"]["us-east-1"]
    assert "/shop" in made["reference"]
    recipe = next(project.requests("CreateContainerRecipe"))
    assert recipe["targetRepository"] == {"service": "ECR", "repositoryName": "shop"}
    assert recipe["parentImage"].startswith(base.rpartition(":")[0]) and "@sha256:" in recipe["parentImage"]
    assert 'ENTRYPOINT ["app"]' in recipe["dockerfileTemplateData"]
    assert project.build().outcomes()[CONTAINER] == "cached"
    project.service.client().delete_image(imageBuildVersionArn=made["facts"]["image"])
    assert project.build().outcomes()[CONTAINER] == "ran"


def test_a_settled_build_asks_whether_its_container_is_there(project: Baked, base: str) -> None:
    project.container(base, HELLO)
    project.run("lock")
    made = artifact(project.build(), CONTAINER)
    assert project.build().outcomes()[CONTAINER] == "cached"
    project.asked()
    assert "nothing to do" in project.run("build").stderr
    assert project.asked() == ["GetImage"]
    project.service.client().delete_image(imageBuildVersionArn=made["facts"]["image"])
    assert project.build().outcomes()[CONTAINER] == "ran"


def test_a_dockerfile_template_of_ones_own(project: Baked, base: str) -> None:
    template = "FROM {{{ imagebuilder:parentImage }}}\n{{{ imagebuilder:components }}}\nUSER 1000\n"
    written = json.dumps(template.replace("{{{", "\\{{{"))
    project.container(base, HELLO, f"dockerfile_template = {written}")
    project.build()
    s3 = project.cloud.client("s3")
    s3.create_bucket(Bucket="stage")
    s3.put_object(Bucket="stage", Key="Dockerfile", Body=template.encode())
    project.container(base, HELLO, 'dockerfile_template_uri = "s3://stage/Dockerfile"')
    project.build()
    first, second = project.requests("CreateContainerRecipe")
    assert first["dockerfileTemplateData"] == template
    assert second["dockerfileTemplateUri"] == "s3://stage/Dockerfile"
    assert "dockerfileTemplateData" not in second


def test_a_failed_container_is_baked_anew(project: Baked, base: str) -> None:
    project.service.faults.add(ComponentFails(component="imgbake-app", phase="test", times=1))
    project.container(base, HELLO)
    assert "component 'app': `true` failed (phase test, step test-1" in project.fail()
    assert artifact(project.build(), CONTAINER)["facts"]["image"].endswith("/1.0.0/2")
