"""Checksums as a recipe writes them: `sha256:<hex>` or `sha512:<hex>`."""

from __future__ import annotations

from pathlib import Path

from imgbake.api import RunContext, StepError

_LENGTHS = {"sha256": 64, "sha512": 128}
_CHUNK = 1 << 20


def checked(text: str) -> None:
    """Raises ValueError when this is not a checksum. What still holds a recipe argument passes."""
    if "{{" in text:
        return
    algorithm, _, value = text.partition(":")
    length = _LENGTHS.get(algorithm)
    if length is None:
        raise ValueError(f"`checksum` is 'sha256:<hex>' or 'sha512:<hex>', and {text!r} is neither")
    if len(value) != length or set(value.lower()) - set("0123456789abcdef"):
        raise ValueError(
            f"`checksum` needs {length} hex digits after '{algorithm}:', and {value!r} is not that"
        )


def verify(path: Path, expected: str, what: str, ctx: RunContext) -> None:
    """Raises StepError when the file's content has another checksum."""
    import hashlib

    algorithm, _, value = expected.partition(":")
    hashing = hashlib.new(algorithm)
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            ctx.check()
            hashing.update(piece)
    if hashing.hexdigest() != value.lower():
        raise StepError(
            f"{what} has the checksum {algorithm}:{hashing.hexdigest()}, expected {algorithm}:{value}",
            hint="it was changed on the server or damaged on its way; if it is right, write its checksum",
        )
