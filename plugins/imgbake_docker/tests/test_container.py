"""The task `container`: commands in a container, on the project's files."""

from __future__ import annotations

import io
import os
import secrets
import shutil
import signal
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from imgbake.testing.conformance import PluginConformance
from imgbake.testing.project import Project, Ran
from imgbake_docker.tests.projects import Put

COMMANDS = ("cat", "echo", "env", "id", "ls", "pwd", "sh", "sleep", "tail", "touch", "head", "mkdir")
IMAGE = f"imgbake-test-tools:{os.getpid()}"


@pytest.fixture(scope="module")
def image(engine: Any) -> Iterator[str]:
    """An image that only the engine has: busybox."""
    program = shutil.which("busybox")
    if program is None:
        pytest.skip("busybox is not installed")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        tar.add(program, "bin/busybox")
        for name in COMMANDS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(folder)
    engine.import_image_from_data(data.getvalue(), repository=IMAGE.partition(":")[0], tag=str(os.getpid()))
    yield IMAGE
    engine.remove_image(IMAGE, force=True)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project."""
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder)


def _task(image: str, text: str) -> str:
    return f'[tasks.x]\nuses = "container"\nimage = "{image}"\n{text}\n'


def _run(project: Project, recipe: str, *args: str) -> Ran:
    project.recipe(recipe)
    ran = project.run("run", "--progress", "plain", "--format", "json", *args)
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran


def _fail(project: Project, recipe: str, *args: str) -> str:
    ran = _run(project, recipe, *args)
    assert ran.code == 1, ran.stderr
    return ran.stderr


def test_it_works_on_the_project_and_its_files_are_ours(project: Project, image: str) -> None:
    project.write("in.txt", "hello")
    recipe = _task(
        image,
        """
        run = '''
        echo "from $PWD as $(id -u)"
        cat in.txt >out.txt
        '''
        inputs = ["in.txt"]
        outputs = ["out.txt"]
        """,
    )
    ran = _run(project, recipe)
    assert ran.outcomes() == {"task:x": "ran"}, ran.stderr
    assert f"from /project as {os.getuid()}" in ran.stderr
    assert project.read("out.txt") == "hello"
    assert (project.root / "out.txt").stat().st_uid == os.getuid()
    assert _run(project, recipe).outcomes() == {"task:x": "cached"}
    (project.root / "out.txt").unlink()
    assert _run(project, recipe).outcomes() == {"task:x": "restored"}
    project.write("in.txt", "bye")
    assert _run(project, recipe).outcomes() == {"task:x": "ran"}
    assert f"from /project as {os.getuid()}" in project.run("log", "x").stdout


def test_what_it_may_use_decides_nothing(project: Project, image: str) -> None:
    recipe = _task(image, 'run = "echo made >out.txt"\noutputs = ["out.txt"]')
    assert _run(project, recipe).outcomes() == {"task:x": "ran"}
    assert _run(project, recipe + 'memory = "1GB"\ncpus = 0.5').outcomes() == {"task:x": "cached"}
    assert _run(project, recipe + 'env = { A = "b" }').outcomes() == {"task:x": "ran"}


def test_a_list_is_a_program_and_its_arguments(project: Project, image: str) -> None:
    ran = _run(project, _task(image, 'run = ["echo", "$HOME", "a b"]'))
    assert "| $HOME a b\n" in ran.stderr


def test_environment_place_and_user(project: Project, image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDED", "in")
    recipe = _task(
        image,
        """
        run = 'echo "$GREETING $HANDED $(pwd) $(id -u):$(id -g)"'
        env = { GREETING = "hello" }
        pass_env = ["HANDED"]
        workdir = "/bin"
        user = "12:34"
        network = "none"
        """,
    )
    assert "| hello in /bin 12:34\n" in _run(project, recipe).stderr


def test_mounts_are_files_folders_and_volumes(project: Project, image: str, engine: Any) -> None:
    volume = f"imgbake-test-{secrets.token_hex(4)}"
    project.write("conf/app.toml", "conf\n")
    recipe = _task(
        image,
        f"""
        run = '''
        cat /etc/app.toml
        ls /project 2>/dev/null && exit 9
        touch /etc/app.toml 2>/dev/null && exit 8
        cat /cache/kept 2>/dev/null || echo kept >/cache/kept
        '''
        user = "0:0"
        mounts = [
          {{ from = "conf/app.toml", to = "/etc/app.toml", read_only = true }},
          {{ volume = "{volume}", to = "/cache" }},
        ]
        """,
    )
    try:
        first, second = (_run(project, recipe).stderr for _ in range(2))
        assert "x | conf\n" in first and "| kept\n" not in first, first
        assert "x | kept\n" in second, second
    finally:
        engine.remove_volume(volume, force=True)


def test_secrets_are_in_its_environment_alone(project: Project, image: str) -> None:
    args = "[args]\ntoken = { secret = true }\n"
    given = ("--arg", "token=s3cr3t-value")
    fine = args + _task(image, 'run = "echo got $TOKEN"\nenv = { TOKEN = "{{ token }}" }')
    ran = _run(project, fine, *given)
    assert ran.code == 0 and "got ***" in ran.stderr and "s3cr3t" not in ran.stderr
    printing = _task(image, 'run = "echo got $TOKEN; exit 1"\nenv = { TOKEN = "{{ token }}" }')
    assert "s3cr3t" not in _fail(project, args + printing, *given)
    said = _fail(project, args + _task(image, 'run = "echo {{ token }}"'), *given)
    assert "`run` names a secret" in said and "s3cr3t" not in said


def test_a_failing_command_is_named(project: Project, image: str) -> None:
    assert "`echo oops; exit 3` exited with code 3" in _fail(
        project, _task(image, 'run = "echo oops; exit 3"')
    )
    killed = _task(image, "run = '''\nsh -c 'kill -9 $$'\n'''")
    assert "exited with code 137 (SIGKILL)" in _fail(project, killed)
    said = _fail(project, _task(image, 'run = ["no-such-program"]'))
    assert "`no-such-program` can't be started: executable file not found" in said
    said = _fail(project, _task(image, 'run = "true"\nshell = ["/bin/bash", "-c"]'))
    assert "can't be started: stat /bin/bash: no such file" in said and "as a list" in said


def test_too_much_memory_is_explained(project: Project, image: str) -> None:
    said = _fail(project, _task(image, 'run = "tail /dev/zero"\nmemory = "32MB"\ncpus = 0.5'))
    assert "was killed: it used more memory than the 32MB that `memory` allows" in said


def test_a_time_out_and_ctrl_c_remove_the_container(project: Project, image: str, engine: Any) -> None:
    before = time.monotonic()
    assert "timed out after 1 s" in _fail(project, _task(image, 'run = "sleep 61"\ntimeout = 1'))
    assert time.monotonic() - before < 20
    assert _containers(engine, project) == 0
    project.recipe(_task(image, 'run = "echo began; sleep 62"'))
    process = project.start("run", "--progress", "plain")
    assert process.stderr is not None
    assert any(line.endswith("| began\n") for line in process.stderr)
    assert _containers(engine, project) == 1
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert _containers(engine, project) == 0


def test_what_a_killed_build_left_is_removed_by_the_next(project: Project, image: str, engine: Any) -> None:
    project.recipe(_task(image, 'run = "test -e go || { echo began; sleep 63; }"'))
    process = project.start("run", "--progress", "plain")
    assert process.stderr is not None
    assert any(line.endswith("| began\n") for line in process.stderr)
    process.kill()
    process.communicate(timeout=30)
    assert _containers(engine, project) == 1
    project.write("go", "")
    assert project.run("run").code == 0
    assert _containers(engine, project) == 0


def test_an_image_is_pulled_and_its_digest_decides(
    project: Project, base: Path, registry: Put, engine: Any
) -> None:
    name = f"tools-{secrets.token_hex(4)}"
    reference = registry(base, name, "1")
    recipe = _task(reference, 'run = "echo ran >out.txt"\noutputs = ["out.txt"]')
    try:
        assert _run(project, recipe).outcomes() == {"task:x": "ran"}
        assert _run(project, recipe).outcomes() == {"task:x": "cached"}
        assert project.run("lock").code == 0
        digest = engine.inspect_image(reference)["RepoDigests"][0].partition("@")[2]
        assert f'"{reference}" = "{digest}"' in project.read("imgbake.lock")
        assert _run(project, recipe).outcomes() == {"task:x": "cached"}
        assert _run(project, recipe.replace(reference, f"{reference}@{digest}")).code == 0
        of_stream = recipe.replace(reference, "stream:tools:1")
        assert "there is no stream 'tools'" in _fail(project, of_stream)
        assert project.run("stream", "tag", reference, "tools:1").code == 0
        assert _run(project, of_stream).outcomes() == {"task:x": "ran"}
        assert _run(project, of_stream).outcomes() == {"task:x": "cached"}
        assert project.run("lock").code == 0
    finally:
        engine.remove_image(reference, force=True)


@pytest.mark.usefixtures("engine")
def test_an_image_that_is_nowhere_is_one_line(project: Project, registry: Put, base: Path) -> None:
    reference = registry(base, f"tools-{secrets.token_hex(4)}", "1").replace(":1", ":2")
    said = _fail(project, _task(reference, 'run = "true"'))
    assert f"the docker engine has no image {reference}, and" in said


def test_an_image_of_the_engine_can_be_named_by_its_id(project: Project, image: str, engine: Any) -> None:
    found = engine.inspect_image(image)["Id"]
    assert _run(project, _task(found, 'run = "true"')).outcomes() == {"task:x": "ran"}
    said = _fail(project, _task("sha256:" + "0" * 64, 'run = "true"'))
    assert "the engine has no image sha256:000" in said
    assert project.run("lock").code == 0
    assert "sha256" not in project.read("imgbake.lock")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('mounts = [{ to = "/x" }]', "a mount has either `from` or `volume`"),
        ('mounts = [{ from = "../x", to = "/x" }]', "must stay inside the project"),
        ('mounts = [{ from = "x", to = "x" }]', "absolute path"),
        ('mounts = [{ from = "x", to = "/x" }, { from = "y", to = "/x/" }]', "two of them are at /x"),
        ('workdir = "x"', "absolute path"),
        ('memory = "much"', "can't be 'much'"),
        ("memory = 0", "nothing runs without memory"),
        ("cpus = 0", "cpus"),
        ('imag = "x"', "did you mean 'image'?"),
    ],
)
def test_a_wrong_option_is_an_error_of_the_recipe(project: Project, text: str, said: str) -> None:
    project.recipe(_task("tools:1", f'run = "true"\n{text}'))
    ran = project.run("check")
    assert ran.code == 2 and said in ran.stderr, ran.stderr
    assert "imgbake.toml:" in ran.stderr


def test_what_is_mounted_must_be_there(project: Project, image: str) -> None:
    said = _fail(project, _task(image, 'run = "true"\nmounts = [{ from = "nothing", to = "/x" }]'))
    assert "there is no nothing to mount at /x" in said


def _containers(engine: Any, project: Project) -> int:
    """How many containers see the project."""
    found = engine.containers(all=True)
    return sum(str(project.root) in str(each.get("Mounts")) for each in found)


@pytest.mark.usefixtures("image")
class TestConformance(PluginConformance):
    recipe: ClassVar[str] = _task(
        IMAGE, 'run = "cat in.txt >out.txt"\ninputs = ["in.txt"]\noutputs = ["out.txt"]'
    )
    files: ClassVar[dict[str, str]] = {"in.txt": "hello"}
    verb: ClassVar[str] = "run"
    interruptions: ClassVar[int] = 3
