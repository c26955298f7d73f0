"""What imgbake survives: kill -9, many at once, a damaged store, a full disk, a read-only cache.

Builds examples/monorepo, and does its worst. After each trial a build must give images whose digests
equal a clean build's and whose blobs are whole. Where a build can't succeed it must say why, without
a traceback. No process and no temporary file may be left. Prints how many trials went well, and what
was wrong with the others; exits with 1 if there were any. Full disks and read-only folders need root.
"""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import measuring
from subject import Built, Subject

KIB = 1 << 10
_SMALLEST = {"cache": 128, "project": 320}  # KiB: the sources have to fit
Trials = Iterator[list[str]]  # what is wrong with each of them


class Course:
    """The project under test, what clean builds of it give, and room for more copies of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._copies = 0
        self.subject = self.copy()
        self.digests: list[dict[str, str]] = []  # of a clean build, for two versions of the sources
        self.seconds = 0.0  # that a clean build takes

    def copy(self, *, cache: Path | None = None) -> Subject:
        """Another copy of the project, with a cache of its own if none is given."""
        self._copies += 1
        root = self._folder / f"project{self._copies}"
        return Subject(root, cache or self._folder / f"cache{self._copies}")

    def learn(self) -> None:
        """Builds cleanly what every other build is compared with."""
        for version in (1, 0):
            self.subject.forget()
            self.subject.edit(version)
            began = time.monotonic()
            built = self.subject.build()
            self.seconds = time.monotonic() - began
            if built.code or not built.digests:
                sys.exit(f"a clean build fails:\n{built.text}")
            self.digests.insert(0, built.digests)
        print(f"a clean build makes {len(self.digests[0])} images in {self.seconds:.2f} s", flush=True)

    def is_right(self, built: Built, version: int = 0) -> list[str]:
        """What is wrong with a build of this version of the sources, and what it left behind."""
        return [*self.subject.wrongs(built, self.digests[version]), *self.subject.leftovers()]


def main() -> None:
    """Runs every trial, and prints."""
    parser = measuring.options(__doc__, 10)
    parser.add_argument("--kills", type=int, default=200, help="how often a build is killed (200)")
    parser.add_argument("--seed", type=int, default=1, help="of the random moments (1)")
    parser.add_argument("--only", default="", help="only what has this in its title")
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    with measuring.workplace(arguments) as folder:
        course = Course(folder)
        course.learn()
        failed = 0
        for title, trials in _trials(course, arguments.kills, arguments.rounds):
            if arguments.only in title:
                failed += _report(title, trials())
    sys.exit(1 if failed else 0)


def _report(title: str, trials: Trials) -> int:
    """Runs trials, prints how many went well, and returns how many didn't."""
    good = total = 0
    for total, wrongs in enumerate(trials, 1):
        good += not wrongs
        for wrong in wrongs:
            print(f"    trial {total}: {wrong}", flush=True)
    print(f"  {good:>4} of {total:>4}  {title}", flush=True)
    return total - good


