"""What a command that means harm can reach: nothing outside that it could change."""

from __future__ import annotations

import os
import shlex
import socket
import sys

import pytest

from imgbake_sandbox.spec import Bind
from imgbake_sandbox.tests.sandboxes import PASSWD, Sandbox

CAPABILITIES = "00000000a00425fb"  # docker's default set without MKNOD


def refused(sandbox: Sandbox, *scripts: str) -> None:
    """Runs scripts of which none may succeed."""
    tried = [f"({script}) > /dev/null 2>&1 && echo {shlex.quote(script)}" for script in scripts]
    outcome = sandbox.run("\n".join([*tried, "echo tried"]))
    assert outcome.out == "tried\n"


def test_root_has_few_capabilities_and_a_user_none(sandbox: Sandbox) -> None:
    outcome = sandbox.run("grep Cap /proc/self/status | cut -f 2 | tr '\n' ' '")
    assert outcome.out.split() == ["0" * 16, CAPABILITIES, CAPABILITIES, CAPABILITIES, "0" * 16]
    if sandbox.has_users:
        outcome = sandbox.run("grep Cap /proc/self/status | cut -f 2 | tr '\n' ' '", user="app")
        assert outcome.out.split() == ["0" * 16, "0" * 16, "0" * 16, CAPABILITIES, "0" * 16]


def test_nothing_can_be_mounted_or_unmounted(sandbox: Sandbox) -> None:
    refused(
        sandbox,
        "mount -t tmpfs none /tmp",
        "mkdir /p && mount -t proc none /p",
        "mount -o bind /bin /tmp",
        "mount -o remount,rw /proc/sys",
        "umount /proc/sys",
        "umount -l /proc",
        "mkdir -p /r/old && pivot_root /r /r/old",
    )


def test_no_device_node_can_be_made(sandbox: Sandbox) -> None:
    nodes = ("b 254 0", "b 8 0", "c 1 1", "c 1 3", "c 10 237")
    places = ("/dev/made", "/made", "/tmp/made")
    refused(sandbox, *(f"mknod {place} {node}" for node in nodes for place in places))
    refused(sandbox, "mknod /gone c 0 0")  # which means to overlayfs that a file was removed
    assert sandbox.changes() == set()


def test_a_device_node_of_the_base_cannot_be_opened(sandbox: Sandbox) -> None:
    if os.geteuid():
        pytest.skip("makes device nodes as root")
    os.mknod(sandbox.lower / "zero", 0o020666, os.makedev(1, 5))
    refused(sandbox, "head -c 1 /zero", "echo x > /zero")


def test_the_hosts_device_nodes_keep_owner_and_permissions(sandbox: Sandbox) -> None:
    names = ("null", "tty", "urandom")
    before = [os.stat(f"/dev/{name}") for name in names]
    for name in names:
        refused(
            sandbox,
            f"chmod 600 /dev/{name}",
            f"chown 1000 /dev/{name}",
            f"chmod 600 /proc/self/fd/0 < /dev/{name}",
            f"rm -f /dev/{name}",
        )
    sandbox.run("touch -t 200001010000 /dev/null /proc/self/fd/0")
    for name, found in zip(names, before, strict=True):
        after = os.stat(f"/dev/{name}")
        assert (after.st_mode, after.st_uid, after.st_gid) == (found.st_mode, found.st_uid, found.st_gid)
    assert os.stat("/dev/null").st_mtime == before[0].st_mtime


def test_no_setting_of_the_kernel_can_be_changed(sandbox: Sandbox) -> None:
    paths = (
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/hostname",
        "/proc/sys/vm/drop_caches",
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/sysrq-trigger",
        "/proc/irq/default_smp_affinity",
        "/proc/mtrr",
        "/proc/bus/made",
        "/sys/kernel/uevent_helper",
        "/sys/power/state",
        "/sys/fs/cgroup/made",
        "/sys/module/printk/parameters/time",
    )
    refused(sandbox, *(script for path in paths for script in (f"echo 1 > {path}", f"chmod 777 {path}")))


def test_all_of_proc_that_is_no_process_is_read_only(sandbox: Sandbox) -> None:
    script = (
        "for name in $(ls /proc | grep -v '^[0-9]'); do test -L /proc/$name || "
        "for file in $(find /proc/$name -xdev -type f -perm /222 2> /dev/null); do "
        "(: >> $file) 2> /dev/null && echo $file; done; done; : >> /etc/passwd && echo /etc/passwd"
    )
    assert sandbox.run(script).out.split() == ["/etc/passwd"]


def test_what_tells_too_much_is_empty(sandbox: Sandbox) -> None:
    names = ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts"]
    outcome = sandbox.run(
        f"cat {' '.join(names)} 2> /dev/null | wc -c; ls -A /sys/firmware /sys/kernel/debug | grep -v :"
    )
    assert outcome.out.split() == ["0"]


