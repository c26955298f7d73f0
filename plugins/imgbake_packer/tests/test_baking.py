"""Baking AMIs by the real Packer in moto's cloud."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from imgbake_aws import leavings
from imgbake_aws.tests.clouds import HERE
from imgbake_packer.tests.projects import Baked, artifact, outcome

COPIED = 'communicator = "none"\nami_regions = ["eu-west-1"]\ntags = { team = "shop" }'


def test_an_ami_for_each_region(project: Baked) -> None:
    project.image(options=COPIED, keys='labels = { note = "100% ${real}" }')
    made = artifact(project.build())
    regions = made["facts"]["regions"]
    assert list(regions) == ["us-east-1", "eu-west-1"]
    assert made["kind"] == "ami" and made["reference"] == regions["us-east-1"]
    assert made["facts"]["architecture"] == "x86_64" and made["facts"]["account"] == "123456789012"
    snapshots = made["facts"]["snapshots"]
    assert {region: len(ids) for region, ids in snapshots.items()} == {"us-east-1": 1, "eu-west-1": 1}
    image = project.cloud.amis()[regions["us-east-1"]]
    tags = {tag["Key"]: tag["Value"] for tag in image["Tags"]}
    assert image["Name"].startswith("app-ami-2") and tags["Name"] == image["Name"]
    ours = {tag: tags[f"imgbake:{tag}"] for tag in ("project", "image", "target")}
    assert ours == {"project": "project", "image": "app", "target": "ami"}
    assert len(tags["imgbake:lowered"]) == 16
    assert tags["team"] == "shop" and tags["note"] == "100% ${real}"
    assert regions["eu-west-1"] in project.cloud.amis("eu-west-1")
    assert project.cloud.leftovers() == []


def test_an_unchanged_image_is_not_baked_again(project: Baked) -> None:
    project.image()
    first = artifact(project.build())
    second = project.build()
    assert outcome(second) == "cached" and artifact(second) == first
    assert len(project.cloud.amis()) == 1


def test_another_machine_bakes_nothing_anew(project: Baked) -> None:
    project.image(options='communicator = "none"\ninstance_type = "c5.large"')
    project.build()
    started = project.cloud.client("ec2").describe_instances()["Reservations"][0]["Instances"][0]
    assert started["InstanceType"] == "c5.large"
    project.image(options='communicator = "none"\ninstance_type = "c5.xlarge"')
    assert outcome(project.build()) == "cached"


def test_a_lost_ami_is_baked_again(project: Baked) -> None:
    project.image(options=COPIED)
    first = artifact(project.build())
    project.cloud.client("ec2", "eu-west-1").deregister_image(ImageId=first["facts"]["regions"]["eu-west-1"])
    second = project.build()
    assert outcome(second) == "ran" and artifact(second)["digest"] != first["digest"]


def test_a_change_makes_a_new_ami_and_explain_says_which(project: Baked) -> None:
    project.image()
    project.build()
    project.image(options='communicator = "none"\ntags = { a = "b" }')
    assert "tags" in project.run("explain", "image:app@ami").stdout
    assert outcome(project.build()) == "ran"
    assert len(project.cloud.amis()) == 2


def test_an_image_of_the_recipe_is_a_base(project: Baked) -> None:
    project.image(keys='[images.child]\nbase = "image:app"\ntargets = ["ami"]')
    ran = project.build()
    parent = artifact(ran)["reference"]
    assert [ami for _, ami in project.cloud.instances()].count(parent) == 1
    assert set(project.build().outcomes().values()) == {"cached"}


def test_a_profile_bakes(project: Baked, profiles: None) -> None:
    project.image(options='communicator = "none"\nprofile = "people"')
    project.recipe(project.read("imgbake.toml").replace(",region=", ",profile=people,region="))
    assert artifact(project.build())["facts"]["account"] == HERE
    assert outcome(project.build()) == "cached"


def test_a_spot_instance_bakes(project: Baked) -> None:
    project.image(options='communicator = "none"\nspot_price = "auto"')
    with project.cloud.asked() as asked:
        made = artifact(project.build())
    assert made["reference"] in project.cloud.amis() and "ec2:CreateFleet us-east-1" in asked
    assert project.cloud.leftovers() == []
    assert project.cloud.client("ec2").describe_launch_templates()["LaunchTemplates"] == []


def test_encrypted_copies_alone_stay(project: Baked) -> None:
    volume = '[{ device_name = "/dev/sda1", volume_size = 9, volume_type = "gp3", encrypted = true }]'
    keys = 'kms_key_id = "alias/shop"\nregion_kms_key_ids = { eu-west-1 = "alias/shop" }'
    project.image(options=f"{COPIED}\nencrypt_boot = true\n{keys}\nlaunch_block_device_mappings = {volume}")
    with project.cloud.asked() as asked:
        regions = artifact(project.build())["facts"]["regions"]
    copies = [each for each in asked if each.startswith("ec2:CopyImage")]
    assert sorted(copies) == ["ec2:CopyImage eu-west-1", "ec2:CopyImage us-east-1"]
    assert [list(project.cloud.amis(region)) for region in regions] == [[ami] for ami in regions.values()]
    assert project.cloud.leftovers() == []


def test_a_secret_option_stays_out_of_template_and_log(project: Baked) -> None:
    project.image(options='communicator = "none"\ntags = { note = "a {{ token }}" }')
    project.recipe("[args]\ntoken = { secret = true }\n" + project.read("imgbake.toml"))
    ran = project.build("--arg", "token=s3cr3t-value")
    image = next(iter(project.cloud.amis().values()))
    assert {"Key": "note", "Value": "a s3cr3t-value"} in image["Tags"]
    assert "s3cr3t-value" not in ran.stdout + ran.stderr
    lowered = project.run("lower", "app@ami", "--arg", "token=s3cr3t-value").stdout
    assert "s3cr3t-value" not in lowered and "a ${var.secret_token}" in lowered


def test_no_command_line_shows_a_secret(project: Baked) -> None:
    project.image(options='communicator = "none"\ntags = { note = "{{ token }}" }')
    project.recipe('[args]\ntoken = { secret = true, env = "TOKEN" }\n' + project.read("imgbake.toml"))
    process = project.start("build", "--progress", "plain", env={"TOKEN": "s3cr3t-value"})
    seen: set[bytes] = set()
    while process.poll() is None:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                seen.add(path.read_bytes())
    _, said = process.communicate()
    assert process.returncode == 0 and "s3cr3t-value" not in said, said
    assert any(b"-var-file=" in line for line in seen)
    assert not any(b"s3cr3t-value" in line for line in seen)
    image = next(iter(project.cloud.amis().values()))
    assert {"Key": "note", "Value": "s3cr3t-value"} in image["Tags"]


def test_one_recipe_gives_a_container_and_an_ami(project: Baked) -> None:
    project.image(keys='env = { MODE = "production" }')
    recipe = project.read("imgbake.toml").replace('targets = ["ami"]', 'targets = ["oci", "ami"]')
    recipe = recipe.replace("base = { ami", 'base = { container = "scratch", ami')
    project.recipe(recipe.replace("env = {", "labels = {"))
    ran = project.build()
    container, ami = artifact(ran, "image:app@oci"), artifact(ran)
    assert container["kind"] == "container" and container["digest"].startswith("sha256:")
    assert ami["kind"] == "ami" and ami["reference"] in project.cloud.amis()
    assert set(project.build().outcomes().values()) == {"cached"}
    listed = project.run("list", "--format", "json").stdout
    assert "image:app@ami" in listed and "fresh" in listed


@pytest.mark.parametrize("again", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_lets_packer_clean_up(project: Baked, again: signal.Signals) -> None:
    options = 'run_tags = { a = "b" }\nmore = { ssh_host = "127.0.0.1", ssh_port = 9 }'
    project.image('[components.app]\nbuild = "true"', options)
    process = project.start("build", "--progress", "plain")
    assert process.stderr is not None
    for line in process.stderr:
        if "Waiting for SSH" in line or "Using ssh communicator" in line:
            break
    began = time.monotonic()
    process.send_signal(again)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert time.monotonic() - began < 30
    assert project.cloud.instances() and project.cloud.leftovers() == []
    assert project.cloud.amis() == {}


def test_what_a_killed_bake_left_is_removed_by_the_next_build(project: Baked) -> None:
    project.image('[components.app]\nbuild = "true"', 'more = { ssh_host = "127.0.0.1", ssh_port = 9 }')
    process = project.start("build", "--progress", "plain")
    assert process.stderr is not None
    for line in process.stderr:
        if "Using ssh communicator" in line or "Waiting for SSH" in line:
            break
    process.kill()
    process.communicate()
    assert any(left.startswith("instance running") for left in project.cloud.leftovers())
    project.image()
    ran = project.build()
    assert outcome(ran) == "ran" and "a bake was killed" in ran.stderr
    assert project.cloud.leftovers() == [] and len(project.cloud.amis()) == 1
    assert "a bake was killed" not in project.build("-B").stderr


def test_what_a_bake_left_is_removed_even_if_packer_was_killed_too(project: Baked) -> None:
    project.image('[components.app]\nbuild = "true"', 'more = { ssh_host = "127.0.0.1", ssh_port = 9 }')
    process = project.start("build", "--progress", "plain")
    assert process.stderr is not None
    for line in process.stderr:
        if "Using ssh communicator" in line or "Waiting for SSH" in line:
            break
    stamp = next((project.root / leavings.FOLDER).glob("*.json")).stem
    process.kill()
    process.communicate()
    for pid in leavings._marked(stamp):
        os.kill(pid, signal.SIGKILL)
    left = project.cloud.leftovers()
    assert len(left) >= 3, left
    project.image()
    ran = project.build()
    assert "removing the instance" in ran.stderr and project.cloud.leftovers() == []


def test_what_aws_refuses_is_said_in_one_line(project: Baked) -> None:
    project.image(options='communicator = "none"\nsubnet_id = "subnet-00000000000000000"')
    said = project.fail()
    assert "Packer failed" in said and "subnet-00000000000000000" in said
    assert project.cloud.leftovers() == []


def test_without_packer_it_says_so(project: Baked) -> None:
    project.image()
    assert "needs Packer" in project.fail(env={"PATH": "/nowhere"})


@pytest.mark.slow
def test_cleaning_up_may_take_longer_than_other_commands_may(project: Baked) -> None:
    program = project.write(
        "bin/packer",
        "#!/bin/sh\n"
        'if [ "$1" = version ]; then echo Packer v1.6.6; exit; fi\n'
        "trap 'sleep 7; touch cleaned; exit 1' TERM\n"
        "echo 1,,ui,say,began\nwhile :; do sleep 0.1; done\n",
    )
    program.chmod(0o755)
    project.image()
    path = f"{program.parent}:{os.environ['PATH']}"
    process = project.start("build", "--progress", "plain", env={"PATH": path})
    assert process.stderr is not None
    assert any("began" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130 and (project.root / "cleaned").exists()
