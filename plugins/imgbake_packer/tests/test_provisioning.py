"""Components on a machine that Packer reaches by SSH."""

from __future__ import annotations

import os

import pytest

from imgbake_aws.tests.clouds import Cloud
from imgbake_packer.tests.machines import Machine
from imgbake_packer.tests.projects import Baked

APP = """
[components.app]
files = [
  { from = "conf", to = "/opt/app/conf" },
  { from = "conf/a.txt", to = "/etc/motd", mode = "0640", owner = "7:9" },
  { from = "conf/run", to = "/bin/app-run", mode = "4755" },
]
env = { MODE = "it's $5 \\\\{{ .Vars }}" }
build = ["printf '%s' \\"$MODE\\" > /opt/app/mode", "id -un > /opt/app/who; pwd >> /opt/app/who"]
validate = "test -x /bin/app-run"
"""


_AS_IT_WAS = "stat -c '%a %u:%g' / /opt /etc /usr/bin; readlink /bin; ls /tmp"


def on(project: Baked, machine: Machine, components: str, keys: str = "") -> None:
    """Writes a recipe whose image is baked on this machine."""
    more = machine.options().strip().replace("\n", ", ")
    project.image(components, f'ssh_username = "root"\nmore = {{ {more} }}', keys)
    project.write("conf/a.txt", "hello\n")
    script = project.write("conf/run", "#!/bin/sh\n")
    script.chmod(0o755)


def test_components_stand_on_the_machine_as_they_say(project: Baked, system: Machine) -> None:
    on(project, system, APP, 'env = { LAST = "1" }')
    before = system.run(_AS_IT_WAS)
    ran = project.build()
    assert system.run("cat /opt/app/conf/a.txt /etc/motd") == "hello\nhello\n"
    assert system.run("stat -c '%a %u:%g' /etc/motd /bin/app-run").split("\n")[:2] == ["640 7:9", "4755 0:0"]
    assert system.run("cat /opt/app/mode") == "it's $5 {{ .Vars }}"
    assert system.run("cat /opt/app/who") == "root\n/\n"
    assert system.run("sh -lc 'echo \"$MODE $LAST\"'") == "it's $5 {{ .Vars }} 1\n"
    assert system.run(_AS_IT_WAS) == before
    assert "-- app: build" in ran.stderr and "-- app: validate" in ran.stderr
    assert project.cloud.leftovers() == []


def test_commands_run_as_another_user_elsewhere_with_secrets_and_caches(
    project: Baked, system: Machine
) -> None:
    component = """
    [components.app]
    build = '''
      id -un; pwd; echo "home $HOME"; cat /run/secrets/token | wc -c
      touch /var/cache/apt/kept-nothing; ls /sys/class/net | wc -l
    '''
    user = "games"
    workdir = "/srv/my app"
    secrets = ["token"]
    caches = ["/var/cache/apt"]
    timeout = 60
    """
    on(project, system, component)
    project.recipe("[args]\ntoken = { secret = true }\n" + project.read("imgbake.toml"))
    ran = project.run("build", "--progress", "plain", "--arg", "token=s3cr3t-value")
    assert ran.code == 0, ran.stderr
    printed = [line.partition("| ")[2] for line in ran.stderr.splitlines()]
    for line in ("games", "/srv/my app", "home /usr/games", "12"):
        assert line in printed, ran.stderr
    assert "s3cr3t-value" not in ran.stderr
    assert (
        system.run("ls /run/secrets /tmp; ls /var/cache/apt/kept-nothing 2>&1 || true")
        .strip()
        .endswith("directory")
    )


@pytest.mark.parametrize("phase", ["build", "validate"])
def test_a_failing_command_is_named_with_its_component(project: Baked, system: Machine, phase: str) -> None:
    on(
        project,
        system,
        f'[components.app]\n{phase} = ["echo fine", "echo about to fail; exit 3", "echo never"]',
    )
    said = project.fail()
    assert f"component 'app': {phase}: `echo about to fail; exit 3` exited with code 3" in said
    assert "about to fail" in said and "| never" not in said
    assert project.cloud.amis() == {} and project.cloud.leftovers() == []


def test_the_test_phase_runs_on_an_instance_that_is_removed(project: Baked, system: Machine) -> None:
    on(project, system, '[components.app]\nenv = { A = "b" }\ntest = ["test $A = b", "echo tested"]')
    ran = project.build()
    assert ran.outcomes()["test:app@ami"] == "ran" and "| tested" in ran.stderr
    baked = next(iter(project.cloud.amis()))
    assert ("terminated", baked) in project.cloud.instances()
    assert len(project.cloud.amis()) == 1 and project.cloud.leftovers() == []


def test_a_failing_test_leaves_no_instance(project: Baked, system: Machine) -> None:
    on(project, system, '[components.app]\nbuild = "true"\ntest = "exit 4"')
    assert "component 'app': test: `exit 4` exited with code 4" in project.fail()
    assert project.cloud.leftovers() == []


def test_a_phase_that_takes_too_long_is_ended(project: Baked, system: Machine) -> None:
    on(project, system, '[components.app]\nbuild = "sleep 30"\ntimeout = 2')
    assert "component 'app'" in project.fail()
    assert project.cloud.leftovers() == []


def test_the_null_builder_needs_no_cloud(project: Baked, system: Machine, cloud: Cloud) -> None:
    builder = system.options().strip().replace("\n", ", ")
    project.recipe(
        f'[targets.host]\nuses = "packer"\nbuilder = {{ type = "null", ssh_username = "root", {builder} }}\n'
        '[components.app]\nbuild = "echo done > /opt/by-null"\n'
        '[images.app]\nbase = { ami = "scratch" }\ncomponents = ["app"]\ntargets = ["host"]\n'
    )
    project.build(env={"AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    assert system.run("cat /opt/by-null") == "done\n"
    assert set(project.build().outcomes().values()) == {"cached"}
    assert os.environ["AWS_REGION"] == "us-east-1"
