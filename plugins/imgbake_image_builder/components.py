"""A component as a document of AWSTOE. Pure.

    phase build       files: S3Download and a script that unpacks them · environment · a step for each command
    phase validate    a step for each command
    phase test        a step for each command

A step is named for its phase and number, so that the step that failed names the command.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from imgbake.api import BakeError, Layer, Setup, digest
from imgbake_image_builder import marked
from imgbake_image_builder.systems import System
from imgbake_oci.target import copy_document
from imgbake_packer import scripts

PHASES = ("build", "validate", "test")
_OPENING = re.compile(r"\{(?=\{)")
_PLAIN = Setup()


def document(layer: Layer, system: System, bucket: str, prefix: str, *, limits: bool = False) -> str:
    """The document of a component; with `limits`, with the time that it may take, which decides nothing.

    Raises BakeError for what can't be said.
    """
    _refuse(layer, system, bucket)
    phases = [
        {"name": phase, "steps": [_step(step, layer.setup, limits=limits) for step in steps]}
        for phase in PHASES
        if (steps := list(_steps(layer, phase, system, bucket, prefix)))
    ]
    return yaml_text(
        {
            "name": layer.component,
            "description": f"Component {layer.component}",
            "schemaVersion": 1.0,
            "phases": phases,
        }
    )


def is_empty(layer: Layer) -> bool:
    """Does the component do nothing?"""
    return not (layer.files or layer.env or layer.build or layer.validate or layer.test or layer.document)


def archive_key(layer: Layer, prefix: str) -> str:
    """Where the archive of a component's files is staged: by what is in it."""
    listing = "\n".join(repr(sorted(copy_document(copied).items())) for copied in layer.files)
    name = digest.of_bytes(listing.encode()).partition(":")[2]
    return f"{prefix.strip('/')}/files/{name}.tar.gz".lstrip("/")


def yaml_text(value: Any) -> str:
    """YAML that people can read: texts of several lines as they are, keys in their order."""
    yaml = marked.sdk()

    class Dumper(yaml.SafeDumper):  # type: ignore[misc,name-defined]  # PyYAML comes without types
        """Lists are indented below their key."""

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
            return super().increase_indent(flow, False)

    def text(dumper: Any, value: str) -> Any:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    found: str = yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1 << 16)
    return found


def command_of(layer: Layer, phase: str, step: str) -> str:
    """The command that a step runs, empty for one that puts files or environment in place."""
    number = step.rpartition("-")[2]
    commands: tuple[str, ...] = getattr(layer, phase, ())
    is_command = step == f"{phase}-{number}" and number.isdigit() and 0 < int(number) <= len(commands)
    return commands[int(number) - 1] if is_command else ""


def _steps(layer: Layer, phase: str, system: System, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    if phase == "build":
        if layer.files:
            archive = scripts.uploaded_archive(layer)
            source = f"s3://{bucket}/{archive_key(layer, prefix)}"
            inputs = [{"source": source, "destination": archive}]
            yield {"name": "download-files", "action": "S3Download", "inputs": inputs}
            yield _bash("unpack-files", "set -eu\n" + scripts.unpacking(archive))
        if layer.env and system.platform == "Windows":
            yield _powershell("environment", "\n".join(_machine_environment(layer.env)))
        elif layer.env:
            yield _bash("environment", "set -eu\n" + "".join(scripts.profile(layer.env, str)))
    for number, command in enumerate(getattr(layer, phase), 1):
        name = f"{phase}-{number}"
        if system.platform == "Windows":
            yield _powershell(name, command)
        else:
            yield _bash(name, _script(layer.setup, command))


def _step(step: dict[str, Any], setup: Setup, *, limits: bool) -> dict[str, Any]:
    if not limits or setup.timeout is None:
        return step
    return {**step, "timeoutSeconds": max(1, round(setup.timeout))}


def _script(setup: Setup, command: str) -> str:
    """A command with what earlier components said of the environment, as the component wants it run."""
    lines = ["set -eu\n", f"if [ -r {scripts.PROFILE} ]; then . {scripts.PROFILE}; fi\n"]
    lines += scripts.surroundings(setup)
    words = " ".join(shlex.quote(word) for word in [*setup.shell, command])
    return "".join([*lines, f"{scripts.prefix(setup)}{words} </dev/null\n"])


def _bash(name: str, script: str) -> dict[str, Any]:
    return {"name": name, "action": "ExecuteBash", "inputs": {"commands": [_literal(script)]}}


def _powershell(name: str, script: str) -> dict[str, Any]:
    if "{{" in script:
        message = f"a command of step {name} holds '{{{{', which Image Builder would take for a reference"
        raise BakeError(message, hint="write it as '{' + '{'")
    return {"name": name, "action": "ExecutePowerShell", "inputs": {"commands": [script]}}


def _literal(script: str) -> str:
    """A script in which AWSTOE sees no reference: `{{`, which stands in single quotes, is parted."""
    return _OPENING.sub("{''", script)


def _machine_environment(env: Mapping[str, str]) -> Iterator[str]:
    for name, value in env.items():
        quoted = "'" + value.replace("'", "''") + "'"
        yield f"[Environment]::SetEnvironmentVariable('{name}', {quoted}, 'Machine')"


def _refuse(layer: Layer, system: System, bucket: str) -> None:
    whose = f"component '{layer.component}'"
    setup = layer.setup
    for name in ("memory", "cpus", "processes"):
        if getattr(setup, name) is not None:
            message = f"{whose} asks for `limits.{name}`, which Image Builder has not"
            raise BakeError(message, hint="the machine is its own: `instance_types` says how large it is")
    if setup.secrets:
        message = f"{whose} asks for secrets, and documents of Image Builder can be read by many"
        raise BakeError(message, hint="let a command fetch them on the machine, by its instance profile")
    if layer.files and not bucket:
        message = f"{whose} copies files, and nobody says by which bucket they come to the machine"
        raise BakeError(message, hint="write `bucket` of the target")
    if system.platform == "Windows" and (layer.files or setup != _PLAIN):
        message = f"{whose}: on Windows a component has `env` and commands for PowerShell, and no more"
        raise BakeError(message, hint='write a document for it: document = "…"')
    if system.platform == "macOS" and (setup.user or setup.caches or setup.network == "none"):
        message = f"{whose} asks for a user, caches, or no network, which can't be had on macOS"
        raise BakeError(message, hint="let the command see to it")
