"""Images that are Dockerfiles: ours against docker build and docker buildx bake, on one engine.

large      a context of 60,000 files, 1 GiB, all copied: nothing changed; and from nothing, where what ours
           adds to docker's own time is measured
many       50 images, each of a Dockerfile and a file of its own: one file changed before each build, which
           an `imgbake serve` is there for or not

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
import imgbake_server
import measuring
import workloads
from docker_engine import Engine
from imgbake_server import Server
from measuring import Contestant, alternate, judge, ratio, show

OURS = "imgbake build"
OURS_BUILDKIT = "imgbake build, BuildKit"
OURS_SERVED = "the same, served"
DOCKER = "docker build"
BAKE = "docker buildx bake"
PROJECTS = {
    "classic": "classic",
    "buildkit": "buildkit",
    "served": "buildkit",
    "peers": "buildkit",
}  # to builder
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
    made = workloads.copy_of_usr(folder / "first" / "large" / "tree", files, size)
    print(f"the context: {made.files} files, {made.size / measuring.MIB:.0f} MiB")
    (folder / "first" / "large" / "Dockerfile").write_text(DOCKERFILE)
    for name in PROJECTS:
        (folder / name).mkdir()
        subprocess.run(["cp", "-al", "first/large", name], cwd=folder, check=True)
        _describe(folder / name, ["large"])
    measuring.empty(folder / "first")


def _lay_out_many(folder: Path, images: int) -> None:
    names = [f"image{number}" for number in range(images)]
    for project in PROJECTS:
        for name in names:
            (folder / project / name).mkdir(parents=True)
            (folder / project / name / "Dockerfile").write_text(DOCKERFILE)
            (folder / project / name / "version").write_text(f"{name} 0\n")
        _describe(folder / project, names)


def _describe(project: Path, names: list[str]) -> None:
    """A recipe and a bake file for images whose contexts bear these names.

    Each project's images are tagged differently: none takes a name from another's.
    """
    builder = "classic" if project.name == "classic" else "buildkit"
    text = f'[project]\nname = "bench"\n\n[targets.docker]\nuses = "docker"\nbuilder = "{builder}"\n'
    for name in names:
        text += f'\n[images.{project.name}-{name}]\ndockerfile = "{name}/Dockerfile"\ntargets = ["docker"]\n'
    (project / "imgbake.toml").write_text(text)
    bake = {
        "group": {"default": {"targets": names}},
        "target": {
            name: {"context": name, "tags": [f"{project.name}-{name}"], "output": ["type=docker"]}
            for name in names
        },
    }
    (project / "bake.json").write_text(json.dumps(bake))


def _measure_large(folder: Path, engine: Engine, rounds: int) -> None:
    contestants = _contestants(folder, engine)
    cold = alternate(
        [replace(each, before=_forgetting(each.folder, engine)) for each in contestants[:2]], rounds
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

    def change(project: Path) -> None:
        (project / "image7" / "version").write_text(f"image7 {next(number)}\n")

    with imgbake_server.serving(folder / "server") as server:
        contestants = [each for each in _contestants(folder, engine) if each.name != DOCKER]
        contestants += [_served(each, server) for each in contestants if each.name == OURS_BUILDKIT]
        alternate(contestants, 2)
        changing = [replace(each, before=partial(change, each.folder)) for each in contestants]
        changed = alternate(changing, rounds)
    show("one changed of many images", changed, OURS)
    for name in (OURS, OURS_BUILDKIT, OURS_SERVED):
        judge(f"{name}, to docker buildx bake's time", ratio(changed, name, BAKE), 0.1)


def _contestants(folder: Path, engine: Engine) -> list[Contestant]:
    servers = engine.processes
    classic, buildkit, _, peers = (folder / name for name in PROJECTS)
    env = {**engine.env, "XDG_CACHE_HOME": str(folder / "cache")}
    build = [measuring.imgbake(), "build"]
    docker = ["docker", "build", "-q", "-t", "bench-docker", "large"]
    found = [
        Contestant(OURS, build, classic, env, None, servers),
        Contestant(DOCKER, docker, peers, {**engine.env, "DOCKER_BUILDKIT": "0"}, None, servers),
    ]
    if not _has_buildx(engine):
        print("docker has no buildx here: bake isn't compared with")
        return found
    bake = ["docker", "buildx", "bake", "--progress=quiet", "-f", "bake.json"]
    return [
        *found,
        Contestant(OURS_BUILDKIT, build, buildkit, env, None, servers),
        Contestant(BAKE, bake, peers, engine.env, None, servers),
    ]


def _served(contestant: Contestant, server: Server) -> Contestant:
    """The same build in a project of its own, handed to a server."""
    return replace(
        contestant,
        name=OURS_SERVED,
        folder=contestant.folder.parent / "served",
        env={**contestant.env, **server.env},
        servers=(*contestant.servers, server.pid),
    )


def _has_buildx(engine: Engine) -> bool:
    command = ["docker", "buildx", "version"]
    return not subprocess.run(command, env=measuring.environ(engine.env), capture_output=True).returncode


def _forgetting(project: Path, engine: Engine) -> Callable[[], None]:
    def forget() -> None:
        measuring.empty(project.parent / "cache", project / ".imgbake")
        command = ["docker", "system", "prune", "-af"]
        subprocess.run(command, env=measuring.environ(engine.env), capture_output=True, check=True)

    return forget


if __name__ == "__main__":
    main()
