"""Components that mean harm: what they try from a recipe on reaches nothing outside their sandbox."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgbake.testing.busybox import OnBusybox, phases, printed
from imgbake_oci.tests.baked import baked


@pytest.fixture
def outside() -> Iterator[Path]:
    """A folder of the host with a file, at a path that isn't hidden by the sandbox's own /tmp."""
    with tempfile.TemporaryDirectory(prefix="imgbake-outside-", dir="/var/tmp") as folder:
        Path(folder, "file").write_text("outside")
        yield Path(folder)


def is_untouched(outside: Path) -> bool:
    return [path.name for path in outside.iterdir()] == ["file"] and (
        outside / "file"
    ).read_text() == "outside"


def refused(app: OnBusybox, *scripts: str, keys: str = "") -> None:
    """Bakes scripts of which none may succeed."""
    commands = [f"if {script} 2> /dev/null > /dev/null; then exit 9; fi" for script in scripts]
    app.bake(f"[components.a]\n{keys}\nbuild = {commands!r}\n")


def test_links_to_the_host_lead_commands_copies_and_caches_into_the_image(
    app: OnBusybox, outside: Path
) -> None:
    app.write("new", "new")
    up = "/".join([".."] * 20)
    app.bake(
        f"""
        [components.links]
        build = "ln -s {outside} /absolute; ln -s {up}{outside} /upwards"
        [components.copies]
        files = [{{ from = "new", to = "/absolute/copied" }}, {{ from = "new", to = "/upwards/file" }}]
        [components.commands]
        workdir = "/absolute/work"
        caches = ["/upwards/cache"]
        build = ["pwd -P; cat /absolute/copied", "echo x > /absolute/cache/kept; echo y > /upwards/written"]
        """
    )
    assert is_untouched(outside)
    inside = str(outside).lstrip("/")
    assert baked(app).files(-2) == {f"{inside}/copied": "new", f"{inside}/file": "new"}
    assert baked(app).files(-1) == {f"{inside}/written": "y\n"}


def test_the_root_of_other_processes_cannot_be_entered(app: OnBusybox, outside: Path) -> None:
    refused(
        app,
        *(f"cat /proc/{process}/root{outside}/file" for process in (1, os.getpid())),
        *(f"echo x > /proc/{process}/root{outside}/made" for process in (1, os.getppid())),
        f"cat /proc/1/cwd/{outside}/file",
        f"chroot /proc/1/root cat {outside}/file",
        f"ln /proc/1/root{outside}/file /made",
    )
    assert is_untouched(outside)


def test_nothing_can_be_mounted_and_no_device_made(app: OnBusybox) -> None:
    refused(
        app,
        "mkdir /m && mount -t tmpfs none /m",
        "mount -o bind /bin /home",
        "mount -o remount,rw /proc/sys",
        "mount -t overlay -o lowerdir=/bin:/etc none /home",
        "umount /etc/hosts",
        "unshare -m true",
        "mknod /null c 1 3",
        "mknod /disk b 254 0",
        "mknod /gone c 0 0",  # what overlayfs takes for a file that was removed
    )
    assert set(baked(app).members()) == {"m"}


@pytest.mark.usefixtures("other_users")
def test_a_program_with_the_setuid_bit_makes_root_inside_only(app: OnBusybox, outside: Path) -> None:
    outside.chmod(0o700)
    app.bake(
        f"""
        [components.helper]
        build = [
          "rm /bin/su; cp /bin/busybox /bin/su; chmod 4755 /bin/su",
          "sed -i s/root:x:/root::/ /etc/passwd; echo 'root::19000:0:99999:7:::' > /etc/shadow",
        ]
        [components.uses-it]
        user = "app"
        build = "/bin/su -c 'ls {outside} || mount -t tmpfs none /home || mknod /d b 8 0 || touch /made'"
        """
    )
    assert baked(app).files() == {"made": ""}
    assert is_untouched(outside)


def test_what_is_left_in_a_cache_is_for_nobody_else(
    app: OnBusybox, outside: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cache = tmp_path / "caches"
    monkeypatch.setenv("IMGBAKE_CACHE_DIR", str(cache))
    commands = f"cp /bin/busybox /kept/helper; chmod 4755 /kept/helper; ln -s {outside} /kept/link"
    app.bake(f'[components.a]\ncaches = ["/kept"]\nbuild = "{commands}"\n')
    (helper,) = cache.rglob("helper")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in helper.parents if path.is_relative_to(cache)]
    assert any(not mode & 0o077 for mode in modes)  # nobody else gets to the helper
    app.bake('[components.a]\ncaches = ["/kept"]\nbuild = "ls /kept/link/; rm -r /kept/link/* || true"\n')
    assert app.run("cache", "clear").code == 0
    assert is_untouched(outside)
    assert not helper.exists()


@pytest.mark.parametrize("network", ["host", "none"])
def test_a_fork_bomb_ends_at_its_limit(app: OnBusybox, network: str) -> None:
    began = time.monotonic()
    ran = app.bake(
        f'''
        [components.bomb]
        limits = {{ processes = 100 }}
        network = "{network}"
        timeout = 60
        build = """
        mkfifo /tmp/never; exec 3<> /tmp/never  # what comes after the bomb must not need a process of its own
        (bomb() {{ bomb | bomb & }}; bomb) 2> /dev/null &
        read -t 1 nothing <&3
        echo survived"""
        [components.next]
        build = "ls /proc | grep -c '^[0-9]'"
        '''
    )
    if "no control group" in ran.stderr:
        pytest.skip("no control group of processes can be had")
    assert phases(ran) == ["bomb: build", "next: build"]
    assert printed(ran)[0] == "survived"
    assert int(printed(ran)[1]) < 10
    assert time.monotonic() - began < 30
