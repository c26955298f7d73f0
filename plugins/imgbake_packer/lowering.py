"""From a blueprint to a Packer template. Pure.

    image.pkr.json     the template, HCL2 in its JSON form: one source, and a build of provisioners in order
    plugins.pkr.json   the plugins that `packer init` installs, which Packer before 1.7 doesn't know
    build-app.sh …     the scripts that the shell provisioners run (see imgbake_packer.scripts)
    files.json         what is in the archives that the file provisioners bring

With the archives beside what `imgbake lower -o` writes, `packer build` of that folder does the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from imgbake.api import Artifact, BakeError, Blueprint, Layer, Lowered
from imgbake_aws.bases import SCRATCH
from imgbake_oci.target import copy_document
from imgbake_packer import amazon, scripts, words
from imgbake_packer.options import Options, Plugin
from imgbake_packer.template import TemplateOptions

TEMPLATE = "image.pkr.json"
PLUGINS = "plugins.pkr.json"
MANIFEST = "manifest.json"
VALUES = "values.pkrvars.json"
_INSTANCE = "amazon-ebsvolume"
_OWN_PLUGINS = ("amazon", "docker", "qemu")  # and the beginnings of the types of their builders
_HERE = "${path.root}/"  # the folder of the template, wherever Packer is started
_AS_ROOT = 'if [ "$(id -u)" = 0 ]; then sh "{{ .Path }}"; else sudo -n sh "{{ .Path }}"; fi'


def lower(blueprint: Blueprint, options: Options) -> Lowered:
    """The template and all that belongs to it. Raises BakeError for what Packer can't say.

    Of a user's own template, the values of its variables.
    """
    if blueprint.described is not None:
        own: TemplateOptions = blueprint.described.plan
        return Lowered({VALUES: _json(own.vars)})
    documents = {TEMPLATE: template(blueprint, options)}
    if text := plugins_document(options):
        documents[PLUGINS] = text
    documents |= scripts.scripts(blueprint)
    archives = {
        scripts.archive_name(layer): [copy_document(copied) for copied in layer.files]
        for layer in blueprint.layers
        if layer.files
    }
    if archives:
        documents["files.json"] = _json(archives)
    return Lowered(documents, makes=() if options.builder else tuple(amazon.makes(blueprint, options)))


def template(blueprint: Blueprint, options: Options, *, limits: bool = False) -> str:
    """The template; with `limits`, with the time that provisioners may take, which decides nothing."""
    _refuse(blueprint, options)
    if options.builder:
        source = {name: words.literal(value) for name, value in options.builder.items() if name != "type"}
    else:
        source = amazon.source(blueprint, options)
    provisioners = list(_provisioners(blueprint, limits))
    return _template(blueprint, options, options.builder_type, source, provisioners)


def test_template(blueprint: Blueprint, options: Options, artifact: Artifact) -> str:
    """A template that starts an instance of a baked image, runs the test scripts, and removes it."""
    source = amazon.instance(blueprint, options, artifact)
    provisioners: list[dict[str, Any]] = []
    for layer in blueprint.layers:
        if layer.test:
            provisioners += _secret_files(layer)
            provisioners.append(_shell(scripts.script_name("test", layer), layer, limits=True))
    return _template(blueprint, options, _INSTANCE, source, provisioners)


def plugins_document(options: Options) -> str:
    """The plugins that Packer >= 1.7 installs, empty when there are none."""
    plugins = dict(options.plugins)
    for name in _OWN_PLUGINS:
        if options.builder_type.partition("-")[0] == name and name not in plugins:
            plugins[name] = Plugin(f"github.com/hashicorp/{name}")
    if not plugins:
        return ""
    required = {name: {"source": each.source, "version": each.version} for name, each in plugins.items()}
    return _json({"packer": {"required_plugins": required}})


def secrets(options: Options) -> list[str]:
    """The names of the secret arguments that become variables."""
    return list(dict.fromkeys(words.secrets(msgspec.to_builtins(options))))


def _refuse(blueprint: Blueprint, options: Options) -> None:
    if options.builder and blueprint.base.reference != SCRATCH:
        message = (
            f"image '{blueprint.image}': the table `builder` says what '{options.builder_type}' starts from"
        )
        raise BakeError(message, hint='write base = { ami = "scratch" }')
    connected = options.builder.get("communicator", options.communicator) != "none"
    for layer in blueprint.layers:
        if layer.test and options.builder:
            bakes = f"imgbake can't start what '{options.builder_type}' bakes"
            message = f"component '{layer.component}' has tests, and {bakes}"
            raise BakeError(message, hint="only images of amazon-ebs are tested")
        if not connected and (layer.files or layer.env or layer.build or layer.validate or layer.test):
            message = f"component '{layer.component}' can't reach a machine with communicator = \"none\""
            raise BakeError(message, hint='write communicator = "ssh"')


def _template(
    blueprint: Blueprint,
    options: Options,
    builder: str,
    source: dict[str, Any],
    provisioners: list[dict[str, Any]],
) -> str:
    name = words.identifier(blueprint.image)
    build: dict[str, Any] = {"sources": [f"source.{builder}.{name}"]}
    if provisioners:
        build["provisioner"] = provisioners
    build["post-processor"] = [{"manifest": {"output": _HERE + MANIFEST}}]
    document: dict[str, Any] = {
        "//": f"image {blueprint.image}, baked by the target {blueprint.target}",
        "variable": _variables(blueprint, options),
        "source": {builder: {name: source}},
        "build": build,
    }
    if not document["variable"]:
        del document["variable"]
    return _json(document)


def _variables(blueprint: Blueprint, options: Options) -> dict[str, Any]:
    found = {} if options.builder else amazon.variables(blueprint)
    for secret in secrets(options):
        found[words.variable(secret)] = {"type": "string", "sensitive": True}
    return found


def _provisioners(blueprint: Blueprint, limits: bool) -> Iterator[dict[str, Any]]:
    made = scripts.scripts(blueprint)
    for layer in blueprint.layers:
        if layer.files:
            archive = scripts.archive_name(layer)
            yield {"file": {"source": _HERE + archive, "destination": scripts.uploaded_archive(layer)}}
        script = scripts.script_name("build", layer)
        if script in made:
            if layer.build:
                yield from _secret_files(layer)
            yield _shell(script, layer, limits)
        if layer.validate:
            yield from _secret_files(layer)
            yield _shell(scripts.script_name("validate", layer), layer, limits)
    if blueprint.config.env:
        yield _shell(scripts.IMAGE, None, limits)


def _secret_files(layer: Layer) -> Iterator[dict[str, Any]]:
    """The secrets of a component, from private files that are written when it is baked."""
    for name in layer.setup.secrets:
        uploaded = scripts.uploaded_secret(name)
        yield {"file": {"source": _HERE + scripts.secret_name(name), "destination": uploaded}}


def _shell(script: str, layer: Layer | None, limits: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"script": _HERE + script, "execute_command": words.literal(_AS_ROOT)}
    if limits and layer is not None and layer.setup.timeout is not None:
        found["timeout"] = f"{layer.setup.timeout:g}s"
    return {"shell": found}


def _json(document: dict[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"
