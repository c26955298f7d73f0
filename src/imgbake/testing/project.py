"""A project in a temporary folder, and imgbake run in it as a user would."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Ran(NamedTuple):
    """How a run of imgbake ended, and what it printed."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """The JSON document on stdout."""
        return json.loads(self.stdout)

    def outcomes(self) -> dict[str, str]:
        """Node to outcome ("ran", "cached", …), of a run with `--format json`."""
        return {node["node"]: node["outcome"] for node in self.json["nodes"]}


class Project:
    """A folder with a recipe. Paths are relative to it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def recipe(self, text: str) -> None:
        """Writes imgbake.toml."""
        self.write("imgbake.toml", text)

    def write(self, path: str, text: str | bytes = "") -> Path:
        """Writes a file, and the folders above it."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else text.encode())
        return target

    def read(self, path: str) -> str:
        """The text of a file."""
        return (self.root / path).read_text()

    def run(self, *args: str, env: Mapping[str, str] | None = None) -> Ran:
        """Runs a command of imgbake in this process."""
        from imgbake import cli

        out, err = io.StringIO(), io.StringIO()
        before, folder = os.environ.copy(), Path.cwd()
        os.environ.update(env or {})
        os.chdir(self.root)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = cli.run(list(args))  # as sys.argv is: it is compared with lists
        finally:
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(before)
        return Ran(code, out.getvalue(), err.getvalue())

    def build(self, *args: str, env: Mapping[str, str] | None = None) -> Ran:
        """`imgbake build --format json`, which must succeed."""
        return _good(self.run("build", "--format", "json", "--progress", "plain", *args, env=env))

    def make(self, *args: str, env: Mapping[str, str] | None = None) -> Ran:
        """`imgbake run --format json`, which must succeed."""
        return _good(self.run("run", "--format", "json", "--progress", "plain", *args, env=env))

    def distribute(self, *args: str, code: int = 0, env: Mapping[str, str] | None = None) -> Ran:
        """`imgbake distribute --format json`, which must end with this code, and with no bug."""
        ran = self.run("distribute", "--format", "json", "--progress", "plain", *args, env=env)
        assert ran.code == code, f"exit code {ran.code}\n{ran.stdout}\n{ran.stderr}"
        assert "Traceback" not in ran.stderr, ran.stderr
        return ran

    def start(self, *args: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Starts imgbake as a process of its own, to be stopped, killed or watched."""
        return subprocess.Popen(
            [sys.executable, "-m", "imgbake", *args],
            cwd=self.root,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, path: str, seconds: float = 20) -> Path:
        """Waits until a file is there. Raises TimeoutError."""
        last = time.monotonic() + seconds
        while not (self.root / path).exists():
            if time.monotonic() > last:
                raise TimeoutError(f"{path} did not appear in {seconds} s")
            time.sleep(0.01)
        return self.root / path


def _good(ran: Ran) -> Ran:
    assert ran.code == 0, f"exit code {ran.code}\n{ran.stdout}\n{ran.stderr}"
    return ran