def _trials(course: Course, kills: int, rounds: int) -> Iterator[tuple[str, Callable[[], Trials]]]:
    yield "kill -9 of imgbake, then a build", partial(_killed, course, kills // 2, everything=False)
    yield "kill -9 of imgbake and all it started, then a build", partial(_killed, course, kills - kills // 2)
    for count in (2, 8):
        yield f"{count} builds at once in one project", partial(_at_once, course, count, rounds)
        yield (
            f"{count} builds at once in projects that share a cache",
            partial(_sharing, course, count, rounds),
        )
    for name, damage in _DAMAGES.items():
        yield f"one blob of the store {name}, then a build", partial(_damaged, course, damage)
    if os.geteuid() == 0:
        yield "the cache's disk is full, then it isn't", partial(_full, course, "cache")
        yield "the project's disk is full, then it isn't", partial(_full, course, "project")
        yield "the cache is read-only", partial(_read_only_cache, course)
        yield "the project is read-only: an answer, and no traceback", partial(_read_only_project, course)


def _killed(course: Course, count: int, *, everything: bool = True) -> Trials:
    """Killed at a random moment of a first build, or of one after a change; now and then twice in a row."""
    subject, version = course.subject, 0
    for number in range(count):
        if number % 3 == 0:
            subject.forget(cache=number % 2 == 0)
        elif number % 3 == 1:
            version = 1 - version
            subject.edit(version)
        for _ in range(1 + (number % 4 == 0)):
            running = subject.start()
            time.sleep(random.uniform(0, course.seconds * 1.1))
            if everything:
                subject.kill_all()
            else:
                running.process.kill()
            running.wait()
        yield course.is_right(subject.build(), version)
    subject.edit(0)


def _at_once(course: Course, count: int, rounds: int) -> Trials:
    for number in range(rounds):
        course.subject.forget(cache=number % 2 == 0)
        running = [course.subject.start() for _ in range(count)]
        wrongs = [
            wrong for build in running for wrong in course.subject.wrongs(build.wait(), course.digests[0])
        ]
        yield [*wrongs, *course.subject.leftovers()]


def _sharing(course: Course, count: int, rounds: int) -> Trials:
    course.subject.forget()
    subjects = [course.copy(cache=course.subject.cache) for _ in range(count)]
    for number in range(rounds):
        for subject in subjects:
            subject.forget(cache=number % 2 == 0)
        running = [(subject, subject.start()) for subject in subjects]
        wrongs = [
            wrong for subject, build in running for wrong in subject.wrongs(build.wait(), course.digests[0])
        ]
        yield [*wrongs, *course.subject.leftovers()]


def _flip(blob: Path) -> None:
    data = bytearray(blob.read_bytes())
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    blob.chmod(0o644)
    blob.write_bytes(data)


def _truncate(blob: Path) -> None:
    blob.chmod(0o644)
    os.truncate(blob, random.randrange(blob.stat().st_size))


_DAMAGES: dict[str, Callable[[Path], None]] = {
    "has a flipped bit": _flip,
    "is cut short": _truncate,
    "is removed": Path.unlink,
}


def _damaged(course: Course, damage: Callable[[Path], None]) -> Trials:
    """The project's outputs and images are gone, so that every blob is wanted."""
    subject = course.subject
    subject.forget()
    subject.build()
    for blob in sorted(path for path in subject.store.glob("blobs/sha256/*") if path.stat().st_size):
        measuring.empty(subject.root / "build", subject.root / ".imgbake" / "images")
        if blob.exists():  # a damaged one may have been removed, and not be wanted any more
            damage(blob)
        yield course.is_right(subject.build())


def _full(course: Course, which: str) -> Trials:
    """Disks of growing size, each too small for a build until it grows, up to one that is large enough."""
    subject = course.copy()
    place = subject.cache if which == "cache" else subject.root
    for size in itertools.count(_SMALLEST[which], 64):
        subject.forget()
        place.mkdir(exist_ok=True)
        with _mounted(place, "-t", "tmpfs", "-o", f"size={size * KIB}", "tmpfs"):
            tried = subject if which == "cache" else Subject(subject.root, subject.cache)
            small = tried.build()
            _mount(place, "-o", f"remount,size={64 << 20}")
            built = tried.build()
            yield [*_crash(small), *tried.wrongs(built, course.digests[0]), *tried.leftovers()]
        if not small.code:
            return


def _read_only_cache(course: Course) -> Trials:
    """A cache that has nothing, one that has everything, and one that has another version."""
    subject = course.subject
    for version in (None, 0, 1):
        subject.forget()
        if version is not None:
            subject.edit(version)
            subject.build()
            subject.edit(0)
        subject.forget(cache=False)
        subject.cache.mkdir(exist_ok=True)
        with _read_only(subject.cache):
            yield course.is_right(subject.build())
            yield course.is_right(subject.build())


def _read_only_project(course: Course) -> Trials:
    """One that was never built, and one in which there is nothing to do."""
    subject = course.subject
    for is_built in (False, True):
        subject.forget()
        if is_built:
            subject.build()
        with _read_only(subject.root):
            yield [*_crash(subject.build()), *subject.leftovers()]


def _crash(built: Built) -> list[str]:
    return [f"it ended with {built.code}: {built.text[-2000:]}"] if built.is_crash else []


@contextmanager
def _read_only(folder: Path) -> Iterator[None]:
    """A mount, since permissions don't bind root."""
    with _mounted(folder, "--bind", str(folder)):
        _mount(folder, "-o", "remount,bind,ro")
        yield


@contextmanager
def _mounted(folder: Path, *arguments: str) -> Iterator[None]:
    _mount(folder, *arguments)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def _mount(folder: Path, *arguments: str) -> None:
    subprocess.run(["mount", *arguments, folder], check=True)


if __name__ == "__main__":
    main()
