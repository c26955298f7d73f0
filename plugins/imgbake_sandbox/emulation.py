"""Programs for other processors: does the kernel hand them to an emulator (binfmt_misc)?

What a handler takes is compared with how such a program begins, and not its name: each tool that registers
handlers gives them names of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

HANDLERS = Path("/proc/sys/fs/binfmt_misc")

# By GOARCH: the class, the byte order and the machine of an ELF header (elf(5)).
_MACHINES = {
    "386": (1, 1, 3),
    "amd64": (2, 1, 62),
    "arm": (1, 1, 40),
    "arm64": (2, 1, 183),
    "loong64": (2, 1, 258),
    "mips": (1, 2, 8),
    "mips64": (2, 2, 8),
    "mips64le": (2, 1, 8),
    "mipsle": (1, 1, 8),
    "ppc64": (2, 2, 21),
    "ppc64le": (2, 1, 21),
    "riscv64": (2, 1, 243),
    "s390x": (2, 2, 22),
}


def refusal(architecture: str) -> tuple[str, str] | None:
    """Why programs for an architecture can't run, and what to do about it; None when they can.

    Only a handler with flag F serves: the kernel has opened its emulator, which no image has.
    """
    start = _start(architecture)
    flags = [fields.get("flags:", "") for fields in _enabled(HANDLERS) if start and _takes(fields, start)]
    if any("F" in each for each in flags):
        return None
    message = f"binfmt_misc has no emulator for {architecture}" + (" with flag F" if flags else "")
    return message, "register one with flag F, as the package qemu-user-static does"


def _start(architecture: str) -> bytes:
    """How a program for it begins; nothing for one that we don't know."""
    if architecture not in _MACHINES:
        return b""
    bits, order, machine = _MACHINES[architecture]
    byteorder: Literal["little", "big"] = "little" if order == 1 else "big"
    kind = (2).to_bytes(2, byteorder)  # an executable
    return b"\x7fELF" + bytes((bits, order, 1)) + bytes(9) + kind + machine.to_bytes(2, byteorder)


def _enabled(handlers: Path) -> Iterator[Mapping[str, str]]:
    """What each enabled handler says of itself, by the first word of its lines."""
    try:
        paths = [path for path in sorted(handlers.iterdir()) if path.name not in ("register", "status")]
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in paths]
        is_on = (handlers / "status").read_text(encoding="ascii").strip() == "enabled"
    except OSError:  # not mounted
        return
    for text in texts if is_on else ():
        first, *lines = text.splitlines()
        if first == "enabled":
            yield {word: value for word, _, value in (line.partition(" ") for line in lines)}


def _takes(fields: Mapping[str, str], start: bytes) -> bool:
    """Does a handler take files that begin so?"""
    magic, offset = bytes.fromhex(fields.get("magic", "")), int(fields.get("offset", "0"))
    mask = bytes.fromhex(fields.get("mask", "ff" * len(magic)))
    part = start[offset : offset + len(magic)]
    if not magic or len(part) < len(magic):
        return False
    return all((one ^ other) & bits == 0 for one, other, bits in zip(part, magic, mask, strict=True))
