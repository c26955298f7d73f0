"""The runner, from recipes: the same for every user who bakes, and what it keeps."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgbake.testing import busybox
from imgbake.testing.project import Project
from imgbake_oci.tests.baked import Baked
from imgbake_sandbox.sandbox import Sandbox
from imgbake_sandbox.tests import people
from imgbake_sandbox.tests.people import Baker

OF_ROOT = """
[components.new]
files = [{ from = "conf", to = "/etc/app/", owner = "33:34" }]
build = "echo new > /new; mkdir -p /a/b; ln /new /a/b/linked; chmod 4755 /new; ln -s x /dangling"
[components.changed]
build = "echo more >> /home/app/notes; rm /etc/group; rm -r /a; mkdir /a; touch /etc/passwd"
"""
OF_USERS = """
[components.user]
user = "app"
workdir = "/home/app"
caches = ["/home/app/.cache"]
build = "echo mine > mine; echo kept >> .cache/x; wc -l < .cache/x"
[components.owner]
build = "echo x > /x; chown app:extra /x; mkdir -m 2775 /shared; chown 33:33 /shared"
validate = "test $(stat -c %U:%G /x) = app:extra"
[components.secret]
user = "app:extra"
secrets = ["token"]
build = "stat -c '%a %U %G' /run/secrets/token; wc -c < /run/secrets/token"
test = "id -u"
"""
PLENTY = 1 << 60
ARGS = '[args]\ntoken = { secret = true, env = "TOKEN" }\n'


@pytest.fixture(scope="session")
def base(places: Callable[[], Path]) -> Path:
    """The layout of a base with busybox that every user may read."""
    try:
        return busybox.bake(places())
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def alone() -> Iterator[pwd.struct_passwd]:
    """A user without subordinate ids."""
    with people.with_subordinate_ids() as user:
        for path, option in (("/etc/subuid", "--del-subuids"), ("/etc/subgid", "--del-subgids")):
            for line in Path(path).read_text(encoding="utf-8").splitlines():
                name, first, count = line.split(":")
                if name == user.pw_name:
                    ids = f"{first}-{int(first) + int(count) - 1}"
                    subprocess.run(["usermod", option, ids, name], check=True)
        yield user


@pytest.fixture(params=["root", "subordinate", "single"])
def baker(request: pytest.FixtureRequest, places: Callable[[], Path]) -> Baker:
    """Somebody with a folder, once for each kind of user."""
    name = {"root": "", "subordinate": "ordinary", "single": "alone"}[request.param]
    if not name and os.geteuid() != 0:
        pytest.skip("needs root")
    return Baker(places(), request.getfixturevalue(name) if name else None)


def recipe(base: Path, components: str) -> str:
    """An image of these components."""
    names = [line.split(".")[1].rstrip("]") for line in components.splitlines() if "[components." in line]
    return (
        f'{components}\n[images.app]\nbase = "oci:{base}"\ncomponents = {json.dumps(names)}\n'
        'user = "0"\nworkdir = "/"\n'
    )


def by_root(base: Path, folder: Path, text: str, env: dict[str, str]) -> str:
    """The digest of the image that we make of a recipe ourselves."""
    project = Project(folder)
    project.recipe(text)
    project.write("conf/a.toml", "a\n")
    project.build(env=env)
    return str(Baked(folder / ".imgbake/images/app/oci").root["digest"])


def test_every_user_makes_the_same_of_what_root_alone_can_do(
    baker: Baker, base: Path, tmp_path: Path
) -> None:
    (baker.folder / "conf").mkdir()
    (baker.folder / "conf/a.toml").write_text("a\n")
    baker.recipe(recipe(base, OF_ROOT))
    baker.good("build", "--progress", "plain")
    found = Baked(baker.folder / ".imgbake/images/app/oci")
    assert found.root["digest"] == by_root(base, tmp_path, recipe(base, OF_ROOT), {})
    assert found.members(-1)["home/app/notes"].uid == 1000
    assert found.members(-2)["etc/app/a.toml"].gid == 34


def test_who_has_other_ids_makes_the_same_of_what_users_do(
    baker: Baker, base: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if "single" in request.node.name:
        pytest.skip("there are no other users")
    text = ARGS + recipe(base, OF_USERS)
    baker.recipe(text)
    done = baker.run("build", "--progress", "plain", "--arg", "token=correct-horse")
    assert done.returncode == 0, done.stderr
    lines = [line.partition(" | ")[2] for line in done.stderr.splitlines()]
    assert [line for line in lines if line[:1] not in ("$", "-", "")] == ["1", "400 app extra", "13", "0"]
    digest = Baked(baker.folder / ".imgbake/images/app/oci").root["digest"]
    assert digest == by_root(base, tmp_path, text, {"TOKEN": "another-one"})


def test_who_has_no_other_ids_is_told_what_is_lacking(
    places: Callable[[], Path], alone: pwd.struct_passwd, base: Path
) -> None:
    baker = Baker(places(), alone)
    baker.recipe(recipe(base, '[components.a]\nuser = "app"\nbuild = "true"\n'))
    done = baker.run("build", "--progress", "plain")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "component 'a': 1000:1000 can't be a user here" in done.stderr
    assert "/etc/subuid sets aside no ids" in done.stderr and "--add-subuids" in done.stderr


def test_who_has_no_other_ids_may_give_files_to_nobody(
    places: Callable[[], Path], alone: pwd.struct_passwd, base: Path
) -> None:
    baker = Baker(places(), alone)
    baker.recipe(recipe(base, '[components.a]\nbuild = "echo > /x; chown 33:33 /x"\n'))
    done = baker.run("build", "--progress", "plain")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "/etc/subuid sets aside no ids" in done.stderr, done.stderr


def test_a_project_that_cannot_be_written_to_is_told_so(
    places: Callable[[], Path], ordinary: pwd.struct_passwd, base: Path
) -> None:
    baker = Baker(places(), ordinary)
    baker.recipe(recipe(base, '[components.a]\nbuild = "true"\n'))
    os.chown(baker.folder, 0, 0)
    done = baker.run("build", "--progress", "plain")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "can't write to" in done.stderr and "hint: " in done.stderr
    assert [path.name for path in baker.folder.iterdir()] == ["imgbake.toml"]


def test_what_a_user_leaves_can_be_removed_by_that_user(
    baker: Baker, base: Path, request: pytest.FixtureRequest
) -> None:
    text = "user" if "single" not in request.node.name else "root"
    script = {"user": "chown -R app /d; chmod 0 /d /c/x", "root": "chmod 0 /d /c/x"}[text]
    text = f"""
    [components.a]
    caches = ["/c"]
    build = "mkdir -p /d/e; echo > /d/e/f; mkdir /c/x; echo > /c/x/y; {script}"
    """
    baker.recipe(recipe(base, text))
    baker.good("build")
    baker.good("cache", "clear")
    left = [path for path in (baker.folder / "cache/imgbake/runners").rglob("*") if path.is_file()]
    assert not left


@pytest.fixture
def shelf(tmp_path: Path, base: Path) -> Path:
    """What a build of a component with a cache leaves."""
    project = busybox.OnBusybox(tmp_path, base)
    text = '[components.a]\ncaches = ["/c"]\nbuild = "head -c 300000 /dev/zero | tee /c/x > /y"\n'
    project.bake(text, env={"IMGBAKE_CACHE_DIR": str(tmp_path / "cache")})
    return tmp_path / "cache/runners/sandbox"


def test_what_it_keeps_is_counted(shelf: Path) -> None:
    held = Sandbox(shelf).usage()
    on_disk = sum(path.lstat().st_blocks * 512 for path in (shelf / "rootfs").rglob("*"))
    assert 600_000 <= held <= on_disk + 310_000


def test_what_nobody_used_is_removed(shelf: Path) -> None:
    runner = Sandbox(shelf)
    before = runner.usage()
    assert runner.gc(PLENTY, time.time() - 1000) == (0, 0)
    assert runner.gc(PLENTY, time.time() + 10) == (3, before)
    assert runner.usage() == 0
    assert not list((shelf / "rootfs").iterdir()) and not list((shelf / "caches").iterdir())


def test_when_there_is_too_much_layers_go_before_caches(shelf: Path) -> None:
    runner = Sandbox(shelf)
    before = runner.usage()
    number, _ = runner.gc(before - 1, 0)
    assert number == 1 and len(list((shelf / "caches").iterdir())) == 2
    runner.gc(400_000, 0)
    assert len(list((shelf / "caches").iterdir())) == 2 and 300_000 <= runner.usage() <= 400_000
    runner.gc(0, 0)
    assert runner.usage() == 0


def test_a_folder_that_was_never_used_holds_nothing(tmp_path: Path) -> None:
    runner = Sandbox(tmp_path / "none")
    assert runner.usage() == 0 and runner.gc(0, time.time()) == (0, 0)


def test_it_can_run_here_or_says_why_not(tmp_path: Path) -> None:
    refusal = Sandbox(tmp_path / "shelf").refusal()
    assert refusal is None or all(refusal)
    assert not list((tmp_path / "shelf").glob("*/*"))


def test_the_base_is_never_changed(shelf: Path, tmp_path: Path, base: Path) -> None:
    def seen() -> dict[str, tuple[int, int, int, int]]:
        found = {}
        for path in (shelf / "rootfs").glob("*[0-9a-f]/**/*"):
            status = path.lstat()
            found[str(path)] = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_uid)
        return found

    before = seen()
    assert len(before) > 100
    project = busybox.OnBusybox(tmp_path, base)
    script = "rm -r /bin/vi /home/app; echo x >> /etc/passwd; chmod 700 /etc; touch /bin"
    project.bake(f'[components.b]\nbuild = "{script}"\n', env={"IMGBAKE_CACHE_DIR": str(tmp_path / "cache")})
    assert before.items() <= seen().items()
