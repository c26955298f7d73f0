"""Which builder builds, and what it can't do for a component."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache

from imgbake.api import BakeError, Blueprint, Layer
from imgbake_docker import engine
from imgbake_docker.building import Builder
from imgbake_docker.buildkit import BuildKit
from imgbake_docker.classic import Classic
from imgbake_docker.engine import Client

_SECONDS = 20


def builder(wanted: str, client: Client) -> Builder:
    """The builder that the option `builder` means. Raises BakeError when it isn't installed."""
    if wanted == "classic":
        return Classic(client)
    command = _buildx_here()
    if command:
        return BuildKit(command, engine.context(), client)
    if wanted == "buildkit":
        hint = 'install docker\'s buildx plugin, or write builder = "classic"'
        raise BakeError("`docker buildx` is not installed, and `builder` asks for BuildKit", hint=hint)
    return Classic(client)


def check(blueprint: Blueprint, builder: str) -> None:
    """Raises BakeError for what components ask of a builder in vain."""
    for layer in blueprint.layers:
        if layer.build and (asked := _missing(layer, builder)):
            key, hint = asked
            name = "the engine's classic builder" if builder == "classic" else "BuildKit"
            raise BakeError(
                f"component '{layer.component}' asks for `{key}`, which {name} has not", hint=hint
            )


def has_buildx() -> bool:
    """Is buildx installed?"""
    return bool(_buildx_here())


def _missing(layer: Layer, builder: str) -> tuple[str, str] | None:
    setup = layer.setup
    other = 'or bake the image with `uses = "oci"`'
    if builder == "classic":
        buildkit = f"install docker's buildx plugin and leave `builder` out, {other}"
        found = {"caches": bool(setup.caches), "secrets": bool(setup.secrets)}
        if key := next((key for key, is_said in found.items() if is_said), None):
            return key, buildkit
        return ("limits.processes", f"leave it out, {other}") if setup.processes is not None else None
    limits = {"memory": setup.memory, "cpus": setup.cpus, "processes": setup.processes}
    key = next((f"limits.{name}" for name, value in limits.items() if value is not None), None)
    return (key, f"leave it out, {other}") if key else None


def _buildx_here() -> tuple[str, ...]:
    return _buildx(os.environ.get("PATH", ""), os.environ.get("DOCKER_CONFIG", ""))


@cache
def _buildx(path: str, config: str) -> tuple[str, ...]:
    """The command of buildx, empty when there is none that answers."""
    for command in (("docker", "buildx"), ("docker-buildx",), ("buildx",)):
        program = shutil.which(command[0], path=path)
        if program is None:
            continue
        argv = (program, *command[1:])
        try:
            ended = subprocess.run([*argv, "version"], capture_output=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if ended.returncode == 0:
            return argv
    return ()
