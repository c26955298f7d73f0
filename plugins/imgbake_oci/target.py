"""The embedded OCI target: images assembled in this process, without a daemon.

    base ── fetched, verified ──┐
    component ── layer ─────────┼── configuration ── manifest ──(several platforms)── index ── layout
    component ── layer ─────────┘

Everything is a blob in the store; the layout in `.imgbake/images` is made of links to them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from imgbake.api import (
    Artifact,
    BakeError,
    Blobs,
    Blueprint,
    Copied,
    Layer,
    Lowered,
    ResolveContext,
    RunContext,
    Setup,
)
from imgbake.api import digest as digests
from imgbake_oci import bases, compression, layouts, media_types, sources, testing
from imgbake_oci.bases import Base
from imgbake_oci.compression import Format
from imgbake_oci.configuring import configuration, timestamp
from imgbake_oci.descriptor import Descriptor, Platform, platform
from imgbake_oci.documents import descriptor_document, encoded
from imgbake_oci.options import Options
from imgbake_oci.reference import parse
from imgbake_oci.stacking import stacked

TAG = "latest"
"""What a layout calls its image."""

_ANNOTATION = "org.opencontainers.image."


class Oci:
    """Assembles OCI images in this process, one layer per component; needs no daemon and no root."""

    kind: ClassVar[str] = "oci"
    version: ClassVar[int] = 1
    artifact: ClassVar[str] = "container"
    phases: ClassVar[frozenset[str]] = frozenset({"build", "validate", "test"})

    def __init__(self, options: Options) -> None:
        self._options = options

    def outputs(self, image: str) -> tuple[str, ...]:
        """The layout's folder, if the recipe names one."""
        return (os.path.normpath(self._options.layout),) if self._options.layout else ()

    def lower(self, blueprint: Blueprint) -> Lowered:
        document = {
            "layout": self._place(blueprint),
            "base": {"reference": blueprint.base.reference, "digest": blueprint.base.digest},
            "platforms": [
                str(each) if each else f"as the base, or {bases.host()}" for each in self._platforms()
            ],
            "layers": [_layer_document(layer) for layer in blueprint.layers],
            "config": _plain(blueprint.config),
            "created": timestamp(blueprint.epoch),
            "compression": str(self._format()),
            "annotations": self._annotations(blueprint),
        }
        text = msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
        return Lowered({"image.json": text + "\n"})

    def bake(self, blueprint: Blueprint, lowered: Lowered, ctx: RunContext) -> Artifact:
        images = [self._image(blueprint, each, ctx) for each in self._platforms()]
        root, needed = self._root(images, blueprint, ctx)
        folder = self._free(self._place(blueprint), ctx.root)
        layouts.write(ctx.root / folder, root, TAG, needed, ctx.blobs)
        facts = {
            "media_type": root.media_type,
            "size": root.size,
            "layout": folder,
            "platforms": [str(image.platform) for image in images],
            "layers": [layer.digest for layer in images[0].layers],
        }
        proof = tuple(f"{folder}/{file}" for file in layouts.files(needed))
        return Artifact("container", root.digest, f"oci:{folder}", facts, tuple(needed), proof)

    def test(self, artifact: Artifact, blueprint: Blueprint, ctx: RunContext) -> None:
        testing.test(artifact, blueprint, ctx)

    def present(self, artifact: Artifact, ctx: ResolveContext) -> bool:
        """Is the layout whole, and in the store as well?"""
        folder = ctx.root / str(artifact.facts["layout"])
        try:
            (folder / "oci-layout").stat()
            if artifact.digest.encode() not in (folder / "index.json").read_bytes():
                return False
            return all(
                _is_linked(digest, layouts.blob(folder, digest), ctx.blobs) for digest in artifact.blobs
            )
        except (OSError, KeyError):
            return False

    def restorable(self, artifact: Artifact, ctx: ResolveContext) -> bool:
        """Is every blob in the store, or in the layout?"""
        folder = ctx.root / str(artifact.facts["layout"])
        return all(
            _is_kept(digest, ctx.blobs) or _is_sound(layouts.blob(folder, digest), digest)
            for digest in artifact.blobs
        )

    def restore(self, artifact: Artifact, ctx: RunContext) -> bool:
        """Gives the store what it has lost of the layout, and makes the layout whole from the store."""
        facts = artifact.facts
        folder = ctx.root / self._free(facts["layout"], ctx.root)
        for digest in artifact.blobs:
            ctx.check()
            kept = layouts.blob(folder, digest)
            if not _is_kept(digest, ctx.blobs) and not (
                _is_sound(kept, digest) and ctx.blobs.add_file(kept) == digest
            ):
                return False
        platforms = [platform(text) for text in facts["platforms"]]
        of_root = platforms[0] if facts["media_type"] == media_types.MANIFEST else None
        root = Descriptor(facts["media_type"], artifact.digest, facts["size"], platform=of_root)
        layouts.write(folder, root, TAG, artifact.blobs, ctx.blobs)
        return True

    def shell(
        self,
        artifact: Artifact | None,
        blueprint: Blueprint,
        at: str,
        commands: tuple[str, ...],
        ctx: RunContext,
    ) -> int:
        """Runs commands for the user, or a shell, in a throw-away copy of the image for this machine."""
        from imgbake_oci import entering

        return entering.shell(artifact, blueprint, at, commands, self._format(), ctx)

    def formats(self) -> tuple[str, ...]:
        return ("oci", "oci-archive", "docker-archive")

    def export(self, artifact: Artifact, blobs: Blobs, to: Path, form: str, name: str) -> None:
        from imgbake_oci import exporting

        exporting.export(artifact, blobs, to, form, name.partition("@")[0], self._options.tags)

    def push(self, artifact: Artifact, ctx: RunContext) -> tuple[str, ...]:
        from imgbake_oci import pushing

        return pushing.push(artifact, self._options.tags, ctx)

    def _platforms(self) -> tuple[Platform | None, ...]:
        return tuple(platform(text) for text in self._options.platforms) or (None,)

    def _format(self) -> Format:
        return compression.chosen(self._options.compression, self._options.level)

    def _place(self, blueprint: Blueprint) -> str:
        """The layout's folder, relative to the project."""
        if self._options.layout:
            return os.path.normpath(self._options.layout)
        return f".imgbake/images/{blueprint.image}/{blueprint.target}"

    def _free(self, folder: str, root: Path) -> str:
        """The same, once it is seen to lie in the project and to hold nothing else. Raises BakeError."""
        if not os.path.realpath(root / folder).startswith(os.path.realpath(root) + os.sep):
            hint = "a symlink leads out of it: name another folder"
            raise BakeError(f"the layout '{folder}' is not inside the project", hint=hint)
        if self._options.layout:
            layouts.require_free(root / folder)
        return folder

    def _image(self, blueprint: Blueprint, wanted: Platform | None, ctx: RunContext) -> _Image:
        """One platform's image: its layers, configuration and manifest, all in the store."""
        format = self._format()
        base = bases.fetch(blueprint.base, wanted, format, ctx)
        _require_runnable(blueprint, base)
        added = stacked(blueprint, base, format, ctx)
        config = configuration(base, blueprint, [(each.component, each.layer.diff_id) for each in added])
        config_data = encoded(config)
        stack = (*base.layers, *(each.layer.descriptor for each in added))
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": media_types.MANIFEST,
            "config": descriptor_document(
                Descriptor(media_types.CONFIG, ctx.blobs.add_bytes(config_data), len(config_data))
            ),
            "layers": [descriptor_document(layer) for layer in stack],
            "annotations": self._annotations(blueprint),
        }
        data = encoded(document)
        digest = ctx.blobs.add_bytes(data)
        descriptor = Descriptor(media_types.MANIFEST, digest, len(data), platform=base.platform)
        return _Image(descriptor, base.platform, stack, document["config"]["digest"])

    def _root(
        self, images: list[_Image], blueprint: Blueprint, ctx: RunContext
    ) -> tuple[Descriptor, list[str]]:
        """The image's manifest, or the index over several, and every blob that belongs to it."""
        needed = dict.fromkeys(
            digest
            for image in images
            for digest in (image.manifest.digest, image.config, *(layer.digest for layer in image.layers))
        )
        if len(images) == 1:
            return images[0].manifest, list(needed)
        document = {
            "schemaVersion": 2,
            "mediaType": media_types.INDEX,
            "manifests": [descriptor_document(image.manifest) for image in images],
            "annotations": self._annotations(blueprint),
        }
        data = encoded(document)
        root = Descriptor(media_types.INDEX, ctx.blobs.add_bytes(data), len(data))
        return root, [root.digest, *needed]

    def _annotations(self, blueprint: Blueprint) -> dict[str, str]:
        """What is known of every image, then what the recipe says (image-spec, annotations.md)."""
        known = {
            "created": timestamp(blueprint.epoch),
            "title": blueprint.image,
        }
        if blueprint.base.digest:
            known["base.digest"] = blueprint.base.digest
            if sources.is_remote(blueprint.base.reference):
                known["base.name"] = str(parse(blueprint.base.reference))
        said = {**blueprint.config.annotations, **self._options.annotations}
        return dict(sorted(({_ANNOTATION + name: value for name, value in known.items()} | said).items()))