def test_symlinks_lead_nowhere_but_into_the_root(sandbox: Sandbox) -> None:
    outside = sandbox.folder("outside")
    (outside / "file").write_text("outside")
    up = "/".join([".."] * 20)
    (sandbox.lower / "absolute").symlink_to(outside)
    (sandbox.lower / "relative").symlink_to(up + str(outside))
    (sandbox.lower / "etc/resolv.conf").symlink_to(sandbox.folder("other") / "resolv.conf")
    sandbox.own()
    for name in ("absolute", "relative"):
        refused(sandbox, f"cat /{name}/file", f"echo x > /{name}/made")
    cache = Bind(sandbox.folder("cache"), "/absolute/cache", writable=True)
    outcome = sandbox.run("echo x > /absolute/cache/made && cat /etc/resolv.conf > /dev/null", binds=(cache,))
    assert outcome.code == 0, outcome.out
    assert [path.name for path in outside.iterdir()] == ["file"]
    assert not list((sandbox.place / "other").iterdir())
    assert (cache.source / "made").exists()


def test_chroot_and_the_root_of_others_lead_nowhere(sandbox: Sandbox) -> None:
    refused(sandbox, *(f"cat /proc/1/{name}" for name in ("fd/0", "fd/3", "exe", "environ", "mem")))
    refused(sandbox, *(f"ls /proc/1/{name}/" for name in ("root", "cwd")))
    assert sandbox.run("ls /proc/1/map_files").out == ""
    up = "/".join([".."] * 30)
    outcome = sandbox.run(f"mkdir -p /j && cp -a /bin /j && chroot /j /bin/sh -c 'cd {up}; ls'")
    assert outcome.out.split() == ["bin"]


def test_no_process_outside_can_be_signaled(sandbox: Sandbox) -> None:
    refused(sandbox, f"kill -0 {os.getpid()}")
    assert sandbox.run("kill -9 1; kill -TERM 1; sleep 0.1; echo alive").out.endswith("alive\n")
    killed = sandbox.run("trap '' TERM; kill -TERM 0; sleep 0.1; echo alive", "echo next")
    assert killed.out == "alive\nnext\n"


def test_no_user_namespace_can_be_made(sandbox: Sandbox) -> None:
    if not sandbox.identity.user_namespace:
        pytest.skip("the limit holds for a namespace and those below it")
    refused(sandbox, "unshare -U true", "unshare -m true", "unshare -n true")


def test_setuid_programs_make_root_inside_only(sandbox: Sandbox) -> None:
    if not sandbox.has_users:
        pytest.skip("there is only one user")
    (sandbox.lower / "bin/su").unlink()
    (sandbox.lower / "bin/su").write_bytes((sandbox.lower / "bin/busybox").read_bytes())
    (sandbox.lower / "etc/shadow").write_text("root::19000:0:99999:7:::\n")
    (sandbox.lower / "etc/passwd").write_text("root::0:0:root:/root:/bin/sh\napp:x:1000:1000::/:/bin/sh\n")
    sandbox.own()
    (sandbox.lower / "bin/su").chmod(0o4755)
    outcome = sandbox.run(
        "id -u; /bin/su -c 'id -u; grep CapEff /proc/self/status; mount -t tmpfs x /tmp || echo no'",
        user="app",
    )
    lines = outcome.out.split("\n")
    assert lines[:2] == ["1000", "0"], outcome.out
    assert lines[2].split()[1] == CAPABILITIES
    assert "no" in lines


