"""`imgbake copy`: any image to any number of places, without a recipe."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from imgbake.api import digest
from imgbake.testing.project import Project, Ran
from imgbake.testing.registry import Registry
from imgbake.testing.shop import results

LAYERS = [random.Random(size).randbytes(size) for size in (300_000, 10, 70_000)]
BLOBS = [digest.of_bytes(layer) for layer in LAYERS]
MIB = 1 << 20


def copy(project: Project, *words: str, code: int = 0) -> Ran:
    ran = project.run("copy", "--format", "json", "--progress", "plain", *words)
    assert ran.code == code, f"exit code {ran.code}\n{ran.stdout}\n{ran.stderr}"
    assert "Traceback" not in ran.stderr
    return ran


def holds(registry: Registry, repository: str) -> bool:
    """Does a registry have all layers in this repository?"""
    return set(BLOBS) <= registry.contents.repository(repository).blobs


def test_an_image_goes_from_a_registry_to_registries_and_layouts(
    project: Project, one: Registry, make: Callable[..., Registry]
) -> None:
    image = one.add_image("shop:1", LAYERS)
    others = [make() for _ in range(3)]
    ran = copy(project, one.name("shop:1"), *(each.name("team/shop:2") for each in others), "oci:out:1")
    assert results(ran) == ["published"] * 4
    for each in others:
        assert holds(each, "team/shop") and digest.of_bytes(each.manifest("team/shop:2") or b"") == image
    assert image in project.read("out/index.json")


def test_each_blob_is_read_once(project: Project, one: Registry, make: Callable[..., Registry]) -> None:
    one.add_image("shop:1", LAYERS)
    copy(project, one.name("shop:1"), *(make().name("shop:1") for _ in range(3)), "oci:out")
    assert [one.count("GET", f"/blobs/{blob}") for blob in BLOBS] == [1, 1, 1]


def test_what_is_there_costs_one_request_per_manifest(project: Project, one: Registry) -> None:
    project.run("copy", "--progress", "quiet", *_layout(project, one), one.name("shop:1"))
    one.forget()
    ran = copy(project, "oci:image:1", one.name("shop:1"))
    assert results(ran) == ["there"] and ran.json["arrivals"][0]["sent"] == 0
    manifests = {seen.target for seen in one.requests if "/manifests/sha256:" in seen.target}
    assert len(manifests) == 1 and one.count("", "/blobs/") == 0
    assert len(one.requests) <= 3  # by digest, by tag, and how to speak to the server at all


def test_of_an_index_each_manifest_is_asked_for_once_also_while_one_lacks(
    project: Project, one: Registry, other: Registry
) -> None:
    images = {name: one.add_image("shop", [name.encode()], name) for name in ("linux/amd64", "linux/arm64")}
    index = one.add_index("shop:1", images)
    signature = one.add_referrer("shop", index, b"signed", "application/vnd.test.signature")
    words = (one.name("shop:1"), other.name("shop:1"))
    copy(project, *words)
    there = {index, signature, *images.values()}
    for lacks in (None, images["linux/arm64"], signature):
        if lacks:
            del other.contents.repository("shop").manifests[lacks]
        other.forget()
        assert results(copy(project, *words)) == ["published" if lacks else "there"]
        asked = [seen.target.rpartition("/")[2] for seen in other.requests if seen.method == "HEAD"]
        assert [asked.count(each) for each in there - {lacks}] == [1] * len(there - {lacks})


def test_only_what_lacks_is_sent(project: Project, one: Registry, other: Registry) -> None:
    one.add_image("shop:1", LAYERS)
    other.add_blob("shop", LAYERS[0])
    ran = copy(project, one.name("shop:1"), other.name("shop:1"))
    assert other.count("PUT", BLOBS[0][7:]) == 0 and one.count("GET", f"/blobs/{BLOBS[0]}") == 0
    assert ran.json["arrivals"][0]["sent"] < len(LAYERS[0])


def test_within_one_registry_blobs_are_mounted(project: Project, one: Registry) -> None:
    one.add_image("shop:1", LAYERS)
    ran = copy(project, one.name("shop:1"), one.name("prod/shop:1"))
    assert holds(one, "prod/shop") and ran.json["arrivals"][0]["sent"] == 0
    assert one.count("GET", "/blobs/sha256") == 0


def test_repositories_of_one_host_get_a_blob_once(project: Project, one: Registry, other: Registry) -> None:
    one.add_image("shop:1", LAYERS)
    copy(project, one.name("shop:1"), other.name("a/shop:1"), other.name("b/shop:1"))
    assert holds(other, "a/shop") and holds(other, "b/shop")
    assert other.count("PUT", BLOBS[0][7:]) == 1


def test_two_names_of_one_repository_get_its_content_once(
    project: Project, one: Registry, other: Registry
) -> None:
    one.add_image("shop:1", LAYERS)
    copy(project, one.name("shop:1"), other.name("shop:1"), other.name("shop:2"))
    assert other.count("PUT", BLOBS[0][7:]) == 1
    assert other.manifest("shop:1") == other.manifest("shop:2") == one.manifest("shop:1")


def test_an_index_goes_with_all_its_images_or_with_those_chosen(
    project: Project, one: Registry, other: Registry
) -> None:
    images = {
        platform: one.add_image("shop", [platform.encode()], platform)
        for platform in ("linux/amd64", "linux/arm64", "linux/s390x")
    }
    index = one.add_index("shop:1", images)
    copy(project, one.name("shop:1"), other.name("all:1"))
    assert digest.of_bytes(other.manifest("all:1") or b"") == index
    assert set(images.values()) <= other.contents.repository("all").manifests.keys()

    copy(project, one.name("shop:1"), other.name("one:1"), "--platform", "linux/arm64")
    assert digest.of_bytes(other.manifest("one:1") or b"") == images["linux/arm64"]

    two = ["--platform", "linux/amd64", "--platform", "linux/s390x"]
    copy(project, one.name("shop:1"), other.name("two:1"), *two)
    listed = json.loads(other.manifest("two:1") or b"")["manifests"]
    assert [each["digest"] for each in listed] == [images["linux/amd64"], images["linux/s390x"]]
    assert images["linux/arm64"] not in other.contents.repository("two").manifests


def test_a_platform_that_is_not_there_is_said(project: Project, one: Registry, other: Registry) -> None:
    one.add_index("shop:1", {"linux/amd64": one.add_image("shop", LAYERS)})
    ran = copy(project, one.name("shop:1"), other.name("shop:1"), "--platform", "linux/arm64", code=1)
    assert "has no image for linux/arm64" in ran.stderr and "it has linux/amd64" in ran.stderr


def test_signatures_travel_by_the_list_of_referrers(project: Project, one: Registry, other: Registry) -> None:
    image = one.add_image("shop:1", LAYERS)
    signature = one.add_referrer("shop", image, b"signed", "application/vnd.test.signature")
    sbom = one.add_referrer("shop", image, b"all that is in it", "application/spdx+json")
    of_sbom = one.add_referrer("shop", sbom, b"signed, too", "application/vnd.test.signature")
    copy(project, one.name("shop:1"), other.name("shop:1"))
    assert {signature, sbom, of_sbom} <= other.contents.repository("shop").manifests.keys()
    assert list(other.contents.repository("shop").tags) == ["1"]  # it lists them by itself


def test_a_registry_that_lists_no_referrers_gets_them_by_the_fallback_tag(
    project: Project, one: Registry, make: Callable[..., Registry], other: Registry
) -> None:
    image = one.add_image("shop:1", LAYERS)
    referring = {one.add_referrer("shop", image, bytes([n]), "application/vnd.test.sig") for n in range(3)}
    plain = make()
    copy(project, one.name("shop:1"), plain.name("shop:1"))
    fallback = json.loads(plain.manifest(f"shop:{image.replace(':', '-')}") or b"{}")
    assert {each["digest"] for each in fallback["manifests"]} == referring
    assert fallback["manifests"][0]["artifactType"] == "application/vnd.test.sig"

    copy(project, plain.name("shop:1"), other.name("shop:1"))  # and from there by that tag
    assert referring <= other.contents.repository("shop").manifests.keys()
    assert results(copy(project, plain.name("shop:1"), other.name("shop:1"))) == ["there"]


def test_cosigns_tags_travel(project: Project, one: Registry, other: Registry) -> None:
    image = one.add_image("shop:1", LAYERS)
    tags = [f"{image.replace(':', '-')}.{kind}" for kind in ("sig", "att", "sbom")]
    for tag in tags:
        one.add_image(f"shop:{tag}", [tag.encode()])
    copy(project, one.name("shop:1"), other.name("shop:1"), "oci:out:1")
    for tag in tags:
        assert other.manifest(f"shop:{tag}") == one.manifest(f"shop:{tag}")
    copy(project, "oci:out:1", other.name("again:1"))
    assert all(other.manifest(f"again:{tag}") for tag in tags)
    assert results(copy(project, "oci:out:1", other.name("again:1"))) == ["there"]


def test_referrers_stay_behind_where_they_are_not_wanted(
    project: Project, one: Registry, other: Registry
) -> None:
    image = one.add_image("shop:1", LAYERS)
    one.add_referrer("shop", image, b"signed", "application/vnd.test.signature")
    copy(project, one.name("shop:1"), other.name("shop:1"), "--no-referrers")
    assert list(other.contents.repository("shop").manifests) == [image]


def test_any_artifact_can_be_copied(project: Project, one: Registry, other: Registry) -> None:
    image = one.add_image("shop:1", LAYERS)
    chart = one.add_referrer("shop", image, b"a chart", "application/vnd.cncf.helm.chart.v1.tar+gzip")
    copy(project, f"{one.name('shop')}@{chart}", other.name("chart:1"))
    assert digest.of_bytes(other.manifest("chart:1") or b"") == chart


def test_no_name_moves_while_a_destination_fails(project: Project, one: Registry, other: Registry) -> None:
    one.add_image("shop:1", LAYERS)
    other.fault(method="PUT", path="/blobs/uploads/", status=403, times=100)
    ran = copy(project, one.name("shop:1"), one.name("copy:1"), other.name("shop:1"), code=3)
    assert results(ran) == ["delivered", "failed"]
    assert one.contents.repository("copy").tags == {}
    other.heal()
    one.forget()
    assert results(copy(project, one.name("shop:1"), one.name("copy:1"), other.name("shop:1"))) == [
        "published",
        "published",
    ]
    assert one.count("POST", "/v2/copy/blobs/uploads/") == 0  # what was delivered is not delivered again


def test_without_atomic_each_destination_is_on_its_own(
    project: Project, one: Registry, other: Registry
) -> None:
    one.add_image("shop:1", LAYERS)
    other.fault(method="PUT", path="/blobs/uploads/", status=403, times=100)
    words = (one.name("shop:1"), one.name("copy:1"), other.name("shop:1"), "--no-atomic")
    assert results(copy(project, *words, code=3)) == ["published", "failed"]
    assert one.contents.repository("copy").tags


def test_none_done_is_another_exit_code_than_some(project: Project, one: Registry) -> None:
    one.add_image("shop:1", LAYERS)
    ran = copy(project, one.name("shop:1"), "127.0.0.1:9/shop:1", code=1)
    assert results(ran) == ["failed"] and "could not connect" in ran.json["arrivals"][0]["error"]


def test_a_source_that_is_not_there_is_said(project: Project, one: Registry) -> None:
    one.add_image("shop:1", LAYERS)
    ran = copy(project, one.name("shop:2"), one.name("copy:1"), code=1)
    assert results(ran) == ["skipped"] and "has no tag '2'" in ran.json["arrivals"][0]["error"]
    ran = project.run("copy", "-n", "oci:nowhere", one.name("copy:1"))
    assert ran.code == 1 and "error" in ran.stdout and "can't be read" in ran.stdout


def test_a_source_that_only_others_read_is_said(project: Project, one: Registry) -> None:
    ran = copy(project, "docker-daemon:shop:1", one.name("copy:1"), code=1)
    assert "what is in docker-daemon can't be read" in ran.json["arrivals"][0]["error"]
    assert "skopeo copy docker-daemon:shop:1 oci:DIR:TAG" in ran.stderr


def test_what_is_no_destination_is_said(project: Project, one: Registry) -> None:
    ran = project.run("copy", one.name("shop:1"), "oci-archive:x.tar")
    assert ran.code == 2 and "nothing can be copied to 'oci-archive:x.tar'" in ran.stderr
    ran = project.run("copy", one.name("shop:1"), f"docker://{one.name('shop:1')}")
    assert ran.code == 2 and "leave docker:// out" in ran.stderr
    ran = project.run("copy", one.name("shop:1"), one.name("Shop:1"))
    assert ran.code == 2 and "must be lower case" in ran.stderr


def test_the_plan_changes_nothing(project: Project, one: Registry, other: Registry) -> None:
    one.add_image("shop:1", LAYERS)
    ran = project.run("copy", "-n", "--format", "json", one.name("shop:1"), other.name("shop:1"), "oci:out")
    assert ran.code == 0, ran.stderr
    assert [each["action"] for each in ran.json] == ["deliver", "deliver"]
    assert other.count("PUT") == other.count("POST") == other.count("PATCH") == 0
    assert list(project.root.iterdir()) == []


def test_copying_leaves_nothing_of_ours_behind(project: Project, one: Registry, other: Registry) -> None:
    one.add_image("shop:1", LAYERS)
    copy(project, one.name("shop:1"), other.name("shop:1"))
    assert list(project.root.iterdir()) == []


def test_full_verification_finds_what_the_registry_has_spoilt(
    project: Project, one: Registry, other: Registry
) -> None:
    one.add_image("shop:1", LAYERS)
    copy(project, one.name("shop:1"), other.name("shop:1"))
    other.contents.blob(BLOBS[0]).write_bytes(LAYERS[0][::-1])
    assert results(copy(project, one.name("shop:1"), other.name("shop:1"))) == ["there"]
    ran = copy(project, one.name("shop:1"), other.name("shop:1"), "--verify", "full", code=1)
    assert results(ran) == ["failed"] and "is not right" in ran.json["arrivals"][0]["error"]


def test_a_blob_that_a_registry_has_lost_is_brought_by_force(
    project: Project, one: Registry, other: Registry
) -> None:
    one.add_image("shop:1", LAYERS)
    copy(project, one.name("shop:1"), other.name("shop:1"))
    other.contents.repository("shop").blobs.discard(BLOBS[0])
    assert results(copy(project, one.name("shop:1"), other.name("shop:1"))) == ["there"]
    ran = copy(project, one.name("shop:1"), other.name("shop:1"), "--verify", "full", code=1)
    assert "-B looks for every part there" in ran.stderr
    ran = copy(project, one.name("shop:1"), other.name("shop:1"), "-B")
    assert ran.json["arrivals"][0]["sent"] == len(LAYERS[0]) and holds(other, "shop")


def test_wrong_content_of_a_source_reaches_nobody(project: Project, one: Registry, other: Registry) -> None:
    one.add_image("shop:1", LAYERS)
    one.fault(method="GET", path=f"/blobs/{BLOBS[0]}", corrupt=True, times=100)
    copy(project, one.name("shop:1"), other.name("shop:1"), "oci:out", code=1)
    assert BLOBS[0] not in other.contents.repository("shop").blobs
    assert other.contents.repository("shop").tags == {}
    assert not (project.root / "out/blobs/sha256" / BLOBS[0].removeprefix("sha256:")).exists()


def test_a_layout_keeps_the_images_that_it_has(project: Project, one: Registry) -> None:
    one.add_image("shop:1", LAYERS)
    one.add_image("shop:2", [b"another"])
    for number in "121":
        copy(project, one.name(f"shop:{number}"), f"oci:out:{number}")
    listed = json.loads(project.read("out/index.json"))["manifests"]
    tags = [each["annotations"]["org.opencontainers.image.ref.name"] for each in listed]
    assert sorted(tags) == ["1", "2"]


def test_a_layout_is_made_whole_again(project: Project, one: Registry) -> None:
    one.add_image("shop:1", LAYERS)
    copy(project, one.name("shop:1"), "oci:out:1")
    blob = project.root / "out/blobs/sha256" / BLOBS[0].removeprefix("sha256:")
    blob.unlink()
    assert copy(project, one.name("shop:1"), "oci:out:1").json["arrivals"][0]["sent"] == len(LAYERS[0])
    assert blob.read_bytes() == LAYERS[0]


def test_rough_weather_is_lived_through(project: Project, one: Registry, other: Registry) -> None:
    one.add_image("shop:1", LAYERS)
    one.fault(method="GET", path="/blobs/", truncate=True, after=1000, times=2)
    one.fault(method="GET", path="/manifests/", status=503)
    other.fault(method="PUT", path="/blobs/uploads/", reset=True, after=5000, times=2)
    other.fault(method="HEAD", path="/blobs/", status=429, headers={"Retry-After": "0"}, times=2)
    other.fault(method="PUT", path="/manifests/", status=500)
    assert results(copy(project, one.name("shop:1"), other.name("shop:1"))) == ["published"]
    assert holds(other, "shop")


def _layout(project: Project, registry: Registry) -> tuple[str, ...]:
    registry.add_image("source:1", LAYERS)
    copy(project, registry.name("source:1"), "oci:image:1")
    return ("oci:image:1",)


def test_an_archive_is_read_in_place(project: Project, one: Registry, other: Registry) -> None:
    _layout(project, one)
    _tar(project)
    ran = copy(project, "oci-archive:image.tar", other.name("shop:1"))
    assert results(ran) == ["published"] and holds(other, "shop")


def _tar(project: Project) -> None:
    import tarfile

    with tarfile.open(project.root / "image.tar", "w") as tar:
        for path in sorted((project.root / "image").rglob("*")):
            tar.add(path, path.relative_to(project.root / "image").as_posix(), recursive=False)


def test_memory_does_not_grow_with_the_image(project: Project, one: Registry, other: Registry) -> None:
    import resource
    import subprocess
    import sys

    big: Any = random.Random(0).randbytes(96 * MIB)
    one.add_image("big:1", [big])
    words = [sys.executable, "-m", "imgbake", "copy", "--progress", "quiet", one.name("big:1")]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    script = (
        "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:]).returncode;"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, *words, other.name("big:1"), "oci:out"],
        cwd=project.root, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout.splitlines()[-1]) < 90 * 1024, before  # KiB: less than the image alone
