"""`imgbake distribute`: images to all their destinations, names when all is there, and back again."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgbake.api import digest
from imgbake.testing.git import GitRepository
from imgbake.testing.project import Ran
from imgbake.testing.registry import Registry
from imgbake.testing.shop import Shop, layout, registry
from imgbake_oci.registry import Retries, client


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "Retries", lambda: Retries(attempts=3, first=0.01, longest=0.02))


@pytest.fixture
def eu() -> Iterator[Registry]:
    with Registry(deletes=True) as running:
        yield running


@pytest.fixture
def us() -> Iterator[Registry]:
    with Registry(deletes=True) as running:
        yield running


@pytest.fixture
def shop(tmp_path: Path, eu: Registry, us: Registry) -> Shop:
    made = Shop(tmp_path / "shop")
    write(made, eu, us)
    return made


def write(shop: Shop, eu: Registry, us: Registry, more: str = "") -> None:
    places = {"eu": registry(f"{eu.host}/shop"), "us": registry(f"{us.host}/team/"), "disk": layout("out/")}
    shop.to(**places, tags=["{{ version }}", "stable"], more=more)
    shop.recipe('[args]\nversion = "1.0"\n\n' + shop.read("imgbake.toml"))
    shop.write("app", "first")


def results(ran: Ran) -> dict[str, str]:
    return {each["destination"]: each["result"] for each in ran.json["arrivals"]}


def meaning(registry: Registry, image: str) -> str:
    found = registry.manifest(image)
    return digest.of_bytes(found) if found else ""


def refuse(registry: Registry, path: str = "/manifests/sha256") -> None:
    registry.fault(method="PUT", path=path, status=403, times=1000)


def test_it_builds_delivers_and_publishes(shop: Shop, eu: Registry, us: Registry) -> None:
    ran = shop.distribute()
    assert results(ran) == {"eu": "published", "us": "published", "disk": "published"}
    made = ran.json["arrivals"][0]["reference"].rpartition("@")[2]
    for tag in ("1.0", "stable"):
        assert meaning(eu, f"shop:{tag}") == meaning(us, f"team/shop:{tag}") == made
        assert f'"org.opencontainers.image.ref.name":"{tag}"' in shop.read("out/shop/index.json")


def test_what_is_there_is_asked_and_not_believed(shop: Shop, eu: Registry) -> None:
    shop.distribute()
    assert set(results(shop.distribute()).values()) == {"there"}
    eu.contents.repository("shop").manifests.clear()
    assert results(shop.distribute()) == {"eu": "published", "us": "there", "disk": "there"}
    eu.contents.repository("shop").tags.clear()
    assert results(shop.distribute()) == {"eu": "published", "us": "there", "disk": "there"}
    eu.contents.repository("shop").manifests.clear()
    refuse(eu)
    assert results(shop.distribute(code=3)) == {"eu": "failed", "us": "there", "disk": "there"}


def test_building_does_not_distribute(shop: Shop, eu: Registry) -> None:
    assert shop.build().code == 0
    assert len(eu.requests) == 0
    assert set(shop.distribute("-n").json[0]) == {
        "distribution", "image", "destination", "pointers", "action", "why"
    }  # fmt: skip


def test_no_name_moves_before_every_destination_has_everything(
    shop: Shop, eu: Registry, us: Registry
) -> None:
    shop.distribute()
    shop.write("app", "second")
    refuse(us)
    before = meaning(eu, "shop:stable")
    ran = shop.distribute(code=3)
    assert results(ran) == {"eu": "delivered", "us": "failed", "disk": "delivered"}
    assert meaning(eu, "shop:stable") == before
    us.heal()
    eu.forget()
    assert set(results(shop.distribute()).values()) == {"published"}
    assert eu.count("POST") == 0 and meaning(eu, "shop:stable") != before


def test_names_that_moved_go_back_when_another_cannot_move(shop: Shop, eu: Registry, us: Registry) -> None:
    shop.distribute()
    before = meaning(eu, "shop:stable"), meaning(eu, "shop:1.0"), meaning(us, "team/shop:1.0")
    shop.write("app", "second")
    refuse(us, "/manifests/stable")
    ran = shop.distribute(code=3)
    assert results(ran) == {"eu": "put back", "us": "delivered", "disk": "put back"}
    assert (meaning(eu, "shop:stable"), meaning(eu, "shop:1.0"), meaning(us, "team/shop:1.0")) == before
    us.heal()
    assert set(results(shop.distribute()).values()) == {"published"}
    assert meaning(eu, "shop:stable") == meaning(us, "team/shop:stable") != before[0]


def test_ctrl_c_while_names_move_puts_back_those_that_have(shop: Shop, eu: Registry, us: Registry) -> None:
    shop.distribute()
    names = ((eu, "shop:stable"), (eu, "shop:1.0"), (us, "team/shop:1.0"), (us, "team/shop:stable"))
    before = [meaning(*name) for name in names]
    shop.write("app", "second")
    us.fault(method="PUT", path="/manifests/stable", stall=600)
    running = shop.start("distribute", "--progress", "plain")
    deadline = time.monotonic() + 60
    while any(meaning(*name) == old for name, old in zip(names[:3], before, strict=False)):
        assert time.monotonic() < deadline and running.poll() is None, running.communicate()
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130 and "Traceback" not in said
    assert [meaning(*name) for name in names] == before
    us.heal()
    assert set(results(shop.distribute()).values()) == {"published"}
    assert len({meaning(*name) for name in names} - {before[0]}) == 1


def test_without_atomic_every_destination_is_on_its_own(shop: Shop, eu: Registry, us: Registry) -> None:
    write(shop, eu, us, "atomic = false")
    refuse(us)
    assert results(shop.distribute(code=3)) == {"eu": "published", "us": "failed", "disk": "published"}


def test_a_destination_is_tried_again_as_often_as_it_says(shop: Shop, eu: Registry, us: Registry) -> None:
    write(shop, eu, us)
    shop.recipe(shop.read("imgbake.toml").replace('/team/"', '/team/"\nretries = 1'))
    us.fault(method="PUT", path="/manifests/sha256", status=403)
    ran = shop.distribute()
    assert results(ran)["us"] == "published" and "attempt 1 failed" in ran.stderr


def test_to_narrows_a_distribution(shop: Shop, eu: Registry, us: Registry) -> None:
    refuse(us)
    assert results(shop.distribute("--to", "eu")) == {"eu": "published"}
    assert len(us.requests) == 0
    assert results(shop.distribute("--to", "us", code=1)) == {"us": "failed"}


def test_names_are_put_back(shop: Shop, eu: Registry, us: Registry) -> None:
    shop.distribute()
    first = meaning(eu, "shop:stable")
    shop.write("app", "second")
    shop.distribute()
    assert meaning(eu, "shop:stable") != first
    second = meaning(eu, "shop:stable")
    planned = shop.distribute("--rollback", "-n").json
    assert meaning(eu, "shop:stable") == second
    ran = shop.distribute("--rollback")
    assert [each["error"] for each in ran.json] == [""] * 6 and ran.json == planned
    assert meaning(eu, "shop:stable") == meaning(us, "team/shop:1.0") == first
    shop.distribute("--rollback")  # and once more: there were no names before
    assert eu.contents.repository("shop").tags == us.contents.repository("team/shop").tags == {}
    ran = shop.run("distribute", "--rollback")
    assert ran.code == 1 and "nothing to put back" in ran.stderr


def test_a_name_that_somebody_else_moved_is_left_alone(shop: Shop, eu: Registry) -> None:
    shop.distribute()
    theirs = eu.add_image("shop:stable", [b"theirs"])
    ran = shop.run("distribute", "--rollback", "--to", "eu", "-n")
    assert ran.code == 1 and ran.stdout.startswith("ACTION") and "which is not from here" in ran.stdout
    ran = shop.run("distribute", "--rollback", "-B")
    assert ran.code == 2 and "--rollback goes with none of -B, --verify full and --commit" in ran.stderr
    ran = shop.distribute("--rollback", "--to", "eu", code=3)
    assert meaning(eu, "shop:stable") == theirs
    assert sorted(bool(each["error"]) for each in ran.json) == [False, True]


def test_a_name_that_only_other_arguments_give_is_left_alone(shop: Shop, eu: Registry) -> None:
    shop.distribute("--to", "eu")
    shop.recipe(shop.read("imgbake.toml").replace('"1.0"', '"1.1"'))
    ran = shop.distribute("--rollback", "--to", "eu", code=3)
    left = {each["pointer"].rpartition(":")[2]: each["error"] for each in ran.json}
    told = "with the arguments given now, the recipe has no such name at 'eu'"
    assert left == {"1.0": told, "stable": ""} and list(eu.contents.repository("shop").tags) == ["1.0"]


def test_a_tag_that_was_new_stays_where_tags_cannot_be_removed(shop: Shop, eu: Registry) -> None:
    eu.contents.deletes_tags = False
    shop.distribute()
    ran = shop.distribute("--rollback", "--to", "eu", code=1)
    assert "doesn't remove tags" in ran.json[0]["error"]
    lines = shop.run("distribute", "--rollback", "--to", "eu").stdout.splitlines()
    assert lines[1].split(maxsplit=2)[2] == "was new, and this registry doesn't remove tags"
    shop.distribute()


def test_the_plan_says_what_is_missing(shop: Shop, eu: Registry) -> None:
    shop.distribute()
    eu.contents.repository("shop").tags.clear()
    ran = shop.run("distribute", "-n")
    assert ran.code == 0
    there = ("shop@oci", "shop:1.0, shop:stable")
    names = "; ".join(f"{eu.host}/shop:{tag} is new" for tag in ("1.0", "stable"))
    assert [re.split(" {2,}", line) for line in ran.stdout.splitlines()] == [
        ["ACTION", "IMAGE", "DESTINATION", "NAMES", "WHY"],
        ["publish", there[0], "eu", there[1], names],
        ["there", there[0], "us", there[1]],
        ["there", there[0], "disk", there[1]],
    ]
    shop.run("distribute")
    eu.contents.repository("shop").manifests.clear()
    ran = shop.run("distribute", "-n", "--format", "json")
    assert [each["action"] for each in ran.json] == ["deliver", "there", "there"]
    shop.run("distribute")
    assert shop.run("distribute", "-n", "--verify", "full").stdout.count("to be read back") == 3
    shop.write("app", "second")
    ran = shop.run("distribute", "-n")
    assert ran.stdout.count("image:shop@oci runs first") == 3


def test_a_commit_is_named_as_in_a_build(shop: Shop, eu: Registry, tmp_path: Path) -> None:
    upstream = GitRepository(tmp_path / "upstream")
    first, _ = (upstream.commit({"app": content}) for content in ("first", "second"))
    shop.to(eu=registry(f"{eu.host}/shop"), tags=["1"], files='{ from = "task:app", to = "/srv/" }')
    task = f'[tasks.app]\nuses = "git"\nurl = "{upstream.url}"\nref = "main"\n\n'
    shop.recipe(task + shop.read("imgbake.toml"))
    built = shop.run("build", "--commit", first, "--format", "json").json["nodes"][-1]["artifact"]["digest"]
    exported = shop.run("export", "shop", "-o", "shop.tar", "--format", "oci-archive", "--commit", first)
    assert (exported.code, exported.stdout.split()[-1]) == (0, built)
    assert "image:shop@oci: runs" not in shop.distribute("--commit", first).stderr
    assert meaning(eu, "shop:1") == built
    assert results(shop.distribute("--commit", f"app={first}")) == {"eu": "there"}
    assert results(shop.distribute()) == {"eu": "published"}
    assert meaning(eu, "shop:1") != built


def test_force_looks_for_every_blob_and_builds_nothing_anew(shop: Shop, eu: Registry) -> None:
    shop.distribute()
    ran = shop.distribute("-B")
    assert eu.count("HEAD", "/blobs/") and "image:shop@oci: runs" not in ran.stderr


def test_a_test_that_fails_keeps_an_image_at_home(shop: Shop, eu: Registry) -> None:
    text = shop.read("imgbake.toml").replace("[images.shop]", 'test = ["/nothing-there"]\n\n[images.shop]')
    shop.recipe(text)
    ran = shop.distribute(code=1)
    assert set(results(ran).values()) == {"skipped"} and len(eu.requests) == 0
    assert {each["error"] for each in ran.json["arrivals"]} == {"component 'app': the image has no /bin/sh"}


@pytest.mark.parametrize(
    ("wrong", "right", "message", "hint"),
    [
        ('to = ["eu"', 'to = ["ue"', "there is no destination 'ue'", "known here: disk, eu, us"),
        ('images = ["shop"]', 'images = ["shpo"]', "there is no image 'shpo'", "did you mean 'shop'"),
        ('images = ["shop"]', 'images = ["shop@oic"]', "has no target 'oic'", "did you mean 'oci'"),
        ('uses = "layout"', 'uses = "layuot"', "no kind of destination 'layuot'", "did you mean 'layout'"),
        ('folder = "out/"', 'foldr = "out/"', "unknown key 'foldr'", "did you mean 'folder'"),
        ("atomic", "atomc", "unknown key 'atomc'", "did you mean 'atomic'"),
        ('"{{ version }}"', '"not a tag"', "'not a tag' is not a tag", "a tag has"),
        ('/shop"', '/shop:1"', "it has a tag", ""),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    shop: Shop, eu: Registry, us: Registry, wrong: str, right: str, message: str, hint: str
) -> None:
    write(shop, eu, us, "atomic = true")
    text = shop.read("imgbake.toml")
    assert wrong in text
    shop.recipe(text.replace(wrong, right))
    ran = shop.run("check")
    assert ran.code == 2
    assert message in ran.stderr and hint in ran.stderr and "imgbake.toml:" in ran.stderr


def test_two_images_under_one_name_are_an_error(shop: Shop) -> None:
    text = shop.read("imgbake.toml").replace('images = ["shop"]', 'images = ["shop", "other"]')
    shop.recipe(text + '\n[images.other]\nbase = "scratch"\ncomponents = ["app"]\n')
    ran = shop.run("check")
    assert ran.code == 2 and "would mean both shop@oci and other@oci" in ran.stderr


def test_unknown_names_on_the_command_line_are_said(shop: Shop) -> None:
    ran = shop.run("distribute", "prdo")
    assert ran.code == 2 and "no distribution named 'prdo'" in ran.stderr and "'prod'" in ran.stderr
    ran = shop.run("distribute", "--to", "ue")
    assert ran.code == 2 and "no destination named 'ue'" in ran.stderr


def test_a_distribution_that_lacks_an_argument_asks_for_it(shop: Shop) -> None:
    shop.recipe(shop.read("imgbake.toml").replace('version = "1.0"', 'version = { help = "the release" }'))
    ran = shop.run("distribute")
    assert ran.code == 2 and "missing argument 'version' (the release)" in ran.stderr
    assert shop.run("build", "--progress", "quiet").code == 0
    assert set(results(shop.distribute("--arg", "version=2")).values()) == {"published"}


def test_what_is_baked_is_distributed_without_the_secret_that_baked_it(shop: Shop) -> None:
    shop.recipe(
        shop.read("imgbake.toml")
        .replace("[args]\n", "[args]\ntoken = { secret = true }\n")
        .replace("[images.shop]\n", '[images.shop]\nneeds = ["a"]\n')
        + '\n[tasks.a]\nrun = "true"\nenv = { T = "{{ token }}" }\ninputs = ["app"]\n'
    )
    ran = shop.run("distribute")
    assert ran.code == 2 and "missing argument 'token', which task:a needs" in ran.stderr
    assert shop.run("build", "--progress", "quiet", "--arg", "token=x").code == 0
    assert set(results(shop.distribute()).values()) == {"published"}


def test_arguments_of_distributions_are_listed(shop: Shop) -> None:
    found = shop.run("args", "--format", "json").json
    assert [each["name"] for each in found] == ["version"]
    assert all(reader.startswith("publish:prod:") for reader in found[0]["readers"])


def test_secrets_are_refused_where_images_go(shop: Shop) -> None:
    shop.recipe(shop.read("imgbake.toml").replace('version = "1.0"', "version = { secret = true }"))
    ran = shop.run("check")
    assert ran.code == 2 and "'tags' of a distribution" in ran.stderr


def test_an_image_that_must_be_restored_is_restored_first(shop: Shop, eu: Registry) -> None:
    for content in ("one", "two", "one"):
        shop.write("app", content)
        assert results(shop.distribute())["eu"] == "published"
