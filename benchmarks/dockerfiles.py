"""Images that are Dockerfiles: ours against docker build and docker buildx bake, on one engine.

large      a context of 60,000 files, 1 GiB, all copied: nothing changed; and from nothing, where what ours
           adds to docker's own time is measured
many       50 images, each of a Dockerfile and a file of its own: one file changed before each build

docker build is the classic builder, and so is ours there; bake is BuildKit's, and so is ours there: the
BuildKit in the engine, and for the many images also a daemon's, from which each image comes back as an OCI
image. Engine and daemon are started for this run. buildx is looked for where docker looks for plugins.
"""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import buildkit_daemon
import docker_engine
import measuring
import workloads
from buildkit_daemon import BUILDER, Daemon
from docker_engine import Engine
from measuring import Contestant, Figures, alternate, judge, ratio, show

OURS = "imgbake build"
OURS_BUILDKIT = "imgbake build, BuildKit"
DOCKER = "docker build"
BAKE = "docker buildx bake"
OURS_DAEMON = "imgbake build, BuildKit daemon"
BAKE_DAEMON = "docker buildx bake, BuildKit daemon"
PROJECTS = ("classic", "buildkit", "peers")
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
        names = [f"image{number}" for number in range(arguments.images)]
        _lay_out_many(folder / "many", names)
        _measure_many(folder / "many", engine, arguments.rounds)
        with buildkit_daemon.running(folder / "buildkit", engine.env) as daemon:
            if daemon is not None and _has_buildx(engine):
                _lay_out_daemon(folder / "daemon", names, daemon)
                _measure_daemon(folder / "daemon", engine, daemon, arguments.rounds)


def _lay_out_large(folder: Path, files: int, size: int) -> None:
    made = workloads.copy_of_usr(folder / "first" / "large" / "tree", files, size)
    print(f"the context: {made.files} files, {made.size / measuring.MIB:.0f} MiB")
    (folder / "first" / "large" / "Dockerfile").write_text(DOCKERFILE)
    for name in PROJECTS:
        (folder / name).mkdir()
        subprocess.run(["cp", "-al", "first/large", name], cwd=folder, check=True)
        _describe(folder / name, ["large"])
    measuring.empty(folder / "first")


def _lay_out_many(folder: Path, names: list[str]) -> None:
    for project in PROJECTS:
        _lay_out_images(folder / project, names)
        _describe(folder / project, names)


def _lay_out_daemon(folder: Path, names: list[str], daemon: Daemon) -> None:
    for project in ("ours", "peers"):
        _lay_out_images(folder / project, names)
    (folder / "peers" / "out").mkdir()
    target = f'[targets.image]\nuses = "buildkit"\nbuilder = "{daemon.address}"\n'
    (folder / "ours" / "imgbake.toml").write_text(target + _images(names, "image"))
    _write_bake(folder / "peers", {name: {"output": [f"type=oci,dest=out/{name}.tar"]} for name in names})


def _lay_out_images(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "Dockerfile").write_text(DOCKERFILE)
        (folder / name / "version").write_text("0\n")


def _describe(project: Path, names: list[str]) -> None:
    """A recipe and a bake file for images whose contexts bear these names.

    Each project's images are tagged differently: none takes a name from another's.
    """
    target = f'[targets.docker]\nuses = "docker"\nbuilder = "{project.name}"\n'
    (project / "imgbake.toml").write_text(target + _images(names, "docker", f"{project.name}-"))
    tagged = {name: {"tags": [f"{project.name}-{name}"], "output": ["type=docker"]} for name in names}
    _write_bake(project, tagged)


def _images(names: list[str], target: str, prefix: str = "") -> str:
    """The images of a recipe."""
    each = '\n[images.{}]\ndockerfile = "{}/Dockerfile"\ntargets = ["{}"]\n'
    return "".join(each.format(prefix + name, name, target) for name in names)


def _write_bake(project: Path, targets: dict[str, dict[str, list[str]]]) -> None:
    """A bake file, for contexts that bear the names of their targets."""
    bake = {
        "group": {"default": {"targets": list(targets)}},
        "target": {name: {"context": name, **said} for name, said in targets.items()},
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
    contestants = [each for each in _contestants(folder, engine) if each.name != DOCKER]
    changed = _with_one_changed(contestants, rounds)
    show("one changed of many images", changed, OURS)
    judge("ours to docker buildx bake's time", ratio(changed, OURS, BAKE), 0.1)
    judge("ours with BuildKit to docker buildx bake's time", ratio(changed, OURS_BUILDKIT, BAKE), 0.1)


def _measure_daemon(folder: Path, engine: Engine, daemon: Daemon, rounds: int) -> None:
    env = {**engine.env, "XDG_CACHE_HOME": str(folder / "cache")}
    servers = [daemon.process]
    bake = ["docker", "buildx", "bake", f"--builder={BUILDER}", "--progress=quiet", "-f", "bake.json"]
    contestants = [
        Contestant(OURS_DAEMON, [measuring.imgbake(), "build"], folder / "ours", env, None, servers),
        Contestant(BAKE_DAEMON, bake, folder / "peers", engine.env, None, servers),
    ]
    changed = _with_one_changed(contestants, rounds)
    show("one changed of many images, BuildKit daemon", changed, OURS_DAEMON)
    judge("ours to docker buildx bake's time", ratio(changed, OURS_DAEMON, BAKE_DAEMON), 0.1)


def _with_one_changed(contestants: list[Contestant], rounds: int) -> dict[str, Figures]:
    """What builds take before which one of the images' files changed."""
    number = itertools.count(1)

    def change(project: Path) -> None:
        (project / "image7" / "version").write_text(f"{next(number)}\n")

    alternate(contestants, 2)
    return alternate([replace(each, before=partial(change, each.folder)) for each in contestants], rounds)


def _contestants(folder: Path, engine: Engine) -> list[Contestant]:
    servers = engine.processes
    classic, buildkit, peers = (folder / name for name in PROJECTS)
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
