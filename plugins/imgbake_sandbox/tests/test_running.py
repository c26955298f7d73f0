"""What commands find in a sandbox, and what they leave behind."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec
import pytest

from imgbake_sandbox.spec import Bind, Command, Secret, Spec
from imgbake_sandbox.tests.sandboxes import Sandbox


def test_commands_run_as_root_of_the_base(sandbox: Sandbox) -> None:
    outcome = sandbox.run("id -u; pwd; echo $PATH $HOME; hostname; umask")
    assert outcome.code == 0, outcome.out
    assert outcome.out.splitlines() == [
        "0",
        "/",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /root",
        "imgbake",
        "0022",
    ]


def test_changes_go_to_the_upper_folder_and_nowhere_else(sandbox: Sandbox) -> None:
    outcome = sandbox.run("echo new > /made; rm /etc/group; mkdir -p /a/b; echo more >> /etc/passwd")
    assert outcome.code == 0, outcome.out
    assert sandbox.changes() == {"made", "etc", "etc/group", "etc/passwd", "a", "a/b"}
    assert (sandbox.lower / "etc/group").exists()
    assert "more" not in (sandbox.lower / "etc/passwd").read_text()


def test_a_command_that_changes_nothing_leaves_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    target = Bind(sandbox.folder("cache"), "/var/cache/apt", writable=True)
    outcome = sandbox.run("ls /var/cache/apt /proc /dev /run /tmp; cat /etc/hosts", binds=(target,))
    assert outcome.code == 0, outcome.out
    assert sandbox.changes() == set()


def test_the_exit_code_is_that_of_the_command(sandbox: Sandbox) -> None:
    assert sandbox.run("exit 7").code == 7
    assert sandbox.run("kill -9 $$").code == 128 + 9


def test_commands_run_until_one_fails_each_with_its_title_and_code(one_sandbox: Sandbox) -> None:
    scripts = ["echo one > /tmp/x", "cat /tmp/x", "exit 3", "echo never"]
    commands = tuple(Command(("/bin/sh", "-c", script), f"$ {script}") for script in scripts)
    outcome = one_sandbox.run(commands=commands)
    assert outcome.out == "$ echo one > /tmp/x\n$ cat /tmp/x\none\n$ exit 3\n"
    assert [ended.code for ended in outcome.report.ended] == [0, 0, 3]
    assert outcome.code == 3


def test_a_sandbox_without_commands_is_only_tried(one_sandbox: Sandbox) -> None:
    assert one_sandbox.run().code == 0


def test_the_environment_is_what_the_spec_says(one_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTSIDE", "secret")
    env = {"PATH": "/bin", "NAME": "a b\nc=ü"}
    outcome = one_sandbox.run(commands=(Command(("env",)),), env=env)
    assert outcome.out == "PATH=/bin\nHOME=/root\nNAME=a b\nc=ü\n"


def test_the_working_folder_is_made(one_sandbox: Sandbox) -> None:
    assert one_sandbox.run("pwd", cwd="/srv/app").out == "/srv/app\n"
    assert one_sandbox.changes() == {"srv", "srv/app"}


def test_without_an_upper_folder_changes_are_thrown_away(sandbox: Sandbox) -> None:
    _put_folder(sandbox)
    outcome = sandbox.run("rm -r /srv && mkdir /srv && echo kept > /srv/x && ls /srv", upper=None)
    assert outcome.out == "x\n"
    assert (sandbox.lower / "srv/old").exists()
    assert sandbox.changes() == set()


def test_a_folder_that_was_removed_can_be_made_again(sandbox: Sandbox) -> None:
    _put_folder(sandbox)
    assert sandbox.run("rm -r /srv && mkdir /srv").code == 0
    assert list((sandbox.upper / "srv").iterdir()) == []
    assert os.getxattr(sandbox.upper / "srv", "user.overlay.opaque") == b"y"


def _put_folder(sandbox: Sandbox) -> None:
    (sandbox.lower / "srv").mkdir()
    (sandbox.lower / "srv/old").touch()
    sandbox.own()


def test_more_layers_than_fit_into_mount_options_by_path(one_sandbox: Sandbox) -> None:
    layers = []
    for number in range(200):
        layer = one_sandbox.folder(f"{'long' * 20}-{number}")
        (layer / "which").write_text(str(number))
        layers.append(layer)
    outcome = one_sandbox.run("cat /which", lowers=(one_sandbox.lower, *layers))
    assert outcome.out == "199"


def test_tmp_and_run_are_in_memory(sandbox: Sandbox) -> None:
    outcome = sandbox.run("echo x > /tmp/x; echo y > /run/y; stat -c '%a %u' /tmp /run; cat /tmp/x /run/y")
    assert outcome.out.splitlines() == ["1777 0", "755 0", "x", "y"]
    assert sandbox.changes() == set()


def test_run_has_the_folders_that_the_base_has_there(sandbox: Sandbox) -> None:
    (sandbox.lower / "run/lock/deep").mkdir(parents=True)
    (sandbox.lower / "run/lock").chmod(0o1777)
    (sandbox.lower / "run/left.pid").write_text("1")
    sandbox.own()
    outcome = sandbox.run("find /run | sort; stat -c %a /run/lock")
    assert outcome.out.splitlines() == ["/run", "/run/lock", "/run/lock/deep", "1777"]


def test_what_tmp_itself_becomes_is_a_change(sandbox: Sandbox) -> None:
    (sandbox.lower / "tmp").mkdir(mode=0o755)
    sandbox.own()
    outcome = sandbox.run("chmod 1777 /tmp; echo x > /tmp/x; chmod 755 /run", "test -e /tmp/x")
    assert (outcome.code, sandbox.changes()) == (0, {"tmp"})
    assert (sandbox.upper / "tmp").stat().st_mode == 0o41777
    sandbox.run("chmod 700 /run; chown 1000:1000 /run || true")
    assert sandbox.changes() == {"tmp", "run"}
    assert (sandbox.upper / "run").stat().st_mode == 0o40700
    is_anothers = (sandbox.upper / "run").stat().st_uid != sandbox.upper.stat().st_uid
    assert is_anothers == sandbox.has_users


def test_files_that_are_copied_to_tmp_are_there(sandbox: Sandbox) -> None:
    (sandbox.upper / "tmp/deep").mkdir(parents=True)
    (sandbox.upper / "tmp/deep/installer").write_text("#!/bin/sh\necho installed\n")
    (sandbox.upper / "tmp/deep/installer").chmod(0o755)
    (sandbox.upper / "run/empty").mkdir(parents=True)
    sandbox.own()
    outcome = sandbox.run("/tmp/deep/installer; rm -r /tmp/deep; echo x > /run/empty/x; find /run")
    assert outcome.out.split() == ["installed", "/run", "/run/empty", "/run/empty/x"]
    assert sandbox.changes() == {"tmp", "run", "run/empty"}


def test_devices_work_and_nothing_else_is_there(sandbox: Sandbox) -> None:
    outcome = sandbox.run(
        "ls /dev | tr '\\n' ' '; echo",
        "echo x > /dev/null; head -c 4 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c",
        "echo full 2> /dev/null > /dev/full || echo refused",
        "echo shared > /dev/shm/x; cat /dev/shm/x /dev/stdin",
    )
    assert outcome.out.splitlines() == [
        "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero ",
        *("4", "4", "refused", "shared"),
    ]


def test_a_user_can_open_its_output(sandbox: Sandbox) -> None:
    if sandbox.as_user:
        pytest.skip("the pipe of these tests is root's")
    outcome = sandbox.run(
        "echo out > /dev/stdout; echo err > /dev/stderr", user="app" if sandbox.has_users else ""
    )
    assert outcome.out == "out\nerr\n"


def test_only_its_own_processes_are_seen(sandbox: Sandbox) -> None:
    outcome = sandbox.run("ls /proc | grep -c '^[0-9]'")
    assert int(outcome.out) < 6


def test_the_hosts_names_are_known_inside(sandbox: Sandbox) -> None:
    outcome = sandbox.run(
        "cat /etc/hosts /etc/resolv.conf; echo 1.2.3.4 other >> /etc/hosts; tail -n 1 /etc/hosts"
    )
    lines = outcome.out.splitlines()
    resolver = Path("/etc/resolv.conf")
    if resolver.exists():
        assert resolver.read_text().strip() in outcome.out
    assert "127.0.1.1\timgbake" in lines
    assert lines[-1] == "1.2.3.4 other"
    assert "other" not in Path("/etc/hosts").read_text()
    assert sandbox.changes() == set()


def test_files_and_folders_are_brought_in(sandbox: Sandbox) -> None:
    cache, inputs = sandbox.folder("cache"), sandbox.folder("inputs")
    (inputs / "in").write_text("input\n")
    outcome = sandbox.run(
        "cat /inputs/in /in; echo kept > /cache/out",
        "echo x > /inputs/in || echo refused; echo x > /in || echo again",
        binds=(
            Bind(cache, "/cache", writable=True),
            Bind(inputs, "/inputs"),
            Bind(inputs / "in", "/in"),
        ),
    )
    assert [line for line in outcome.out.splitlines() if "read-only" not in line.lower()] == [
        "input",
        "input",
        "refused",
        "again",
    ]
    assert (cache / "out").read_text() == "kept\n"
    assert (inputs / "in").read_text() == "input\n"
    assert sandbox.changes() == set()


def test_secrets_are_files_of_the_user_and_stay_in_memory(sandbox: Sandbox) -> None:
    user = "app" if sandbox.has_users else ""
    spec = sandbox.spec(
        "cat /run/secrets/token; stat -c '%a %U' /run/secrets/token; env; echo x > /run/secrets/token",
        user=user,
        secrets=(Secret("/run/secrets/token", "TOKEN"),),
    )
    outcome = sandbox.finish(spec, env={**os.environ, "TOKEN": "pssst 4711\n"})
    lines = outcome.out.splitlines()
    assert lines[:2] == ["pssst 4711", f"400 {user or 'root'}"]
    assert "TOKEN" not in outcome.out
    assert "pssst" not in "\n".join(lines[1:])
    assert sandbox.changes() == set()
    texts = [
        path.read_bytes() for path in sandbox.place.rglob("*") if path.is_file() and path.name != "busybox"
    ]
    assert not any(b"pssst" in text for text in texts)


def _hide(sandbox: Sandbox, path: str) -> Path:
    layer = sandbox.folder("hiding")
    (layer / path).parent.mkdir(parents=True, exist_ok=True)
    os.mknod(layer / path, 0o020000, 0)
    sandbox.own()
    return layer


def test_mount_points_that_a_layer_hides_are_made_and_removed(sandbox: Sandbox) -> None:
    if os.geteuid():
        pytest.skip("makes whiteouts as root")
    (sandbox.lower / "etc/resolv.conf").write_text("of the base")
    hiding = _hide(sandbox, "etc/resolv.conf")
    outcome = sandbox.run("cat /etc/resolv.conf", lowers=(sandbox.lower, hiding))
    assert outcome.out == Path("/etc/resolv.conf").read_text()
    assert "etc/resolv.conf" not in sandbox.changes()


def test_a_link_to_a_missing_resolver_is_followed(sandbox: Sandbox) -> None:
    (sandbox.lower / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    outcome = sandbox.run("cat /etc/resolv.conf")
    assert outcome.out == Path("/etc/resolv.conf").read_text()
    assert sandbox.changes() == set()


def test_an_empty_base_gets_what_programs_expect(one_sandbox: Sandbox) -> None:
    layer = one_sandbox.folder("static")
    (layer / "busybox").write_bytes((one_sandbox.lower / "bin/busybox").read_bytes())
    (layer / "busybox").chmod(0o755)
    spec = one_sandbox.spec(lowers=(layer,), commands=(Command(("/busybox", "ls", "/")),))
    assert one_sandbox.finish(spec).out.split() == ["busybox", "dev", "etc", "proc", "run", "sys", "tmp"]
    assert one_sandbox.changes() == set()


def test_the_network_of_the_host_or_none(one_sandbox: Sandbox) -> None:
    count = "grep -c : /proc/net/dev"
    alone = one_sandbox.run(
        count, "ping -c 1 127.0.0.1 > /dev/null && echo up", "cat /etc/hosts", network="none"
    )
    assert alone.out.splitlines()[:2] == ["1", "up"]
    shared = one_sandbox.run(count)
    with open("/proc/net/dev", encoding="ascii") as devices:
        assert int(shared.out) == sum(":" in line for line in devices)


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (("/bin/bash", "-c", "x"), 127, "the image has no /bin/bash"),
        (("nothing",), 127, "the image has no program 'nothing' in its PATH"),
        (("/etc/passwd",), 126, "/etc/passwd can't be run: Permission denied"),
        (("/script",), 127, "/script is there, but not the interpreter or the loader that it needs"),
        (("/text",), 126, f"/text is no program for this machine ({os.uname().machine})"),
        (("/etc",), 126, "/etc can't be run: Permission denied"),
    ],
)
def test_a_command_that_cannot_be_started_says_why(
    one_sandbox: Sandbox, argv: tuple[str, ...], code: int, message: str
) -> None:
    for name, text in (("script", "#!/bin/python3\n"), ("text", "no program\n")):
        (one_sandbox.lower / name).write_text(text)
        (one_sandbox.lower / name).chmod(0o755)
    outcome = one_sandbox.run(commands=(Command(argv), Command(("/bin/true",))))
    assert (outcome.code, outcome.out) == (code, f"sandbox: {message}\n")
    assert outcome.report.failed and outcome.report.failed.message == message
    assert outcome.report.ended == ()


def test_a_layer_that_is_gone_is_named(one_sandbox: Sandbox) -> None:
    gone = one_sandbox.place / "gone"
    outcome = one_sandbox.run("true", lowers=(gone,))
    assert outcome.code == 125
    assert outcome.report.failed and str(gone) in outcome.report.failed.message


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
def test_a_base_whose_system_folders_are_links_is_refused(one_sandbox: Sandbox, name: str) -> None:
    (one_sandbox.lower / name).symlink_to("etc")
    outcome = one_sandbox.run("true")
    assert (outcome.code, outcome.out) == (125, f"sandbox: /{name} of the image is no folder\n")


def test_one_base_serves_many_sandboxes_at_once(one_sandbox: Sandbox) -> None:
    uppers = [one_sandbox.folder(f"upper-{number}") for number in range(6)]
    running = [
        one_sandbox.start(
            one_sandbox.spec(f"echo {upper.name} > /etc/mine; sleep 0.2; cat /etc/mine", upper=upper)
        )
        for upper in uppers
    ]
    assert [process.communicate(timeout=60)[0].strip() for process in running] == [
        upper.name for upper in uppers
    ]
    assert not (one_sandbox.lower / "etc/mine").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"cwd": "here"},
        {"tmpfs": ("/proc/x",)},
        {"tmpfs": ("/",)},
        {"binds": (Bind(Path("/tmp"), "/a/../../b"),)},
        {"binds": (Bind(Path("/tmp"), "/dev"),)},
        {"work": None},
        {"commands": (Command(()),)},
        {"env": {"A": "\0"}},
    ],
)
def test_what_no_sandbox_can_have_is_refused(one_sandbox: Sandbox, changes: dict[str, object]) -> None:
    spec = msgspec.structs.replace(one_sandbox.spec(), **changes)
    with pytest.raises(ValueError):
        spec.write(one_sandbox.place / "spec")


def test_the_spec_can_be_read_by_any_python(one_sandbox: Sandbox) -> None:
    python = shutil.which("python3", path="/usr/bin")
    if not python:
        pytest.skip("the system has no Python")
    spec: Spec = one_sandbox.spec("echo fine")
    one_sandbox._python = python
    assert one_sandbox.finish(spec).out == "fine\n"
