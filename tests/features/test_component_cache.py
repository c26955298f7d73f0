"""Components that needn't run again: layers by what they are made of, and folders kept between builds."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from imgbake.testing.busybox import OnBusybox, phases, printed
from imgbake.testing.project import Ran
from imgbake_oci.tests.baked import baked

FOUR = """
[components.one]
build = "echo 1 > /1"
[components.two]
build = "echo 2 > /2"
[components.three]
build = "echo 3 > /3"
[components.four]
build = "cat /1 /2 /3 > /4"
validate = "test -s /4"
"""


def digest(ran: Ran) -> str:
    """The image's."""
    return next(
        str(node["artifact"]["digest"]) for node in ran.json["nodes"] if node["node"] == "image:app@oci"
    )


def beside(app: OnBusybox, name: str) -> OnBusybox:
    """Another project, on the same base."""
    folder = app.root.parent / name
    folder.mkdir(parents=True)
    return OnBusybox(folder, app.base)


@pytest.fixture
def elsewhere(tmp_path: Path) -> dict[str, str]:
    """The environment with another cache."""
    return {"IMGBAKE_CACHE_DIR": str(tmp_path / "another cache")}


def test_a_change_runs_the_component_and_those_after_it(app: OnBusybox) -> None:
    first = app.bake(FOUR)
    assert phases(first) == ["one: build", "two: build", "three: build", "four: build", "four: validate"]
    again = app.bake(FOUR.replace("echo 3 >", "echo three >"))
    assert phases(again) == ["three: build", "four: build", "four: validate"]
    assert baked(app).files()["4"] == "1\n2\nthree\n"
    back = app.bake(FOUR)
    assert phases(back) == [] and digest(back) == digest(first)


def test_one_that_made_the_same_lets_those_after_it_be_reused(app: OnBusybox) -> None:
    first = app.bake(FOUR)
    again = app.bake(FOUR.replace("echo 2 > /2", "printf '2\\\\n' > /2"))
    assert phases(again) == ["two: build"]
    assert digest(again) == digest(first)


def test_targets_with_other_compressions_share_what_a_component_made(app: OnBusybox) -> None:
    component = '[components.one]\nbuild = "cat /proc/sys/kernel/random/uuid > /1"\n'
    zstd = '[targets.zs]\nuses = "oci"\ncompression = "zstd"\n'
    app.image(component, f'targets = ["zs"]\n{zstd}')
    assert phases(app.build()) == ["one: build"]
    app.image(component, f'targets = ["oci", "zs"]\n{zstd}')
    assert phases(app.build()) == []
    assert baked(app).files()["1"] == baked(app, "app", "zs").files()["1"]


def test_a_layer_is_the_same_whichever_format_it_was_made_in_first(
    app: OnBusybox, elsewhere: dict[str, str]
) -> None:
    first = app.bake(FOUR)
    zstd = '[targets.oci]\nuses = "oci"\ncompression = "zstd"\n'
    app.image(FOUR, zstd)
    app.build(env=elsewhere)
    app.image(FOUR)
    again = app.build(env=elsewhere)
    assert phases(again) == [] and digest(again) == digest(first)


def test_a_component_that_is_put_in_between_runs_those_after_it(app: OnBusybox) -> None:
    app.bake(FOUR)
    again = app.bake(
        FOUR.replace("[components.three]", '[components.new]\nbuild = "echo > /n"\n[components.three]')
    )
    assert phases(again) == ["new: build", "three: build", "four: build", "four: validate"]


def test_another_project_reuses_everything(app: OnBusybox) -> None:
    first = app.bake(FOUR)
    second = beside(app, "a project elsewhere").bake(FOUR)
    assert second.outcomes()["image:app@oci"] in ("ran", "restored")
    assert phases(second) == [] and digest(second) == digest(first)


def test_the_same_recipe_gives_the_same_image_without_the_cache(
    app: OnBusybox, elsewhere: dict[str, str]
) -> None:
    app.write("conf/a", "a\n")
    text = (
        FOUR
        + """
    [components.five]
    files = [{ from = "conf", to = "/etc/conf/" }]
    build = "date > /tmp/x; ls -lR /home /bin /etc/conf > /list"
    """
    )
    first = app.bake(text)
    other = beside(app, "deep/down/other")
    other.write("conf/a", "a\n")
    os.utime(other.root / "conf/a", (1, 1))
    before = os.umask(0o077)
    try:
        second = other.bake(text, env=elsewhere)
    finally:
        os.umask(before)
    assert len(phases(second)) == 6 and digest(second) == digest(first)


@pytest.mark.usefixtures("other_users")
def test_who_bakes_may_have_any_umask(app: OnBusybox) -> None:
    text = """
    [components.a]
    user = "app"
    workdir = "/srv/made"
    caches = ["/home/app/cache"]
    build = "stat -c %a / /srv/made /etc /tmp /dev; umask; echo x > /home/app/cache/x"
    """
    before = os.umask(0o077)
    try:
        ran = app.bake(text)
    finally:
        os.umask(before)
    assert printed(ran) == ["755", "755", "755", "1777", "755", "0022"]


