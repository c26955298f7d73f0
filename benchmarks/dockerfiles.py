"""Images that are Dockerfiles: ours against docker build and docker buildx bake, on one engine.

large      a context of 60,000 files, 1 GiB, all copied: nothing changed; and from nothing, where what ours
           adds to docker's own time is measured
many       50 images, each of a Dockerfile and a file of its own: one file changed before each build

docker build is the classic builder, and so is ours there; bake is BuildKit's, and so is ours there. The
engine is started for this run. buildx is looked for where docker looks for plugins.
"""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import docker_engine
import measuring
import workloads
from docker_engine import Engine
from measuring import Contestant, alternate, judge, ratio, show

OURS = "imgbake build"
OURS_BUILDKIT = "imgbake build, BuildKit"
DOCKER = "docker build"
BAKE = "docker buildx bake"
BUILDERS = {OURS: "classic", OURS_BUILDKIT: "buildkit"}
DOCKERFILE = "FROM scratch\nCOPY . /srv/\n"


def main() -> None:
    """Measures, and prints."""
    parser = measuring.options(__doc__, 3)
    parser.add_argument("--files", type=int, default=60_000, help="files in the context (60000)")
    parser.add_argument("--size", type=int, default=1 << 30, help="their size in bytes (1 GiB)")
    parser.add_argument("--images", type=int, default=50, help="images with a Dockerfile each (50)")
    arguments = parser.parse_args()
    with measuring.workplace(arguments) as folder, docker_engine.running(folder / "docker") as engine:
        if engine is None:
            raise SystemExit("there is nothing to measure without a docker engine: apt install docker.io")
        measuring.apart(partial(_lay_out_large, folder / "large", arguments.files, arguments.size))
        _measure_large(folder / "large", engine, arguments.rounds)
        _lay_out_many(folder / "many", arguments.images)
        _measure_many(folder / "many", engine, arguments.rounds)


def _lay_out_large(folder: Path, files: int, size: int) -> None:
    made = workloads.copy_of_usr(folder / "context" / "tree", files, size)
    print(f"the context: {made.files} files, {made.size / measuring.MIB:.0f} MiB")
    (folder / "context" / "Dockerfile").write_text(DOCKERFILE)
    _write_recipe(folder, {"large": "context"})


def _lay_out_many(folder: Path, images: int) -> None:
    names = [f"image{number}" for number in range(images)]
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "Dockerfile").write_text(DOCKERFILE)
        (folder / name / "version").write_text("0\n")
    _write_recipe(folder, {name: name for name in names})


def _write_recipe(folder: Path, contexts: dict[str, str]) -> None:
    """A recipe, with a target for either builder, and a bake file, for images of these names."""
    text = '[project]\nname = "bench"\n'
    for builder in BUILDERS.values():
        text += f'\n[targets.{builder}]\nuses = "docker"\nbuilder = "{builder}"\n'
    for name, context in contexts.items():
        targets = json.dumps(list(BUILDERS.values()))
        text += f'\n[images.{name}]\ndockerfile = "{context}/Dockerfile"\ntargets = {targets}\n'
    (folder / "imgbake.toml").write_text(text)
    bake = {
        "group": {"default": {"targets": list(contexts)}},
        "target": {
            name: {"context": context, "tags": [f"bake-{name}"], "output": ["type=docker"]}
            for name, context in contexts.items()
        },
    }
    (folder / "bake.json").write_text(json.dumps(bake))


def _measure_large(folder: Path, engine: Engine, rounds: int) -> None:
    contestants = _contestants(folder, engine)
    cold = alternate(
        [replace(each, before=_forgetting(folder, engine)) for each in contestants[:2]], min(rounds, 2)
    )
    show("1 GiB of context, from nothing", cold, OURS)
    judge("ours to docker build's time", ratio(cold, OURS, DOCKER), 1.05)
    alternate(contestants, 2)  # everything is made, and ours sees that it is old enough to prove something
    same = alternate(contestants, rounds)
    show("1 GiB of context, nothing changed", same, OURS)
    judge("docker build's time to ours", ratio(same, DOCKER, OURS), 50, at_least=True)
    judge("docker buildx bake's time to ours", ratio(same, BAKE, OURS_BUILDKIT), 1, at_least=True)


def _measure_many(folder: Path, engine: Engine, rounds: int) -> None:
    number = itertools.count(1)

    def change() -> None:
        (folder / "image7" / "version").write_text(f"{next(number)}\n")

    contestants = [each for each in _contestants(folder, engine) if each.name != DOCKER]
    alternate(contestants, 2)
    changed = alternate([replace(each, before=change) for each in contestants], rounds)
    show("one changed of many images", changed, OURS)
    judge("ours to docker buildx bake's time", ratio(changed, OURS, BAKE), 0.1)
    judge("ours with BuildKit to docker buildx bake's time", ratio(changed, OURS_BUILDKIT, BAKE), 0.1)


def _contestants(folder: Path, engine: Engine) -> list[Contestant]:
    servers = engine.processes
    names = list(json.loads((folder / "bake.json").read_text())["target"])
    env = {**engine.env, "XDG_CACHE_HOME": str(folder / "cache")}
    found = []
    for name, builder in BUILDERS.items():
        build = [measuring.imgbake(), "build", *(f"{image}@{builder}" for image in names)]
        found.append(Contestant(name, build, folder, env, None, servers))
    classic = {**engine.env, "DOCKER_BUILDKIT": "0"}
    build = ["docker", "build", "-q", "-t", "bench-docker", "context"]
    found.insert(1, Contestant(DOCKER, build, folder, classic, None, servers))
    if _has_buildx(engine):
        bake = ["docker", "buildx", "bake", "--progress=quiet", "-f", "bake.json"]
        return [*found, Contestant(BAKE, bake, folder, engine.env, None, servers)]
    print("docker has no buildx here: bake isn't compared with")
    return found[:2]


def _has_buildx(engine: Engine) -> bool:
    command = ["docker", "buildx", "version"]
    return not subprocess.run(command, env=measuring.environ(engine.env), capture_output=True).returncode


def _forgetting(folder: Path, engine: Engine) -> Callable[[], None]:
    def forget() -> None:
        measuring.empty(folder / "cache", folder / ".imgbake")
        command = ["docker", "system", "prune", "-af"]
        subprocess.run(command, env=measuring.environ(engine.env), capture_output=True, check=True)

    return forget


if __name__ == "__main__":
    main()
