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
from imgbake_oci import bases, compression, kept, layouts, media_types, running, sources, testing
from imgbake_oci.compression import Format
from imgbake_oci.configuring import configuration, timestamp
from imgbake_oci.descriptor import Descriptor, Platform, platform
from imgbake_oci.documents import descriptor_document, encoded
from imgbake_oci.options import Options
from imgbake_oci.reference import parse
from imgbake_oci.stacking import stacked

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
        folder = self._free(self._place(blueprint), ctx.root)
        return kept.keep(images, self._annotations(blueprint), folder, ctx)

    def test(self, artifact: Artifact, blueprint: Blueprint, ctx: RunContext) -> None:
        testing.test(artifact, blueprint, ctx)

    def present(self, artifact: Artifact, ctx: ResolveContext) -> bool:
        return kept.present(artifact, ctx)

    def restorable(self, artifact: Artifact, ctx: ResolveContext) -> bool:
        return kept.restorable(artifact, ctx)

    def restore(self, artifact: Artifact, ctx: RunContext) -> bool:
        self._free(str(artifact.facts["layout"]), ctx.root)
        return kept.restore(artifact, ctx)

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
        return kept.place(blueprint.image, blueprint.target)

    def _free(self, folder: str, root: Path) -> str:
        """The same, once it is seen to lie in the project and to hold nothing else. Raises BakeError."""
        if not os.path.realpath(root / folder).startswith(os.path.realpath(root) + os.sep):
            hint = "a symlink leads out of it: name another folder"
            raise BakeError(f"the layout '{folder}' is not inside the project", hint=hint)
        if self._options.layout:
            layouts.require_free(root / folder)
        return folder

    def _image(self, blueprint: Blueprint, wanted: Platform | None, ctx: RunContext) -> kept.Image:
        """One platform's image: its layers, configuration and manifest, all in the store."""
        format = self._format()
        base = bases.fetch(blueprint.base, wanted, format, ctx)
        if runs := [layer.component for layer in blueprint.layers if layer.build or layer.validate]:
            running.require_platform(base.platform, f"component '{runs[0]}'", ctx)
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
        return kept.Image(descriptor, base.platform, stack, document["config"]["digest"])

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
