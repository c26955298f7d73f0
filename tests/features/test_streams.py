"""`imgbake stream`: tags that point to exact images, and remember what they pointed to."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from imgbake.streams import changes, document, model
from imgbake.testing.project import Project, Ran
from imgbake.testing.registry import Registry
from imgbake_oci.tests.baked import Member, baked, tar_of

RECIPE = """
[streams.python.tags."3.12"]
from = "{python}"
every = "15m"

[streams.python.tags.latest]
alias = "3.12"

[components.app]
files = [{{ from = "app.txt", to = "/app.txt" }}]

[images.app]
base = "stream:python:latest"
components = ["app"]

[images.other]
base = "scratch"
components = ["app"]
"""


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as running:
        yield running


@pytest.fixture
def python(project: Project, registry: Registry) -> str:
    """A project with a stream of an image that a test pushes, and what the image is called."""
    name = registry.name("python:3.12")
    project.recipe(RECIPE.format(python=name))
    project.write("app.txt", "hello")
    return name


def push(registry: Registry, content: str, image: str = "python:3.12") -> str:
    """Pushes an image with a file, and returns its digest."""
    return registry.add_image(image, [tar_of(Member("etc/version", content))])


def good(ran: Ran) -> Ran:
    assert ran.code == 0, f"{ran.code}\n{ran.stdout}\n{ran.stderr}"
    return ran


def refused(ran: Ran, message: str, code: int = 2) -> None:
    assert ran.code == code, f"{ran.code}\n{ran.stdout}\n{ran.stderr}"
    assert message in ran.stderr, ran.stderr


def stream(project: Project, name: str = "python") -> model.Stream:
    return document.parse((project.root / f".imgbake/streams/{name}.json").read_bytes(), name)


def images(project: Project, tag: str, name: str = "python") -> list[str]:
    return [each.image for each in stream(project, name).tags[tag].history]


def settles(project: Project) -> bool:
    """Has a build nothing to do, once the files are old enough to be trusted?"""
    last = time.monotonic() + 20
    while not (is_settled := project.run("build").stderr.startswith("nothing to do")):
        if time.monotonic() > last:
            break
        time.sleep(0.05)
    return is_settled


def results(ran: Ran) -> dict[str, str]:
    return {each["tag"]: each["result"] for each in ran.json}


# What is meant and what is so.


def test_a_build_stays_with_what_was_imported_until_the_next_import(
    project: Project, registry: Registry, python: str
) -> None:
    first = push(registry, "one")
    assert good(project.run("stream", "sync")).stdout == f"python:3.12 points to {first}\n"
    project.build()
    second = push(registry, "two")
    assert set(project.build().outcomes().values()) == {"cached"}
    good(project.run("stream", "import", "python:3.12"))
    outcomes = project.build().outcomes()
    assert {node for node, outcome in outcomes.items() if outcome == "ran"} == {"image:app@oci"}
    assert baked(project).files(0) == {"etc/version": "two"}
    assert images(project, "3.12") == images(project, "latest") == [second, first]
    assert "base stream:python:latest changed" in project.run("explain", "app").stdout


def test_the_digest_is_built_from_although_the_tag_has_moved(
    project: Project, registry: Registry, python: str
) -> None:
    first = push(registry, "one")
    good(project.run("stream", "sync"))
    push(registry, "two")
    project.build()
    assert baked(project).files(0) == {"etc/version": "one"}
    assert registry.count("GET", f"/v2/python/manifests/{first}")


def test_a_failed_import_keeps_the_image_and_says_why(
    project: Project, registry: Registry, python: str
) -> None:
    first = push(registry, "one")
    good(project.run("stream", "sync"))
    registry.fault(method="GET", path="/manifests/", status=403, times=1000)
    registry.fault(method="HEAD", path="/manifests/", status=403, times=1000)
    ran = project.run("stream", "import", "python:3.12")
    refused(ran, "python:3.12 could not be imported: ", code=1)
    assert f"it still points to {first}" in ran.stderr
    told = good(project.run("stream", "describe", "python")).stdout
    assert "  ! error: Import failed: " in told and f"  * {python}@{first}" in told
    before = project.read(".imgbake/streams/python.json")
    project.run("stream", "import", "python:3.12")
    assert project.read(".imgbake/streams/python.json") == before
    registry.heal()
    good(project.run("stream", "import", "python:3.12"))
    assert stream(project).tags["3.12"].failure is None


def test_the_same_image_again_changes_nothing(project: Project, registry: Registry, python: str) -> None:
    push(registry, "one")
    good(project.run("stream", "sync"))
    before = project.read(".imgbake/streams/python.json")
    ran = good(project.run("stream", "sync", "--force", "--format", "json"))
    assert results(ran) == {"python:3.12": "same"}
    assert project.read(".imgbake/streams/python.json") == before
    project.build()
    assert settles(project)


def test_a_tag_without_an_image_is_no_base(project: Project, python: str) -> None:
    ran = project.run("build", "app")
    refused(ran, "was never imported", code=1)
    assert "`imgbake stream import python:" in ran.stderr
    project.run("stream", "sync")
    ran = project.run("build", "app")
    refused(ran, "stream:python:latest points to no image yet", code=1)


def test_an_image_may_be_a_base_by_the_beginning_of_its_digest(
    project: Project, registry: Registry, python: str
) -> None:
    first = push(registry, "one")
    good(project.run("stream", "sync"))
    push(registry, "two")
    good(project.run("stream", "sync", "--force"))
    recipe = project.read("imgbake.toml").replace("stream:python:latest", f"stream:python@{first[7:15]}")
    project.recipe(recipe)
    project.build()
    assert baked(project).files(0) == {"etc/version": "one"}


def test_plain_names_are_streams_where_the_recipe_says_so(
    project: Project, registry: Registry, python: str
) -> None:
    push(registry, "one")
    recipe = project.read("imgbake.toml").replace("stream:python:latest", "python:latest")
    project.recipe(recipe + "\n[streams.python]\nlookup = true\n")
    good(project.run("stream", "sync"))
    assert "base:stream:python:latest" in project.build().outcomes()
    assert "Image Lookup:           local=true" in project.run("stream", "describe").stdout


def test_a_reference_is_never_imported(project: Project, registry: Registry, python: str) -> None:
    first = push(registry, "one")
    good(project.run("stream", "tag", python, "python:edge", "--reference"))
    assert images(project, "edge") == []
    project.recipe(project.read("imgbake.toml").replace("stream:python:latest", "stream:python:edge"))
    assert project.build("app").json["nodes"][0]["artifact"]["digest"] == first
    second = push(registry, "two")
    assert project.build("app").json["nodes"][0]["artifact"]["digest"] == second


# Rollback.


def test_a_rollback_asks_no_registry_and_holds_until_released(
    project: Project, registry: Registry, python: str
) -> None:
    first = push(registry, "one")
    good(project.run("stream", "sync"))
    good(project.run("build", "app"))
    second = push(registry, "two")
    good(project.run("stream", "sync", "--force"))
    good(project.run("build", "app"))
    registry.forget()
    ran = good(project.run("stream", "rollback", "python:3.12", "--reason", "two is broken"))
    assert f"Tag python:3.12 points to {python}@{first} again." in ran.stdout
    assert registry.requests == ()
    assert results(project.run("stream", "sync", "--force", "--format", "json")) == {}
    good(project.run("build", "app"))
    assert baked(project).files(0) == {"etc/version": "one"}
    assert registry.requests == ()
    assert images(project, "3.12") == [first, second, first]
    assert "    held, " in project.run("stream", "describe").stdout
    refused(project.run("stream", "import", "python:3.12"), "'python:3.12' is held")
    good(project.run("stream", "release", "python:3.12"))
    good(project.run("stream", "sync", "--force"))
    assert images(project, "3.12") == [second, first, second, first]


def test_a_rollback_goes_to_a_digest_or_some_steps_back(
    project: Project, registry: Registry, python: str
) -> None:
    digests: list[str] = []
    for content in ("one", "two", "three"):
        digests.append(push(registry, content))
        good(project.run("stream", "sync", "--force"))
    good(project.run("stream", "rollback", "python:3.12", "--steps", "2"))
    assert images(project, "3.12")[0] == digests[0]
    good(project.run("stream", "rollback", "python:3.12", "--to", digests[1][7:19]))
    assert images(project, "3.12")[0] == digests[1]
    refused(
        project.run("stream", "rollback", "python:3.12", "--steps", "9"), "pointed to no image 9 steps ago"
    )
    refused(project.run("stream", "rollback", "python:latest"), "'python:latest' follows '3.12'")
    refused(project.run("stream", "rollback", "python:3.12", "--to", "0000"), "has or had this image")


# Tags by hand.


def test_tagging_a_tag_copies_its_image_and_does_not_follow(
    project: Project, registry: Registry, python: str
) -> None:
    first = push(registry, "one")
    good(project.run("stream", "sync"))
    ran = good(project.run("stream", "tag", "python:3.12", "shop:base", "shop:next"))
    assert ran.stdout.splitlines()[0] == f"Tag shop:base set to python@{first}."
    push(registry, "two")
    good(project.run("stream", "sync", "--force"))
    assert images(project, "base", "shop") == images(project, "next", "shop") == [first]


def test_the_reason_for_a_tag_is_kept(project: Project, registry: Registry) -> None:
    push(registry, "one")
    good(project.run("stream", "tag", registry.name("python:3.12"), "python:3.12", "--reason", "it is fast"))
    good(project.run("stream", "tag", "python:3.12", "shop:base", "--reason", "so it is"))
    assert stream(project).tags["3.12"].history[0].reason == "it is fast"
    assert stream(project, "shop").tags["base"].history[0].reason == "so it is"


def test_an_alias_follows_inside_one_stream(project: Project, registry: Registry, python: str) -> None:
    first = push(registry, "one")
    good(project.run("stream", "sync"))
    ran = good(project.run("stream", "tag", "--alias", "python:3.12", "python:tip"))
    assert ran.stdout == "Tag python:tip set up to track python:3.12.\n"
    assert "\n3.12 (latest, tip)\n" in project.run("stream", "describe", "python").stdout
    second = push(registry, "two")
    good(project.run("stream", "sync", "--force"))
    assert images(project, "tip") == [second, first]
    refused(project.run("stream", "tag", "--alias", "python:3.12", "shop:base"), "another stream's")


def test_what_the_recipe_says_is_not_changed_by_hand(
    project: Project, registry: Registry, python: str
) -> None:
    push(registry, "one")
    good(project.run("stream", "sync"))
    ran = project.run("stream", "tag", registry.name("python:3.11"), "python:3.12")
    refused(ran, "says what 'python:3.12' is")


def test_a_tag_that_the_recipe_no_longer_names_keeps_its_image(
    project: Project, registry: Registry, python: str
) -> None:
    first = push(registry, "one")
    good(project.run("stream", "sync"))
    project.recipe('[streams.ruby.tags."3"]\nfrom = "localhost:1/ruby:3"\n')
    project.run("stream", "sync")
    told = project.run("stream", "describe", "python").stdout
    assert "no spec tag" in told and f"* {python}@{first}" in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["stream:python:3.12", "shop:base", "--every", "5m"],
            "only a registry's image can be imported again",
        ),
        (["localhost:1/python", "shop:base", "--every", "5m", "--cron", "@daily"], "don't go together"),
        (["localhost:1/python", "shop:base", "--every", "often"], "--every can't be 'often'"),
        (["localhost:1/python", "shop:base", "--cron", "daily"], "it has five fields"),
        (["localhost:1/python", "shop:base", "--alias"], "--alias follows a tag of the same stream"),
        (["ruby:3", "shop:base", "--alias", "--reason", "why not"], "--reason is kept with the image"),
        (["ruby:3", "shop:base"], "there is no stream 'ruby'"),
        (["localhost:1/python", "Shop:base"], "'Shop' can't be the name of a stream"),
        (["localhost:1/python", "shop@2816"], "is an image, not a tag"),
    ],
)
def test_what_does_not_go_together_is_refused(project: Project, words: list[str], message: str) -> None:
    refused(project.run("stream", "tag", *words), message)


def test_a_tag_whose_first_import_fails_is_there_and_says_so(project: Project) -> None:
    ran = project.run("stream", "tag", "localhost:1/python:3.12", "python:3.12", "--every", "15m")
    assert ran.code == 1
    assert ran.stdout == "Tag python:3.12 set to import localhost:1/python:3.12 periodically.\n"
    assert "python:3.12 could not be imported" in ran.stderr
    assert stream(project).tags["3.12"].failure is not None


def test_a_recipe_with_a_byte_order_mark_is_read_as_builds_read_it(project: Project) -> None:
    project.recipe('\ufeff[project]\nname = "shop"\n')
    ran = project.run("stream", "ls")
    assert (ran.code, ran.stderr) == (0, "")


# Images of the recipe.


def test_a_tag_follows_what_is_baked(project: Project) -> None:
    recipe = """
    [components.app]
    files = [{ from = "app.txt", to = "/app.txt" }]

    [images.shop]
    base = "scratch"
    components = ["app"]
    stream = "shop:latest"
    """
    project.recipe(recipe)
    made: list[str] = []
    for text in ("one", "two"):
        project.write("app.txt", text)
        nodes = project.build().json["nodes"]
        made.insert(0, next(n["artifact"]["digest"] for n in nodes if n["node"] == "image:shop@oci"))
        assert images(project, "latest", "shop") == made
    assert settles(project)
    good(project.run("stream", "rollback", "shop"))
    assert images(project, "latest", "shop") == [made[1], *made]
    ran = good(project.run("build"))
    assert "shop:latest is held" in ran.stderr
    project.recipe(recipe + '\n[images.upon]\nbase = "stream:shop:latest"\n')
    project.build("upon")
    assert baked(project, "upon").files() == {"app.txt": "one"}


def test_an_image_whose_test_fails_moves_no_tag(project: Project, base: Path) -> None:
    project.recipe(f"""
    [components.app]
    test = ["false"]

    [images.shop]
    base = "oci:{base}"
    components = ["app"]
    stream = "shop:latest"
    """)
    assert project.run("build").code == 1
    assert not (project.root / ".imgbake/streams/shop.json").exists()


def test_what_is_pushed_is_known_by_the_name_that_others_know(project: Project, registry: Registry) -> None:
    name = registry.name("shop:1")
    project.write("app.txt", "hello")
    project.recipe(f"""
    [components.app]
    files = [{{ from = "app.txt", to = "/app.txt" }}]

    [targets.oci]
    uses = "oci"
    tags = ["{name}"]

    [images.shop]
    base = "scratch"
    components = ["app"]
    stream = "shop:latest"
    """)
    project.build()
    assert "oci:.imgbake/images/shop/oci@sha256:" in project.run("stream", "describe").stdout
    project.build("--push")
    (entry,) = stream(project, "shop").tags["latest"].history
    assert entry.reference == f"{name}@{entry.image}"


# What is shown.


def test_describe_prints_what_openshift_prints(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    found = model.Stream(
        now - timedelta(hours=25),
        repository="registry.default.svc:5000/imagestream/python",
        labels={"app": "python"},
        annotations={
            "openshift.io/generated-by": "OpenShiftWebConsole",
            "openshift.io/image.dockerRepositoryCheck": "2017-10-03T19:48:00Z",
        },
    )
    for tag, digest, seconds in (
        ("34", "28178e2352d31f240de1af1370be855db33ae9782de737bb005247d8791a54d0", 14),
        ("35", "2efb79ca3ac9c9145a63675fb0c09220ab3b8d4005d35e0644417ee552548b10", 7),
    ):
        source, image = f"centos/python-{tag}-centos7", f"sha256:{digest}"
        revision = model.Revision(image, f"{source}@{image}", now - timedelta(seconds=seconds))
        found = changes.intend(found, {tag: model.Intent(source)})
        found = changes.point(found, {tag: changes.Pointed(revision)})
    project.write(".imgbake/streams/python.json", document.dump(found))
    monkeypatch.setattr("imgbake.streams.clock.now", lambda: now)
    project.recipe('[project]\nname = "imagestream"\n')
    assert (
        good(project.run("stream", "describe", "python")).stdout
        == """\
