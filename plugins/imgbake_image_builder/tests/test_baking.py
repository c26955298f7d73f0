"""Baking AMIs by Image Builder, in an emulator that answers as AWS's model says."""

from __future__ import annotations

import shutil
import time

from imgbake_image_builder.tests.projects import AMI, Baked, artifact
from tests.services.image_builder import ComponentFails, Denied, DistributionFails, Error, ScanFinds, Throttle

HELLO = '[components.app]\nbuild = "echo hello"\nvalidate = "true"\ntest = "true"'
TWO = """
distribution = [
  { region = "us-east-1" },
  { region = "eu-west-1", ssm_parameter_configurations = [{ parameter_name = "/shop/ami" }] },
]
"""


def test_an_ami_with_its_snapshots(project: Baked) -> None:
    project.image(HELLO)
    made = artifact(project.build())
    ami = made["reference"]
    assert made["facts"]["regions"] == {"us-east-1": ami} and ami in project.cloud.amis()
    assert made["facts"]["image"].startswith(
        "arn:aws:imagebuilder:us-east-1:123456789012:image/imgbake-project-app-ami/1.0.0/1"
    )
    assert made["facts"]["snapshots"]["us-east-1"]
    assert made["facts"]["architecture"] == "x86_64"
    assert project.cloud.leftovers() == []


def test_an_unchanged_image_asks_only_whether_its_ami_is_there(project: Baked) -> None:
    project.image(HELLO)
    first = artifact(project.build())
    project.asked()
    second = project.build()
    assert second.outcomes()[AMI] == "cached" and artifact(second) == first
    assert project.asked() == []


def test_a_settled_build_asks_ec2_alone(project: Baked) -> None:
    project.image(HELLO)
    project.run("lock")
    ami = artifact(project.build())["reference"]
    project.build()
    project.asked()
    with project.cloud.asked() as asked:
        assert "nothing to do" in project.run("build").stderr
    assert asked == ["ec2:DescribeImages us-east-1"] and project.asked() == []
    project.cloud.client("ec2").deregister_image(ImageId=ami)
    assert project.build().outcomes()[AMI] == "ran"


def test_a_lost_ami_is_baked_again(project: Baked) -> None:
    project.image(HELLO)
    first = artifact(project.build())["reference"]
    project.cloud.client("ec2").deregister_image(ImageId=first)
    again = project.build()
    assert again.outcomes()[AMI] == "ran" and artifact(again)["reference"] in project.cloud.amis()
    assert artifact(again)["reference"] != first


def test_what_is_there_is_used_and_only_what_changed_is_made(project: Baked) -> None:
    project.image(HELLO + '\n[components.other]\nbuild = "true"')
    project.build()
    assert project.asked("Create").count("CreateComponent") == 4  # two rehearsals, and two
    project.image(HELLO.replace("hello", "world") + '\n[components.other]\nbuild = "true"')
    project.build()
    made = [seen.params for seen in project.service.requests if seen.operation == "CreateComponent"]
    assert {each["name"] for each in made} == {"imgbake-app"}
    assert {each["semanticVersion"] for each in made} == {"1.0.1"}
    recipes = list(project.requests("CreateImageRecipe"))
    assert [each["semanticVersion"] for each in recipes] == ["1.0.1"]
    assert [each["componentArn"].split("/", 1)[1] for each in recipes[0]["components"]] == [
        "imgbake-app/1.0.1",
        "imgbake-other/1.0.0",
    ]
    assert not any("Configuration" in name for name in project.asked("Create"))
    project.image(HELLO + '\n[components.other]\nbuild = "true"')  # as it was: all of it has a version
    project.run("build", "--force")
    assert project.asked("Create") == ["CreateImage"]


def test_machines_are_changed_where_they_are_and_bake_nothing_anew(project: Baked) -> None:
    project.image(HELLO, 'instance_types = ["c5.large"]')
    project.build()
    project.image(HELLO, 'instance_types = ["c5.xlarge"]')
    assert project.build().outcomes()[AMI] == "cached"
    project.image(HELLO.replace("hello", "world"), 'instance_types = ["c5.xlarge"]')
    project.asked()
    project.build()
    updates = list(project.requests("UpdateInfrastructureConfiguration"))
    assert [each["instanceTypes"] for each in updates] == [["c5.xlarge"]]


