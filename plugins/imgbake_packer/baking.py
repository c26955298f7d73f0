"""One run of Packer: its folder written, its output followed, its manifest read."""

from __future__ import annotations

import os
import posixpath
import secrets as randomness
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from imgbake.api import Artifact, BakeError, Blueprint, Lowered, RunContext, digest
from imgbake_aws import leavings, outcome, owned, sdk, tags
from imgbake_oci import layers
from imgbake_oci.compression import Format
from imgbake_oci.folders import Folders
from imgbake_packer import amazon, lowering, program, scripts, words
from imgbake_packer.options import Options
from imgbake_packer.reporting import Report
from imgbake_packer.template import TemplateOptions

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
    told = tags.lowered(lowered.documents)
    if blueprint.described is not None:
        return _bake_described(blueprint, blueprint.described.plan, options, told, ctx)
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
    regions = () if options.builder else (amazon.region(blueprint, options), *options.ami_regions)
    _run(folder, blueprint, options, regions, told, ctx)
    build = _manifest(folder)
    if options.builder:
        return _other(build, lowered)
    amis = _amis([build.artifact_id] if build else [])
    return outcome.artifact(amis, regions[0], options.profile)


def test(artifact: Artifact, blueprint: Blueprint, options: Options, ctx: RunContext) -> None:
    """Runs the test phase on an instance of the image, which is removed again. Raises StepError."""
    folder = ctx.work / "packer"
    folder.mkdir()
    _write(folder / lowering.TEMPLATE, lowering.test_template(blueprint, options, artifact))
    if text := lowering.plugins_document(options):
        _write(folder / lowering.PLUGINS, text)
    for name, text in scripts.test_scripts(blueprint, ctx.reveal).items():
        _write(folder / name, text)
    _run(folder, blueprint, options, tuple(artifact.facts["regions"]), "", ctx)


def _run(
    folder: Path,
    blueprint: Blueprint,
    options: Options,
    regions: tuple[str, ...],
    told: str,
    ctx: RunContext,
) -> None:
    """Runs Packer in its folder. `regions` are those where it makes something, `told` is for a tag."""
    for layer in blueprint.layers:
        for name in layer.setup.secrets:
            _write(folder / scripts.secret_name(name), _revealed(name, ctx))
    stamp = _stamp()
    values = _values(options, ctx)
    if not options.builder:
        values |= {amazon.STAMP: stamp, amazon.PROJECT: ctx.project, amazon.LOWERED: told}
    _write(folder / lowering.VALUES, msgspec.json.encode(values).decode())
    found = program.version(ctx)
    if (folder / lowering.PLUGINS).exists():
        if program.has_plugins(found):
            program.init(folder, ctx)
        else:
            (folder / lowering.PLUGINS).unlink()
    report = Report(blueprint, folder, ctx.log)
    with leavings.watched(leavings.Bake(stamp, regions, options.profile), ctx):
        marked = {leavings.ENVIRONMENT: stamp}
        code = program.build(folder, folder / lowering.VALUES, report.take, ctx, env=marked)
        if code:
            raise report.failure(code)


def _stamp() -> str:
    """What tells a bake from any other."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{randomness.token_hex(3)}"


def _bake_described(
    blueprint: Blueprint, own: TemplateOptions, options: Options, told: str, ctx: RunContext
) -> Artifact:
    """Runs a user's own template in its folder, and marks its AMIs as ours. `told` is for a tag."""
    values = own.vars | {name: _revealed(name, ctx) for name in own.secrets}
    var_file = ctx.work / lowering.VALUES
    _write(var_file, msgspec.json.encode(values).decode())
    folder = ctx.root / own.folder
    template = Path("." if own.is_folder else posixpath.basename(own.template))
    if program.has_plugins(program.version(ctx)) and not own.is_legacy:
        program.init(template, ctx, folder)
    report = Report(blueprint, ctx.work, ctx.log, own.folder)
    stamp = _stamp()
    with leavings.watched(leavings.Bake(stamp, ()), ctx):
        marked = {leavings.ENVIRONMENT: stamp}
        code = program.build(template, var_file, report.take, ctx, cwd=folder, only=own.only, env=marked)
        if code:
            raise report.failure(code)
    if regions := _amis(report.artifacts.values()):
        artifact = outcome.artifact(regions, options.region, options.profile)
        ours = tags.ours(ctx.project, blueprint.image, blueprint.target, told)
        owned.mark(artifact, ours | {tags.BAKE: stamp}, options.profile, ctx.log)
        return artifact
    made = "\n".join(f"{name} {report.artifacts[name]}" for name in sorted(report.artifacts))
    return Artifact("ami", digest.of_bytes(made.encode()), ", ".join(report.artifacts.values()))


def _write(path: Path, text: str) -> None:
    """A file that nobody else may read: it may hold a secret."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "w", encoding="utf-8") as file:
        file.write(text)


def _values(options: Options, ctx: RunContext) -> dict[str, str]:
    """The variables of the template."""
    found = {words.variable(name): _revealed(name, ctx) for name in lowering.secrets(options)}
    if not options.builder:
        capacity = {name: ctx.reveal(getattr(options, name)) for name in amazon.CAPACITY}
        found |= {name: value for name, value in capacity.items() if value}
        found[amazon.ENDPOINT] = sdk.endpoint("ec2", options.profile)
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


def _amis(artifacts: Iterable[str]) -> dict[str, str]:
    """The AMIs by region, which Packer writes as REGION:ID,REGION:ID. Raises BakeError for two in one."""
    found: dict[str, str] = {}
    for pair in (pair for artifact in artifacts for pair in artifact.split(",")):
        region, _, ami = pair.partition(":")
        if ami.startswith("ami-") and found.setdefault(region, ami) != ami:
            hint = "let `only` name one of its builds, and write an image for each"
            raise BakeError(f"the template made several AMIs in {region}", hint=hint)
    return found


def _other(build: Build | None, lowered: Lowered) -> Artifact:
    """What another builder made: files, or what only Packer can name."""
    told = digest.of_bytes(msgspec.json.encode(lowered.documents, order="sorted"))
    if build is None:
        return Artifact("ami", told)
    files = tuple(str(file.get("name", "")) for file in build.files or ())
    facts = {"builder": build.builder_type, "files": list(files)}
    made = f"{told} {build.artifact_id}" if files else build.artifact_id  # all disks are called "VM"
    return Artifact("ami", digest.of_bytes(made.encode()), build.artifact_id, facts, proof=files)