Name:                   python
Namespace:              imagestream
Created:                25 hours ago
Labels:                 app=python
Annotations:            openshift.io/generated-by=OpenShiftWebConsole
                        openshift.io/image.dockerRepositoryCheck=2017-10-03T19:48:00Z
Image Repository:       registry.default.svc:5000/imagestream/python
Image Lookup:           local=false
Unique Images:          2
Tags:                   2

34
  tagged from centos/python-34-centos7

  * centos/python-34-centos7@sha256:28178e2352d31f240de1af1370be855db33ae9782de737bb005247d8791a54d0
      14 seconds ago

35
  tagged from centos/python-35-centos7

  * centos/python-35-centos7@sha256:2efb79ca3ac9c9145a63675fb0c09220ab3b8d4005d35e0644417ee552548b10
      7 seconds ago
"""
    )


def test_an_image_is_shown_with_what_is_known_of_it(
    project: Project, registry: Registry, python: str
) -> None:
    first = push(registry, "one")
    good(project.run("stream", "sync"))
    registry.forget()
    told = good(project.run("stream", "image", f"python@{first[7:15]}", "--format", "json")).json
    assert (told["image"], told["tags"]) == (first, ["3.12", "latest"])
    assert told["known"]["facts"]["platforms"] == ["linux/amd64"]
    assert "Platforms:              linux/amd64" in project.run("stream", "image", "python:3.12").stdout
    refused(project.run("stream", "image", "python@0000"), "no tag of the stream has or had this image")
    assert registry.requests == ()


def test_strict_asks_for_what_is_meant(project: Project, registry: Registry, python: str) -> None:
    push(registry, "one")
    good(project.run("stream", "sync"))
    good(project.run("stream", "image", "python:3.12", "--strict"))
    registry.fault(path="/manifests/", status=403, times=1000)
    project.run("stream", "import", "python:3.12")
    refused(project.run("stream", "image", "python:3.12", "--strict"), "may be out of date", code=1)
    good(project.run("stream", "image", "python:3.12"))


def test_streams_and_tags_are_listed(project: Project, registry: Registry, python: str) -> None:
    first = push(registry, "one")
    good(project.run("stream", "sync"))
    assert "python  2      latest, 3.12" in good(project.run("stream", "ls")).stdout
    rows = good(project.run("stream", "ls", "python")).stdout.splitlines()
    assert rows[1].split("  ")[0] == "python:latest" and first in rows[1] and "follows 3.12" in rows[1]
    (listed,) = project.run("stream", "ls", "--format", "json").json
    assert [each["tag"] for each in listed["tags"]] == ["3.12", "latest"]
    assert "import" in good(project.run("stream", "history", "python:3.12")).stdout


@pytest.mark.parametrize("command", ["ls", "describe", "export", "prune"])
def test_streams_are_named_with_a_prefix_or_without_and_never_by_a_tag(
    project: Project, registry: Registry, python: str, command: str
) -> None:
    push(registry, "one")
    good(project.run("stream", "sync"))
    asked = _ageless(project.run("stream", command, "stream:python", "python").stdout)
    assert asked == _ageless(project.run("stream", command, "python").stdout) != []
    refused(project.run("stream", command, "python:3.12"), "'python:3.12' is more than a stream")


def _ageless(shown: str) -> list[str]:
    """The words of a table, without how long ago something was."""
    return re.sub(r"(Less than a|About an?|\d+) \w+ ago", "", shown).split()


def test_the_recipe_may_stand_elsewhere(project: Project, registry: Registry, python: str) -> None:
    push(registry, "one")
    good(project.run("stream", "sync"))
    (project.root / "imgbake.toml").rename(project.root / "other.toml")
    for words in (["stream", "-f", "other.toml", "ls"], ["-f", "other.toml", "stream", "ls"]):
        assert "python" in good(project.run(*words)).stdout


# Removing.


def test_tags_and_streams_are_removed(project: Project, registry: Registry, python: str) -> None:
    push(registry, "one")
    good(project.run("stream", "sync"))
    refused(project.run("stream", "rm", "python:3.12"), "latest would follow nothing")
    assert good(project.run("stream", "rm", "python:latest")).stdout == "Deleted tag python:latest.\n"
    assert good(project.run("stream", "rm", "python")).stdout == "Deleted stream python.\n"
    assert good(project.run("stream", "ls")).stdout == ""
    refused(project.run("stream", "rm", "python"), "there is no stream 'python'")


def test_pruning_keeps_what_is_new_and_what_somebody_needs(
    project: Project, registry: Registry, python: str
) -> None:
    digests: list[str] = []
    for content in ("one", "two", "three", "four"):
        digests.insert(0, push(registry, content))
        good(project.run("stream", "sync", "--force"))
    good(project.run("stream", "tag", f"python@{digests[3]}", "keep:this"))
    _make_old(project)
    ran = good(project.run("stream", "prune", "python", "--keep", "1", "--older-than", "30d"))
    assert f"would remove python:3.12 {digests[1]}" in ran.stdout
    assert "--yes" in ran.stdout
    assert images(project, "3.12") == digests
    good(project.run("stream", "prune", "--keep", "1", "--older-than", "30d", "--yes"))
    assert images(project, "3.12") == [digests[0], digests[3]]
    assert set(stream(project).images) == {digests[0], digests[3]}
    assert good(project.run("stream", "prune", "--keep", "1", "--yes")).stdout == "nothing is to be removed\n"


def test_pruning_keeps_what_a_distribution_holds(project: Project, registry: Registry, python: str) -> None:
    digests: list[str] = []
    for content in ("one", "two", "three"):
        digests.insert(0, push(registry, content))
        good(project.run("stream", "sync", "--force"))
    move = {
        "type": "move", "distribution": "prod", "destination": "eu", "pointer": "eu/python:1", "before": "",
        "after": f"eu/python@{digests[2]}", "time": 0,
    }  # fmt: skip
    project.write(".imgbake/pointers", json.dumps(move) + "\n")
    _make_old(project)
    good(project.run("stream", "prune", "--keep", "1", "--older-than", "30d", "--yes"))
    assert images(project, "3.12") == [digests[0], digests[2]]


def _make_old(project: Project) -> None:
    found = stream(project)
    old = datetime(2020, 1, 1, tzinfo=UTC)
    text = project.read(".imgbake/streams/python.json")
    for _, revision in found.revisions():
        text = text.replace(
            revision.created.strftime("%Y-%m-%dT%H:%M:%SZ"), old.strftime("%Y-%m-%dT%H:%M:%SZ")
        )
    project.write(".imgbake/streams/python.json", text)


# Libraries.


def test_a_curated_set_moves_with_its_images(
    project: Project, registry: Registry, python: str, tmp_path: Path
) -> None:
    first = push(registry, "one")
    good(project.run("stream", "sync"))
    library = tmp_path / "library.toml"
    good(project.run("stream", "export", "-o", str(library)))
    (tmp_path / "elsewhere").mkdir()
    elsewhere = Project(tmp_path / "elsewhere")
    registry.forget()
    words = ("stream", "import", "-f", str(library))
    refused(elsewhere.run(*words, "--every", "5m"), "-f says which tags there are")
    ran = good(elsewhere.run(*words))
    assert ran.stdout == f"python:3.12 points to {first}\n"
    assert registry.requests == ()
    assert images(elsewhere, "3.12") == images(elsewhere, "latest") == [first]
    push(registry, "two")
    good(elsewhere.run("stream", "import", "python:3.12"))
    assert len(images(elsewhere, "latest")) == 2


def test_what_a_library_says_no_image_of_is_imported(project: Project, registry: Registry) -> None:
    first = push(registry, "one")
    second = push(registry, "two", "ruby:3")
    library = f"""
    [streams.python.tags."3.12"]
    from = "{registry.name("python:3.12")}"
    [streams.ruby.tags."3"]
    from = "{registry.name("ruby:3")}"
    """
    project.write("library.toml", library)
    ran = good(project.run("stream", "import", "-f", "library.toml", "--format", "json"))
    assert results(ran) == {"python:3.12": "moved", "ruby:3": "moved"}
    assert (images(project, "3.12"), images(project, "3", "ruby")) == ([first], [second])
    project.write("wrong.toml", library.replace("from", "form"))
    refused(project.run("stream", "import", "-f", "wrong.toml"), "wrong.toml:3:5: unknown key 'form'")


# Importing when it is time.


def test_only_what_is_due_is_imported(project: Project, registry: Registry, python: str) -> None:
    push(registry, "one")
    assert results(project.run("stream", "sync", "--format", "json")) == {"python:3.12": "moved"}
    assert project.run("stream", "sync").stdout == "nothing is to be imported\n"
    push(registry, "two")
    project.recipe(project.read("imgbake.toml").replace("15m", "1s"))
    time.sleep(1.1)
    assert results(project.run("stream", "sync", "--format", "json")) == {"python:3.12": "moved"}


def test_an_import_that_failed_does_not_stop_the_others(
    project: Project, registry: Registry, python: str
) -> None:
    push(registry, "one")
    project.recipe(project.read("imgbake.toml") + f'\n[streams.a.tags.b]\nfrom = "{registry.name("a:b")}"\n')
    ran = project.run("stream", "sync", "--format", "json")
    assert ran.code == 1
    assert results(ran) == {"a:b": "failed", "python:3.12": "moved"}


@pytest.mark.parametrize("command", ["sync", "watch"])
def test_what_is_not_there_is_not_waited_for(project: Project, python: str, command: str) -> None:
    refused(project.run("stream", command, "pyton"), "there is no stream 'pyton'")
    refused(project.run("stream", command, "python:3.21"), "the stream 'python' has no tag '3.21'")


def test_a_watcher_imports_what_is_due_and_ends_when_asked(
    project: Project, registry: Registry, python: str
) -> None:
    first = push(registry, "one")
    project.recipe(project.read("imgbake.toml").replace("15m", "1s"))
    watcher = project.start("stream", "watch", "--rate", "0", "--format", "json")
    try:
        assert watcher.stdout is not None
        told: Any = json.loads(watcher.stdout.readline())
        assert (told["result"], told["image"]) == ("moved", first)
        second = push(registry, "two")
        while told["result"] != "moved" or told["image"] != second:
            told = json.loads(watcher.stdout.readline())
        assert told["before"] == first
    finally:
        watcher.send_signal(signal.SIGTERM)
        _, said = watcher.communicate(timeout=60)
    assert watcher.returncode == 0 and said == ""
    assert images(project, "3.12") == [second, first]


# Without permission.


def test_who_may_not_read_a_stream_sees_nothing_of_it(
    project: Project, registry: Registry, python: str
) -> None:
    import os

    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    push(registry, "one")
    good(project.run("stream", "sync"))
    (project.root / ".imgbake/streams/python.json").chmod(0)
    refused(project.run("stream", "describe", "python"), "Permission denied", code=1)


def test_copying_takes_a_tag_of_a_stream(
    project: Project, registry: Registry, python: str, tmp_path: Path
) -> None:
    first = push(registry, "one")
    good(project.run("stream", "sync"))
    push(registry, "two")
    target = registry.name("mirror/python:1")
    ran = good(project.run("copy", "stream:python:3.12", target, "--format", "json", "--progress", "quiet"))
    assert ran.json["arrivals"][0]["reference"].endswith(first)


def test_a_distribution_takes_tags_and_images_of_streams(
    project: Project, registry: Registry, python: str
) -> None:
    project.recipe(f"""
    [streams.python.tags."3.12"]
    from = "{python}"
    [destinations.mirror]
    uses = "registry"
    repository = "{registry.name("mirror")}/"
    [destinations.other]
    uses = "registry"
    repository = "{registry.name("other")}"
    [distributions.now]
    images = ["stream:python:3.12"]
    to = ["mirror"]
    tags = ["now"]
    [distributions.then]
    images = ["stream:python@sha256:"]
    to = ["other"]
    [triggers.mirror]
    on = "python:3.12"
    distribute = ["now"]
    """)
    first = push(registry, "one")
    good(project.run("stream", "sync"))  # which triggers it
    mirrored = registry.contents.repository("mirror/python").tags
    assert mirrored == {"now": first}
    second = push(registry, "two")
    assert good(project.run("distribute", "now")).stdout.startswith("RESULT  IMAGE")
    assert mirrored == {"now": first}
    good(project.run("stream", "sync", "--force"))
    assert mirrored == {"now": second}
    recipe = project.read("imgbake.toml").replace("@sha256:", f"@{first[:12]}")
    project.recipe(recipe)
    good(project.run("distribute", "then"))
    assert registry.contents.repository("other").tags == {"latest": first}
    project.recipe(recipe.replace("stream:python:3.12", "stream:pyton:3.12"))
    refused(project.run("distribute", "now"), "there is no stream 'pyton'", code=1)
    project.recipe(recipe.replace('"stream:python:3.12"', '"stream:python"'))
    refused(project.run("check"), "'stream:python' names no tag")
    project.recipe(recipe.replace("from =", "from.ami ="))
    refused(project.run("check"), "no destination takes 'stream:python:3.12', which is of the kind 'ami'")


def test_an_image_of_a_stream_is_exported(project: Project, registry: Registry, python: str) -> None:
    first = push(registry, "one")
    good(project.run("stream", "sync"))
    ran = good(project.run("export", "stream:python:3.12", "-o", "kept"))
    assert ran.stdout == f"{project.root / 'kept'}  {first}\n"
    assert json.loads(project.read("kept/index.json"))["manifests"][0]["digest"] == first
    ran = project.run("export", "stream:python:3.12", "-o", "x", "--format", "docker-archive")
    refused(ran, "can't be exported as 'docker-archive'")
    refused(project.run("export", "stream:pyton:3.12", "-o", "x"), "there is no stream 'pyton'", code=1)


def test_copying_finds_streams_where_the_recipe_keeps_them(project: Project, registry: Registry) -> None:
    project.recipe('[project]\nstreams = "kept"\n')
    first = push(registry, "one")
    good(project.run("stream", "tag", registry.name("python:3.12"), "python:3.12"))
    ran = good(project.run("copy", "stream:python:3.12", "oci:copies", "--format", "json"))
    assert ran.json["arrivals"][0]["reference"].endswith(first)


def test_an_index_may_be_imported_for_one_platform(project: Project, registry: Registry) -> None:
    ours = registry.add_image("python", [tar_of(Member("etc/version", "amd64"))])
    theirs = registry.add_image("python", [tar_of(Member("etc/version", "arm64"))], "linux/arm64")
    index = registry.add_index("python:3", {"linux/amd64": ours, "linux/arm64": theirs})
    name = registry.name("python:3")
    good(project.run("stream", "tag", name, "python:all"))
    good(project.run("stream", "tag", name, "python:arm", "--platform", "linux/arm64"))
    assert (images(project, "all"), images(project, "arm")) == ([index], [theirs])
    told = project.run("stream", "image", "python:all", "--format", "json").json
    assert told["known"]["facts"]["platforms"] == {"linux/amd64": ours, "linux/arm64": theirs}
    ran = project.run("stream", "tag", name, "python:riscv", "--platform", "linux/riscv64")
    refused(ran, "has no image for linux/riscv64", code=1)


def test_a_tag_may_be_taken_from_the_repository_of_its_stream(project: Project, registry: Registry) -> None:
    first = push(registry, "one")
    push(registry, "one", "mirror:1")
    project.recipe(f"""
    [streams.python]
    repository = "{registry.name("mirror")}"
    [streams.python.tags."3.12"]
    from = "{registry.name("python:3.12")}"
    reference_policy = "local"
    [images.app]
    base = "stream:python:3.12"
    """)
    good(project.run("stream", "sync"))
    registry.forget()
    project.build()
    assert registry.count("GET", f"/v2/mirror/manifests/{first}")
    assert not registry.count("GET", "/v2/python/")
    assert "prefer the stream's repository" in project.run("stream", "describe").stdout


def test_tags_are_imported_by_name_or_all_at_once(project: Project, registry: Registry) -> None:
    name = registry.name("python:3.12")
    push(registry, "one")
    good(project.run("stream", "import", "python:3.12", "--from", name, "--every", "1h"))
    good(project.run("stream", "tag", name, "python:latest"))
    assert "every 1h" in project.run("stream", "ls", "python").stdout
    ran = project.run("stream", "import", "python:3.12", "--from", registry.name("other:1"))
    refused(ran, f"'python:3.12' comes from {name}")
    second = push(registry, "two")
    assert good(project.run("stream", "import", "python")).stdout.startswith(
        f"python:latest points to {second}"
    )
    assert results(project.run("stream", "import", "--all", "--format", "json")) == {
        "python:3.12": "moved", "python:latest": "same",
    }  # fmt: skip
    refused(project.run("stream", "import"), "nothing says what to import")
    refused(project.run("stream", "import", "python:3.12", "--all"), "--all and the tag 'python:3.12'")
    refused(project.run("stream", "import", "python@2816"), "is an image, which never changes")
    refused(project.run("stream", "import", "python:none"), "has no tag 'none'")
    refused(project.run("stream", "import", "ruby:3"), "there is no stream 'ruby'")


def test_an_argument_that_nobody_gave_is_asked_for(project: Project, registry: Registry) -> None:
    first = push(registry, "one")
    source = registry.name("python:{{ version }}")
    project.recipe(f'[args]\nversion = {{}}\n[streams.python.tags.latest]\nfrom = "{source}"\n')
    refused(project.run("stream", "sync"), "missing argument 'version', which [streams.python] needs")
    good(project.run("stream", "sync", "--arg", "version=3.12"))
    assert images(project, "latest") == [first]


def test_what_another_recipe_declares_is_left_to_it(
    project: Project, registry: Registry, tmp_path: Path
) -> None:
    push(registry, "one")
    recipe = '[project]\nname = "{}"\nstreams = "../streams"\n[streams.python.tags.latest]\nfrom = "{}"\n'
    project.recipe(recipe.format("first", registry.name("python:3.12")))
    good(project.run("stream", "sync"))
    (tmp_path / "other").mkdir()
    other = Project(tmp_path / "other")
    other.recipe(recipe.format("second", registry.name("python:3.12")))
    refused(other.run("stream", "sync"), "is declared by the recipe of 'first', too", code=1)
    other.recipe('[project]\nname = "second"\nstreams = "../streams"\n')
    good(other.run("stream", "sync", "--force"))
    assert "tagged from" in other.run("stream", "describe", "python").stdout


def test_a_watcher_takes_a_recipe_that_is_changed_and_outlives_a_wrong_one(
    project: Project, registry: Registry, python: str
) -> None:
    push(registry, "one")
    good(project.run("stream", "sync"))
    recipe = project.read("imgbake.toml").replace("15m", "1s")
    project.recipe(recipe)
    watcher = project.start("stream", "watch", "--rate", "0")
    try:
        assert watcher.stdout is not None and watcher.stderr is not None
        second = push(registry, "two")
        assert watcher.stdout.readline().startswith(f"python:3.12 points to {second}")
        project.recipe("wrong")
        assert watcher.stderr.readline().startswith("warning: imgbake.toml:1:1: ")
        third = push(registry, "three")
        project.recipe(recipe)
        assert watcher.stdout.readline().startswith(f"python:3.12 points to {third}")
    finally:
        watcher.send_signal(signal.SIGINT)
        watcher.communicate(timeout=60)
    assert watcher.returncode == 0
