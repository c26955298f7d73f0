"""Where there can be no sandbox, the setting that refuses is named; where there can be less, it is used."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from imgbake_sandbox import identity, refusals
from imgbake_sandbox.identity import Identity
from imgbake_sandbox.refusals import Refused
from imgbake_sandbox.report import Failed
from imgbake_sandbox.tests.sandboxes import Sandbox

CHECK = """
import sys
from pathlib import Path
from imgbake_sandbox import refusals
found = refusals.check(Path(sys.argv[1]))
if found:
    print(found.message, found.hint, sep="\\n")
else:
    used = refusals.identity(Path(sys.argv[1]))
    print(used.kind, used.user_namespace, used.why)
"""


def elsewhere(setup: str, folder: Path) -> str:
    """What `check` says in a place that a shell script has set up, for root only."""
    if os.geteuid() or not shutil.which("unshare") or not shutil.which("setpriv"):
        pytest.skip("needs root and util-linux")
    code = f'{setup} {sys.executable} -c "$CODE" {folder}'
    ended = subprocess.run(
        ["unshare", "-m", "sh", "-ec", code],
        env={**os.environ, "CODE": CHECK},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_best_identity_that_works_is_used(tmp_path: Path) -> None:
    refusal = refusals.check(tmp_path)
    if refusal:
        with pytest.raises(Refused) as caught:
            refusals.identity(tmp_path)
        assert caught.value.render() == f"{refusal.message}\n  hint: {refusal.hint}"
    else:
        assert refusals.identity(tmp_path).kind == ("root" if os.geteuid() == 0 else "subordinate")
    assert not list(tmp_path.glob("*/*"))


def test_it_is_tried_only_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = refusals.check(tmp_path)
    monkeypatch.setattr(refusals, "_try", None)
    assert refusals.check(tmp_path) == first


def test_a_forbidden_number_of_namespaces_is_named(tmp_path: Path) -> None:
    forbid = "echo 0 > /proc/sys/user/max_user_namespaces"
    nobody = f"unshare -Ur sh -ec '{forbid}; exec setpriv --bounding-set=-all \"$@\"' -"
    message, hint = elsewhere(nobody, tmp_path).splitlines()
    assert message == "no sandbox can be made: user namespaces are forbidden by user.max_user_namespaces = 0"
    assert hint.startswith(
        "allow it with 'sudo sysctl -w user.max_user_namespaces=10000', or bake it with a target"
    )


def test_root_does_without_user_namespaces_where_they_are_forbidden(tmp_path: Path) -> None:
    root = "unshare -Ur sh -ec 'echo 0 > /proc/sys/user/max_user_namespaces; exec \"$@\"' -"
    assert elsewhere(root, tmp_path).strip() == (
        "root False no sandbox can be made: user namespaces are forbidden by user.max_user_namespaces = 0"
    )


def test_a_file_system_that_cannot_hold_an_overlay_is_named(tmp_path: Path) -> None:
    for name in ("l", "u", "w", "merged"):
        (tmp_path / name).mkdir()
    mount = f"cd {tmp_path}; mount -t overlay none -o lowerdir=l,upperdir=u,workdir=w merged; "
    message, hint = elsewhere(mount, tmp_path / "merged").splitlines()
    assert f"its changes would lie in {tmp_path}/merged, which is on overlay" in message
    assert hint.startswith("set XDG_CACHE_HOME to a folder on ext4, xfs or btrfs")


@pytest.mark.parametrize(
    ("failed", "settings", "status", "message", "hint"),
    [
        (
            Failed("unshare", errno.EPERM, "refused"),
            {"kernel/unprivileged_userns_clone": "0"},
            "0",
            "user namespaces are for root only: kernel.unprivileged_userns_clone = 0",
            "allow it with 'sudo sysctl -w kernel.unprivileged_userns_clone=1'",
        ),
        (
            Failed("map", errno.EPERM, "refused"),
            {"kernel/apparmor_restrict_unprivileged_userns": "1"},
            "0",
            "AppArmor restricts user namespaces: kernel.apparmor_restrict_unprivileged_userns = 1",
            "allow it with 'sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0'",
        ),
        (
            Failed("unshare", errno.EPERM, "refused"),
            {},
            "2",
            "a seccomp filter of the container around us refuses (refused)",
            "start it with --security-opt seccomp=unconfined (in a pod: seccompProfile Unconfined)",
        ),
        (
            Failed("unshare", errno.EINVAL, "refused"),
            {},
            "0",
            f"this kernel ({os.uname().release}) has no user namespaces",
            "use Linux 5.12 or later",
        ),
        (
            Failed("overlay", errno.ENODEV, "no such device"),
            {},
            "0",
            "this kernel has no overlayfs",
            "load it with 'sudo modprobe overlay'",
        ),
        (
            Failed("mount", errno.ENOSYS, "not implemented"),
            {},
            "0",
            f"this kernel ({os.uname().release}) is too old",
            "use Linux 5.12 or later",
        ),
        (Failed("mount", errno.EIO, "the disk is broken"), {}, "0", "the disk is broken", ""),
    ],
)
def test_settings_that_refuse_are_named(
    failed: Failed,
    settings: dict[str, str],
    status: str,
    message: str,
    hint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refusals, "_try", lambda candidate, folder: failed)
    monkeypatch.setattr(refusals, "_setting", lambda name: settings.get(name, ""))
    monkeypatch.setattr(refusals, "_status", lambda name: status)
    monkeypatch.setattr(refusals, "_profile", lambda: "")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    refusal = refusals.check(tmp_path)
    instead = 'or bake it with a target whose commands run elsewhere, such as uses = "docker"'
    assert refusal is not None
    assert refusal.message == f"no sandbox can be made: {message}"
    assert refusal.hint == (f"{hint}, {instead}" if hint else instead)


def test_a_container_that_hides_parts_of_proc_lends_its_own(one_sandbox: Sandbox) -> None:
    if one_sandbox.identity.kind != "root":
        pytest.skip("needs root to hide something")
    pid = os.getpid()
    outside = f"/proc/{pid}"
    spec = one_sandbox.spec(
        f"test -d {outside} && echo seen; cat /proc/self/comm",
        f"cat {outside}/environ; ls {outside}/root/; true",
        "echo 1 > /proc/self/oom_score_adj; echo x > /dev/stdout",
    )
    command = one_sandbox.command(spec)
    hide = f"mount --bind /dev/null /proc/cpuinfo; {shlex.join(command[:-1])} $$; exit $?"
    ended = subprocess.run(["unshare", "-m", "sh", "-c", hide], capture_output=True, text=True, check=False)
    assert ended.stdout == "seen\ncat\nx\n", ended.stderr
    assert ended.stderr.count("Permission denied") == 2
    assert ended.stderr.count("Read-only file system") == 1
    assert "sandbox: /proc shows the processes around the sandbox" in ended.stderr


def test_advice_for_users_that_cannot_be() -> None:
    single = Identity("single", ((0, 5, 1),), ((0, 5, 1),), why="/etc/subuid sets aside no ids for me")
    failed = Failed("user", errno.EINVAL, "1000:1000 can't be a user here")
    assert (
        refusals.advice(failed, single)
        == "there is no user but root here: /etc/subuid sets aside no ids for me"
    )
    assert refusals.advice(Failed("command", errno.ENOENT, "the image has no /bin/sh"), single)
    assert refusals.advice(Failed("mount", errno.EIO, "broken"), single) == ""


def test_advice_on_commands_that_may_have_wanted_users() -> None:
    single = Identity("single", ((0, 5, 1),), ((0, 5, 1),), why="/etc/subuid sets aside no ids for me")
    for line in ("chown: /x: Invalid argument", "su: can't set groups: Operation not permitted"):
        assert refusals.advice_on(["before", line, "after"], single) == (
            "if it wants a user besides root, there is none here: /etc/subuid sets aside no ids for me"
        )
        assert refusals.advice_on([line], Identity("root", (), (), why="no namespaces")) == ""
    assert refusals.advice_on(["make: *** [all] Error 2"], single) == ""


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """We are an ordinary user; the folder holds subuid and subgid."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 1001)
    monkeypatch.setattr(identity, "_user_name", lambda: "me")
    monkeypatch.setattr(identity, "_SUBUID", tmp_path / "subuid")
    monkeypatch.setattr(identity, "_SUBGID", tmp_path / "subgid")
    monkeypatch.setattr(shutil, "which", lambda program: f"/bin/{program}")
    return tmp_path