def test_what_is_copied_decides(app: OnBusybox) -> None:
    app.write("in.txt", "1")
    text = '[components.a]\nfiles = [{ from = "in.txt", to = "/in.txt" }]\nbuild = "cp /in.txt /out"\n'
    app.bake(text)
    app.write("in.txt", "2")
    assert phases(app.bake(text)) == ["a: build"]
    assert baked(app).files() == {"in.txt": "2", "out": "2"}


@pytest.mark.usefixtures("other_users")
@pytest.mark.parametrize(
    "line",
    [
        'env = { X = "1" }',
        'user = "app"',
        'workdir = "/home"',
        'shell = ["/bin/ash", "-c"]',
        'network = "none"',
    ],
)
def test_what_commands_see_decides(app: OnBusybox, line: str) -> None:
    app.bake('[components.a]\nbuild = "true"\n')
    assert phases(app.bake(f'[components.a]\n{line}\nbuild = "true"\n')) == ["a: build"]


@pytest.mark.parametrize(
    "line", ["timeout = 60", 'limits = { memory = "1GB" }', 'caches = [{ path = "/c", shared = true }]']
)
def test_how_much_commands_may_use_does_not(app: OnBusybox, line: str) -> None:
    app.bake('[components.a]\ncaches = ["/c"]\nbuild = "true"\n')
    if "caches" not in line:
        line += '\ncaches = ["/c"]'
    assert phases(app.bake(f'[components.a]\n{line}\nbuild = "true"\n')) == []


def test_the_environment_of_an_earlier_component_decides(app: OnBusybox) -> None:
    text = '[components.a]\nenv = { X = "1" }\n[components.b]\nbuild = "echo $X > /x"\n'
    app.bake(text)
    assert phases(app.bake(text.replace("1", "2"))) == ["b: build"]
    assert baked(app).files() == {"x": "2\n"}


def test_the_images_own_configuration_does_not(app: OnBusybox) -> None:
    app.bake(FOUR)
    assert phases(app.bake(FOUR, 'env = { X = "1" }\nuser = "app"\nworkdir = "/home"\n')) == []


def test_another_base_runs_everything(app: OnBusybox) -> None:
    text = (
        '[components.below]\nfiles = [{{ from = "f", to = "/f" }}]\n'
        '[images.below]\nbase = "oci:{base}"\ncomponents = ["below"]\n'
        '[components.a]\nbuild = "cat /f > /g"\n'
        '[images.app]\nbase = "image:below"\ncomponents = ["a"]\n'
    )
    app.recipe(text.format(base=app.base))
    app.write("f", "1")
    app.build()
    app.write("f", "2")
    assert phases(app.build()) == ["a: build"]
    assert baked(app).files() == {"g": "2"}


def test_force_runs_every_component_again_and_what_it_made_counts(app: OnBusybox) -> None:
    text = """
    [components.now]
    build = "cat /proc/sys/kernel/random/uuid > /now"
    validate = "true"
    [components.after]
    build = "true"
    """
    first = app.bake(text)
    assert app.bake(text).outcomes()["image:app@oci"] == "cached"
    again = app.bake(text, "", "-B")
    assert phases(again) == ["now: build", "now: validate", "after: build"]
    assert digest(again) != digest(first)
    other = beside(app, "other")
    assert phases(other.bake(text)) == []
    assert baked(app).layers() == baked(other).layers()


def test_two_forced_images_run_a_component_that_they_share_once(app: OnBusybox) -> None:
    text = '[components.a]\nbuild = "echo a > /a"\n'
    keys = f'[images.second]\nbase = "oci:{app.base}"\ncomponents = ["a"]\n'
    app.bake(text, keys)
    assert phases(app.bake(text, keys, "-B")) == ["a: build"]


def test_two_images_that_are_baked_at_once_run_a_component_that_they_share_once(app: OnBusybox) -> None:
    text = '[components.a]\nbuild = "sleep 0.3; date +%N > /a"\n'
    keys = f'[images.second]\nbase = "oci:{app.base}"\ncomponents = ["a"]\n'
    assert phases(app.bake(text, keys, "-j2")) == ["a: build"]
    assert baked(app).layers() == baked(app, "second").layers()


def test_after_a_failure_the_components_before_it_are_reused(app: OnBusybox) -> None:
    app.fail('[components.a]\nbuild = "echo a > /a"\n[components.b]\nbuild = "false"\n')
    ran = app.bake('[components.a]\nbuild = "echo a > /a"\n[components.b]\nbuild = "cat /a"\n')
    assert phases(ran) == ["b: build"] and printed(ran) == ["a"]


def test_a_cache_is_kept_between_builds_and_is_in_no_layer(app: OnBusybox) -> None:
    text = """
    [components.a]
    caches = ["/var/cache/tool"]
    build = "cd /var/cache/tool; cat kept 2> /dev/null; echo {} | tee -a kept"
    """
    assert printed(app.bake(text.format("one"))) == ["one"]
    assert baked(app).members() == {}
    assert printed(app.bake(text.format("two"))) == ["one", "two"]
    assert printed(beside(app, "other").bake(text.format("three"))) == ["one", "two", "three"]


