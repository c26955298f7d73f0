"""One layer of 60,000 files, 1 GiB, in every compression: imgbake's whole bake against a plain pipe.

The pipe is GNU tar into the compressor that does the same by itself. It neither hashes what it writes
nor looks at what changed, so it is less than what a bake does; it says how far we are from the machine.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import measuring
import workloads
from measuring import Contestant, alternate, judge, show

RECIPE = """\
[project]
name = "layer"

[components.tree]
files = [{ from = "tree", to = "/srv/tree/" }]

[images.bench]
base = "scratch"
components = ["tree"]
targets = ["gzip", "zstd", "none"]

[targets]
gzip = { uses = "oci" }
zstd = { uses = "oci", compression = "zstd" }
none = { uses = "oci", compression = "none" }
"""
TAR = "tar -C tree --format=pax --sort=name --owner=0 --group=0 --mtime=@0 -c ."
PIPES = {
    "gzip": [f"{TAR} | gzip -1 -n", f"{TAR} | pigz -1 -n"],
    "zstd": [f"{TAR} | zstd -q -3 -T0"],
    "none": [f"{TAR} | cat"],
}


def main() -> None:
    """Measures, and prints."""
    parser = measuring.options(__doc__, 3)
    parser.add_argument("--files", type=int, default=60_000, help="files in the tree (60000)")
    parser.add_argument("--size", type=int, default=1 << 30, help="their size in bytes (1 GiB)")
    arguments = parser.parse_args()
    with measuring.workplace(arguments) as folder:
        if not (folder / "tree").exists():
            measuring.apart(partial(_lay_out, folder, arguments.files, arguments.size))
        for compression, pipes in PIPES.items():
            _measure(folder, compression, pipes, arguments.rounds)


def _lay_out(folder: Path, files: int, size: int) -> None:
    beside = folder / "tree.new"
    measuring.empty(beside)
    made = workloads.copy_of_usr(beside, files, size)
    print(f"the tree: {made.files} files, {made.size / measuring.MIB:.0f} MiB")
    (folder / "imgbake.toml").write_text(RECIPE)
    beside.rename(folder / "tree")


def _measure(folder: Path, compression: str, pipes: list[str], rounds: int) -> None:
    """One compression: from nothing, each time, with the tree in the page cache."""
    cache, ours = folder / "cache", f"imgbake build, {compression}"
    peers = [pipe for pipe in pipes if measuring.tool(pipe.rpartition("| ")[2].split()[0])]
    contestants = [
        Contestant(
            ours,
            [measuring.imgbake(), "build", f"bench@{compression}"],
            folder,
            {"XDG_CACHE_HOME": str(cache)},
            partial(measuring.set_aside, cache, folder / ".imgbake"),
        ),
        *(Contestant(pipe.rpartition("| ")[2], ["sh", "-c", f"{pipe} > out"], folder) for pipe in peers),
    ]
    figures = alternate(contestants, rounds)
    show(f"one layer, {compression}", figures, ours)
    judge("peak memory", figures[ours].peak / 1e6, 200, unit=" MB")
    (folder / "out").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
