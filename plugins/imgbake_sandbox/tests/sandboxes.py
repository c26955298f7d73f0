"""A sandbox to run things in: a busybox as the base, and an identity."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import msgspec
import pytest

from imgbake_sandbox.identity import Identity, candidates
from imgbake_sandbox.report import Report
from imgbake_sandbox.spec import Bind, Command, Spec

BUSYBOX = shutil.which("busybox") or ""
PACKAGE = Path(__file__).parents[1]
PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"
GROUP = "root:x:0:\napp:x:1000:\nextra:x:2000:app\n"


class Outcome(msgspec.Struct, frozen=True):
    """What a sandbox printed, how it ended, and what it wrote down."""

    code: int
    out: str
    report: Report


class Sandbox:
    """A base of busybox in `lower`, and an empty `upper`, both of the user who runs the sandbox."""

    def __init__(self, place: Path, identity: Identity, python: str, user: tuple[int, int] | None) -> None:
        self.place = place
        self.identity = identity
        self.lower, self.upper = place / "lower", place / "upper"
        self._python = python
        self._user = user
        self._count = 0
        self.has_users = identity.kind != "single"
        for folder in (self.upper, self.lower / "bin", self.lower / "etc"):
            folder.mkdir(parents=True)
        shutil.copy(BUSYBOX, self.lower / "bin/busybox")
        for name in subprocess.check_output([BUSYBOX, "--list"], text=True).split():
            with contextlib.suppress(FileExistsError):
                (self.lower / "bin" / name).symlink_to("busybox")
        (self.lower / "etc/passwd").write_text(PASSWD)
        (self.lower / "etc/group").write_text(GROUP)
        self.own()

    def own(self) -> None:
        """Gives everything to the user who runs the sandbox."""
        if self._user:
            for path in (self.place, *self.place.rglob("*")):
                mode = path.lstat().st_mode
                os.chown(path, *self._user, follow_symlinks=False)
                if not stat.S_ISLNK(mode):
                    path.chmod(stat.S_IMODE(mode))  # which the other clears of setuid

    def folder(self, name: str) -> Path:
        """A new folder of the user who runs the sandbox."""
        made = self.place / name
        made.mkdir(parents=True)
        self.own()
        return made

    def spec(self, *scripts: str, **changes: Any) -> Spec:
        """A spec that runs shell scripts."""
        self._count += 1
        place = self.folder(f"run-{self._count}")
        work = place / "work"
        work.mkdir()
        commands = tuple(Command(("/bin/sh", "-c", script)) for script in scripts)
        plain: dict[str, Any] = {
            "identity": self.identity,
            "lowers": (self.lower,),
            "upper": self.upper,
            "work": work,
            "commands": commands,
            "report": place / "report",
        }
        return Spec(**(plain | changes))

    def python(self, code: str, *argv: str, **changes: Any) -> Spec:
        """A spec that runs Python code with the host's interpreter and libraries."""
        folders = [Path("/usr"), Path("/lib"), Path("/lib64"), Path(sysconfig.get_config_var("prefix"))]
        binds = tuple(Bind(folder.resolve(), str(folder)) for folder in folders if folder.exists())
        program = argv or (os.path.realpath(sys.executable),)
        return self.spec(commands=(Command((*program, "-I", "-S", "-c", code)),), binds=binds, **changes)

    def command(self, spec: Spec) -> list[str]:
        """The command that runs a spec."""
        assert spec.report is not None
        command = spec.command(spec.report.with_name("spec"), python=self._python)
        self.own()
        return command

    def start(self, spec: Spec, **popen: Any) -> subprocess.Popen[str]:
        """Starts a spec."""
        plain = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
        return subprocess.Popen(self.command(spec), text=True, cwd="/", **(plain | self.as_user | popen))

    @property
    def as_user(self) -> dict[str, Any]:
        """What subprocess needs to start something as the user who runs the sandbox."""
        if not self._user:
            return {}
        return {"user": self._user[0], "group": self._user[1], "extra_groups": []}

    def run(self, *scripts: str, **changes: Any) -> Outcome:
        """Runs shell scripts to their end."""
        return self.finish(self.spec(*scripts, **changes))

    def finish(self, spec: Spec, **popen: Any) -> Outcome:
        """Runs a spec to its end."""
        process = self.start(spec, **popen)
        out, _ = process.communicate(timeout=60)
        assert spec.report is not None
        return Outcome(process.returncode, out, Report.read(spec.report))

    def changes(self) -> set[str]:
        """The paths in the upper folder."""
        return {str(path.relative_to(self.upper)) for path in self.upper.rglob("*")}


def as_root(wanted: str, place: Path) -> Sandbox:
    """With real ids, in a user namespace or not. Skips where there are none."""
    found = [identity for identity in candidates() if identity.kind == "root"]
    if not found:
        pytest.skip("needs root")
    return Sandbox(place, found[0 if wanted == "root" else 1], sys.executable, None)


def as_ourselves(wanted: str, place: Path) -> Sandbox:
    for identity in candidates():
        if identity.kind == wanted:
            return Sandbox(place, identity, sys.executable, None)
    pytest.skip(f"this user has no {wanted} ids")


def as_ordinary(wanted: str, place: Path, user: pwd.struct_passwd) -> Sandbox:
    who = (user.pw_uid, user.pw_gid)
    as_user: dict[str, Any] = {"user": who[0], "group": who[1], "extra_groups": []}
    own = ((0, who[0], 1),), ((0, who[1], 1),)
    identity = Identity("single", *own, why="there are no subordinate ids")
    if wanted == "subordinate":
        uids, gids = (_range(path, user.pw_name) for path in ("/etc/subuid", "/etc/subgid"))
        identity = Identity("subordinate", (*own[0], (1, *uids)), (*own[1], (1, *gids)))
    for python in (sys.executable, "/usr/bin/python3"):
        code = f"import sys; assert sys.version_info >= (3, 11); open({str(PACKAGE / 'enter.py')!r})"
        tried = [python, "-I", "-S", "-c", code]
        with contextlib.suppress(OSError):
            if subprocess.run(tried, capture_output=True, check=False, cwd="/", **as_user).returncode == 0:
                return Sandbox(place, identity, python, who)
    pytest.skip("an ordinary user can't reach this package, or no Python that can run it")


def _range(path: str, name: str) -> tuple[int, int]:
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    first, count = next(line.split(":")[1:] for line in lines if line.startswith(f"{name}:"))
    return int(first), int(count)
