"""Ordinary users for tests that root runs, and imgbake or any Python with our packages as one of them."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

_OURS = [path for path in sys.path if path and not path.startswith((sys.base_prefix, "/usr/lib"))]


@contextlib.contextmanager
def with_subordinate_ids() -> Iterator[pwd.struct_passwd]:
    """A user with subordinate ids, as long as the block runs. Skips where none can be made."""
    if os.geteuid() != 0 or not shutil.which("useradd") or not shutil.which("newuidmap"):
        pytest.skip("needs root, useradd and newuidmap to make an ordinary user")
    name = f"sandbox{secrets.token_hex(3)}"
    subprocess.run(["useradd", "--no-create-home", name], check=True)
    try:
        subuid = Path("/etc/subuid")
        if not subuid.exists() or name not in subuid.read_text(encoding="utf-8"):
            ids = ["--add-subuids", "700000-765535", "--add-subgids", "700000-765535"]
            subprocess.run(["usermod", *ids, name], check=True)
        yield pwd.getpwnam(name)
    finally:
        subprocess.run(["userdel", name], check=True, capture_output=True)


def as_ordinary(
    words: Sequence[str], user: pwd.struct_passwd, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs Python with our packages as an ordinary user. `env` is added to the environment.

    Skips where that user can't.
    """
    as_user: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": "/"}
    as_user["env"] = {**os.environ, "PYTHONPATH": ":".join(_OURS), "HOME": "/", **(env or {})}
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        with contextlib.suppress(OSError):
            tried = [python, "-P", "-c", "import imgbake_sandbox.chores"]
            if subprocess.run(tried, capture_output=True, check=False, **as_user).returncode == 0:
                return subprocess.run(
                    [python, *words], capture_output=True, text=True, check=False, **as_user
                )
    pytest.skip("an ordinary user can't reach these packages, or no Python that can run them")


class Baker:
    """A project folder of some user, ourselves if it is None, who runs imgbake in it."""

    def __init__(self, folder: Path, user: pwd.struct_passwd | None) -> None:
        self.folder = folder
        self._user = user

    def recipe(self, text: str) -> None:
        """Writes imgbake.toml, and gives the user everything in the folder."""
        (self.folder / "imgbake.toml").write_text(text)
        if self._user:
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, self._user.pw_uid, self._user.pw_gid, follow_symlinks=False)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs imgbake, with a cache of its own."""
        command = ["-P", "-m", "imgbake", "-C", str(self.folder), *words]
        env = {"XDG_CACHE_HOME": f"{self.folder}/cache", "HOME": str(self.folder)}
        if self._user:
            return as_ordinary(command, self._user, env)
        return subprocess.run(
            [sys.executable, *command], env={**os.environ, **env}, capture_output=True, text=True, check=False
        )

    def good(self, *words: str) -> str:
        """What imgbake prints, which must succeed."""
        done = self.run(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def export(self, image: str, form: str) -> Path:
        """An image that was built, as a file or folder of the user's."""
        path = self.folder / f"{image}.{form}"
        self.good("export", image, "--output", str(path), "--format", form)
        return path
