"""How machine images' bases are written."""

from __future__ import annotations

import pytest

from imgbake.api import BakeError
from imgbake.testing.project import Project
from imgbake_aws import bases

IMAGE = "arn:aws:imagebuilder:eu-west-1:aws:image/amazon-linux-2023-x86"


@pytest.mark.parametrize(
    ("reference", "asked"),
    [
        ("ami-0123456789abcdef0", bases.Asked("id", "ami-0123456789abcdef0")),
        ("ssm:/a/b", bases.Asked("ssm", "/a/b")),
        ("ssm:/a/b,region=eu-west-1", bases.Asked("ssm", "/a/b", "eu-west-1")),
        (
            "filter:owner=self, name=a b*,region=eu-west-1",
            bases.Asked("filter", "", "eu-west-1", {"owner": "self", "name": "a b*"}),
        ),
        (f"{IMAGE}/x.x.x", bases.Asked("image", f"{IMAGE}/x.x.x", "eu-west-1")),
        (f"{IMAGE}/1.2.x", bases.Asked("image", f"{IMAGE}/1.2.x", "eu-west-1")),
        (f"{IMAGE}/1.2.3/4", bases.Asked("image", f"{IMAGE}/1.2.3/4", "eu-west-1")),
    ],
)
def test_references_are_taken_apart(reference: str, asked: bases.Asked) -> None:
    assert bases.parse(reference) == asked


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("debian", "'debian' names no AMI"),
        ("ami-12", "names no AMI"),
        ("ssm:", "names no parameter"),
        ("ssm:/a,owner=b", "'owner=b' is no condition"),
        ("arn:aws:s3:::bucket", "is no image of EC2 Image Builder"),
        (f"{IMAGE}/1.x.3", "'1.x.3' is no version"),
        (f"{IMAGE}/1.2.x/1", "'1.2.x/1' is no version"),
        ("filter:name=a", "says no owner"),
        ("filter:owner=a", "says no name"),
        ("filter:owner=a,nam=b", "'nam=b' is no condition"),
    ],
)
def test_others_are_refused(reference: str, message: str) -> None:
    with pytest.raises(BakeError, match=message) as caught:
        bases.parse(reference)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("said", "reference"),
    [
        ({"name": "a b*", "owner": "self"}, "filter:owner=self,name=a b*"),
        (
            {"owner": "amazon", "name": "al2023-*", "architecture": "arm64", "region": "eu-west-1"},
            "filter:owner=amazon,name=al2023-*,architecture=arm64,region=eu-west-1",
        ),
        (
            {"ssm": "/a/b", "region": "eu-west-1", "profile": "baker"},
            "ssm:/a/b,region=eu-west-1,profile=baker",
        ),
    ],
)
def test_a_table_is_written_in_one_way_that_is_understood(said: dict[str, str], reference: str) -> None:
    written = bases.Searched(**said).reference()  # type: ignore[arg-type]  # keys of the table
    assert written == reference
    asked = bases.parse(written)
    assert asked.region == said.get("region", "") and asked.profile == said.get("profile", "")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('{ owner = "self", nam = "a" }', "did you mean 'name'?"),
        ('{ name = "a" }', "say whose AMI it is"),
        ('{ owner = "self" }', "say which AMIs"),
        ('{ ssm = "/a", owner = "self" }', "the parameter `ssm` says already"),
        ('{ owner = "self", name = "a", architecture = "arm" }', "architecture"),
        ('{ owner = "self", name = "a,b" }', "a comma"),
        ("{ owner = 7, name = 'a' }", "must be a string"),
    ],
)
def test_a_wrong_table_is_shown_in_its_place(project: Project, table: str, message: str) -> None:
    project.recipe(
        '[targets.ami]\nuses = "packer"\n[images.app]\ntargets = ["ami"]\n' + f"base = {{ ami = {table} }}\n"
    )
    ran = project.run("check")
    assert ran.code == 2 and message in ran.stderr, ran.stderr
    assert "imgbake.toml:5:" in ran.stderr
    assert ran.stderr.count("imgbake.toml:5:") == 1, ran.stderr


def test_a_product_of_the_marketplace_is_not_looked_up() -> None:
    assert bases.parse("prod-0abcdefghijkl") == bases.Asked("product", "prod-0abcdefghijkl")
    with pytest.raises(BakeError, match="names no AMI"):
        bases.parse("prod-")
