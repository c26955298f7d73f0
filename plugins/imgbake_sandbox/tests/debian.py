"""A Debian base by debootstrap, and packages to install on it, all from the archive that apt uses here."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest

from imgbake_oci.tests.baked import program

_SMALLEST = ("?essential", "?priority(required)", "apt", "usr-is-merged")
_INDEXES = "$(LABEL) $(CODENAME) $(REPO_URI)"


class Archive(NamedTuple):
    """A Debian archive that apt knows: the name of the release, and the address."""

    release: str
    address: str


def archive() -> Archive:
    """The one of this machine's release. Skips where apt knows none, or fails where services are required."""
    command = [program("apt-get"), "indextargets", "--format", _INDEXES, "Created-By: Packages"]
    for line in _printed(command).splitlines():
        label, _, rest = line.partition(" ")
        release, _, address = rest.partition(" ")
        if label == "Debian" and "-" not in release:
            return Archive(release, address)
    lacking("apt knows no archive of Debian: run `apt-get update`")


def bootstrap(found: Archive, to: Path, packages: Path) -> None:
    """Makes the smallest Debian, with the packages that are downloaded into an empty folder. For root."""
    command = program("debootstrap")
    if os.geteuid() != 0:
        lacking("debootstrap needs root")
    download(_SMALLEST, Path("/dev/null"), packages)  # which takes a second, and debootstrap a minute
    options = ["--variant=minbase", f"--cache-dir={packages}"]
    _printed([command, *options, found.release, str(to), found.address])


def download(packages: Sequence[str], installed: Path, to: Path) -> None:
    """Downloads packages and what they need besides what is installed, by a dpkg status file."""
    (to / "partial").mkdir(parents=True)
    options = {
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "true",
        "Dir::Cache::archives": to,
        "Dir::State::status": installed,
        "APT::Install-Recommends": "false",
    }
    said = [f"--option={name}={value}" for name, value in options.items()]
    _printed(["apt-get", "--quiet=2", "--yes", "--download-only", *said, "install", *packages])
    (to / "partial").rmdir()


def lacking(reason: str) -> NoReturn:
    """Skips the test for lack of something, or fails where services are required."""
    if os.environ.get("IMGBAKE_REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def _printed(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout
