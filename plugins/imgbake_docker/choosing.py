"""Which builder builds, and what it can't do for a component."""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path

from imgbake.api import BakeError, Blueprint, Layer
from imgbake_docker import engine
from imgbake_docker.building import Builder
from imgbake_docker.engine import Client

_SECONDS = 20
_PLUGINS = tuple(
    f"{folder}/docker/cli-plugins"
    for folder in ("/usr/local/lib", "/usr/local/libexec", "/usr/lib", "/usr/libexec")
)  # where docker looks, after its own folder


def builder(wanted: str, client: Client) -> Builder:
    """The builder that the option `builder` means. Raises BakeError when it isn't installed."""
    if kind(wanted) == "classic":
        from imgbake_docker.classic import Classic

        return Classic(client)
    from imgbake_docker.buildkit import BuildKit

    return BuildKit(command(), client)


def command() -> tuple[str, ...]:
    """What builds with the engine's BuildKit: the builder in it bears the name of docker's context."""
    return (*buildx(), "build", f"--builder={engine.context()}")


def kind(wanted: str) -> str:
    """Its name, "buildkit" or "classic"; no engine is asked. Raises BakeError as `builder` does."""
    if wanted != "classic" and buildx():
        return "buildkit"
    if wanted == "buildkit":
        hint = 'install docker\'s buildx plugin, or write builder = "classic"'
        raise BakeError("`docker buildx` is not installed, and `builder` asks for BuildKit", hint=hint)
    return "classic"


def check(blueprint: Blueprint, builder: str, phases: tuple[str, ...] = ("build",)) -> None:
    """Raises BakeError for what components ask in vain of a builder that runs these phases."""
    for layer in blueprint.layers:
        if any(getattr(layer, phase) for phase in phases) and (asked := _missing(layer, builder)):
            key, hint = asked
            name = "the engine's classic builder" if builder == "classic" else "BuildKit"
            raise BakeError(
                f"component '{layer.component}' asks for `{key}`, which {name} has not", hint=hint
            )


def buildx() -> tuple[str, ...]:
    """The command of buildx; empty when there is none."""
    return _buildx(os.environ.get("PATH", ""), os.environ.get("DOCKER_CONFIG") or "~/.docker")


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


@cache
def _buildx(path: str, config: str) -> tuple[str, ...]:
    """The command of buildx, empty when there is none.

    It is a program of its own, which docker only starts: where docker keeps its plugins we start it
    ourselves, which takes half of the time. Docker is asked if it may know another place.
    """
    own = Path(config).expanduser() / "cli-plugins"
    program = shutil.which("docker-buildx", path=os.pathsep.join((str(own), *_PLUGINS, path)))
    if program is not None:
        return (program,)
    docker = shutil.which("docker", path=path)
    if docker is not None and _answers(docker, "buildx", "version"):
        return (docker, "buildx")
    program = shutil.which("buildx", path=path)
    return (program,) if program is not None else ()


def _answers(*command: str) -> bool:
    import subprocess

    try:
        ended = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ended.returncode == 0
