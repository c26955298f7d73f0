"""One run of Packer: its folder written, its output followed, its manifest read."""

from __future__ import annotations

import os
import secrets as randomness
import time
from pathlib import Path
from typing import Any

import msgspec

from imgbake.api import Artifact, BakeError, Blueprint, Lowered, RunContext, digest
from imgbake_oci import layers
from imgbake_oci.compression import Format
from imgbake_oci.folders import Folders
from imgbake_packer import amazon, aws, lowering, program, scripts, words
from imgbake_packer.options import Options
from imgbake_packer.reporting import Report

_VAR_FILE = "values.pkrvars.json"
_ARCHIVE = Format("gzip", 6)
_PRIVATE = 0o600


class Build(msgspec.Struct):
    """What Packer's manifest says of one build; its other members are not needed."""

    builder_type: str
    artifact_id: str = ""
    files: list[dict[str, Any]] | None = None


class _Manifest(msgspec.Struct):
    builds: list[Build] = []


def bake(blueprint: Blueprint, lowered: Lowered, options: Options, ctx: RunContext) -> Artifact:
    """Bakes an image. Raises BakeError; then nothing of it is left."""
    folder = ctx.work / "packer"
    folder.mkdir()
    _write(folder / lowering.TEMPLATE, lowering.template(blueprint, options, limits=True))
    if text := lowered.documents.get(lowering.PLUGINS):
        _write(folder / lowering.PLUGINS, text)
    for name, text in scripts.scripts(blueprint, ctx.reveal).items():
        _write(folder / name, text)
    for layer in blueprint.layers:
        if layer.files:
            made = layers.make(layer, Folders(), _ARCHIVE, blueprint.epoch, ctx)
            ctx.blobs.link(made.digest, folder / scripts.archive_name(layer))
    _run(folder, blueprint, options, ctx)
    build = _manifest(folder)
    if options.builder:
        return _other(build, lowered)
    return _ami(build, blueprint, options)


def test(artifact: Artifact, blueprint: Blueprint, options: Options, ctx: RunContext) -> None:
    """Runs the test phase on an instance of the image, which is removed again. Raises StepError."""
    folder = ctx.work / "packer"
    folder.mkdir()
    _write(folder / lowering.TEMPLATE, lowering.test_template(blueprint, options, artifact))
    if text := lowering.plugins_document(options):
        _write(folder / lowering.PLUGINS, text)
    for name, text in scripts.test_scripts(blueprint, ctx.reveal).items():
        _write(folder / name, text)
    _run(folder, blueprint, options, ctx)


def _run(folder: Path, blueprint: Blueprint, options: Options, ctx: RunContext) -> None:
    for layer in blueprint.layers:
        for name in layer.setup.secrets:
            _write(folder / scripts.secret_name(name), _revealed(name, ctx))
    _write(folder / _VAR_FILE, msgspec.json.encode(_values(options, ctx)).decode())
    found = program.version(ctx)
    if (folder / lowering.PLUGINS).exists():
        if program.has_plugins(found):
            program.init(folder, ctx)
        else:
            (folder / lowering.PLUGINS).unlink()
    report = Report(blueprint, folder, ctx.log)
    code = program.build(folder, folder / _VAR_FILE, report.take, ctx)
    if code:
        raise report.failure(code)


def _write(path: Path, text: str) -> None:
    """A file that nobody else may read: it may hold a secret."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "w", encoding="utf-8") as file:
        file.write(text)


def _values(options: Options, ctx: RunContext) -> dict[str, str]:
    """The variables of the template."""
    found = {words.variable(name): _revealed(name, ctx) for name in lowering.secrets(options)}
    if not options.builder:
        found[amazon.STAMP] = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{randomness.token_hex(3)}"
        capacity = {name: ctx.reveal(getattr(options, name)) for name in amazon.CAPACITY}
        found |= {name: value for name, value in capacity.items() if value}
        found[amazon.ENDPOINT] = aws.endpoint("ec2", options.profile)
    return found


def _revealed(name: str, ctx: RunContext) -> str:
    reference = "{{ " + name + " }}"
    value = ctx.reveal(reference)
    if value == reference:
        hint = "secrets are arguments with `secret = true`; Packer's own templates can't be told from them"
        raise BakeError(f"there is no secret argument '{name}'", hint=hint)
    return value


def _manifest(folder: Path) -> Build | None:
    """What Packer made; None for a builder that makes nothing, such as `null`."""
    try:
        manifest = msgspec.json.decode((folder / lowering.MANIFEST).read_bytes(), type=_Manifest)
    except FileNotFoundError:
        return None
    return manifest.builds[-1] if manifest.builds else None


def _ami(build: Build | None, blueprint: Blueprint, options: Options) -> Artifact:
    """The AMIs by region. Packer writes them as REGION:ID,REGION:ID."""
    pairs = [pair.partition(":") for pair in build.artifact_id.split(",")] if build else []
    regions = {region: ami for region, _, ami in pairs if ami}
    if not regions:
        raise BakeError("Packer ended well and names no AMI", hint="`skip_create_ami` makes none")
    first = amazon.region(blueprint, options)
    ordered = {region: regions[region] for region in sorted(regions, key=lambda each: (each != first, each))}
    facts: dict[str, Any] = {"regions": ordered}
    if architecture := blueprint.base.facts.get("architecture"):
        facts["architecture"] = architecture
    made = digest.of_bytes(msgspec.json.encode(ordered))
    return Artifact("ami", made, next(iter(ordered.values())), facts)


def _other(build: Build | None, lowered: Lowered) -> Artifact:
    """What another builder made, which only Packer can name."""
    if build is None:
        made = digest.of_bytes(msgspec.json.encode(lowered.documents, order="sorted"))
        return Artifact("ami", made)
    files = [str(file.get("name", "")) for file in build.files or ()]
    facts = {"builder": build.builder_type, "files": files}
    return Artifact("ami", digest.of_bytes(build.artifact_id.encode()), build.artifact_id, facts)
