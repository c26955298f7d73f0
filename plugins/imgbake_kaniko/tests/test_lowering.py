"""What a blueprint is lowered to: the Dockerfile, and the manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imgbake.api import Artifact, BakeError, ImageConfig, Layer, Setup
from imgbake.testing import golden
from imgbake.testing.blueprints import copied
from imgbake_docker.tests.blueprints import DIGEST, blueprint
from imgbake_kaniko.options import Options, Toleration
from imgbake_kaniko.target import Kaniko

GOLDEN = Path(__file__).parent / "golden"
TAG = "registry.example.com/shop:1"


def lower(*layers: Layer, options: Options | None = None, **more: Any) -> dict[str, str]:
    lowered = Kaniko(options or Options(tags=(TAG,))).lower(blueprint(*layers, **more))
    return {**lowered.documents, **lowered.beside}


def test_four_manifests_and_a_dockerfile() -> None:
    layers = (
        Layer("runtime", build=("apt-get update", "apt-get install -y libpq5")),
        Layer(
            "app", (copied("/opt/", "shop.whl"),), {"MODE": "production"}, build=("pip install /opt/*.whl",)
        ),
    )
    golden.compare(GOLDEN / "volume", lower(*layers, config=ImageConfig(entrypoint=("shop",))))


def test_everything_that_can_be_said_of_a_cluster() -> None:
    options = Options(
        tags=(TAG, "me/shop:latest"),
        namespace="builds",
        storage_class="fast",
        volume_size="20Gi",
        access_mode="ReadWriteMany",
        volume={"nfs": {"server": "nfs.example.com", "path": "/exports/bakes"}},
        requests={"cpu": "500m", "memory": "1Gi"},
        limits={"memory": "4Gi"},
        node_selector={"kubernetes.io/arch": "amd64"},
        tolerations=(
            Toleration(key="build", value="only", effect="NoSchedule"),
            Toleration(operator="Exists"),
        ),
        service_account="baker",
        labels={"team": "shop"},
        annotations={"example.com/cost": "42"},
        env={"AWS_REGION": "eu-west-1", "TOKEN": "{{ token }}"},
        executor="registry.example.com/kaniko:1",
        uploader="busybox:1.37",
        cache=True,
        cache_repo="registry.example.com/cache",
        snapshot_mode="redo",
        compression="zstd",
        insecure_registries=("registry.example.com",),
        registry_mirrors=("mirror.example.com",),
        push_retry=5,
        flags=("--single-snapshot",),
        deadline=600,
        keep=True,
    )
    golden.compare(GOLDEN / "said", lower(config=ImageConfig(cmd=("a",)), options=options))


def test_a_check_is_a_stage_that_the_next_depends_on_and_that_leaves_nothing() -> None:
    setup = Setup(user="app", workdir="/srv")
    layers = (
        Layer("runtime", env={"A": "1"}, validate=("python3 --version",)),
        Layer("app", build=("make",), setup=setup),
        Layer("last", env={"B": "2"}, validate=("test -e /srv",), setup=setup),
    )
    documents = lower(*layers, config=ImageConfig(cmd=("a",)))
    golden.compare(
        GOLDEN / "validate",
        {"Dockerfile": documents["Dockerfile"], "context.json": documents["context.json"]},
    )
    assert "--ignore-path=/.imgbake-passed" in documents["job.yaml"]


def test_a_stream_needs_no_volume() -> None:
    documents = lower(config=ImageConfig(cmd=("a",)), options=Options(tags=(TAG,), context="stream"))
    assert sorted(documents) == ["Dockerfile", "job.yaml", "secret.yaml"]
    assert '"--context=tar://stdin"' in documents["job.yaml"]


def test_a_provisioned_volume_is_made_by_the_storage_class() -> None:
    documents = lower(config=ImageConfig(cmd=("a",)), options=Options(tags=(TAG,), provision=True))
    assert "persistent-volume.yaml" not in documents
    assert "volumeName" not in documents["persistent-volume-claim.yaml"]


def test_equal_blueprints_give_equal_names_and_others_other_names() -> None:
    one, same = (lower(config=ImageConfig(cmd=("a",)))["job.yaml"] for _ in range(2))
    assert one == same
    assert lower(config=ImageConfig(cmd=("b",)))["job.yaml"] != one


def test_what_the_cluster_spends_on_an_image_decides_nothing() -> None:
    big = Options(tags=(TAG,), volume_size="1Ti", limits={"memory": "64Gi"}, deadline=9)
    plan = blueprint(config=ImageConfig(cmd=("a",)))
    lowered = Kaniko(big).lower(plan), Kaniko(Options(tags=(TAG,))).lower(plan)
    assert lowered[0].documents == lowered[1].documents
    assert lowered[0].beside != lowered[1].beside


@pytest.mark.parametrize(
    ("layers", "more", "message"),
    [
        ([], {"config": ImageConfig(annotations={"a": "b"})}, "no `annotations`"),
        ([], {"base": Artifact("container", DIGEST, "oci:base")}, "can't see the base oci:base"),
        ([], {"options": Options(tags=(TAG,), context="git")}, "only an image that is a Dockerfile"),
        ([Layer("app", build=("a",), setup=Setup(network="none"))], {}, "`network`"),
        ([Layer("app", validate=("a",), setup=Setup(memory=1))], {}, "`limits.memory`"),
        ([Layer("app", test=("a",), setup=Setup(timeout=1))], {}, "`timeout`"),
    ],
)
def test_what_kaniko_cannot_do_is_refused(layers: list[Layer], more: dict[str, Any], message: str) -> None:
    with pytest.raises(BakeError, match=message) as caught:
        lower(*layers, **more)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({}, "registry"),
        ({"registry": "https://r.example.com"}, "registry"),
        ({"tags": ("a@b",)}, "tags"),
        ({"context": "folder"}, "context"),
        ({"context": "git+ssh://example.com/shop"}, "context"),
        ({"context": "git+https://me:pa55word@example.com/shop"}, "context"),
        ({"namespace": "Builds"}, "namespace"),
        ({"volume_size": "many"}, "volume_size"),
        ({"limits": {"memory": "4 GB"}}, "limits"),
        ({"provision": True, "volume": {"nfs": {}}}, "provision"),
        ({"volume": {"nfs": {}, "hostPath": {}}}, "volume"),
        ({"flags": ("cache",)}, "flags"),
        ({"flags": ("--destination=a",)}, "flags"),
        ({"deadline": 0}, "deadline"),
        ({"push_retry": -1}, "push_retry"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=f"`{key}`"):
        Options(**{"tags": (TAG,) if options else (), **options})
