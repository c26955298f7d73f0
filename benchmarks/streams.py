"""Image streams: many writers at once, writers that are killed, and ten thousand tags.

Writers are processes of their own, and each notes what it has changed; nothing may be missing at the end.
What is killed must leave the document before the change or after it. `--shelf` names another shelf than
a folder, such as s3://BUCKET/PREFIX. Exits with 1 when something was lost.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import sys
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import measuring
from measuring import Contestant, alternate, judge, show

from imgbake import plugins
from imgbake.contract import Shelf
from imgbake.streams import document, shelving
from imgbake.streams.changes import Pointed, intend, point
from imgbake.streams.model import Intent, Revision, Stream

WRITERS, KILLS = 8, 200
ROLLBACK = f"rollback many:0 --to {'0' * 64}"
TYPER = "python -c 'import typer'"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> int:
    """Measures, and prints. Returns the exit code."""
    parser = measuring.options(__doc__, 11)
    parser.add_argument("--seconds", type=float, default=60, help="how long writers write")
    parser.add_argument("--shelf", default="", help="where; a folder when left out")
    arguments = parser.parse_args()
    with measuring.workplace(arguments) as folder:
        address = arguments.shelf or str(folder / "streams")
        lost = _written_at_once(address, arguments.seconds)
        if not arguments.shelf:
            lost += _killed(folder / "killed")
        _scale(folder, arguments)
    return 1 if lost else 0


def _written_at_once(address: str, seconds: float) -> int:
    """Lets writers write, and returns how many of their changes are missing."""
    counts = multiprocessing.Array("i", WRITERS)
    writers = [
        multiprocessing.Process(target=_write, args=(address, number, seconds, counts))
        for number in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    stream = shelving.existing(_shelf(address), "written")
    lost = 0
    for number in range(WRITERS):
        wanted = [f"{number}-{change}" for change in reversed(range(counts[number]))]
        own = [each.image for each in stream.tags[f"own-{number}"].history]
        shared = [each.image for each in stream.tags["shared"].history]
        lost += (own != wanted) + ([image for image in shared if image.startswith(f"{number}-")] != wanted)
    total = sum(counts)
    print(f"\n{WRITERS} writers, {seconds:g} s: {total} changes, {lost} histories that lack one")
    print(f"  the slowest writer made {min(counts)} of them, the fastest {max(counts)}")
    return lost


def _write(address: str, number: int, seconds: float, counts: list[int]) -> None:
    shelf, end = _shelf(address), time.monotonic() + seconds
    while time.monotonic() < end:
        image = f"{number}-{counts[number]}"
        found = Pointed(Revision(image, f"image@{image}", NOW))
        tags = {f"own-{number}": found, "shared": found}
        shelving.change(shelf, "written", partial(_pointed, found=tags))
        counts[number] += 1


def _pointed(stream: Stream | None, found: dict[str, Pointed]) -> Stream:
    return point(stream or Stream(NOW), found)


def _killed(folder: Path) -> int:
    """Kills writers at random moments, and returns how often less was there than before."""
    shelf, wrong, before = _shelf(str(folder)), 0, 0
    for _ in range(KILLS):
        writer = os.fork()
        if not writer:
            while True:
                shelving.change(shelf, "killed", _longer)
        time.sleep(random.uniform(0, 0.05))
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        stream = shelving.load(shelf, "killed")
        history = [each.image for each in stream.tags["latest"].history] if stream else []
        wrong += history != [str(number) for number in reversed(range(len(history)))]
        wrong += len(history) < before
        before = len(history)
    print(f"{KILLS} killed writers: {before} changes, {wrong} documents that are wrong")
    return wrong


def _longer(stream: Stream | None) -> Stream:
    stream = stream or Stream(NOW)
    number = len(stream.tags["latest"].history) if stream.tags else 0
    return point(stream, {"latest": Pointed(Revision(str(number), f"image@{number}", NOW))})


def _scale(folder: Path, arguments: argparse.Namespace) -> None:
    """Shows how listing, describing and looking for what is due grow with the number of tags."""
    contestants = [Contestant(TYPER, [sys.executable, "-c", "import typer"], folder)]
    for tags in (1000, 10_000):
        place = folder / str(tags)
        _with_tags(place, tags)
        for words in ("ls", "ls many", "describe many", "sync", ROLLBACK):
            command = [measuring.imgbake(), "stream", *words.split()]
            contestants.append(Contestant(_name(words, tags), command, place))
    figures = alternate(contestants, arguments.rounds)
    show("Streams", figures, TYPER)
    typer = figures[TYPER].cpu  # nothing here waits, and other work on the machine does not count
    for tags in (1000, 10_000):
        for words in ("ls", "ls many"):
            most = (2 * typer + 0.02 * tags / 1000) / typer
            judge(_name(words, tags), figures[_name(words, tags)].cpu / typer, round(most, 2))
    for words in ("describe many", "sync"):
        small, large = (figures[_name(words, tags)].cpu - typer for tags in (1000, 10_000))
        print(f"{words}: ten times the tags take {large / small:.1f} times as long, Typer apart")


def _name(words: str, tags: int) -> str:
    return f"{words.partition(' --')[0]}, {tags} tags"


def _with_tags(folder: Path, tags: int) -> None:
    names = [str(number) for number in range(tags)]
    stream = intend(Stream(NOW), {name: Intent(f"localhost:1/image:{name}", every="24h") for name in names})
    now = datetime.now(UTC).replace(microsecond=0)
    for build in range(3):
        found = {}
        for number, name in enumerate(names):
            digest = f"sha256:{number * 3 + build:064x}"
            found[name] = Pointed(Revision(digest, f"localhost:1/image:{name}@{digest}", now))
        stream = point(stream, found)
    (folder / ".imgbake/streams").mkdir(parents=True)
    (folder / ".imgbake/streams/many.json").write_bytes(document.dump(stream))


def _shelf(address: str) -> Shelf:
    return shelving.open_shelf(address, Path(), plugins.installed(), lambda: None)


if __name__ == "__main__":
    sys.exit(main())
