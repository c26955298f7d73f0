"""What a blueprint is lowered to."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from imgbake.api import Artifact, BakeError, CacheFolder, Document, ImageConfig, Layer, RecipeError, Setup
from imgbake.testing import golden
from imgbake.testing.blueprints import copied
from imgbake_image_builder import checking, lowering
from imgbake_image_builder.options import AmiOptions, ContainerOptions
from imgbake_image_builder.tables import (
    AmiDistribution,
    AutoDisable,
    LaunchTemplate,
    Parameter,
    Permission,
    Pipeline,
    Scanning,
    ScanResult,
    Schedule,
    Volume,
    Workflow,
)
from imgbake_packer.tests.blueprints import blueprint

GOLDEN = Path(__file__).parent / "golden"
SCRATCH = Artifact("ami", reference="scratch")
REMOTE = Artifact("container", "sha256:" + "1" * 64, "public.ecr.aws/debian:12")
MANAGED = "arn:aws:imagebuilder:eu-west-1:aws:component/update-linux/x.x.x"


def options(**more: Any) -> AmiOptions:
    return AmiOptions(**{"os": "Ubuntu 22.04", "instance_profile": "baker", "bucket": "stage", **more})


def lower(*layers: Layer, said: AmiOptions | ContainerOptions | None = None, **more: Any) -> dict[str, str]:
    lowered = lowering.lower(blueprint(*layers, **more), said or options())
    return {**lowered.documents, **lowered.beside}


def test_a_plan_says_what_is_made_in_the_account() -> None:
    regions = (
        AmiDistribution(region="eu-west-1", target_account_ids=("111122223333",)),
        AmiDistribution(region="us-east-1"),
    )
    said = options(instance_types=("m7g.large",), distribution=regions)
    assert lowering.lower(blueprint(), said).makes == (
        "an instance of m7g.large in eu-west-1",
        "another in eu-west-1, of what was baked, to test it",
        "an AMI with its snapshots in eu-west-1, us-east-1, for 2 accounts",
        "EC2 Image Builder, which itself costs nothing",
    )
    containers = ContainerOptions(
        os="Ubuntu 22.04", instance_profile="baker", repository="shop", region="eu-west-1"
    )
    made = lowering.lower(blueprint(base=REMOTE), containers).makes
    assert "an image in repository 'shop' of ECR in eu-west-1" in made


def test_components_become_documents_in_order() -> None:
    layers = (
        Layer("runtime", build=("apt-get update", "apt-get install -y \\\n  libpq5")),
        Layer(
            "app",
            files=(
                copied("/opt/wheels/", "shop.whl"),
                copied("/etc/shop.toml", "", mode=0o640, owner=(1000, 1000)),
            ),
            env={"MODE": "it's $5"},
            build=("pip install /opt/wheels/*.whl", "docker inspect --format '{{ .Id }} {{{x' x"),
            validate=("shop --version",),
            test=("shop selftest",),
        ),
        Layer("update", document=Document(MANAGED)),
    )
    golden.compare(
        GOLDEN / "components", lower(*layers, config=ImageConfig(labels={"team": "shop"}, env={"LAST": "1"}))
    )


def test_commands_run_where_and_as_whom_the_component_says() -> None:
    setup = Setup(
        user="app:staff",
        workdir="/srv/my app",
        shell=("/bin/bash", "-ec"),
        network="none",
        caches=(CacheFolder("/var/cache/apt"),),
        timeout=90,
    )
    layer = Layer("Build.Tools", build=('echo "$HOME"',), validate=("true",), setup=setup)
    golden.compare(GOLDEN / "setup", lower(layer))


def test_windows_runs_powershell() -> None:
    layer = Layer("app", env={"A": "it's"}, build=("Install-WindowsFeature Web-Server",), test=("whoami",))
    golden.compare(GOLDEN / "windows", lower(layer, said=options(os="Windows Server 2022")))


def test_every_option_has_its_place() -> None:
    said = options(
        region="eu-west-1",
        instance_types=("m7g.large",),
        subnet_id="subnet-1",
        security_group_ids=("sg-1",),
        key_pair="key",
        sns_topic_arn="arn:aws:sns:eu-west-1:111122223333:topic",
        resource_tags={"team": "shop"},
        http_tokens="required",
        http_put_response_hop_limit=2,
        log_bucket="logs",
        working_directory="/tmp",
        description="all of it",
        enhanced_image_metadata=False,
        scanning=Scanning(scan_result_condition=ScanResult(maximum_severity_label="HIGH")),
        workflows=(
            Workflow(
                workflow_arn="arn:aws:imagebuilder:eu-west-1:aws:workflow/build/build-image/x.x.x",
                parameters={"a": "1", "b": ("2", "3")},
                on_failure="ABORT",
            ),
        ),
        execution_role="builder",
        volumes=(
            Volume(device_name="/dev/xvda", volume_size=20, volume_type="gp3", encrypted=True),
            Volume(device_name="/dev/sdb", no_device=True),
            Volume(device_name="/dev/sdc", virtual_name="ephemeral0"),
        ),
        ami_name="shop: 1.4",
        ami_tags={"release": "1"},
        ami_watermarks=("shop",),
        user_data="#!/bin/sh\n",
        uninstall_ssm_agent=True,
        distribution=(
            AmiDistribution(region="eu-west-1", launch_permission=Permission(user_groups=("all",))),
            AmiDistribution(
                region="us-east-1",
                target_account_ids=("111122223333",),
                kms_key_id="alias/shop",
                ssm_parameter_configurations=(Parameter(parameter_name="/shop/ami"),),
                launch_template_configurations=(LaunchTemplate(launch_template_id="lt-" + "1" * 17),),
            ),
        ),
        pipeline=Pipeline(
            schedule=Schedule(
                schedule_expression="rate(7 days)", auto_disable_policy=AutoDisable(failure_count=3)
            )
        ),
    )
    golden.compare(GOLDEN / "options", lower(said=said))


def test_a_container_says_how_it_is_run() -> None:
    said = ContainerOptions(
        os="Amazon Linux 2023",
        instance_profile="baker",
        repository="shop",
        container_tags=("1.4",),
        instance_image="ami-0123456789abcdef0",
    )
    config = ImageConfig(entrypoint=("shop",), env={"B": "2"}, ports=("80/tcp",), user="1000")
    layer = Layer("app", env={"A": "1"}, build=("true",))
    golden.compare(GOLDEN / "container", lower(layer, said=said, base=REMOTE, config=config))


@pytest.mark.parametrize("name", ["components", "setup", "windows", "container"])
def test_what_is_lowered_obeys_the_rules_of_documents(name: str) -> None:
    for path in (GOLDEN / name).glob("component-*.yaml"):
        platform = "Windows" if name == "windows" else "Linux"
        assert checking.check(path.name, path.read_text(), {}, platform) == []


@pytest.mark.parametrize("name", ["components", "setup", "container"])
def test_steps_are_scripts_of_bash(name: str) -> None:
    for path in (GOLDEN / name).glob("component-*.yaml"):
        for phase in yaml.safe_load(path.read_text())["phases"]:
            for step in phase["steps"]:
                if step["action"] == "ExecuteBash":
                    (script,) = step["inputs"]["commands"]
                    ran = subprocess.run(["bash", "-n", "-c", script], capture_output=True, text=True)
                    assert ran.stderr == ""


def test_braces_get_through_to_the_command() -> None:
    text = lower(Layer("app", build=("printf '%s' '{{ a }} {{{ b' >&2",)))["component-app.yaml"]
    (step,) = yaml.safe_load(text)["phases"][0]["steps"]
    (script,) = step["inputs"]["commands"]
    assert "{{" not in script
    assert subprocess.run(["bash", "-c", script], capture_output=True).stderr == b"{{ a }} {{{ b"


def test_what_decides_nothing_is_beside() -> None:
    quick, slow = (Layer("app", build=("true",), setup=Setup(timeout=seconds)) for seconds in (10, 20))
    assert lower(quick) == lower(slow)
    made = lowering.lower(blueprint(quick), options(instance_types=("m7g.large",)))
    assert made.documents == lowering.lower(blueprint(quick), options()).documents
    assert "m7g.large" in made.beside["infrastructure.yaml"]


def test_a_document_is_taken_as_it_is() -> None:
    text = "schemaVersion: 1.0  # ours\n" + yaml.safe_dump(
        {
            "parameters": [{"Level": {"type": "string"}}],
            "phases": [
                {
                    "name": "build",
                    "steps": [
                        {"name": "a", "action": "ExecuteBash", "inputs": {"commands": ["echo {{ Level }}"]}}
                    ],
                }
            ],
        }
    )
    layer = Layer("hard", document=Document("hard.yaml", text, {"Level": "2"}))
    found = lower(layer)
    assert found["component-hard.yaml"] == text
    assert yaml.safe_load(found["image-recipe.yaml"])["components"] == [
        {"componentArn": "hard", "parameters": [{"name": "Level", "value": ["2"]}]}
    ]


@pytest.mark.parametrize(
    ("layers", "more", "base", "message"),
    [
        ([], {}, SCRATCH, "can't start from nothing"),
        ([], {"region": "us-east-1"}, None, "baked in us-east-1, and its base is in eu-west-1"),
        ([Layer("a", (copied("/a", "b"),))], {"bucket": ""}, None, "by which bucket"),
        ([Layer("a", build=("a",), setup=Setup(memory=1))], {}, None, "asks for `limits.memory`"),
        ([Layer("a", build=("a",), setup=Setup(secrets=("t",)))], {}, None, "asks for secrets"),
        ([Layer("a", (copied("/a", "b"),))], {"os": "Windows Server 2022"}, None, "on Windows"),
        (
            [Layer("a", document=Document(MANAGED)), Layer("b", document=Document(MANAGED[:-5] + "1.0.0"))],
            {},
            None,
            "are one to Image Builder",
        ),
    ],
)
def test_what_image_builder_cannot_do_is_refused(
    layers: list[Layer], more: dict[str, Any], base: Artifact | None, message: str
) -> None:
    with pytest.raises(BakeError, match=message) as caught:
        lower(*layers, said=options(**more), **({"base": base} if base else {}))
    assert caught.value.hint


def test_a_document_that_a_task_wrote_is_checked_too() -> None:
    with pytest.raises(RecipeError) as caught:
        lower(Layer("a", document=Document("made.yaml", "schemaVersion: 1.0\n")))
    assert "no 'phases'" in caught.value.problems[0].message


def test_a_base_out_of_the_reach_of_aws_is_refused() -> None:
    said = ContainerOptions(os="Ubuntu 22.04", instance_profile="baker", repository="shop")
    with pytest.raises(BakeError, match="can't reach the base"):
        lower(said=said, base=Artifact("container", "sha256:" + "1" * 64, "oci:base"))


def test_a_product_of_the_marketplace_is_a_base() -> None:
    recipe = lower(base=Artifact("ami", "prod-1", "prod-1"))["image-recipe.yaml"]
    assert yaml.safe_load(recipe)["parentImage"] == "prod-1"
