"""The target: what a recipe may say of it, and how an image is made."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from imgbake.api import (
    Artifact,
    BakeError,
    Blobs,
    Blueprint,
    Lowered,
    ResolveContext,
    RunContext,
    StepError,
    digest,
)
from imgbake_squashfs import environment, pseudo, refusals, staging
from imgbake_squashfs.listing import listing

_LEVELS = {"gzip": range(1, 10), "lzo": range(1, 10), "zstd": range(1, 23)}


class SquashfsOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a recipe says of a squashfs image."""

    compression: Annotated[
        Literal["gzip", "lz4", "lzo", "xz", "zstd"], Meta(description="How data is compressed")
    ] = "zstd"
    level: Annotated[
        int | None, Meta(description="How hard gzip (1 to 9), lzo (1 to 9) or zstd (1 to 22) tries")
    ] = None
    block_size: Annotated[
        int, Meta(description="Bytes that are compressed at once, a power of two", ge=4096, le=1 << 20)
    ] = 128 << 10
    environment_file: Annotated[
        str, Meta(description="Where variables are written, such as /etc/environment; else they are refused")
    ] = ""

    def __post_init__(self) -> None:
        levels = _LEVELS.get(self.compression)
        if self.level is not None and levels is None:
            raise ValueError(f"`level`: {self.compression} has none")
        if self.level is not None and levels is not None and self.level not in levels:
            raise ValueError(f"`level`: {self.compression} knows {levels.start} to {levels.stop - 1}")
        if self.block_size & (self.block_size - 1):
            raise ValueError(f"`block_size`: {self.block_size} is no power of two")
        if self.environment_file and not self.environment_file.startswith("/"):
            raise ValueError("`environment_file` is a path in the image: it begins with a slash")

    @property
    def arguments(self) -> tuple[str, ...]:
        """The same for mksquashfs."""
        level = () if self.level is None else ("-Xcompression-level", str(self.level))
        return ("-comp", self.compression, *level, "-b", str(self.block_size))


class Squashfs:
    """Bakes components into a squashfs file system image."""

    kind: ClassVar[str] = "squashfs"
    version: ClassVar[int] = 1
    artifact: ClassVar[str] = "squashfs"
    phases: ClassVar[frozenset[str]] = frozenset()  # nothing is run: there is no system to run it in

    def __init__(self, options: SquashfsOptions) -> None:
        self.options = options

    def lower(self, blueprint: Blueprint) -> Lowered:
        """A pseudo file of mksquashfs: owner and permissions of every path, and all symlinks.

        Raises BakeError for what a file system can't say.
        """
        refusals.check(blueprint, self.options.environment_file)
        nodes = listing(blueprint.layers, environment.entry(blueprint, self.options.environment_file))
        command = pseudo.command("root", "image.squashfs", "root.pseudo", self._arguments(blueprint))
        documents = {"root.pseudo": pseudo.text(nodes, command)}
        if self.options.environment_file:
            documents["environment"] = environment.text(blueprint)
        return Lowered(documents)

    def bake(self, blueprint: Blueprint, lowered: Lowered, ctx: RunContext) -> Artifact:
        """Copies the files into a folder, and has mksquashfs pack it as the pseudo file says."""
        if shutil.which("mksquashfs") is None:
            raise StepError("mksquashfs is not installed", hint="it is in the package squashfs-tools")
        nodes = listing(blueprint.layers, environment.entry(blueprint, self.options.environment_file))
        root = ctx.work / "root"
        staging.stage(nodes, root, lowered.documents.get("environment", ""), ctx)
        definitions = ctx.work / "root.pseudo"
        definitions.write_text(lowered.documents["root.pseudo"])
        image = ctx.work / "image.squashfs"
        ctx.run(pseudo.command(str(root), str(image), str(definitions), self._arguments(blueprint)))
        size = image.stat().st_size
        made = ctx.blobs.add_file(image)
        return Artifact("squashfs", made, facts={"size": size, "files": len(nodes)}, blobs=(made,))

    def test(self, artifact: Artifact, blueprint: Blueprint, ctx: RunContext) -> None:
        """Never called, as `phases` says."""
        raise BakeError("a squashfs image can't be tested: nothing runs in it")

    def present(self, artifact: Artifact, ctx: ResolveContext) -> bool:
        """Is the image still in the store?"""
        return ctx.blobs.has(artifact.digest)

    def formats(self) -> tuple[str, ...]:
        """What `imgbake export` can write."""
        return ("squashfs",)

    def export(self, artifact: Artifact, blobs: Blobs, to: Path, form: str, name: str) -> None:
        """Writes the image to a path. Raises BakeError when it is gone from the store."""
        beside = to.with_name(f".{to.name}.new")
        try:
            shutil.copyfile(blobs.path(artifact.digest), beside)
            beside.replace(to)
        except KeyError:
            hint = f"`imgbake build {name}` makes it again"
            raise BakeError(f"{digest.short(artifact.digest)} is no longer in the store", hint=hint) from None
        finally:
            beside.unlink(missing_ok=True)

    def push(self, artifact: Artifact, ctx: RunContext) -> tuple[str, ...]:
        """There is nowhere to push to. Raises BakeError."""
        raise BakeError("a squashfs image can't be pushed", hint="`imgbake export` writes it to a file")

    def _arguments(self, blueprint: Blueprint) -> tuple[str, ...]:
        epoch = str(blueprint.epoch)
        return (*self.options.arguments, "-mkfs-time", epoch, "-all-time", epoch)
