"""An image of 350 MB from an OCI layout to four local registries: imgbake copy against skopeo copy.

skopeo copies to one registry at a time, so it is run four times: one after the other, and all at once.
The second table is a copy with nothing to do, to one registry and to four.

With --far an image of 80 MB goes to four registries that are each 80 ms and 200 Mbit/s away, by proxies of
`far`: to all at once against the slowest alone, from a layout and from a registry nearby.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import far
import measuring
import registry
from measuring import MIB, Contestant, alternate, judge, ratio, show

REGISTRIES = 4
LAYERS = (150, 80, 50, 40, 20, 10)  # MB
FAR_LAYERS = (30, 20, 15, 10, 5)
ROUND_TRIP = 0.08  # seconds
RATE = 25e6  # bytes a second: 200 Mbit/s
_OCI = "application/vnd.oci.image"


def main() -> None:
    """Measures, and prints."""
    options = measuring.options(__doc__, 5)
    options.add_argument("--far", action="store_true", help="to registries far away")
    arguments = options.parse_args()
    with measuring.workplace(arguments) as folder, ExitStack() as stack:
        layers = FAR_LAYERS if arguments.far else LAYERS
        image = folder / f"image{sum(layers)}"
        if not image.exists():
            measuring.apart(partial(_lay_out, image, layers))
        places = [folder / f"registry{number}" for number in range(REGISTRIES)]
        hosts = [host for place in places if (host := stack.enter_context(registry.running(place)))]
        if len(hosts) < REGISTRIES or not measuring.tool("skopeo"):
            raise SystemExit("needs docker-registry and skopeo")
        if arguments.far:
            lines = [stack.enter_context(far.line(host, ROUND_TRIP, RATE)) for host in hosts]
            near = stack.enter_context(registry.running(folder / "near"))
            _far_away(folder, places, lines, f"{near}/bench:1", arguments.rounds)
            return
        _everything_to_do(folder, places, hosts, arguments.rounds)
        _nothing_to_do(folder, hosts, arguments.rounds)


def _everything_to_do(folder: Path, places: list[Path], hosts: list[str], rounds: int) -> None:
    before = partial(measuring.set_aside, *(place / "content" for place in places))
    ours, in_turn, at_once = "imgbake copy", "skopeo copy, one after the other", "skopeo copy, all at once"
    commands = [_skopeo(host) for host in hosts]
    contestants = [
        Contestant(ours, _imgbake(hosts), folder, before=before),
        Contestant(in_turn, ["sh", "-ec", "\n".join(commands)], folder, before=before),
        Contestant(
            at_once,
            ["sh", "-ec", "\n".join(f"{each} &" for each in commands) + "\nwait"],
            folder,
            before=before,
        ),
    ]
    figures = alternate(contestants, rounds)
    show(f"{sum(LAYERS)} MB to {len(hosts)} registries", figures, ours)
    judge("to skopeo one after the other", ratio(figures, ours, in_turn), 0.6)
    judge("to skopeo all at once", ratio(figures, ours, at_once), 1)
    judge("peak memory", figures[ours].peak / MIB, 150, unit=" MB")


def _nothing_to_do(folder: Path, hosts: list[str], rounds: int) -> None:
    one, four, peer = "imgbake copy, to one", "imgbake copy, to four", "skopeo copy, to one"
    contestants = [
        Contestant(one, _imgbake(hosts[:1]), folder),
        Contestant(four, _imgbake(hosts), folder),
        Contestant(peer, ["sh", "-ec", _skopeo(hosts[0])], folder),
    ]
    for contestant in contestants:
        measuring.run(contestant.command, folder)
    figures = alternate(contestants, rounds)
    show("nothing to do", figures, one)
    judge("to skopeo", ratio(figures, one, peer), 1)


def _far_away(folder: Path, places: list[Path], lines: list[str], near: str, rounds: int) -> None:
    before = partial(measuring.set_aside, *(place / "content" for place in places))
    layout = f"oci:image{sum(FAR_LAYERS)}:1"
    measuring.run([measuring.imgbake(), "copy", layout, near], folder)
    for title, source in (("a layout", layout), ("a registry", near)):
        alone = {f"alone, {number}": [line] for number, line in enumerate(lines, 1)}
        contestants = [
            Contestant(name, _imgbake(hosts, source), folder, before=before)
            for name, hosts in {"all": lines, **alone}.items()
        ]
        figures = alternate(contestants, rounds)
        show(f"{sum(FAR_LAYERS)} MB from {title} to {len(lines)} registries far away", figures, "all")
        slowest = max(alone, key=lambda name: figures[name].median)
        judge("to the slowest alone", ratio(figures, "all", slowest), 1.1)


def _imgbake(hosts: list[str], source: str = f"oci:image{sum(LAYERS)}:1") -> list[str]:
    return [measuring.imgbake(), "copy", source, *(f"{host}/bench:1" for host in hosts)]


def _skopeo(host: str) -> str:
    return f"skopeo copy --quiet --dest-tls-verify=false oci:image{sum(LAYERS)}:1 docker://{host}/bench:1"


def _lay_out(folder: Path, layers: tuple[int, ...]) -> None:
    """An image of layers that nothing compresses."""
    beside = folder.with_name(f"{folder.name}.new")
    measuring.empty(beside)
    (beside / "blobs" / "sha256").mkdir(parents=True)
    chance = random.Random(0)
    contents = [chance.randbytes(size * 10**6) for size in layers]
    diff_ids = [f"sha256:{hashlib.sha256(content).hexdigest()}" for content in contents]
    # In gzip's form, or skopeo would compress them on their way.
    blobs = [_blob(beside, gzip.compress(each, 0, mtime=0), f"{_OCI}.layer.v1.tar+gzip") for each in contents]
    rootfs = {"type": "layers", "diff_ids": diff_ids}
    config = {"os": "linux", "architecture": "amd64", "config": {}, "rootfs": rootfs}
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_OCI}.manifest.v1+json",
        "config": _blob(beside, json.dumps(config).encode(), f"{_OCI}.config.v1+json"),
        "layers": blobs,
    }
    named = _blob(beside, json.dumps(manifest).encode(), f"{_OCI}.manifest.v1+json")
    named["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    (beside / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    (beside / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    beside.rename(folder)


def _blob(folder: Path, data: bytes, media_type: str) -> dict[str, Any]:
    name = hashlib.sha256(data).hexdigest()
    (folder / "blobs" / "sha256" / name).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(data)}


if __name__ == "__main__":
    main()