def _is_linked(digest: str, kept: Path, blobs: Blobs) -> bool:
    """Is a blob of a layout that of the store, or one with the same content?

    Raises OSError when the layout lacks it, KeyError when the store does.
    """
    return kept.samefile(blobs.path(digest)) or digests.of_file(kept) == digest


def _is_kept(digest: str, blobs: Blobs) -> bool:
    """Has the store this blob?"""
    try:
        blobs.path(digest)
    except KeyError:
        return False
    return True


def _is_sound(kept: Path, digest: str) -> bool:
    """Is this a file with this content?"""
    try:
        return digests.of_file(kept) == digest
    except OSError:
        return False


class _Image(msgspec.Struct, frozen=True):
    manifest: Descriptor
    platform: Platform
    layers: tuple[Descriptor, ...]
    config: str


def _require_runnable(blueprint: Blueprint, base: Base) -> None:
    """Commands run on this machine's processor. Raises BakeError for another."""
    host = bases.host()
    runs = [layer.component for layer in blueprint.layers if layer.build or layer.validate]
    if runs and (base.platform.os, base.platform.architecture) != (host.os, host.architecture):
        hint = "bake it on such a machine, or leave that platform out"
        raise BakeError(
            f"component '{runs[0]}' can't run its commands for {base.platform} on {host}", hint=hint
        )


def _layer_document(layer: Layer) -> dict[str, Any]:
    document: dict[str, Any] = {"component": layer.component}
    for phase in ("build", "validate", "test"):
        if commands := getattr(layer, phase):
            document[phase] = list(commands)
    if layer.setup != Setup():
        document["setup"] = msgspec.to_builtins(layer.setup)
    if layer.files:
        document["files"] = [copy_document(copied) for copied in layer.files]
    if layer.env:
        document["env"] = layer.env
    return document


def copy_document(copied: Copied) -> dict[str, Any]:
    """A copy by content: neither where it came from nor when."""
    document: dict[str, Any] = {
        "to": copied.to,
        "entries": len(copied.tree.entries),
        "tree": copied.tree.digest,
    }
    if copied.mode is not None:
        document["mode"] = f"{copied.mode:04o}"
    if copied.owner != (0, 0):
        document["owner"] = "{}:{}".format(*copied.owner)
    if copied.unpack:
        document["unpack"] = True
    if copied.exclude:
        document["exclude"] = list(copied.exclude)
    return document


def _plain(config: msgspec.Struct) -> dict[str, Any]:
    """The members that say something."""
    return {
        name: value for name, value in msgspec.to_builtins(config).items() if value not in (None, {}, [], ())
    }
