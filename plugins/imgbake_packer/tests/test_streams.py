"""Image streams of AMIs: what a parameter or a filter means is imported, and machines start from that."""

from __future__ import annotations

from imgbake.streams.document import parse
from imgbake_aws.tests.clouds import OTHER, TRUSTY, UBUNTU
from imgbake_packer.tests.projects import Baked, artifact

STREAMS = """
[streams.bases.tags.golden]
from = "ami:ssm:/golden"

[streams.bases.tags.trusty]
from = { ami = { owner = "099720109477", name = "ubuntu/images/hvm-ssd/ubuntu-trusty-14.04-*" } }
"""


def _images(project: Baked, tag: str, stream: str = "bases") -> list[str]:
    data = (project.root / f".imgbake/streams/{stream}.json").read_bytes()
    return [each.image for each in parse(data, stream).tags[tag].history]


def _on_golden(project: Baked, keys: str = "") -> None:
    project.image(keys=keys + STREAMS)
    project.recipe(project.read("imgbake.toml").replace(UBUNTU, "stream:bases:golden"))


def test_a_machine_starts_from_what_was_imported(project: Baked) -> None:
    ssm = project.cloud.client("ssm")
    ssm.put_parameter(Name="/golden", Value=TRUSTY, Type="String")
    _on_golden(project)
    assert project.run("stream", "sync").code == 0
    assert _images(project, "golden") == _images(project, "trusty") == [TRUSTY]
    ssm.put_parameter(Name="/golden", Value=OTHER, Type="String", Overwrite=True)
    project.build()
    assert ("terminated", TRUSTY) in project.cloud.instances()
    assert set(project.build().outcomes().values()) == {"cached"}
    assert project.run("stream", "sync", "--force").code == 0
    assert project.build().outcomes()["image:app@ami"] == "ran"
    assert ("terminated", OTHER) in project.cloud.instances()
    assert _images(project, "golden") == [OTHER, TRUSTY]


def test_going_back_asks_nobody(project: Baked) -> None:
    ssm = project.cloud.client("ssm")
    ssm.put_parameter(Name="/golden", Value=TRUSTY, Type="String")
    _on_golden(project)
    project.run("stream", "sync")
    ssm.put_parameter(Name="/golden", Value=OTHER, Type="String", Overwrite=True)
    project.run("stream", "sync", "--force")
    with project.cloud.asked() as asked:
        assert project.run("stream", "rollback", "bases:golden").code == 0
    assert asked == []
    assert _images(project, "golden")[0] == TRUSTY


def test_a_parameter_that_is_gone_keeps_the_image(project: Baked) -> None:
    ssm = project.cloud.client("ssm")
    ssm.put_parameter(Name="/golden", Value=TRUSTY, Type="String")
    _on_golden(project)
    project.run("stream", "sync")
    ssm.delete_parameter(Name="/golden")
    ran = project.run("stream", "import", "bases:golden")
    assert ran.code == 1 and "there is no SSM parameter '/golden'" in ran.stderr
    assert _images(project, "golden") == [TRUSTY]


def test_a_tag_follows_the_ami_that_is_baked(project: Baked) -> None:
    project.cloud.client("ssm").put_parameter(Name="/golden", Value=TRUSTY, Type="String")
    _on_golden(project, 'stream = "app:latest"\n')
    project.run("stream", "sync")
    made = artifact(project.build())
    assert _images(project, "latest", "app") == [made["facts"]["regions"]["us-east-1"]]


def test_a_container_does_not_start_from_an_ami(project: Baked) -> None:
    project.cloud.client("ssm").put_parameter(Name="/golden", Value=TRUSTY, Type="String")
    project.recipe(STREAMS + '[images.app]\nbase = "stream:bases:golden"\n')
    project.run("stream", "sync")
    ran = project.run("build")
    assert ran.code == 1
    assert "stream:bases:golden is of the kind 'ami', and a 'container' is needed" in ran.stderr
