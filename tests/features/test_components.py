"""Components that run commands: what they see, what they leave, and how they fail."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from imgbake.testing.busybox import OnBusybox, phases, printed
from imgbake_oci.tests.baked import baked


def test_commands_run_in_the_image_and_leave_a_layer(app: OnBusybox) -> None:
    ran = app.bake('[components.a]\nbuild = ["echo one > /one", "cat /one > /two"]\n')
    assert ran.outcomes()["image:app@oci"] == "ran"
    assert baked(app).files() == {"one": "one\n", "two": "one\n"}


def test_each_component_is_a_layer_and_sees_those_before_it(app: OnBusybox) -> None:
    app.bake(
        """
        [components.a]
        build = "echo a > /a"
        [components.b]
        build = "cat /a > /b; rm /a"
        [components.c]
        build = "ls -d /a /b > /c 2> /dev/null; true"
        """,
    )
    found = baked(app)
    assert [found.files(layer) for layer in (-3, -2, -1)] == [
        {"a": "a\n"}, {".wh.a": "", "b": "a\n"}, {"c": "/b\n"},
    ]  # fmt: skip


def test_what_a_component_copies_and_what_it_runs_are_one_layer(app: OnBusybox) -> None:
    app.write("conf/app.toml", "level = 1\n")
    app.write("conf/kept.toml", "kept\n")
    app.bake(
        """
        [components.a]
        files = [{ from = "conf", to = "/etc/app/", owner = "1000:1000" }]
        build = ["sed -i s/1/2/ /etc/app/app.toml", "cp /etc/app/app.toml /etc/app/copy.toml"]
        """,
    )
    found = baked(app)
    assert len(found.layers()) == 2
    assert found.files() == {
        "etc/app/app.toml": "level = 2\n",
        "etc/app/copy.toml": "level = 2\n",
        "etc/app/kept.toml": "kept\n",
    }
    assert found.members()["etc/app/kept.toml"].uid == 1000


def test_a_copied_file_that_a_command_removes_is_nowhere(app: OnBusybox) -> None:
    app.write("setup.sh", "echo made > /made")
    app.bake(
        '[components.a]\nfiles = [{ from = "setup.sh", to = "/setup.sh" }]\n'
        'build = ["sh /setup.sh", "rm /setup.sh"]\n',
    )
    assert baked(app).files() == {"made": "made\n"}


def test_a_file_that_a_component_copies_over_another_and_changes(app: OnBusybox) -> None:
    app.write("notes", "new\n")
    app.bake(
        '[components.a]\nfiles = [{ from = "notes", to = "/home/app/notes" }]\n'
        'build = "cat /home/app/notes > /seen; echo more >> /home/app/notes"\n',
    )
    assert baked(app).files() == {"home/app/notes": "new\nmore\n", "seen": "new\n"}


def test_a_file_that_was_only_touched_is_not_in_the_layer(app: OnBusybox) -> None:
    build = "touch /home/app/notes; cp -p /etc/group /x; mv /x /etc/group; echo > /new"
    app.bake(f'[components.a]\nbuild = "{build}"\n')
    assert list(baked(app).members()) == ["new"]


def test_a_component_that_changes_nothing_has_an_empty_layer(app: OnBusybox) -> None:
    app.bake('[components.a]\nbuild = "true"\n')
    assert baked(app).members() == {}


def test_what_is_there_while_commands_run_is_not_in_the_image(app: OnBusybox) -> None:
    app.bake(
        '[components.a]\nbuild = "echo x > /tmp/x; echo x > /run/x; echo x > /dev/shm/x; '
        'echo x >> /etc/hosts; test -e /etc/resolv.conf; test -e /proc/self/status"\n',
    )
    assert baked(app).members() == {}


def test_what_is_copied_to_tmp_is_there_for_commands_and_not_in_the_image(app: OnBusybox) -> None:
    app.write("tmp/installer", "echo installed > /made")
    app.write("tmp/data", "x")
    files = 'files = [{ from = "tmp", to = "/tmp" }, { from = "tmp/data", to = "/run/app/data" }]\n'
    ran = app.bake(f'[components.a]\n{files}build = "sh /tmp/installer; cat /run/app/data"\n')
    assert printed(ran) == ["x"]
    assert baked(app).files() == {"made": "installed\n"}
    assert set(baked(app).members()) == {"made", "run", "tmp"}


def test_a_command_of_several_lines(app: OnBusybox) -> None:
    components = '[components.a]\nbuild = """\nset -e\nfor i in 1 2; do\n  echo line $i\ndone > /lines\n"""\n'
    ran = app.bake(components)
    assert baked(app).files() == {"lines": "line 1\nline 2\n"}
    assert "image:app@oci | $ set -e …" in ran.stderr


def test_commands_share_nothing_but_files(app: OnBusybox) -> None:
    commands = '["X=1; cd /etc; sleep 1000 &", "pwd; echo x=$X; ps | grep -c slee[p]; true"]'
    ran = app.bake(f"[components.a]\nbuild = {commands}\n")
    assert printed(ran) == ["/", "x=", "0"]


def test_the_environment_is_that_of_base_components_and_image_so_far(app: OnBusybox) -> None:
    ran = app.bake(
        """
        [components.a]
        env = { FIRST = "1", BOTH = "a" }
        build = "echo $GREETING $FIRST $BOTH ${SECOND:-none} ${OF_IMAGE:-none}"
        [components.b]
        env = { SECOND = "two words", BOTH = "b" }
        build = "echo $GREETING $FIRST $BOTH $SECOND"
        """,
        'env = { OF_IMAGE = "yes" }',
    )
    assert printed(ran) == ["hello 1 a none none", "hello 1 b two words"]
    assert baked(app).config()["config"]["Env"] == [
        "GREETING=hello", "FIRST=1", "BOTH=b", "SECOND=two words", "OF_IMAGE=yes",
    ]  # fmt: skip


def test_nothing_of_our_own_environment_is_there(app: OnBusybox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_OWN", "1")
    ran = app.bake('[components.a]\nbuild = "env | cut -d= -f1 | sort"\n')
    assert set(printed(ran)) <= {"GREETING", "HOME", "PATH", "PWD", "SHLVL", "_"}


@pytest.mark.usefixtures("other_users")
@pytest.mark.parametrize(
    ("user", "shown"),
    [
        ("app", "1000 1000 /home/app"),
        ("1000", "1000 1000 /home/app"),
        ("app:extra", "1000 2000 /home/app"),
        ("app:0", "1000 0 /home/app"),
        ("7:8", "7 8 /"),
        ("root", "0 0 /root"),
    ],
)
def test_commands_run_as_the_user_that_is_named(app: OnBusybox, user: str, shown: str) -> None:
    ran = app.bake(f'[components.a]\nuser = "{user}"\nbuild = "echo $(id -u) $(id -g) $HOME"\n')
    assert printed(ran) == [shown]


@pytest.mark.usefixtures("other_users")
def test_a_user_is_in_all_groups_that_list_it(app: OnBusybox) -> None:
    ran = app.bake('[components.a]\nuser = "app"\nbuild = "id -G"\n')
    assert "2000" in printed(ran)[0].split()


@pytest.mark.usefixtures("other_users")
def test_files_belong_to_the_user_who_made_them(app: OnBusybox) -> None:
    app.bake('[components.a]\nuser = "app"\nworkdir = "/home/app"\nbuild = "echo > mine"\n')
    member = baked(app).members()["home/app/mine"]
    assert (member.uid, member.gid) == (1000, 1000)


def test_a_user_that_the_image_lacks_is_named(app: OnBusybox) -> None:
    ran = app.fail('[components.a]\nuser = "postgres"\nbuild = "true"\n')
    assert "component 'a': the image has no user 'postgres' in /etc/passwd" in ran.stderr


@pytest.mark.usefixtures("other_users")
def test_a_user_that_an_earlier_component_made(app: OnBusybox) -> None:
    ran = app.bake(
        '[components.a]\nbuild = "echo web:x:1234:1234::/:/bin/sh >> /etc/passwd"\n'
        '[components.b]\nuser = "web"\nbuild = "id -u"\n',
    )
    assert printed(ran)[-1] == "1234"


def test_the_work_folder_is_made(app: OnBusybox) -> None:
    ran = app.bake('[components.a]\nworkdir = "/srv/app"\nbuild = "pwd; echo x > file"\n')
    assert printed(ran) == ["/srv/app"]
    assert set(baked(app).members()) == {"srv", "srv/app", "srv/app/file"}


@pytest.mark.usefixtures("other_users")
def test_user_and_work_folder_are_those_of_the_base(app: OnBusybox) -> None:
    app.recipe(
        f"""
        [images.mid]
        base = "oci:{app.base}"
        user = "app"
        workdir = "/home/app"
        [components.a]
        build = "id -un; pwd"
        [components.b]
        user = "root"
        workdir = "/etc"
        build = "id -un; pwd"
        [images.app]
        base = "image:mid"
        components = ["a", "b"]
        """
    )
    assert printed(app.build()) == ["app", "/home/app", "root", "/etc"]
    config = baked(app).config()["config"]
    assert (config["User"], config["WorkingDir"]) == ("app", "/home/app")


def test_the_shell_is_what_the_component_says(app: OnBusybox) -> None:
    ran = app.bake(
        """
        [components.a]
        shell = ["/bin/busybox", "ash", "-eu", "-c"]
        build = "echo $0 $-"
        [components.b]
        shell = ["/bin/busybox", "awk"]
        build = "BEGIN { print 6 * 7 }"
        """,
    )
    assert set("eu") <= set(printed(ran)[0].split()[1]) and printed(ran)[1] == "42"


def test_a_base_that_lacks_the_shell_is_told_so(app: OnBusybox) -> None:
    app.write("file", "x")
    app.recipe(
        '[components.a]\nfiles = [{ from = "file", to = "/file" }]\nbuild = "echo x"\n'
        '[images.app]\nbase = "scratch"\ncomponents = ["a"]\n'
    )
    ran = app.run("build", "--progress", "plain")
    assert ran.code == 1
    assert "component 'a': the image has no /bin/sh" in ran.stderr
    assert "hint: choose a base that has it" in ran.stderr


def test_without_a_network_there_is_only_the_loopback(app: OnBusybox) -> None:
    ran = app.bake('[components.a]\nnetwork = "none"\nbuild = "ls /proc/sys/net/ipv4/conf"\n')
    assert set(printed(ran)) == {"all", "default", "lo"}


def test_a_failing_command_says_all_that_is_known(app: OnBusybox) -> None:
    components = (
        '[components.good]\nbuild = "true"\n'
        '[components.bad]\nbuild = ["echo first", "echo line 1; echo line 2 >&2; exit 3", "echo never"]\n'
    )
    ran = app.fail(components)
    assert "component 'bad': `echo line 1; echo line 2 >&2; exit 3` exited with code 3" in ran.stderr
    assert "image:app@oci | line 1\nimage:app@oci | line 2\n" in ran.stderr
    assert "hint: `imgbake shell app@oci --at bad` shows what its commands find" in ran.stderr
    assert "never" not in printed(ran)
    assert not (app.root / ".imgbake/images").exists()


def test_the_json_of_a_failing_build_names_it_too(app: OnBusybox) -> None:
    app.image('[components.bad]\nbuild = "exit 4"\n')
    ran = app.run("build", "--format", "json")
    assert ran.code == 1
    (node,) = [node for node in ran.json["nodes"] if node["node"] == "image:app@oci"]
    assert node["outcome"] == "failed" and "exited with code 4" in node["error"]


def test_a_command_that_is_killed_says_so(app: OnBusybox) -> None:
    ran = app.fail('[components.bad]\nbuild = "kill -KILL $$"\n')
    assert "component 'bad': `kill -KILL $$` was killed by signal 9" in ran.stderr


@pytest.mark.parametrize("code", [1, 127, 128, 193, 255])
def test_an_exit_code_is_told_as_it_is(app: OnBusybox, code: int) -> None:
    ran = app.fail(f'[components.bad]\nbuild = "exit {code}"\n')
    assert f"component 'bad': `exit {code}` exited with code {code}" in ran.stderr


def test_a_long_command_is_shown_in_part(app: OnBusybox) -> None:
    command = "exit 1; " + "x" * 5000
    ran = app.fail(f'[components.bad]\nbuild = "{command}"\n')
    assert max(len(line) for line in ran.stderr.splitlines()) < 300


def test_a_command_that_is_too_long_for_the_kernel(app: OnBusybox) -> None:
    longest = 128 * 1024 - len("IMGBAKE_COMMAND_0=") - 1
    ran = app.bake(f'[components.a]\nbuild = ": {"x" * (longest - 2)}"\n')
    assert ran.outcomes()["image:app@oci"] == "ran"
    ran = app.fail(f'[components.a]\nbuild = ": {"x" * (longest - 1)}"\n')
    assert "is longer than 128 KiB" in ran.stderr and "hint: put it into a file" in ran.stderr


def test_a_work_folder_that_cannot_be(app: OnBusybox) -> None:
    ran = app.fail('[components.a]\nworkdir = "/etc/passwd"\nbuild = "true"\n')
    assert "component 'a': the working folder /etc/passwd can't be made: File exists" in ran.stderr


def test_a_cache_that_cannot_be(app: OnBusybox) -> None:
    ran = app.fail('[components.a]\ncaches = ["/etc/passwd"]\nbuild = "true"\n')
    assert "component 'a': nothing can be mounted on /etc/passwd" in ran.stderr


def test_a_name_that_means_deletion_is_refused(app: OnBusybox) -> None:
    ran = app.fail('[components.a]\nbuild = "touch /.wh.x"\n')
    assert "component 'a': /.wh.x can't be in an image" in ran.stderr


def test_any_folder_will_do_for_the_cache(app: OnBusybox, tmp_path: Path) -> None:
    env = {"IMGBAKE_CACHE_DIR": str(tmp_path / "a:b,c d\\e\n'\"ä")}
    components = (
        '[components.a]\ncaches = ["/c"]\nbuild = "echo x > /c/x; cat /c/x > /x"\nvalidate = "cat /x"\n'
    )
    assert printed(app.bake(components, env=env)) == ["x"]


def test_a_program_that_is_not_there_is_the_shells_error(app: OnBusybox) -> None:
    ran = app.fail('[components.bad]\nbuild = "nosuchprogram --help"\n')
    assert "nosuchprogram: not found" in ran.stderr and "exited with code 127" in ran.stderr


def test_the_output_is_kept_for_the_log(app: OnBusybox) -> None:
    app.bake('[components.a]\nbuild = "echo hello; echo oops >&2"\nvalidate = "echo fine"\n')
    assert app.run("log", "app").stdout.splitlines() == [
        "-- a: build", "$ echo hello; echo oops >&2", "hello", "oops", "-- a: validate", "$ echo fine",
        "fine",
    ]  # fmt: skip


def test_output_that_is_no_text(app: OnBusybox) -> None:
    ran = app.bake("[components.a]\nbuild = '''printf 'a\\377b\\n\\033[31mred\\n' '''\n")
    assert printed(ran)[0] == "a\N{REPLACEMENT CHARACTER}b" and "\x1b" not in ran.stderr


def test_a_timeout_names_the_component_and_the_seconds(app: OnBusybox) -> None:
    ran = app.fail('[components.slow]\ntimeout = 0.5\nbuild = "echo begin; sleep 100"\n')
    assert "component 'slow'" in ran.stderr and "timed out after 0.5 s" in ran.stderr
    assert "begin" in ran.stderr


def test_a_timeout_holds_for_each_phase_alone(app: OnBusybox) -> None:
    components = '[components.a]\ntimeout = "1s"\nbuild = "sleep 0.6"\nvalidate = "sleep 0.6"\n'
    assert phases(app.bake(components)) == ["a: build", "a: validate"]


def test_memory_is_limited_and_a_note_says_what_happened(app: OnBusybox) -> None:
    components = (
        '[components.a]\nlimits = { memory = "64MiB", processes = 50, cpus = 1 }\nbuild = "tail /dev/zero"\n'
    )
    ran = app.fail(components)
    assert "component 'a': `tail /dev/zero`" in ran.stderr
    assert "not enough memory" in ran.stderr or "no control group" in ran.stderr


@pytest.mark.usefixtures("no_emulators")
def test_a_foreign_platform_is_refused(app: OnBusybox) -> None:
    app.recipe(
        '[components.a]\nbuild = "true"\n[images.app]\nbase = "scratch"\ncomponents = ["a"]\n'
        'targets = ["t"]\n[targets.t]\nuses = "oci"\nplatforms = ["linux/riscv64"]\n'
    )
    ran = app.run("build", "--progress", "plain")
    assert ran.code == 1
    assert "component 'a' can't run its commands for linux/riscv64" in ran.stderr
    assert "binfmt_misc has no emulator for riscv64" in ran.stderr
    assert "hint: register one with flag F, as the package qemu-user-static does, bake it" in ran.stderr


def test_a_plan_and_the_lowered_image_say_what_would_run_and_touch_nothing(
    app: OnBusybox, tmp_path: Path
) -> None:
    components = """
    [args]
    token = { secret = true, env = "TOKEN" }
    [components.a]
    build = ["echo {{ token }}"]
    validate = "true"
    test = "test -e /x"
    user = "app"
    caches = ["/var/cache"]
    secrets = ["token"]
    """
    app.image(components)
    env = {"IMGBAKE_CACHE_DIR": str(tmp_path / "none"), "TOKEN": "hunter2!"}
    lowered = app.run("lower", "app", env=env)
    (layer,) = json.loads(lowered.stdout)["layers"]
    phases = [layer[name] for name in ("build", "validate", "test")]
    assert phases == [["echo {{ token }}"], ["true"], ["test -e /x"]]
    assert (layer["setup"]["user"], layer["setup"]["secrets"]) == ("app", ["token"])
    plan = app.run("plan", "app", "--format", "json", env=env)
    assert {step["node"]: step["action"] for step in plan.json}["image:app@oci"] == "run"
    assert sorted(path.name for path in app.root.iterdir()) == ["imgbake.toml"]
    assert not (tmp_path / "none").exists()


def test_explain_names_the_command_that_changed(app: OnBusybox) -> None:
    app.bake('[components.a]\nbuild = ["echo one", "echo two"]\n')
    app.image('[components.a]\nbuild = ["echo one", "echo three"]\n')
    lines = app.run("explain", "app").stdout
    assert re.search(r"-.*echo two", lines) and re.search(r"\+.*echo three", lines), lines
