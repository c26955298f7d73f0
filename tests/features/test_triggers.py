"""`[triggers]`: what is done when the tags of image streams have moved."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgbake.testing.project import Project, Ran
from imgbake.testing.registry import Registry
from imgbake_oci.tests.baked import Member, tar_of

RECIPE = """
[streams.python.tags."3.12"]
from = "{python}"

[tasks.note]
run = "echo noted >> noted"

[components.app]
files = [{{ from = "app.txt", to = "/app.txt" }}]

[images.app]
base = "stream:python:3.12"
components = ["app"]

[images.top]
base = "image:app"
labels = {{ top = "yes" }}

[images.other]
base = "scratch"
components = ["app"]

[destinations.shop]
uses = "registry"
repository = "{shop}"

[distributions.prod]
images = ["app"]
to = ["shop"]
"""
REBUILD = """
[triggers.rebuild]
on = "python:3.12"
build = true
"""
NOTE = """
[triggers.note]
on = "python:3.12"
run = ["note"]
"""


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as running:
        yield running


class Shop:
    """A project whose image stands on a stream of an image in a registry."""

    def __init__(self, project: Project, registry: Registry) -> None:
        self.project, self.registry = project, registry
        self._text = RECIPE.format(python=registry.name("python:3.12"), shop=registry.name("shop"))
        project.write("app.txt", "hello")
        self.push("one")

    def recipe(self, more: str) -> None:
        self.project.recipe(self._text + more)

    def push(self, content: str) -> str:
        """Pushes another base, and returns its digest."""
        return self.registry.add_image("python:3.12", [tar_of(Member("etc/version", content))])

    def sync(self) -> Ran:
        return self.project.run("stream", "sync", "--force")

    def told(self) -> list[str]:
        """What is told of triggers, without when it was."""
        lines = self.project.run("stream", "describe", "python").stdout.splitlines()
        return [
            re.sub("(Less than a|About a|[0-9]+) [a-z]+ ago", "AGO", line.strip())
            for line in lines
            if line.startswith("    trigger ")
        ]

    def noted(self) -> int:
        file = self.project.root / "noted"
        return len(file.read_text().splitlines()) if file.exists() else 0

    def fired(self) -> dict[str, str]:
        """The result of each run of a trigger, as the stream has it."""
        document = json.loads((self.project.root / ".imgbake/streams/python.json").read_text())
        return {
            name: each.get("error", "") for name, each in document["tags"]["3.12"].get("fired", {}).items()
        }


@pytest.fixture
def shop(project: Project, registry: Registry) -> Shop:
    return Shop(project, registry)


def test_a_new_base_rebuilds_the_images_that_stand_on_it_and_no_others(shop: Shop) -> None:
    shop.recipe(REBUILD)
    digest = shop.push("two")
    ran = shop.sync()
    assert ran.code == 0
    assert f"trigger rebuild: python:3.12 points to {digest}: built app@oci, top@oci" in ran.stderr
    made = [each.name for each in (shop.project.root / ".imgbake/images").iterdir()]
    assert sorted(made) == ["app", "top"]


def test_an_image_that_is_there_already_starts_nothing(shop: Shop) -> None:
    shop.recipe(NOTE)
    for _ in range(3):
        assert shop.sync().code == 0
    assert shop.noted() == 1
    shop.push("two")
    for _ in range(2):
        shop.sync()
    assert shop.noted() == 2


def test_a_paused_trigger_waits(shop: Shop) -> None:
    shop.recipe(NOTE + "paused = true\n")
    shop.sync()
    assert shop.noted() == 0
    shop.recipe(NOTE)
    assert shop.project.run("stream", "trigger").code == 0
    assert shop.noted() == 1


def test_a_held_tag_starts_nothing_until_it_is_released(shop: Shop) -> None:
    shop.recipe(NOTE)
    shop.sync()
    shop.push("two")
    shop.sync()
    assert shop.noted() == 2
    image = shop.project.run("stream", "image", "python:3.12", "--format", "json").json["image"]
    shop.project.run("stream", "rollback", "python:3.12")
    shop.sync()
    assert shop.noted() == 2
    assert shop.told() == [f"trigger project/note: done for {image} AGO"]
    assert shop.project.run("stream", "release", "python:3.12").code == 0
    assert shop.noted() == 3


def test_what_is_due_can_be_looked_at_first(shop: Shop) -> None:
    shop.recipe(NOTE + REBUILD + "paused = true\n")
    digest = shop.push("two")
    shop.recipe("")
    shop.sync()
    shop.recipe(NOTE + REBUILD)
    ran = shop.project.run("stream", "trigger", "-n")
    assert ran.stdout.splitlines() == [
        f"note: python:3.12 points to {digest}: would run note",
        f"rebuild: python:3.12 points to {digest}: would build app@oci, top@oci",
    ]
    assert shop.noted() == 0
    assert [
        each["trigger"] for each in shop.project.run("stream", "trigger", "-n", "--format", "json").json
    ] == [
        "note",
        "rebuild",
    ]
    (fired,) = shop.project.run("stream", "trigger", "note", "--format", "json").json
    assert (fired["trigger"], fired["result"], fired["done"]) == ("note", "fired", ["ran note"])
    assert (shop.noted(), list(shop.fired())) == (1, ["project/note"])


def test_a_failure_is_kept_and_tried_again_later(shop: Shop) -> None:
    shop.recipe(NOTE.replace("note", "fail") + '[tasks.fail]\nrun = "echo noted >> noted; test -e good"\n')
    ran = shop.sync()
    assert ran.code == 1
    assert "trigger fail: python:3.12 points to" in ran.stderr and "task:fail failed" in ran.stderr
    assert shop.fired() == {"project/fail": "task:fail failed"}
    assert shop.told() == ["trigger project/fail: failed AGO: task:fail failed"]
    assert "trigger failed" in shop.project.run("stream", "ls", "python").stdout
    assert shop.sync().code == 0  # not so soon
    assert shop.noted() == 1
    _age(shop, seconds=60)
    shop.project.write("good")
    assert shop.sync().code == 0
    assert (shop.noted(), shop.fired()) == (2, {"project/fail": ""})
    assert shop.told() == ["trigger project/fail: done AGO"]


def test_one_that_was_killed_while_it_ran_is_started_again(shop: Shop) -> None:
    shop.recipe(
        NOTE.replace("note", "slow") + '[tasks.slow]\nrun = "echo noted >> noted; test -e good || sleep 60"\n'
    )
    running = shop.project.start("stream", "sync")
    shop.project.wait_for("noted")
    running.kill()
    running.communicate()
    (told,) = shop.told()
    assert re.fullmatch("trigger project/slow: started AGO by .*/project, not yet done", told)
    shop.project.write("good")
    assert shop.project.run("stream", "trigger").code == 0
    assert shop.noted() == 2
    assert shop.project.run("stream", "trigger").code == 0
    assert shop.noted() == 2


def test_another_definition_is_a_reason_where_the_recipe_says_so(shop: Shop) -> None:
    for config, wanted in (("false", 1), ("true", 2)):
        shop.recipe(NOTE + f"config = {config}\n")
        shop.sync()
        assert shop.noted() == wanted
    shop.recipe(NOTE + "config = true\ndistribute = []\n")
    shop.project.run("stream", "trigger")
    assert shop.noted() == 3


def test_what_a_trigger_builds_may_start_the_next(shop: Shop) -> None:
    shop.recipe(
        REBUILD + NOTE.replace("python:3.12", "shop:latest")
        + '[images.last]\nbase = "stream:python:3.12"\nstream = "shop:latest"\n'
    )  # fmt: skip
    assert shop.sync().code == 0
    assert shop.noted() == 1


def test_a_build_that_moves_a_tag_starts_its_triggers(shop: Shop) -> None:
    shop.recipe(
        NOTE.replace("python:3.12", "shop:latest")
        + '[images.last]\nbase = "scratch"\nstream = "shop:latest"\n'
    )
    for _ in range(2):
        assert shop.project.run("build", "last").code == 0
    assert shop.noted() == 1


def test_a_distribution_that_moves_a_tag_starts_its_triggers(shop: Shop) -> None:
    shop.recipe(
        NOTE.replace("python:3.12", "shop:latest")
        + '[images.last]\nbase = "scratch"\nstream = "shop:latest"\n'
        + '[distributions.last]\nimages = ["last"]\nto = ["shop"]\ntags = ["last"]\n'
    )
    for _ in range(2):
        assert shop.project.run("distribute", "last").code == 0
    assert shop.noted() == 1
    document = json.loads((shop.project.root / ".imgbake/streams/shop.json").read_text())
    assert document["tags"]["latest"]["history"][0]["reference"].startswith(shop.registry.name("shop"))


def test_what_a_build_has_moved_counts_though_another_image_fails(shop: Shop) -> None:
    shop.recipe(
        NOTE.replace("python:3.12", "shop:latest")
        + '[images.last]\nbase = "scratch"\nstream = "shop:latest"\n'
        + '[images.wrong]\nbase = "oci:nowhere"\n'
    )
    assert shop.project.run("build", "-k", "last", "wrong").code == 1
    assert shop.noted() == 1


def test_from_a_push_to_the_shop_and_back(shop: Shop) -> None:
    """A new base comes, what stands on it is rebuilt and distributed; the old one is back without asking."""
    shop.recipe(REBUILD + 'distribute = ["prod"]\n')
    old = shop.push("one")
    assert shop.sync().code == 0
    first = shop.registry.contents.repository("shop").tags["latest"]
    new = shop.push("two")
    assert shop.sync().code == 0
    second = shop.registry.contents.repository("shop").tags["latest"]
    assert second != first
    assert shop.sync().code == 0 and shop.registry.contents.repository("shop").tags["latest"] == second
    shop.registry.__exit__(None, None, None)
    assert shop.project.run("stream", "rollback", "python:3.12", "--reason", "two is bad").code == 0
    shown = shop.project.run("stream", "image", "python:3.12", "--format", "json").json
    assert shown["image"] == old != new
    assert shop.project.run("build", "app", "top").code == 0  # all of it is kept
    described = json.loads((shop.project.root / ".imgbake/images/app/oci/index.json").read_text())
    assert described["manifests"][0]["digest"] == first


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('on = "python:3.12"\n', "the trigger 'x' does nothing"),
        ('on = "python"\nbuild = true\n', "'python' names no tag"),
        ('on = "python:3.12"\nbuild = ["ap"]\n', "there is no image 'ap'"),
        ('on = "python:3.12"\nrun = ["not"]\n', "there is no task 'not'"),
        ('on = "python:3.12"\ndistribute = ["prot"]\n', "there is no distribution 'prot'"),
        ('on = "python:3.12"\nuses = "webhok"\n', "there is no kind of trigger 'webhok'"),
        ('on = "python:3.12"\nbuild = true\nsecret = "x"\n', "secret"),
        ("build = true\n", "on"),
    ],
)
def test_what_is_wrong_with_a_trigger_is_said_with_the_recipe(shop: Shop, text: str, said: str) -> None:
    shop.recipe(f"[triggers.x]\n{text}")
    ran = shop.project.run("check")
    assert ran.code == 2
    assert said in ran.stderr


def _age(shop: Shop, seconds: int) -> None:
    """Lets the last run of each trigger be longer ago."""
    from datetime import datetime, timedelta

    file = shop.project.root / ".imgbake/streams/python.json"
    document = json.loads(file.read_text())
    for each in document["tags"]["3.12"]["fired"].values():
        at = datetime.fromisoformat(each["at"]) - timedelta(seconds=seconds)
        each["at"] = at.isoformat()
    file.write_text(json.dumps(document))


def test_the_state_of_triggers_is_no_secret(shop: Shop, tmp_path: Path) -> None:
    shop.recipe(
        '[args]\ntoken = { secret = true, env = "TOKEN" }\n'
        '[triggers.tell]\non = "python:3.12"\nuses = "webhook"\nurl = "http://127.0.0.1:1/"\n'
        'secret = "{{ token }}"\n'
    )
    ran = shop.project.run("stream", "sync", env={"TOKEN": "open-sesame"})
    assert ran.code == 1
    kept = [file.read_bytes() for file in (shop.project.root / ".imgbake").rglob("*") if file.is_file()]
    assert not any(b"open-sesame" in data for data in kept)