def test_an_ami_for_each_region_and_what_else_a_region_gets(project: Baked) -> None:
    project.image(HELLO, TWO)
    facts = artifact(project.build())["facts"]
    assert list(facts["regions"]) == ["us-east-1", "eu-west-1"]
    assert facts["regions"]["eu-west-1"] in project.cloud.amis("eu-west-1")
    assert {each["accountId"] for each in facts["amis"]} >= {"123456789012"}
    parameter = project.cloud.client("ssm", "eu-west-1").get_parameter(Name="/shop/ami")
    assert parameter["Parameter"]["Value"] == facts["regions"]["eu-west-1"]


def test_a_failure_names_component_command_phase_step_and_action(project: Baked) -> None:
    project.service.faults.add(ComponentFails(component="imgbake-app", phase="build", step="build-2"))
    project.image('[components.app]\nbuild = ["true", "make install"]')
    said = project.fail()
    assert "component 'app': `make install` failed (phase build, step build-2, action ExecuteBash)" in said
    assert project.cloud.leftovers() == []


def test_the_failed_step_and_the_end_of_its_log_are_told(project: Baked) -> None:
    logs = project.cloud.client("logs")
    group = "/aws/imagebuilder/imgbake-project-app-ami"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="1.0.0/1")
    event = {"timestamp": int(time.time() * 1000), "message": "make: *** No rule to make target 'install'."}
    logs.put_log_events(logGroupName=group, logStreamName="1.0.0/1", logEvents=[event])
    project.service.faults.add(ComponentFails(component="imgbake-app", phase="build", message="exit 2"))
    project.image(HELLO)
    project.fail()
    said = project.run("log", AMI).stdout
    assert "step ApplyBuildComponents (ExecuteComponents) failed: SSM execution failed" in said
    assert "make: *** No rule to make target 'install'." in said


def test_a_history_that_may_not_be_read_hides_no_failure(project: Baked) -> None:
    project.service.faults.add(Denied(operation="ListWorkflowExecutions"))
    project.service.faults.add(ComponentFails(component="imgbake-app"))
    project.image(HELLO)
    assert "component 'app': `echo hello` failed" in project.fail()
    assert "imagebuilder:ListWorkflowExecutions" in project.run("log", AMI).stdout


def test_an_image_that_a_scan_refuses_says_what_was_found(project: Baked) -> None:
    project.service.faults.add(ScanFinds(severity="CRITICAL", title="CVE-2026-1", package="openssl", times=1))
    project.service.faults.add(ScanFinds(severity="LOW", title="CVE-2026-2", package="curl", times=1))
    project.image(HELLO, 'scanning = { scan_result_condition = { maximum_severity_label = "MEDIUM" } }')
    said = project.fail()
    assert "scanning has found 1 CRITICAL, 1 LOW; the image may have no worse than MEDIUM" in said
    assert "CRITICAL: CVE-2026-1 openssl 1.0 (a fix is available)" in said
    assert project.cloud.leftovers() == []
    project.build()


def test_a_machine_that_failed_stays_when_it_is_kept(project: Baked) -> None:
    project.service.faults.add(ComponentFails(component="imgbake-app", phase="build", times=1))
    project.image(HELLO)
    project.fail("--keep")
    kept = project.cloud.leftovers()
    assert "instance running" in kept
    project.build()
    updated = list(project.requests("UpdateInfrastructureConfiguration"))
    assert [each["terminateInstanceOnFailure"] for each in updated] == [True]
    assert project.cloud.leftovers() == kept


def test_a_failed_image_goes_on_where_it_failed(project: Baked) -> None:
    project.service.faults.add(DistributionFails(region="eu-west-1", message="no room", times=1))
    project.image(HELLO, TWO)
    said = project.fail()
    assert "could not be brought to eu-west-1" in said and "no room" in said
    assert "us-east-1: ami-" in said and "is there" in said
    project.asked()
    made = artifact(project.build())
    assert made["facts"]["image"].endswith("/1.0.0/1")
    assert "CreateImage" not in (asked := project.asked()) and "RetryImage" in asked


