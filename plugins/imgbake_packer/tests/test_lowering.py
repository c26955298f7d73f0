"""What a blueprint is lowered to."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from imgbake.api import Artifact, BakeError, CacheFolder, ImageConfig, Layer, Setup
from imgbake.testing import golden
from imgbake.testing.blueprints import copied
from imgbake_packer.options import Options, Plugin, Volume
from imgbake_packer.target import Packer
from imgbake_packer.tests.blueprints import ID, blueprint

GOLDEN = Path(__file__).parent / "golden"
SCRATCH = Artifact("ami", reference="scratch")


def lower(*layers: Layer, options: Options | None = None, **more: object) -> dict[str, str]:
    return Packer(options or Options()).lower(blueprint(*layers, **more)).documents  # type: ignore[arg-type]


def source(options: Options, **more: object) -> dict[str, Any]:
    """The options of the builder in a template without components."""
    found: dict[str, Any] = template(options, **more)["source"][options.builder_type]["shop"]
    return found


def template(options: Options, **more: object) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(lower(options=options, **more)["image.pkr.json"])
    return found


def test_components_become_provisioners_in_order() -> None:
    layers = (
        Layer("runtime", build=("apt-get update", "apt-get install -y \\\n  libpq5")),
        Layer(
            "app",
            files=(
                copied("/opt/wheels/", "shop.whl"),
                copied("/etc/shop.toml", "", mode=0o640, owner=(1000, 1000)),
            ),
            env={"MODE": "it's $5"},
            build=("pip install /opt/wheels/*.whl", "docker inspect --format '{{ .Id }}' x"),
            validate=("shop --version",),
            test=("shop selftest",),
        ),
    )
    golden.compare(
        GOLDEN / "components",
        lower(*layers, config=ImageConfig(env={"LAST": "1"}, labels={"team": "${shop}"})),
    )


def test_commands_run_where_and_as_whom_the_component_says() -> None:
    setup = Setup(
        user="app:staff",
        workdir="/srv/my app",
        shell=("/bin/bash", "-ec"),
        network="none",
        caches=(CacheFolder("/var/cache/apt"), CacheFolder("/my cache")),
        secrets=("token",),
        timeout=90,
    )
    golden.compare(
        GOLDEN / "setup",
        lower(Layer("Build.Tools", build=('echo "$HOME"',), validate=("true",), setup=setup)),
    )


def test_a_plan_says_what_is_made_in_the_account() -> None:
    options = Options(ami_regions=("us-east-1",), spot_price="auto")
    lowered = Packer(options).lower(blueprint(Layer("app", test=("true",))))
    assert lowered.makes == (
        "an instance of t4g.small in eu-west-1 at a spot price",
        "another in eu-west-1, of the AMI, to test it",
        "an AMI with its snapshots in eu-west-1, us-east-1",
    )


def test_a_product_of_the_marketplace_is_refused() -> None:
    with pytest.raises(BakeError, match="can't look up prod-1"):
        lower(base=Artifact("ami", "prod-1", "prod-1"), options=Options(region="eu-west-1"))


def test_every_option_has_its_place() -> None:
    options = Options(
        region="eu-west-1",
        instance_type="m7g.large",
        ami_name="shop: 1.4.2 (arm)",
        ami_description="a ${description}",
        ami_regions=("eu-central-1",),
        ami_users=("111122223333",),
        tags={"team": "a b", "{{ .SourceAMI }}": "100%{"},
        run_tags={"Name": "baking"},
        subnet_id="subnet-1",
        vpc_id="vpc-1",
        security_group_ids=("sg-1",),
        associate_public_ip_address=False,
        iam_instance_profile="baker",
        launch_block_device_mappings=(
            Volume("/dev/xvda", volume_size=20, volume_type="gp3", throughput=200, encrypted=True),
        ),
        encrypt_boot=True,
        kms_key_id="alias/shop",
        region_kms_key_ids={"eu-central-1": "alias/shop"},
        spot_price="auto",
        imds="v2",
        profile="baker",
        ssh_username="admin",
        more={"ssh_interface": "session_manager", "aws_polling": [{"max_attempts": 90}]},
    )
    golden.compare(GOLDEN / "options", lower(options=options))


def test_another_builder_says_itself_what_it_takes() -> None:
    options = Options(
        builder={"type": "docker", "image": "debian:12", "commit": True},
        plugins={"docker": Plugin("github.com/hashicorp/docker", "~> 1.1")},
    )
    golden.compare(GOLDEN / "builder", lower(Layer("app", build=("true",)), options=options, base=SCRATCH))


def test_secrets_are_variables_without_a_value() -> None:
    options = Options(
        builder={"type": "null", "ssh_password": "{{ my.password }}", "note": "{{ timestamp }}"}
    )
    document = template(options, base=SCRATCH)
    assert document["source"]["null"]["shop"]["ssh_password"] == "${var.secret_my_password}"
    assert document["source"]["null"]["shop"]["note"] == "{{ timestamp }}"
    assert document["variable"] == {"secret_my_password": {"type": "string", "sensitive": True}}


def test_the_base_decides_region_and_machine() -> None:
    assert source(Options())["region"] == "eu-west-1"
    assert template(Options())["variable"]["instance_type"]["default"] == "t4g.small"
    plain = Artifact("ami", ID, ID)
    found = template(Options(region="us-east-1"), base=plain)
    assert found["variable"]["instance_type"]["default"] == "t3.small"
    baked = Artifact("ami", "sha256:1", "ami-1", {"regions": {"us-east-1": "ami-1", "us-east-2": "ami-2"}})
    assert source(Options(region="us-east-2"), base=baked)["source_ami"] == "ami-2"


@pytest.mark.parametrize(
    "wanted", ["shop", "x" * 200, "käse: 1/2", "shop {{ token }}", "no\nlines"], ids=lambda text: text[:9]
)
def test_the_name_is_one_that_ec2_takes(wanted: str) -> None:
    name = source(Options(ami_name=wanted))["ami_name"].replace("${var.stamp}", "20260728T093400Z-1a2b3c")
    assert 3 <= len(name) <= 128
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789()[] ./-'@_")


def test_what_decides_nothing_is_not_lowered() -> None:
    quick, slow = (Layer("app", build=("true",), setup=Setup(timeout=seconds)) for seconds in (10, 20))
    assert lower(quick) == lower(slow)
    assert lower(options=Options(instance_type="m7g.large", spot_price="auto")) == lower()
    assert "src/" not in "".join(lower(Layer("app", (copied("/a/", "b"),))).values())


@pytest.mark.parametrize(
    ("layers", "options", "base", "message"),
    [
        ([], Options(), SCRATCH, "can't start from nothing"),
        ([], Options(), Artifact("ami", ID, ID), "in which region"),
        ([], Options(region="us-east-1"), None, "baked in us-east-1, and its base is in eu-west-1"),
        ([Layer("app", build=("a",))], Options(communicator="none"), None, "can't reach a machine"),
        ([Layer("app", build=("a",), setup=Setup(memory=1))], Options(), None, "asks for `limits.memory`"),
        ([], Options(builder={"type": "null"}), None, "the table `builder` says what"),
        ([Layer("app", test=("a",))], Options(builder={"type": "null"}), SCRATCH, "can't start what 'null'"),
    ],
)
def test_what_packer_cannot_do_is_refused(
    layers: list[Layer], options: Options, base: Artifact | None, message: str
) -> None:
    with pytest.raises(BakeError, match=message) as caught:
        lower(*layers, options=options, **({"base": base} if base else {}))
    assert caught.value.hint


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"region": "eu-west"}, "region"),
        ({"ami_regions": ("us",)}, "ami_regions"),
        ({"ami_users": ("me",)}, "ami_users"),
        ({"more": {"source_ami": "ami-1"}}, "more"),
        ({"more": {"subnet_id": "subnet-1"}}, "more"),
        ({"builder": {"image": "debian"}}, "builder"),
        ({"builder": {"type": "null"}, "subnet_id": "subnet-1"}, "subnet_id"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=f"`{key}`"):
        Options(**options)


@pytest.mark.parametrize("name", ["components", "setup", "builder"])
def test_scripts_are_shell(name: str) -> None:
    for script in (GOLDEN / name).glob("*.sh"):
        assert subprocess.run(["sh", "-n", str(script)], capture_output=True, text=True).stderr == ""
