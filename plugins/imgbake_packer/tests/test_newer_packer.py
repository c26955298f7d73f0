"""A Packer that knows its builders from plugins, with what the older one is tested with elsewhere."""

from __future__ import annotations

import subprocess

import pytest

from imgbake_packer.tests.machines import Machine
from imgbake_packer.tests.projects import Baked, artifact, outcome

pytestmark = pytest.mark.usefixtures("newer_packer")

REQUIRES = """
packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.2.0"
    }
  }
}
"""


def test_it_is_newer() -> None:
    said = subprocess.run(["packer", "version"], check=True, capture_output=True, text=True).stdout
    assert int(said.split(".")[1]) > 6


def test_an_ami_is_baked_with_the_plugin_that_is_required(project: Baked) -> None:
    project.image(options='communicator = "none"\nami_regions = ["eu-west-1"]')
    made = artifact(project.build())
    assert list(made["facts"]["regions"]) == ["us-east-1", "eu-west-1"]
    assert made["reference"] in project.cloud.amis() and project.cloud.leftovers() == []
    assert outcome(project.build()) == "cached"


def test_components_run_and_failures_have_their_place(project: Baked, system: Machine) -> None:
    more = system.options().strip().replace("\n", ", ")
    options = f'ssh_username = "root"\nmore = {{ {more} }}'
    component = '[components.app]\nbuild = ["echo by newer > /opt/newer", "echo no; exit {code}"]\n'
    project.image(component.format(code=3), options)
    assert "component 'app': build: `echo no; exit 3` exited with code 3" in project.fail()
    assert project.cloud.leftovers() == []
    project.image(component.format(code=0) + 'test = "test -f /opt/newer"\n', options)
    assert project.build().outcomes()["test:app@ami"] == "ran"
    assert system.run("cat /opt/newer") == "by newer\n" and project.cloud.leftovers() == []


def test_a_template_of_ones_own_is_initialised_and_located(project: Baked) -> None:
    url = project.cloud.client("ec2").meta.endpoint_url
    project.recipe(
        '[targets.ami]\nuses = "packer"\n[images.app]\ntemplate = "golden.pkr.hcl"\ntargets = ["ami"]\n'
    )
    template = f"""{REQUIRES}
source "amazon-ebs" "golden" {{
  region                  = "us-east-1"
  source_ami              = "ami-1e749f67"
  instance_type           = "t3.small"
  communicator            = "none"
  ami_name                = "golden"
  custom_endpoint_ec2     = "{url}"
  skip_region_validation  = true
  skip_metadata_api_check = true
}}
build {{ sources = ["source.amazon-ebs.golden"] }}
"""
    project.write("golden.pkr.hcl", template.replace("instance_type", "instance_tipe"))
    line = template.splitlines().index('  instance_type           = "t3.small"') + 1
    assert f"golden.pkr.hcl:{line}: Unsupported argument" in project.fail()
    project.write("golden.pkr.hcl", template)
    assert artifact(project.build())["reference"] in project.cloud.amis()
