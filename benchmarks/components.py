"""Components that run commands: ours, in the sandbox, against docker build and buildah bud.

many      20 components of one trivial command each, on a busybox
large     one component that writes 20,000 files, 500 MB, unpacked from an archive that the base has

Each from nothing but the base, which every tool has already, and again with nothing changed. `large` ends
with what would be published: ours and buildah an OCI layout with gzip layers, docker what `docker save`
writes (which isn't compressed). With --push it ends in a registry instead, which has the base already.
docker is its classic builder; its engine and the registry are started for this run.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import docker_engine
import measuring
import registry
import workloads
from docker_engine import Engine
from measuring import Contestant, alternate, judge, ratio, show

OURS = "imgbake build"
DOCKER = "docker build"
BUILDAH = "buildah bud --layers"
BASE = "imgbake-bench-base"


@dataclass(frozen=True)
class _Work:
    """What is measured: the commands, one for each component or RUN, and whether the image is handed on."""

    name: str
    commands: tuple[str, ...]
    is_published: bool
    faster: float  # at least, than each peer from nothing


@dataclass(frozen=True)
class _Bench:
    """Where: a folder, and a registry if the image is published and there is one."""

    folder: Path
    work: _Work
    registry: str | None

    @property
    def image(self) -> str:
        return f"{self.registry or 'localhost'}/{BASE}"

    def empty_registry(self) -> None:
        if self.registry:
            measuring.empty(self.folder.parent / "registry/content")


@dataclass(frozen=True)
class _Tool:
    bakes: Contestant
    forgets: Callable[[], object]  # all that it made and remembers, but for the base


def main() -> None:
    """Measures, and prints."""
    parser = measuring.options(__doc__, 3)
    parser.add_argument("--components", type=int, default=20, help="trivial components (20)")
    parser.add_argument("--files", type=int, default=20_000, help="files of the large one (20000)")
    parser.add_argument("--size", type=int, default=500_000_000, help="their size in bytes (500 MB)")
    parser.add_argument("--push", action="store_true", help="push the large one instead of exporting it")
    arguments = parser.parse_args()
    if not (busybox := shutil.which("busybox")):
        raise SystemExit("busybox isn't installed: apt install busybox-static")
    many = tuple(f"echo {number} > /made-{number}" for number in range(arguments.components))
    large = ("mkdir /made && tar -xf /tree.tar -C /made",)
    with (
        measuring.workplace(arguments) as folder,
        docker_engine.running(folder / "docker") as engine,
        registry.running(folder / "registry") as host,
    ):
        measuring.apart(partial(_lay_out, folder, busybox, arguments.files, arguments.size))
        for work in (_Work("many", many, False, 5), _Work("large", large, True, 4)):
            _measure(
                _Bench(folder / work.name, work, host if work.is_published and arguments.push else None),
                engine,
                arguments.rounds,
            )


def _lay_out(folder: Path, busybox: str, files: int, size: int) -> None:
    """The bases: a busybox, and for the large component one with an archive in it."""
    for name in ("many", "large"):
        root = folder / name / "root"
        measuring.empty(folder / name)
        (root / "bin").mkdir(parents=True)
        shutil.copy(busybox, root / "bin" / "busybox")
        for applet in ("sh", "mkdir", "tar"):
            (root / "bin" / applet).symlink_to("busybox")
    made = workloads.copy_of_usr(folder / "tree", files, size)
    print(f"the large component: {made.files} files, {made.size / measuring.MIB:.0f} MiB")
    with tarfile.open(folder / "large" / "root" / "tree.tar", "w") as archive:
        archive.add(folder / "tree", ".")
    shutil.rmtree(folder / "tree")


def _measure(bench: _Bench, engine: Engine | None, rounds: int) -> None:
    work = bench.work
    found = (_imgbake(bench), _docker(bench, engine), _buildah(bench))
    tools = [tool for tool in found if tool]
    cold = alternate([replace(tool.bakes, before=tool.forgets) for tool in tools], rounds)
    show(f"{work.name}, from the base", cold, OURS)
    alternate([tools[0].bakes], 2)  # ours sees that what it made is old enough to prove something
    same = alternate([tool.bakes for tool in tools], rounds)
    show(f"{work.name}, nothing changed", same, OURS)
    for peer in (DOCKER, BUILDAH):
        if peer in cold:
            judge(f"{peer}'s time to ours", ratio(cold, peer, OURS), work.faster, at_least=True)
            if work.is_published:
                judge(f"{peer}'s time to ours, unchanged", ratio(same, peer, OURS), 20, at_least=True)
    judge("peak memory", cold[OURS].peak / 1e6, 250, unit=" MB")


def _imgbake(bench: _Bench) -> _Tool:
    """The base is an image of a recipe beside, and so a layout whose layer the sandbox has extracted."""
    folder, commands = bench.folder, bench.work.commands
    names = [f"c{number}" for number in range(len(commands))]
    recipe = '[project]\nname = "bench"\n'
    for image, base, components in (
        ("base", "scratch", ["root"]),
        ("warm", "image:base", ["warm"]),
        ("bench", "image:base", names),
    ):
        recipe += f"\n[images.{image}]\nbase = {json.dumps(base)}\ncomponents = {json.dumps(components)}\n"
        tags = json.dumps([f"{bench.image}:{image}"] if bench.registry else [])
        recipe += f'targets = ["{image}"]\n\n[targets.{image}]\nuses = "oci"\ntags = {tags}\n'
    recipe += '\n[components.root]\nfiles = [{ from = "root", to = "/" }]\n'
    for name, run in (("warm", "true"), *zip(names, commands, strict=True)):
        recipe += f"\n[components.{name}]\nbuild = {json.dumps(run)}\n"
    (folder / "imgbake.toml").write_text(recipe)
    env = {"XDG_CACHE_HOME": str(folder / "cache")}
    build = [measuring.imgbake(), "build", *(["--push"] if bench.registry else [])]

    def forget() -> None:
        bench.empty_registry()
        measuring.empty(folder / "cache", folder / ".imgbake")
        measuring.run([*build, "warm"], folder, env)

    return _Tool(Contestant(OURS, [*build, "bench"], folder, env), forget)


def _dockerfile(context: Path, work: _Work, base: str) -> Path:
    """A context that holds the Dockerfile and nothing else."""
    context.mkdir(exist_ok=True)
    runs = "".join(f"RUN {command}\n" for command in work.commands)
    (context / "Dockerfile").write_text(f"FROM {base}\n{runs}")
    return context


def _docker(bench: _Bench, engine: Engine | None) -> _Tool | None:
    if engine is None:
        return None
    folder, image = bench.folder, bench.image
    env = {**engine.env, "DOCKER_BUILDKIT": "0"}
    context = _dockerfile(folder / "docker-context", bench.work, f"{image}:base")
    build = f"docker build -q --network=host -t {image}:bench {context}"
    publish = (
        f"docker push -q {image}:bench" if bench.registry else f"docker save -o docker.tar {image}:bench"
    )
    script = f"{build}; {publish}" if bench.work.is_published else build
    bakes = Contestant(DOCKER, ["sh", "-ec", script], folder, env, None, engine.processes)
    base = f"tar -C root --owner=0 --group=0 -cf - . | docker import - {image}:base"

    def forget() -> None:
        bench.empty_registry()
        (folder / "docker.tar").unlink(missing_ok=True)
        _quietly("docker system prune -af", folder, env)
        _quietly(f"{base}; docker push -q {image}:base" if bench.registry else base, folder, env)

    return _Tool(bakes, forget)


def _buildah(bench: _Bench) -> _Tool | None:
    if not measuring.tool("buildah"):
        return None
    folder, image = bench.folder, bench.image
    buildah = f"buildah --storage-driver overlay --root {folder}/buildah --runroot {folder}/buildah-run"
    push = f"{buildah} push -q --tls-verify=false {image}"
    context = _dockerfile(folder / "buildah-context", bench.work, f"{image}:base")
    build = f"{buildah} bud -q --pull=false --layers --isolation chroot -t {image}:bench {context}"
    publish = f"{push}:bench" if bench.registry else f"{push}:bench oci:buildah-oci:latest"
    script = f"{build}; {publish}" if bench.work.is_published else build
    bakes = Contestant(BUILDAH, ["sh", "-ec", script], folder)
    (folder / "Base").write_text("FROM scratch\nCOPY root /\n")
    base = f"{buildah} bud -q --isolation chroot -f Base -t {image}:base ."

    def forget() -> None:
        bench.empty_registry()
        measuring.empty(*(folder / name for name in ("buildah", "buildah-run", "buildah-oci")))
        _quietly(f"{base}; {push}:base" if bench.registry else base, folder, {})

    return _Tool(bakes, forget)


def _quietly(script: str, folder: Path, env: dict[str, str]) -> None:
    subprocess.run(
        ["sh", "-ec", script], cwd=folder, env=measuring.environ(env), stdout=subprocess.DEVNULL, check=True
    )


if __name__ == "__main__":
    main()