def test_a_cache_hides_what_the_image_has_there(app: OnBusybox) -> None:
    text = """
    [components.a]
    build = "mkdir -p /var/cache; echo image > /var/cache/a"
    [components.b]
    caches = ["/var/cache"]
    build = "ls /var/cache; echo cache > /var/cache/b"
    [components.c]
    build = "ls /var/cache"
    """
    assert printed(app.bake(text)) == ["a"]
    assert baked(app).members(-2) == {}


@pytest.mark.usefixtures("other_users")
def test_a_cache_can_be_written_by_the_components_user(app: OnBusybox) -> None:
    text = """
    [components.a]
    user = "app"
    caches = ["/home/app/.cache"]
    build = "echo {} > /home/app/.cache/x; ls /home/app/.cache"
    """
    assert printed(app.bake(text.format(1))) == ["x"]
    assert printed(app.bake(text.format(2))) == ["x"]


def test_a_cache_behind_a_symlink_is_in_no_layer(app: OnBusybox) -> None:
    text = """
    [components.a]
    build = "mkdir -p /data/cache; ln -s data/cache /cache"
    [components.b]
    caches = ["/cache"]
    build = "echo x > /cache/x; echo x > /data/cache/y"
    """
    app.bake(text)
    assert baked(app).members() == {}


def test_caches_in_each_other(app: OnBusybox) -> None:
    text = """
    [components.a]
    caches = ["/c", "/c/inner"]
    build = "echo x > /c/x; echo y > /c/inner/y"
    """
    app.bake(text)
    assert baked(app).members() == {}
    assert printed(app.bake(text.replace("echo x > /c/x", "ls /c/inner"))) == ["y"]


def test_a_cache_is_there_for_every_phase(app: OnBusybox) -> None:
    ran = app.bake(
        '[components.a]\ncaches = ["/c"]\nbuild = "echo x > /c/x"\nvalidate = "cat /c/x"\ntest = "cat /c/x"\n'
    )
    assert printed(ran) == ["x", "x"]


def _overlap(app: OnBusybox, cache: str) -> list[str]:
    """What two images print that use a cache at the same time."""
    script = "echo begin > /c/in-$0; ls /c | grep -c in-; sleep 0.4; rm /c/in-$0"
    text = "".join(
        f'[components.{name}]\ncaches = [{cache}]\nshell = ["/bin/sh", "-c"]\n'
        f'build = "{script.replace("$0", name)}"\n'
        f'[images.{name}]\nbase = "oci:{app.base}"\ncomponents = ["{name}"]\n'
        for name in ("a", "b")
    )
    app.recipe(text)
    return sorted(printed(app.build("-j2")), reverse=True)


def test_a_cache_is_used_by_one_at_a_time(app: OnBusybox) -> None:
    assert _overlap(app, '"/c"') == ["waiting for the cache /c, which another component uses", "1", "1"]


def test_a_shared_cache_is_used_by_several_at_once(app: OnBusybox) -> None:
    assert _overlap(app, '{ path = "/c", shared = true }')[0] == "2"


def test_the_cache_may_be_deleted_at_any_time(app: OnBusybox, tmp_path: Path) -> None:
    env = {"IMGBAKE_CACHE_DIR": str(tmp_path / "c")}
    first = app.bake(FOUR, env=env)
    (tmp_path / "c").rename(tmp_path / "gone")
    assert app.bake(FOUR, env=env).outcomes()["image:app@oci"] in ("cached", "restored")
    again = app.bake(FOUR.replace("cat /1", "cat /1 /1"), env=env)
    assert len(phases(again)) == 5
    assert baked(app).files()["4"] == "1\n1\n2\n3\n"
    assert digest(app.bake(FOUR, env=env)) == digest(first)


def test_extracted_layers_may_be_deleted_at_any_time(app: OnBusybox, tmp_path: Path) -> None:
    env = {"IMGBAKE_CACHE_DIR": str(tmp_path / "c")}
    app.bake(FOUR, env=env)
    (tmp_path / "c/runners").rename(tmp_path / "gone")
    again = app.bake(FOUR.replace("cat /1", "cat /1 /1"), env=env)
    assert phases(again) == ["four: build", "four: validate"]
    assert baked(app).files()["4"] == "1\n1\n2\n3\n"


def test_a_damaged_layer_is_made_again(app: OnBusybox, tmp_path: Path) -> None:
    env = {"IMGBAKE_CACHE_DIR": str(tmp_path / "c")}
    first = app.bake(FOUR, env=env)
    layer = baked(app).layers()[-1].removeprefix("sha256:")
    shutil.rmtree(app.root / ".imgbake")
    blob = tmp_path / "c/blobs/sha256" / layer
    blob.chmod(0o644)
    blob.write_bytes(b"x" * blob.stat().st_size)
    again = app.bake(FOUR, env=env)
    assert phases(again) == ["four: build"] and digest(again) == digest(first)
