"""What users see when something goes wrong, and that nothing stays behind."""

from __future__ import annotations

import secrets
import signal
import time

import pytest

from imgbake_docker import owning, throwaway
from imgbake_docker.tests.projects import OnEngine

FAILING = """
    [components.first]
    build = "true"
    network = "none"

    [components.app]
    build = ["echo fine", "echo about to fail; exit 3"]
    network = "none"
"""


def test_a_failing_command_is_named_with_its_component(project: OnEngine) -> None:
    ran = project.fail(FAILING)
    assert "component 'app': `echo about to fail; exit 3` exited with code 3" in ran.stderr
    assert "about to fail" in ran.stderr


@pytest.mark.parametrize("phase", ["validate", "test"])
def test_a_failing_check_is_named_with_its_component(project: OnEngine, phase: str) -> None:
    ran = project.fail(f"""
        [components.app]
        build = "true"
        {phase} = ["echo one > /one", "grep two /one", "echo never"]
        network = "none"
    """)
    assert "component 'app': `grep two /one` exited with code 1" in ran.stderr
    assert "never" not in ran.stderr.replace("never built", "")
    assert leftovers(project) == []


def test_a_phase_that_takes_too_long_is_ended(project: OnEngine) -> None:
    before = time.monotonic()
    ran = project.fail("""
        [components.app]
        build = "sleep 60"
        timeout = 2
        network = "none"
    """)
    assert "component 'app': " in ran.stderr and "timed out after 2 s" in ran.stderr
    assert time.monotonic() - before < 30


def test_an_engine_that_is_not_there_is_one_line(project: OnEngine) -> None:
    ran = project.fail(FAILING, env={"DOCKER_HOST": "unix:///nowhere/docker.sock"})
    error = next(line for line in ran.stderr.splitlines() if "can't be reached" in line)
    assert "the docker engine at unix:///nowhere/docker.sock can't be reached: No such file" in error


def test_an_unknown_context_is_named(project: OnEngine) -> None:
    ran = project.fail(FAILING, env={"DOCKER_CONTEXT": "elsewhere", "DOCKER_HOST": ""})
    assert "there is no docker context 'elsewhere'" in ran.stderr


def test_ctrl_c_ends_the_build_on_the_engine(project: OnEngine) -> None:
    project.image(f"""
        [components.app]
        build = "echo began; sleep 77; : {secrets.token_hex(4)}"  # which no engine remembers
        network = "none"
    """)
    process = project.start("build", "--progress", "plain")
    assert process.stderr is not None
    for line in process.stderr:
        if line.endswith("began\n") and "$" not in line and "RUN" not in line:
            break
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert time.monotonic() - began < 10
    for _ in range(50):
        if not leftovers(project):
            break
        time.sleep(0.1)
    assert leftovers(project) == []


def test_secrets_are_files_in_checks_and_stay_nowhere(project: OnEngine) -> None:
    project.image(
        """
        [components.app]
        build = "true"
        validate = 'test "$(cat /run/secrets/token)" = s3cr3t-value && cat /run/secrets/token'
        secrets = ["token"]
        network = "none"
        """.replace('build = "true"', "")
    )
    text = project.read("imgbake.toml")
    project.recipe(f"[args]\ntoken = {{ secret = true }}\n{text}")
    ran = project.run("build", "--progress", "plain", "--arg", "token=s3cr3t-value")
    assert ran.code == 0, ran.stderr
    assert "s3cr3t-value" not in ran.stderr + ran.stdout
    assert "s3cr3t-value" not in str(project.client.history(f"{project.name}:1")) + str(project.baked())
    project.recipe(project.read("imgbake.toml").replace("/run/secrets/token'", "/run/secrets/token; exit 1'"))
    ran = project.run("build", "--progress", "plain", "--arg", "token=s3cr3t-value")
    assert ran.code == 1 and "exited with code 1" in ran.stderr
    assert "s3cr3t-value" not in ran.stderr + ran.stdout


@pytest.mark.parametrize("phase", ["validate", "test"])
def test_a_container_of_a_killed_build_is_removed_by_the_next(project: OnEngine, phase: str) -> None:
    components = f"""
        [components.app]
        build = "true"
        {phase} = "echo began; sleep %s; : {project.name}"
        network = "none"
    """
    project.image(components % 76)
    _kill_once(project, "build", "--progress", "plain")
    assert _containers(project) == 1
    project.bake(components % "0.077")
    assert _containers(project) == 0


def test_a_container_of_a_killed_shell_is_removed_by_the_next_and_no_other(project: OnEngine) -> None:
    project.bake("""
        [components.app]
        build = "true"
        network = "none"
    """)
    words = ("shell", "app@docker", "--", "sh", "-c", f"echo began >&2; sleep 76; : {project.name}")
    with project.start(*words) as lives:
        assert lives.stderr is not None
        assert any("began" in line for line in lives.stderr)
        _kill_once(project, *words)
        assert _containers(project) == 2
        assert project.run("shell", "app@docker", "--", "true").code == 0
        assert _containers(project) == 1
        lives.send_signal(signal.SIGINT)
        lives.communicate(timeout=60)
    assert _containers(project) == 0


def test_a_name_that_a_killed_build_gave_an_image_is_removed_by_the_next(
    project: OnEngine, builder: str
) -> None:
    if builder == "classic":
        pytest.skip("only BuildKit needs names")
    project.bake(FAILING.replace("; exit 3", ""))
    own, alive = owning.project(project.root), owning.process().replace(" ", "-")
    mark = project.name.replace("-", "")
    left, wanted, foreign = f"{own}-1-2-{mark}", f"{own}-{alive}-{mark}", f"x-1-2-{mark}"
    for tag in (left, wanted, foreign):
        project.client.tag(f"{project.name}:1", "imgbake-stage", tag)
    try:
        project.bake(FAILING.replace("; exit 3", "er"))
        found = project.client.images("imgbake-stage")
        names = {name for each in found for name in each["RepoTags"]}
        assert {name for name in names if mark in name} == {
            f"imgbake-stage:{wanted}",
            f"imgbake-stage:{foreign}",
        }
    finally:
        for tag in (wanted, foreign):
            project.client.remove_image(f"imgbake-stage:{tag}", noprune=True)


def _containers(project: OnEngine) -> int:
    """How many containers run a command that names this project."""
    found = project.client.containers(all=True, trunc=False)
    return sum(project.name in str(each["Command"]) for each in found)


def _kill_once(project: OnEngine, *words: str) -> None:
    """Runs imgbake and kills it when it has told that a command began."""
    with project.start(*words) as process:
        assert process.stderr is not None
        assert any("began" in line and "sleep" not in line for line in process.stderr)
        process.kill()
        process.communicate(timeout=60)


def leftovers(project: OnEngine) -> list[str]:
    """Containers that run what these tests run, or were made for it, but for those of other projects."""
    wanted, own = ("sleep 77", "grep two"), owning.project(project.root)
    return [
        str(found["Command"])
        for found in project.client.containers(all=True, trunc=False)
        if any(text in found["Command"] for text in wanted)
        and found["Labels"].get(throwaway.PROJECT, own) == own
    ]
