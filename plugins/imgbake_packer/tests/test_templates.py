"""Images that are a user's own template."""

from __future__ import annotations

import pytest

from imgbake_aws import leavings
from imgbake_packer.tests.projects import Baked, artifact, outcome

TEMPLATE = """
variable "size" { type = number }
variable "token" {
  type    = string
  default = "none"
}
variable "endpoint" { type = string }

source "amazon-ebs" "golden" {
  region                  = "us-east-1"
  source_ami              = "ami-1e749f67"
  instance_type           = "t3.small"
  communicator            = "none"
  ami_name                = "golden ${uuidv4()}"
  custom_endpoint_ec2     = var.endpoint
  skip_region_validation  = true
  skip_metadata_api_check = true
  tags                    = { Note = var.token, Size = var.size }
}

build {
  sources = ["source.amazon-ebs.golden"]
  provisioner "shell-local" { script = "note.sh" }
}
"""


def recipe(project: Baked, keys: str = "") -> None:
    url = project.cloud.client("ec2").meta.endpoint_url
    project.write("golden/golden.pkr.hcl", TEMPLATE)
    project.write("golden/note.sh", "#!/bin/sh\necho noted\n").chmod(0o755)
    project.recipe(
        '[args]\ntoken = { secret = true }\n[targets.ami]\nuses = "packer"\n[images.app]\n'
        f'template = "golden/golden.pkr.hcl"\ntargets = ["ami"]\n'
        f'vars = {{ size = 8, endpoint = "{url}" }}\n{keys}\n'
    )


def test_a_template_is_run_in_its_folder(project: Baked) -> None:
    recipe(project, 'secrets = ["token"]')
    given = ["--arg", "token=s3cr3t-value"]
    ran = project.build(*given)
    made = artifact(ran)
    tags = {tag["Key"]: tag["Value"] for tag in project.cloud.amis()[made["reference"]]["Tags"]}
    assert made["facts"]["regions"] == {"us-east-1": made["reference"]}
    assert (tags["Note"], tags["Size"]) == ("s3cr3t-value", "8")
    assert "| noted" in ran.stderr and "s3cr3t-value" not in ran.stderr + ran.stdout
    assert outcome(project.build(*given)) == "cached"


def test_its_amis_are_known_as_ours(project: Baked) -> None:
    recipe(project)
    made = artifact(project.build())
    (listed,) = project.run("ami", "ls", "--format", "json").json
    assert (listed["id"], listed["image"], listed["target"]) == (made["reference"], "app", "ami")
    assert listed["used_by"] == ["image:app@ami"]
    (snapshot,) = made["facts"]["snapshots"]["us-east-1"]
    (found,) = project.cloud.client("ec2").describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]
    assert {"Key": "imgbake:image", "Value": "app"} in found["Tags"]


def test_a_killed_bake_is_ended_by_the_next(project: Baked) -> None:
    source = 'source "null" "a" { communicator = "none" }\nbuild {\n  sources = ["source.null.a"]\n'
    wait = 'provisioner "shell-local" { inline = ["echo waiting", "sleep 600"] }'
    project.write("own/own.pkr.hcl", f"{source}  {wait}\n}}\n")
    project.recipe(
        '[targets.ami]\nuses = "packer"\n[images.app]\ntemplate = "own/own.pkr.hcl"\ntargets = ["ami"]\n'
    )
    process = project.start("build", "--progress", "plain")
    assert process.stderr is not None
    assert any("| waiting" in line for line in process.stderr)
    stamp = next((project.root / leavings.FOLDER).glob("*.json")).stem
    process.kill()
    process.communicate()
    assert leavings._marked(stamp)
    project.write("own/own.pkr.hcl", f"{source}}}\n")
    assert "a bake was killed" in project.build().stderr
    assert leavings._marked(stamp) == []


@pytest.mark.parametrize(("file", "text"), [("golden/note.sh", "#!/bin/sh\necho more\n"), ("golden/new", "")])
def test_a_file_beside_it_decides(project: Baked, file: str, text: str) -> None:
    recipe(project)
    project.build()
    project.write(file, text)
    assert outcome(project.build()) == "ran"
    project.write("elsewhere", "")
    assert outcome(project.build()) == "cached"


def test_what_packer_says_of_it_is_the_error(project: Baked) -> None:
    recipe(project)
    project.write("golden/golden.pkr.hcl", TEMPLATE.replace("instance_type ", "instance_tipe "))
    failed = next(line for line in project.fail().splitlines() if line.startswith("failed: "))
    line = TEMPLATE.splitlines().index('  instance_type           = "t3.small"') + 1
    assert f"golden/golden.pkr.hcl:{line}: Unsupported argument: " in failed
    assert 'named "instance_tipe"' in failed


def test_a_template_that_is_missing_is_said(project: Baked) -> None:
    recipe(project)
    (project.root / "golden/golden.pkr.hcl").unlink()
    assert "there is no template golden/golden.pkr.hcl" in project.fail()
