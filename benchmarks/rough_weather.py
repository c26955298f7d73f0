"""Distributions through proxies that break things, killed at random: is anything ever half done?

Each round changes one part of an image of 6 MB, and distributes it to three registries (docker-registry),
each behind a proxy that resets, stalls, truncates, delays and answers 503. Three rounds of four are killed
(kill -9) at a random moment. After each the registries' own files are looked at:

- every tag names a manifest that is there, and all that it names, right to the byte;
- tags of the atomic distribution are moved only when all registries have all of the new image;
- a run in calm weather brings the rest: it sends the blobs that lacked, and no more.

Prints what was wrong; exits with 1 if anything was.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import measuring
import registry

from imgbake.testing.proxy import RoughProxy

REGISTRIES = 3
PARTS = 3
PART = 2_000_000  # bytes, that nothing compresses
MANIFESTS = 10_000  # bytes at most, of what is sent besides blobs
_DIGEST = "sha256:"


class Place:
    """One registry, by its files, and the proxy before it."""

    def __init__(self, folder: Path, proxy: RoughProxy) -> None:
        self._files = folder / "content/docker/registry/v2"
        self.proxy = proxy

    def tags(self) -> dict[str, str]:
        """What each tag means."""
        links = self._files.glob("repositories/shop/_manifests/tags/*/current/link")
        return {link.parts[-3]: link.read_text() for link in links}

    def blobs(self) -> dict[str, int]:
        """What the repository has, manifests aside: bytes by digest."""
        links = self._files.glob("repositories/shop/_layers/sha256/*/link")
        return {link.read_text(): self._blob(link.read_text()).stat().st_size for link in links}

    def manifest(self, digest: str) -> dict[str, Any]:
        """A manifest, sound."""
        found: dict[str, Any] = json.loads(self._sound(digest))
        return found

    def wrong(self) -> list[str]:
        """What tags name that isn't there, or isn't what it should be."""
        problems = []
        for tag, digest in self.tags().items():
            try:
                manifest = self.manifest(digest)
                for each in (manifest["config"], *manifest["layers"]):
                    self._sound(each["digest"])
                    if each["digest"] not in self.blobs():
                        problems.append(f"{tag} names {each['digest']}, which the repository lacks")
            except (OSError, ValueError) as error:
                problems.append(f"{tag} names what is not there: {error}")
        return problems

    def _sound(self, digest: str) -> bytes:
        data = self._blob(digest).read_bytes()
        if f"{_DIGEST}{hashlib.sha256(data).hexdigest()}" != digest:
            raise ValueError(f"{digest} is damaged")
        return data

    def _blob(self, digest: str) -> Path:
        name = digest.removeprefix(_DIGEST)
        return self._files / "blobs/sha256" / name[:2] / name / "data"


class Course:
    """The project, the registries, and what has happened to them."""

    def __init__(self, folder: Path, places: list[Place], seed: int) -> None:
        self.folder, self.places = folder, places
        self.chance = random.Random(seed)
        self.kills = self.failures = self.sent = 0
        self.problems: list[str] = []

    def change(self) -> None:
        """Writes another part of the image."""
        part = self.chance.randrange(PARTS)
        (self.folder / f"part{part}").write_bytes(self.chance.randbytes(PART))

    def distribute(self, kill_after: float | None = None) -> tuple[int, str]:
        """Runs it, and kills it after so many seconds. Gives the exit code and the report."""
        command = [measuring.imgbake(), "distribute", "--format", "json", "--progress", "quiet"]
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=measuring.environ({"IMGBAKE_CACHE_DIR": str(self.folder / "cache")}),
        )
        try:
            said, errors = process.communicate(timeout=kill_after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return -signal.SIGKILL, ""
        if "Traceback" in errors:
            self.problems.append(errors)
        return process.returncode, said

    def look(self, round_: int, before: list[dict[str, str]], *, is_whole: bool) -> None:
        """Looks at the registries after a run that began with these tags."""
        for number, place in enumerate(self.places):
            self.problems += [f"round {round_}, registry {number}: {each}" for each in place.wrong()]
        moved = {
            digest
            for place, tags in zip(self.places, before, strict=True)
            for tag, digest in place.tags().items()
            if tags.get(tag) != digest
        }
        for digest in moved:
            for number, place in enumerate(self.places):
                try:
                    place.manifest(digest)
                except (OSError, ValueError):
                    self.problems.append(
                        f"round {round_}: a tag moved to {digest} before registry {number} had it"
                    )
        if is_whole and any(place.tags() != self.places[0].tags() for place in self.places):
            self.problems.append(f"round {round_}: registries differ after a run that succeeded")


def main() -> None:
    """Goes through all weathers, and prints what came of it."""
    parser = measuring.options(__doc__, 100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with measuring.workplace(arguments) as folder, ExitStack() as stack:
        course = _prepared(folder, stack, arguments.seed)
        began = time.monotonic()
        for round_ in range(arguments.rounds):
            _round(course, round_)
            if (round_ + 1) % 20 == 0 or round_ + 1 == arguments.rounds:
                _tell(course, round_ + 1, time.monotonic() - began)
    print("\n".join(course.problems))
    sys.exit(bool(course.problems))


def _prepared(folder: Path, stack: ExitStack, seed: int) -> Course:
    places = []
    for number in range(REGISTRIES):
        host = stack.enter_context(registry.running(folder / f"registry{number}"))
        if host is None:
            sys.exit("needs docker-registry")
        proxy = stack.enter_context(RoughProxy(int(host.rpartition(":")[2]), seed + number))
        places.append(Place(folder / f"registry{number}", proxy))
    project = folder / "project"
    project.mkdir(exist_ok=True)
    course = Course(project, places, seed)
    tables = [
        f'[components.part{part}]\nfiles = [{{ from = "part{part}", to = "/part{part}" }}]'
        for part in range(PARTS)
    ]
    tables += [
        f'[destinations.d{number}]\nuses = "registry"\nrepository = "{place.proxy.host}/shop"'
        for number, place in enumerate(places)
    ]
    names, images = [f"d{number}" for number in range(REGISTRIES)], [f"part{part}" for part in range(PARTS)]
    tables.append(f'[images.shop]\nbase = "scratch"\ncomponents = {json.dumps(images)}')
    tables.append(
        f'[distributions.prod]\nimages = ["shop"]\nto = {json.dumps(names)}\ntags = ["1", "stable"]'
    )
    (project / "imgbake.toml").write_text("\n".join(tables))
    for part in range(PARTS):
        (project / f"part{part}").write_bytes(course.chance.randbytes(PART))
    return course


def _round(course: Course, round_: int) -> None:
    course.change()
    before = [place.tags() for place in course.places]
    for place in course.places:
        place.proxy.often = 0.1
    kill_after = course.chance.uniform(0.2, 2.5) if course.chance.random() < 0.75 else None
    code, _ = course.distribute(kill_after)
    course.kills += code == -signal.SIGKILL
    course.failures += code > 0
    course.look(round_, before, is_whole=code == 0)
    _bring_the_rest(course, round_)


def _bring_the_rest(course: Course, round_: int) -> None:
    """A run in calm weather: nothing lacks after it, and it has sent what lacked and no more."""
    for place in course.places:
        place.proxy.often = 0
    _calm(course)
    before = [place.tags() for place in course.places]
    had = [place.blobs() for place in course.places]
    code, said = course.distribute()
    if code:
        course.problems.append(f"round {round_}: fails in calm weather: {said}")
        return
    course.look(round_, before, is_whole=True)
    arrived = {each["destination"]: each for each in json.loads(said)["arrivals"]}
    for number, place in enumerate(course.places):
        sent = arrived[f"d{number}"]["sent"]
        wanted = place.manifest(place.tags()["stable"])
        lacked = sum(
            each["size"]
            for each in (wanted["config"], *wanted["layers"])
            if each["digest"] not in had[number]
        )
        course.sent += sent
        if sent != lacked or not sent <= place.proxy.passed <= sent + MANIFESTS:
            problem = f"registry {number} lacked {lacked}, was sent {sent}, {place.proxy.passed} passed"
            course.problems.append(f"round {round_}: {problem}")


def _calm(course: Course) -> None:
    """Waits until what was under way has arrived, and counts from there."""
    passed = -1
    while passed != (now := sum(place.proxy.passed for place in course.places)):
        passed = now
        time.sleep(0.3)
    for place in course.places:
        place.proxy.passed = 0


def _tell(course: Course, rounds: int, seconds: float) -> None:
    faults = sum(sum(place.proxy.faults.values()) for place in course.places)
    what = f"{course.kills} killed, {course.failures} failed, {faults} faults"
    rest = f"{course.sent / 1e6:.0f} MB sent by the runs that brought the rest"
    print(f"{rounds} rounds in {seconds:.0f} s: {what}, {rest}; {len(course.problems)} problems", flush=True)


if __name__ == "__main__":
    main()
