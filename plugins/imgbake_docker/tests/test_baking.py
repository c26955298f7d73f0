"""Images baked by the engine's classic builder."""

from __future__ import annotations

import pytest

from imgbake.testing.busybox import phases, printed
from imgbake_docker.tests.projects import OnEngine, outcome

HELLO = """
    [components.hello]
    files = [{ from = "greeting", to = "/etc/greeting" }]
    env = { WHOM = "world" }
    build = ["echo $(cat /etc/greeting) $WHOM | tee /etc/motd", "echo done"]
    validate = ["grep world /etc/motd"]
    test = ["cat /etc/motd > /copy", "grep hello /copy"]
    network = "none"
"""


def test_an_image_is_baked_tested_and_tagged(project: OnEngine) -> None:
    project.write("greeting", "hello")
    ran = project.bake(HELLO, 'cmd = ["cat", "/etc/motd"]')
    assert outcome(ran) == "ran"
    assert phases(ran) == ["hello: build", "hello: validate", "hello: test"]
    assert any("hello world" in line for line in printed(ran))
    baked = project.baked()
    assert ran.json["nodes"][-2]["artifact"]["digest"] == baked["Id"]
    assert baked["Config"]["Cmd"] == ["cat", "/etc/motd"]
    assert "WHOM=world" in baked["Config"]["Env"]


def test_an_image_counts_only_while_the_engine_has_it(project: OnEngine) -> None:
    project.write("greeting", "hello")
    project.bake(HELLO)
    assert outcome(project.build()) == "cached"
    project.clear()
    assert outcome(project.build()) == "ran"
    project.baked()


def test_what_commands_print_is_logged_by_lines(project: OnEngine, builder: str) -> None:
    if builder != "classic":
        pytest.skip("BuildKit prints it in its own way")
    ran = project.bake("""
        [components.app]
        build = "printf one; sleep 0.3; echo ' line'; echo ' ---> an arrow'; echo Step one; printf end"
        network = "none"
    """)
    text = "\n".join(printed(ran))
    assert all(line in text for line in ("one line", " ---> an arrow", "Step one", "end"))


def test_forced_builds_run_commands_again(project: OnEngine) -> None:
    clock = """
        [components.app]
        build = "cat /proc/uptime > /when"
        network = "none"
    """
    first = project.bake(clock).json["nodes"][-1]["artifact"]["digest"]
    assert project.build().json["nodes"][-1]["artifact"]["digest"] == first
    assert project.build("--force").json["nodes"][-1]["artifact"]["digest"] != first


def test_what_a_builder_lacks_is_refused_with_a_way_out(project: OnEngine, builder: str) -> None:
    asked = "caches = ['/cache']" if builder == "classic" else "limits = { memory = '64M' }"
    ran = project.fail(f"""
        [components.app]
        build = "true"
        {asked}
    """)
    assert "component 'app' asks for `" in ran.stderr and 'uses = "oci"' in ran.stderr


def test_proxies_of_dockers_settings_are_known_to_commands(
    project: OnEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("config/config.json", '{"proxies": {"default": {"noProxy": "example.test"}}}')
    monkeypatch.setenv("DOCKER_CONFIG", str(project.root / "config"))
    component = f'[components.app]\nbuild = "echo {project.name} not for $NO_PROXY"\nnetwork = "none"\n'
    ran = project.bake(component, "", "--progress", "plain")
    assert "not for example.test" in ran.stderr


def test_buildkit_has_caches_and_secrets(project: OnEngine, builder: str) -> None:
    if builder != "buildkit":
        pytest.skip("the classic builder has neither")
    tables = f"""
        [components.app]
        build = [
          "cat /cache/{project.name} 2>/dev/null; echo $(id -u) > /cache/{project.name}; : COMMENT",
          "grep -c s3cr3t /run/secrets/token >> /found",
        ]
        caches = [{{ path = "/cache", shared = true }}]
        secrets = ["token"]
        network = "none"
    """
    for comment in ("first", "second"):
        project.image(tables.replace("COMMENT", comment))
        project.recipe("[args]\ntoken = { secret = true }\n" + project.read("imgbake.toml"))
        ran = project.run("build", "--progress", "plain", "--arg", "token=s3cr3t-value")
        assert ran.code == 0, ran.stderr
        assert "s3cr3t-value" not in ran.stderr
    assert any(line.endswith(" 0") for line in printed(ran)), "the cache was not kept"
    assert "s3cr3t-value" not in str(project.client.history(f"{project.name}:1"))


def test_limits_reach_the_engine(project: OnEngine, builder: str) -> None:
    if builder != "classic":
        pytest.skip("BuildKit has no limits")
    ran = project.fail("""
        [components.app]
        build = "head -c 200000000 /dev/zero | tail -c 190000000 > /dev/null"
        limits = { memory = "20M", cpus = 1.5 }
        network = "none"
    """)
    assert "component 'app': " in ran.stderr
