"""Baking a tree of 60,000 files, 1 GiB, from this machine's /usr: ours against docker and buildah.

The image stands on scratch and has two layers: the tree, and one file in a component of its own. Each
tool makes what it would publish: ours and buildah an OCI layout with gzip layers, docker what
`docker save` writes (which isn't compressed). docker is its classic builder, on an engine that is
started for this run unless one is running.

from nothing       no cache, no image, no state
nothing changed    right after a build of the same files; also of docker's build alone, without save
one file changed   the one that is a component of its own

All three read the tree from the page cache.
"""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import docker_engine
import measuring
import workloads
from docker_engine import Engine
from measuring import Contestant, Figures, alternate, judge, ratio, show

OURS = "imgbake build"
DOCKER = "docker build + save"
DOCKER_BUILD = "docker build"
BUILDAH = "buildah bud + push"
RECIPE = """\
[project]
name = "bake"

[components.tree]
files = [{ from = "context/tree", to = "/srv/tree/" }]

[components.app]
files = [{ from = "context/app", to = "/srv/app/" }]

[images.bench]
base = "scratch"
components = ["tree", "app"]
"""
DOCKERFILE = "FROM scratch\nCOPY tree /srv/tree/\nCOPY app /srv/app/\n"


@dataclass(frozen=True)
class _Tool:
    bakes: Contestant
    forgets: Callable[[], object]  # all that it made and remembers
    builds: Contestant | None = None  # without the step that makes files of an image


def main() -> None:
    """Measures, and prints."""
    parser = measuring.options(__doc__, 3)
    parser.add_argument("--files", type=int, default=60_000, help="files in the tree (60000)")
    parser.add_argument("--size", type=int, default=1 << 30, help="their size in bytes (1 GiB)")
    arguments = parser.parse_args()
    with measuring.workplace(arguments) as folder:
        if not (folder / "context").exists():
            measuring.apart(partial(_lay_out, folder, arguments.files, arguments.size))
        with docker_engine.running(folder / "docker") as engine:
            _measure(folder, engine, arguments.rounds)


def _lay_out(folder: Path, files: int, size: int) -> None:
    beside = folder / "context.new"
    measuring.empty(beside)
    made = workloads.copy_of_usr(beside / "tree", files, size)
    print(f"the tree: {made.files} files, {made.size / measuring.MIB:.0f} MiB")
    (beside / "app").mkdir()
    (beside / "app" / "version.txt").write_text("0\n")
    (beside / "Dockerfile").write_text(DOCKERFILE)
    (folder / "imgbake.toml").write_text(RECIPE)
    beside.rename(folder / "context")


def _measure(folder: Path, engine: Engine | None, rounds: int) -> None:
    number = itertools.count(1)

    def change() -> None:
        (folder / "context" / "app" / "version.txt").write_text(f"{next(number)}\n")

    tools = [tool for tool in (_imgbake(folder), _docker(folder, engine), _buildah(folder)) if tool]
    cold = alternate([replace(tool.bakes, before=tool.forgets) for tool in tools], rounds)
    show("from nothing", cold, OURS)
    alternate([tools[0].bakes], 2)  # ours sees that what it made is old enough to prove something
    same = alternate([*(tool.bakes for tool in tools), *(t.builds for t in tools if t.builds)], rounds)
    show("nothing changed", same, OURS)
    show("one file changed", alternate([replace(t.bakes, before=change) for t in tools], rounds), OURS)
    _judge(cold, same)


def _judge(cold: dict[str, Figures], same: dict[str, Figures]) -> None:
    judge("from nothing, docker's time to ours", ratio(cold, DOCKER, OURS), 15, at_least=True)
    judge("from nothing, buildah's time to ours", ratio(cold, BUILDAH, OURS), 10, at_least=True)
    judge("peak memory", cold[OURS].peak / 1e6, 250, unit=" MB")
    judge("unchanged, docker build's time to ours", ratio(same, DOCKER_BUILD, OURS), 50, at_least=True)


def _imgbake(folder: Path) -> _Tool:
    cache = folder / "cache"
    bakes = Contestant(OURS, [measuring.imgbake(), "build"], folder, {"XDG_CACHE_HOME": str(cache)})
    return _Tool(bakes, partial(measuring.empty, cache, folder / ".imgbake"))


def _docker(folder: Path, engine: Engine | None) -> _Tool | None:
    if engine is None:
        return None
    env = {**engine.env, "DOCKER_BUILDKIT": "0"}
    build = ["docker", "build", "-q", "-t", "imgbake-bench", "context"]
    save = "docker save -o docker.tar imgbake-bench"
    both = Contestant(
        DOCKER, ["sh", "-ec", f"{' '.join(build)}; {save}"], folder, env, None, engine.processes
    )

    def forget() -> None:
        (folder / "docker.tar").unlink(missing_ok=True)
        subprocess.run(
            ["docker", "system", "prune", "-af"],
            env=measuring.environ(env),
            stdout=subprocess.DEVNULL,
            check=True,
        )

    return _Tool(both, forget, Contestant(DOCKER_BUILD, build, folder, env, None, engine.processes))


def _buildah(folder: Path) -> _Tool | None:
    if not measuring.tool("buildah"):
        return None
    buildah = f"buildah --storage-driver overlay --root {folder}/buildah --runroot {folder}/buildah-run"
    build = f"{buildah} bud -q --layers --isolation chroot -t imgbake-bench context"
    push = f"{buildah} push -q imgbake-bench oci:buildah-oci:latest"
    places = [folder / name for name in ("buildah", "buildah-run", "buildah-oci")]
    bakes = Contestant(BUILDAH, ["sh", "-ec", f"{build}; {push}"], folder)
    return _Tool(bakes, partial(measuring.empty, *places))


if __name__ == "__main__":
    main()
