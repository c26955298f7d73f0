"""What binfmt_misc says, in the words of the kernel; and a program for another processor, really run."""

from __future__ import annotations

import json
import os
import platform
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from imgbake.testing.project import Project
from imgbake_sandbox import emulation
from imgbake_sandbox.identity import candidates

AARCH64 = """\
enabled
interpreter /usr/bin/qemu-aarch64-static
flags: POF
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
"""
QEMU = Path("/usr/lib/binfmt.d/qemu-aarch64.conf")
# Runs a line of shell as root of a namespace, whose handlers are not the machine's.
APART = """
import os, sys
from imgbake_sandbox import kernel, namespaces
from imgbake_sandbox.identity import candidates
found = next(candidates())
uids, gids = ([tuple(map(str, line)) for line in lines] for lines in (found.uids, found.gids))
namespaces.enter(kernel.CLONE_NEWNS, found.kind, uids, gids)
os.execvp("sh", ["sh", "-c", sys.argv[1]])
"""
HAS_HANDLERS_OF_NAMESPACES = tuple(int(part) for part in platform.release().split(".")[:2]) >= (6, 7)


@pytest.fixture
def handlers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of handlers, with one for arm64."""
    folder = tmp_path / "binfmt_misc"
    folder.mkdir()
    (folder / "status").write_text("enabled\n")
    (folder / "register").touch(mode=0o200)
    (folder / "python3.11").write_text("enabled\ninterpreter /usr/bin/python3\nflags: \nextension .pyc\n")
    (folder / "by any name").write_text(AARCH64)
    monkeypatch.setattr(emulation, "HANDLERS", folder)
    return folder


def test_a_handler_serves_the_architecture_whose_programs_it_takes(handlers: Path) -> None:
    assert emulation.refusal("arm64") is None
    for other in ("arm", "riscv64", "s390x", "pdp11"):
        assert emulation.refusal(other) == (
            f"binfmt_misc has no emulator for {other}",
            "register one with flag F, as the package qemu-user-static does",
        )


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("by any name", "enabled", "disabled"),
        ("by any name", "00b700", "003e00"),
        ("by any name", "offset 0", "offset 40"),
        ("status", "enabled", "disabled"),
    ],
)
def test_a_handler_that_does_not_take_such_a_program(handlers: Path, file: str, old: str, new: str) -> None:
    path = handlers / file
    path.write_text(path.read_text().replace(old, new))
    assert emulation.refusal("arm64") is not None


def test_an_emulator_that_the_image_would_have_to_hold(handlers: Path) -> None:
    (handlers / "by any name").write_text(AARCH64.replace("POF", "PO"))
    message, _ = emulation.refusal("arm64") or ("", "")
    assert message == "binfmt_misc has no emulator for arm64 with flag F"


def test_where_nothing_is_mounted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(emulation, "HANDLERS", tmp_path / "none")
    assert emulation.refusal("arm64") is not None


@pytest.mark.skipif(not HAS_HANDLERS_OF_NAMESPACES, reason="needs Linux 6.7, whose namespaces have handlers")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="bakes for arm64, which is foreign to amd64")
@pytest.mark.skipif(next(candidates()).kind == "single", reason="needs subordinate ids: see subuid(5)")
@pytest.mark.skipif(
    not QEMU.exists() and os.environ.get("IMGBAKE_REQUIRE_SERVICES") != "1",
    reason="qemu-user-static is not installed",
)
def test_commands_of_an_image_for_another_processor(project: Project) -> None:
    project.write("sh", program_for_arm64())
    project.recipe("""
        [components.shell]
        files = [{ from = "sh", to = "/bin/sh", mode = "0755" }]
        [components.made]
        needs = ["shell"]
        build = "any words: this shell always does the same"
        test = "as here"
        [images.app]
        base = "scratch"
        components = ["made"]
        targets = ["other"]
        [targets.other]
        uses = "oci"
        platforms = ["linux/arm64"]
    """)
    register = f"mount -t binfmt_misc none {emulation.HANDLERS} && cat {QEMU} >{emulation.HANDLERS}/register"
    bake = f"{sys.executable} -m imgbake build --format json --progress plain"
    command = [sys.executable, "-c", APART, f"{register} && exec {bake}"]
    ran = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    outcomes = {node["node"]: node["outcome"] for node in json.loads(ran.stdout)["nodes"]}
    assert outcomes["image:app@other"] == outcomes["test:app@other"] == "ran"
    assert "-- made: build" in ran.stderr and "-- made: test" in ran.stderr
    assert "made" in names_in(project.root / ".imgbake/images/app/other")


def names_in(layout: Path) -> set[str]:
    """The names in all layers of an image."""
    names: set[str] = set()
    for blob in (layout / "blobs/sha256").iterdir():
        if tarfile.is_tarfile(blob):
            with tarfile.open(blob) as layer:
                names.update(layer.getnames())
    return names


def program_for_arm64() -> bytes:
    """The smallest program that makes the folder /made: mkdirat(AT_FDCWD, "/made", 0755), then exit(0)."""
    instructions = (
        0x92800C60,  # mov x0, #-100
        0x100000E1,  # adr x1, the path: seven instructions further
        0xD2803DA2,  # mov x2, #0755
        0xD2800448,  # mov x8, #34 (mkdirat)
        0xD4000001,  # svc #0
        0xD2800000,  # mov x0, #0
        0xD2800BA8,  # mov x8, #93 (exit)
        0xD4000001,  # svc #0
    )
    code = struct.pack(f"<{len(instructions)}I", *instructions) + b"/made\0"
    at, headers = 0x400000, 64 + 56
    size = headers + len(code)
    start = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)
    header = struct.pack("<HHIQQQIHHHHHH", 2, 183, 1, at + headers, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, at, at, size, size, 0x1000)
    return start + header + segment + code