def test_another_region_takes_no_other_build(project: Baked) -> None:
    """A role that Image Builder may take distributes what is there."""
    role = 'execution_role = "baker"\n'
    project.image(HELLO, role)
    first = artifact(project.build())
    project.image(HELLO, role + TWO)
    project.asked()
    second = artifact(project.build())
    started = [name for name in project.asked() if name in ("CreateImage", "DistributeImage")]
    assert started == ["DistributeImage"] and list(second["facts"]["regions"]) == ["us-east-1", "eu-west-1"]
    assert second["facts"]["regions"]["eu-west-1"] in project.cloud.amis("eu-west-1")
    assert first["reference"] in project.cloud.amis() and project.build().outcomes()[AMI] == "cached"
    project.image(HELLO.replace("hello", "world"), role + TWO)
    project.build()
    assert "CreateImage" in project.asked()


def test_a_fingerprint_that_came_back_finds_its_image(project: Baked) -> None:
    project.image(HELLO)
    first = artifact(project.build())
    shutil.rmtree(project.root / ".imgbake")
    project.asked()
    second = project.build(env={"XDG_CACHE_HOME": str(project.root / "other")})
    assert second.outcomes()[AMI] == "ran" and artifact(second) == first
    assert project.asked("Create") == []


def test_a_missing_permission_names_action_and_resource(project: Baked) -> None:
    project.service.faults.add(Denied(operation="CreateImageRecipe"))
    project.image(HELLO)
    said = project.fail()
    assert "imagebuilder:CreateImageRecipe" in said and "allow" in said and "imgbake-project-app-ami" in said


def test_a_profile_whose_role_is_assumed_bakes(project: Baked, profiles: None) -> None:
    project.image(HELLO, 'profile = "builder"')
    recipe = project.read("imgbake.toml").replace(",region=", ",profile=builder,region=")
    project.recipe(recipe)
    with project.cloud.asked() as asked:
        made = artifact(project.build())
    assert made["facts"]["regions"] == {"us-east-1": made["reference"]}
    assert "sts:AssumeRole us-east-1" in asked


def test_what_passes_is_waited_for(project: Baked) -> None:
    for code in ("TooManyRequestsException", "CallRateLimitExceededException"):
        project.service.faults.add(Throttle(times=2, code=code))
    project.service.faults.add(Error(operation="CreateImage", code="ResourceInUseException", times=1))
    project.image(HELLO)
    project.build()


def test_all_that_image_builder_would_refuse_is_said_before_anything_is_made(project: Baked) -> None:
    placement = 'placement = { host_id = "h-1", tenancy = "dedicated" }'
    project.image(HELLO, placement)
    said = project.fail()
    assert "CreateInfrastructureConfiguration" in said and "tenancy" in said
    assert not any(
        seen.operation.startswith("Create") and not seen.error for seen in project.service.requests
    )


def test_secrets_stay_out_of_documents(project: Baked) -> None:
    project.image('[components.app]\nbuild = "login {{ token }}"')
    project.recipe("[args]\ntoken = { secret = true }\n" + project.read("imgbake.toml"))
    said = project.fail("--arg", "token=s3cr3t-value")
    assert "names a secret" in said and "s3cr3t-value" not in said
    assert project.asked("Create") == []


def test_files_come_by_way_of_the_bucket(project: Baked) -> None:
    project.cloud.client("s3").create_bucket(Bucket="stage")
    project.write("conf/app.toml", "a = 1\n")
    files = '[components.app]\nfiles = [{ from = "conf/app.toml", to = "/etc/app.toml" }]'
    project.image(files, 'bucket = "stage"')
    project.build()
    staged = project.cloud.client("s3").list_objects_v2(Bucket="stage")["Contents"]
    assert [each["Key"].startswith("imgbake/files/") for each in staged] == [True]
    document = next(project.requests("CreateComponent"))["data"]
    assert f"s3://stage/{staged[0]['Key']}" in document
    project.write("conf/app.toml", "a = 2\n")
    assert project.build().outcomes()[AMI] == "ran"


def test_a_long_document_comes_by_way_of_the_bucket(project: Baked) -> None:
    project.image(f'[components.app]\nbuild = "echo {"x" * 17_000}"')
    assert "write `bucket`" in project.fail()
    project.cloud.client("s3").create_bucket(Bucket="stage")
    project.image(f'[components.app]\nbuild = "echo {"x" * 17_000}"', 'bucket = "stage"')
    project.build()
    assert next(project.requests("CreateComponent"))["uri"].startswith("s3://stage/imgbake/documents/")


def test_an_image_of_the_recipe_is_a_base(project: Baked) -> None:
    project.image(HELLO, keys='[images.child]\nbase = "image:app"\ntargets = ["ami"]\ncomponents = ["app"]')
    ran = project.build()
    recipe = next(each for each in project.requests("CreateImageRecipe") if "child" in each["name"])
    assert recipe["parentImage"] == artifact(ran)["reference"]
    assert set(project.build().outcomes().values()) == {"cached"}


def test_an_image_of_image_builder_is_a_base(project: Baked) -> None:
    project.image(HELLO)
    first = artifact(project.build())
    arn = first["facts"]["image"].replace("/1.0.0/1", "/x.x.x")
    recipe = project.read("imgbake.toml")
    child = f'[images.child]\nbase = {{ ami = "{arn}" }}\ntargets = ["ami"]\n'
    project.recipe(recipe + child)
    project.build("child")
    (made,) = (each for each in project.requests("CreateImageRecipe") if "child" in each["name"])
    assert made["parentImage"] == first["reference"]
    assert project.run("lock").code == 0
    assert first["reference"] in project.read("imgbake.lock")
    project.recipe(recipe.replace("echo hello", "echo world") + child)
    newest = artifact(project.build("app"))["reference"]
    assert newest != first["reference"]
    assert project.build("child").outcomes()["image:child@ami"] == "cached"  # pinned
    assert project.run("lock", "--upgrade").code == 0 and newest in project.read("imgbake.lock")
    assert project.build("child").outcomes()["image:child@ami"] == "ran"


def test_a_base_that_image_builder_has_not_is_refused(project: Baked) -> None:
    arn = "arn:aws:imagebuilder:us-east-1:123456789012:image/nowhere/x.x.x"
    project.image(HELLO)
    recipe = project.read("imgbake.toml")
    project.recipe(recipe + f'[images.child]\nbase = {{ ami = "{arn}" }}\ntargets = ["ami"]\n')
    assert f"Image Builder has no image {arn}" in project.fail("child")


def test_the_findings_of_an_image_are_listed(project: Baked) -> None:
    project.service.faults.add(ScanFinds(severity="LOW", title="CVE-2026-2", package="curl", times=1))
    project.service.faults.add(ScanFinds(severity="HIGH", title="CVE-2026-1", package="openssl", times=1))
    project.image(HELLO, "scanning = {}")
    arn = artifact(project.build())["facts"]["image"]
    worst, other = project.run("image-builder", "findings", arn).stdout.splitlines()
    assert worst.startswith("HIGH: CVE-2026-1 openssl") and other.startswith("LOW: CVE-2026-2 curl")
    assert len(project.run("image-builder", "findings", arn, "--format", "json").json) == 2


def test_the_packages_of_an_image_are_listed(project: Baked) -> None:
    project.image(HELLO)
    arn = artifact(project.build())["facts"]["image"]
    (image,) = project.service.store.of("image", "us-east-1", "123456789012")
    image.packages.append({"packageName": "bash", "packageVersion": "5.2"})
    assert project.run("image-builder", "packages", arn).stdout == "bash 5.2\n"
    assert project.run("image-builder", "packages", arn, "--format", "json").json == image.packages
    ran = project.run("image-builder", "packages", "ami-1")
    assert ran.code == 1 and "'ami-1' is no ARN" in ran.stderr and "Traceback" not in ran.stderr