def test_subordinate_ids_come_after_our_own(stranger: Path) -> None:
    (stranger / "subuid").write_text("you:1:2\nme:100000:65536\nbroken\n1000:300000:10\nme:x:1\n")
    (stranger / "subgid").write_text("me:200000:65536\n")
    best, last = identity.candidates()
    assert best == Identity(
        "subordinate",
        ((0, 1000, 1), (1, 100000, 65536), (65537, 300000, 10)),
        ((0, 1001, 1), (1, 200000, 65536)),
    )
    assert last == Identity("single", ((0, 1000, 1),), ((0, 1001, 1),))


def test_what_is_lacking_for_subordinate_ids_is_said(stranger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (stranger / "subuid").write_text("me:100000:65536\n")
    (found,) = identity.candidates()
    assert found.why == (
        f"{stranger}/subgid sets aside no ids for me "
        "(usermod --add-subuids 100000-165535 --add-subgids 100000-165535 me)"
    )
    monkeypatch.setattr(shutil, "which", lambda program: None)
    (found,) = identity.candidates()
    assert found.why.startswith("newuidmap and newgidmap can't be found")


def test_a_program_of_the_host_can_be_root_of_the_users_inside(sandbox: Sandbox) -> None:
    code = "cat /proc/self/uid_map; id -u; touch made; chown 1000 made"
    command = sandbox.identity.command(["/bin/sh", "-c", code])
    if sandbox.identity.kind != "root":
        command[0] = sandbox._python
    folder = sandbox.folder("mapped")
    ended = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, **sandbox.as_user
    )
    lines = [tuple(map(int, line.split())) for line in ended.stdout.splitlines()]
    assert lines[:-1] == list(sandbox.identity.uids)
    assert lines[-1] == (0,)
    assert (ended.returncode == 0) == sandbox.has_users