def test_descriptors_of_outside_stay_outside(sandbox: Sandbox) -> None:
    leaked = os.open("/", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        outcome = sandbox.finish(sandbox.spec("ls /proc/self/fd"), close_fds=False)
    finally:
        os.close(leaked)
    assert outcome.out.split() == ["0", "1", "2", "3"]  # 3 is of ls itself


def python_inside(sandbox: Sandbox, code: str, *argv: str, **changes: object) -> str:
    """Runs Python code inside, with the host's interpreter and libraries, and returns what it printed."""
    return sandbox.finish(sandbox.python(code, *argv, **changes)).out


_CALLS = """
sethostname(b"evil", 4)
swapon(b"/etc/passwd", 0)
acct(b"/etc/passwd")
settimeofday(bytes(16), None)
klogctl(5, None, 0)
unshare(0x20000)
unshare(0x4000000)
unshare(0x40000000)
setns(os.open("/proc/self/ns/mnt", 0), 0)
setns(os.open("/proc/self/ns/net", 0), 0)
setns(pidfd, 0x20000)
syscall(438, pidfd, 0, 0)
syscall(428, -100, b"/etc", 1)
syscall(430, b"tmpfs", 0)
syscall(433, -100, b"/proc", 0)
syscall(442, -100, b"/proc/sys", 0, struct.pack("4Q", 0, 1, 0, 0), 32)
open_by_handle_at(os.open("/", 0), struct.pack("IiQ", 8, 1, 2), 0)
"""


def test_system_calls_that_reach_further_are_refused(sandbox: Sandbox) -> None:
    if not sandbox.identity.user_namespace or "root" not in sandbox.identity.kind:
        pytest.skip(
            "the interpreter of these tests is root's, and the clock of a machine is not to be risked"
        )
    code = (
        "import ctypes, errno, os, struct\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "pidfd = os.pidfd_open(1)\n"
        f"for call in {_CALLS.split(chr(10))[1:-1]!r}:\n"
        "    done = eval('libc.' + call) != -1\n"
        "    if done or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS): print(done, call)\n"
        "print('tried')"
    )
    assert python_inside(sandbox, code) == "tried\n"


def test_marks_of_the_overlay_hide_and_show_nothing(sandbox: Sandbox) -> None:
    if "root" not in sandbox.identity.kind:
        pytest.skip("the interpreter of these tests is root's")
    code = (
        "import contextlib, os\n"
        "marks = {'opaque': b'y', 'redirect': b'/bin', 'metacopy': b'', 'whiteout': b'y'}\n"
        "for name, value in marks.items():\n"
        "    for path in ('/etc', '/etc/passwd'):\n"
        "        with contextlib.suppress(OSError): os.setxattr(path, 'user.overlay.' + name, value)\n"
    )
    python_inside(sandbox, code)
    above = sandbox.folder("above")
    outcome = sandbox.run("ls /etc; wc -c < /etc/passwd", lowers=(sandbox.lower, sandbox.upper), upper=above)
    assert outcome.out.split() == ["group", "hosts", "passwd", "resolv.conf", str(len(PASSWD))]


def test_the_first_process_cannot_be_traced(sandbox: Sandbox) -> None:
    code = (
        "import ctypes\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "for request in (16, 0x4206):\n"
        "    print(libc.ptrace(request, 1, None, None), ctypes.get_errno())\n"
    )
    if "root" not in sandbox.identity.kind:
        pytest.skip("the interpreter of these tests is root's")
    assert python_inside(sandbox, code) == "-1 1\n-1 1\n"


def test_the_program_that_started_us_cannot_be_changed(sandbox: Sandbox) -> None:
    if "root" not in sandbox.identity.kind:
        pytest.skip("the interpreter of these tests is root's")
    code = (
        "import os\n"
        "def tried(function, *arguments):\n"
        "    try: function(*arguments)\n"
        "    except OSError as error: print(error.strerror)\n"
        "    else: print('done')\n"
        "tried(os.chmod, '/proc/self/exe', 0o777)\n"
        "tried(os.truncate, '/proc/self/exe', 0)\n"
        "tried(os.utime, '/proc/self/exe')\n"
        "tried(os.open, '/proc/self/exe', os.O_WRONLY)\n"
    )
    (sandbox.lower / "evil").symlink_to("/proc/self/exe")
    before = os.stat(os.path.realpath(sys.executable))
    lines = python_inside(sandbox, code, "/evil").splitlines()
    after = os.stat(os.path.realpath(sys.executable))
    assert lines == ["Read-only file system"] * 3 + ["Text file busy"]
    assert (after.st_mode, after.st_size, after.st_mtime) == (before.st_mode, before.st_size, before.st_mtime)


def test_abstract_sockets_of_outside_are_out_of_reach(sandbox: Sandbox) -> None:
    if "root" not in sandbox.identity.kind:
        pytest.skip("the interpreter of these tests is root's")
    name = f"imgbake-{os.getpid()}"
    code = (
        "import socket\n"
        f"try: socket.socket(socket.AF_UNIX).connect('\\0{name}')\n"
        "except OSError as error: print(error.strerror)\n"
        "else: print('connected')\n"
        "inner = socket.socket(socket.AF_UNIX); inner.bind('\\0inner'); inner.listen()\n"
        "socket.socket(socket.AF_UNIX).connect('\\0inner'); print('inner')\n"
    )
    with socket.socket(socket.AF_UNIX) as outer:
        outer.bind(f"\0{name}")
        outer.listen()
        assert python_inside(sandbox, code, network="none") == "Connection refused\ninner\n"
        if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 12):
            pytest.skip("before Linux 6.12 only a network of its own keeps them out")
        assert python_inside(sandbox, code) == "Operation not permitted\ninner\n"


def test_the_keys_of_the_session_stay_outside(sandbox: Sandbox) -> None:
    outcome = sandbox.run("cat /proc/self/status > /dev/null; cat /proc/keys; cat /proc/key-users | wc -l")
    assert outcome.code == 0
    assert "_ses" not in outcome.out
