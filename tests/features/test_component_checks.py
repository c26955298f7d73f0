"""The phases that leave nothing: `validate` before an image is finished, `test` on a fresh copy of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from imgbake.testing.busybox import OnBusybox, phases, printed
from imgbake.testing.registry import Registry
from imgbake_oci.tests.baked import baked


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as running:
        yield running


def test_a_check_sees_the_component_and_leaves_nothing(app: OnBusybox) -> None:
    ran = app.bake(
        """
        [components.a]
        build = "echo a > /a"
        validate = ["cat /a; echo left > /left; rm /a", "test ! -e /a; echo x > /home/app/notes"]
        [components.b]
        build = "cat /a /home/app/notes; ls /left; true"
        """
    )
    assert phases(ran) == ["a: build", "a: validate", "b: build"]
    assert printed(ran)[:3] == ["a", "a", "old"] and "No such file" in printed(ran)[3]
    assert baked(app).files(-2) == {"a": "a\n"} and baked(app).members(-1) == {}


@pytest.mark.usefixtures("other_users")
def test_a_component_may_only_check(app: OnBusybox) -> None:
    ran = app.bake('[components.a]\nenv = { X = "1" }\nvalidate = "echo $X; id -un"\nuser = "app"\n')
    assert printed(ran) == ["1", "app"]
    assert len(baked(app).layers()) == 1


def test_a_failed_check_fails_the_image(app: OnBusybox) -> None:
    ran = app.fail('[components.a]\nbuild = "echo a > /a"\nvalidate = ["true", "grep b /a"]\n')
    assert "component 'a': `grep b /a` exited with code 1" in ran.stderr
    assert "hint: `imgbake shell app@oci --at a`" in ran.stderr
    assert not (app.root / ".imgbake/images").exists()


def test_what_failed_is_asked_again_and_what_passed_is_not(app: OnBusybox) -> None:
    text = '[components.a]\nbuild = "echo {} > /a"\nvalidate = "grep good /a"\n[components.b]\nbuild = "{}"\n'
    app.fail(text.format("bad", "true"))
    assert phases(app.fail(text.format("bad", "true"))) == ["a: validate"]
    assert phases(app.bake(text.format("good", "true"))) == ["a: build", "a: validate", "b: build"]
    assert phases(app.bake(text.format("good", "echo"))) == ["b: build"]


def test_the_same_check_on_other_content_is_asked(app: OnBusybox) -> None:
    app.write("f", "1")
    text = '[components.a]\nfiles = [{ from = "f", to = "/f" }]\nvalidate = "cat /f"\n'
    assert printed(app.bake(text)) == ["1"]
    app.write("f", "2")
    assert printed(app.bake(text)) == ["2"]


@pytest.mark.usefixtures("other_users")
def test_a_test_runs_in_a_fresh_copy_of_the_finished_image(app: OnBusybox) -> None:
    text = """
    [components.a]
    user = "root"
    workdir = "/srv"
    env = { X = "component" }
    build = "echo x > /tmp/left"
    test = ["echo $X $Y $GREETING; id -un; pwd; ls /tmp; echo 1 > /home/app/mine", "ls /home/app"]
    [components.b]
    build = "echo later > /later"
    test = "cat /later; ls /home/app"
    """
    ran = app.bake(text, 'env = { Y = "image" }\nuser = "app"\nworkdir = "/home/app"\n')
    assert ran.outcomes()["test:app@oci"] == "ran"
    assert phases(ran) == ["a: build", "b: build", "a: test", "b: test"]
    assert printed(ran) == ["component image hello", "app", "/home/app", "mine", "notes", "later", "notes"]


def test_a_test_that_passed_is_not_run_again(app: OnBusybox) -> None:
    text = '[components.a]\nbuild = "echo a > /a"\ntest = "{}"\n'
    app.bake(text.format("true"))
    assert set(app.bake(text.format("true")).outcomes().values()) == {"cached"}
    ran = app.bake(text.format("echo other"))
    assert phases(ran) == ["a: test"]


@pytest.mark.parametrize("line", ['shell = ["/bin/ash", "-c"]', 'network = "none"', 'caches = ["/c"]'])
def test_a_test_runs_again_when_it_would_run_otherwise(app: OnBusybox, line: str) -> None:
    text = '[components.a]\ntest = "true"\n'
    app.bake(text)
    assert phases(app.bake(text + line + "\n")) == ["a: test"]


def test_a_failed_test_fails_the_build(app: OnBusybox) -> None:
    ran = app.fail('[components.a]\nbuild = "echo a > /a"\ntest = "echo looking; grep b /a"\n')
    assert "component 'a': `echo looking; grep b /a` exited with code 1" in ran.stderr
    assert "looking" in printed(ran)
    assert "hint: `imgbake shell app@oci` shows what its commands find" in ran.stderr
    again = app.run("build", "--format", "json")
    assert again.code == 1 and again.outcomes()["test:app@oci"] == "failed"
    assert again.outcomes()["image:app@oci"] == "cached"


def test_an_image_that_failed_its_test_is_not_exported(app: OnBusybox) -> None:
    text = '[components.a]\nbuild = "echo a > /a"\ntest = "grep {} /a"\n'
    app.fail(text.format("b"))
    ran = app.run("export", "app", "-o", "out")
    assert ran.code == 1 and "test:app@oci has not passed" in ran.stderr
    assert not (app.root / "out").exists()
    app.bake(text.format("a"))
    assert app.run("export", "app", "-o", "out").code == 0


def test_an_image_that_failed_its_test_is_not_pushed(app: OnBusybox, registry: Registry) -> None:
    text = '[components.a]\nbuild = "echo a > /a"\ntest = "grep {} /a"\n'
    keys = f'targets = ["t"]\n[targets.t]\nuses = "oci"\ntags = ["{registry.name("shop/app:1")}"]\n'
    app.fail(text.format("b"), keys, "--push")
    assert not [seen for seen in registry.requests if seen.method in ("PUT", "POST", "PATCH")]
    ran = app.bake(text.format("a"), keys, "--push")
    assert registry.manifest("shop/app:1") and len(ran.json["pushed"]) == 1


@pytest.mark.usefixtures("no_emulators")
def test_a_test_of_an_image_for_another_machine_is_refused(app: OnBusybox) -> None:
    app.recipe(
        '[components.a]\ntest = "true"\n[images.app]\nbase = "scratch"\ncomponents = ["a"]\n'
        'targets = ["t"]\n[targets.t]\nuses = "oci"\nplatforms = ["linux/riscv64"]\n'
    )
    ran = app.run("build", "--progress", "plain")
    assert ran.code == 1 and "Traceback" not in ran.stderr
    assert "app@t can't run its commands for linux/riscv64 on" in ran.stderr


def test_a_plan_shows_the_test_after_the_image(app: OnBusybox) -> None:
    app.image('[components.a]\nbuild = "true"\ntest = "true"\n')
    plan = app.run("plan", "--format", "json").json
    assert [step["node"] for step in plan][-2:] == ["image:app@oci", "test:app@oci"]
