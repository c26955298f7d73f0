"""What is built while everything goes wrong: a copy of examples/monorepo, and a cache.

It says in words how a build, or what it left behind, differs from what it should be.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import measuring

_EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "monorepo"
_EDITED = ("libs/shop/serving.py", "services/cart/__main__.py", "services/gifts/__main__.py")
_PATIENCE = 120.0  # seconds for one build


class Built(NamedTuple):
    """How a build ended: its exit code, what it printed, and the digest of each image."""

    code: int
    text: str
    digests: dict[str, str]

    @property
    def is_crash(self) -> bool:
        """Did it end in a way that is no answer: with a traceback, by a signal, as a bug of ours?"""
        return "Traceback" in self.text or self.code not in (0, 1, 2)


class Subject:
    """A copy of the project. Several may share a cache."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.root = root
        self.cache = cache
        root.mkdir(parents=True, exist_ok=True)
        for entry in _EXAMPLE.iterdir():
            if entry.is_dir() and entry.name not in (".imgbake", "build"):
                shutil.copytree(entry, root / entry.name)
            elif entry.is_file():
                shutil.copy2(entry, root / entry.name)

    @property
    def store(self) -> Path:
        """Where imgbake keeps its store."""
        return self.cache / "imgbake"

    def edit(self, version: int) -> None:
        """Changes some of the sources. A version is always the same sources; 0 are the original ones."""
        for name in _EDITED:
            original = (_EXAMPLE / name).read_text()
            (self.root / name).write_text(original + (f"# version {version}\n" if version else ""))

    def forget(self, *, cache: bool = True) -> None:
        """Removes everything that builds made and remember."""
        measuring.empty(self.root / ".imgbake", self.root / "build")
        if cache:
            measuring.empty(self.cache)

    def start(self) -> Running:
        """Starts a build, in a process group of its own."""
        return Running(self)

    def build(self) -> Built:
        """Builds, to the end."""
        return self.start().wait()

    def processes(self) -> list[int]:
        """The processes that a build in any project with this cache started, or is."""
        mark = f"XDG_CACHE_HOME={self.cache}".encode()
        found = []
        for folder in Path("/proc").iterdir():
            with suppress(OSError):
                if folder.name.isdigit() and mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
        return found

    def kill_all(self) -> None:
        """Kills all of them at once, as a machine does that loses its power."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def wrongs(self, built: Built, digests: dict[str, str]) -> Iterator[str]:
        """What is wrong with a build that should have given these images."""
        if built.code or built.is_crash:
            yield f"exit code {built.code}: {built.text[-2000:]}"
        elif built.digests != digests:
            names = [name for name in digests if built.digests.get(name) != digests[name]]
            yield f"other digests than a clean build's: {', '.join(names)}"
        else:
            yield from self._damages()

    def leftovers(self) -> Iterator[str]:
        """What builds left behind that have ended."""
        time.sleep(0.01)  # a killed process is still there for a moment
        yield from (f"process {pid} is left" for pid in self.processes())
        unfinished = [*self.root.glob(".imgbake/work/*"), *self.root.rglob(".*.imgbake")]
        unfinished += [path for path in self.store.glob("tmp/*") if path.is_dir()]
        yield from (f"{path} is left" for path in unfinished)

    def _damages(self) -> Iterator[str]:
        """Reads every image that was written, as anybody else would."""
        layouts = [index.parent for index in self.root.glob(".imgbake/images/**/index.json")]
        if not layouts:
            yield "no image was written"
        for layout in layouts:
            todo = json.loads((layout / "index.json").read_bytes())["manifests"]
            while todo:
                descriptor = todo.pop()
                digest = descriptor["digest"]
                try:
                    data = (layout / "blobs" / digest.replace(":", "/")).read_bytes()
                except OSError as error:
                    yield f"{layout}: {error}"
                    continue
                if digest != "sha256:" + hashlib.sha256(data).hexdigest() or len(data) != descriptor["size"]:
                    yield f"{layout}: the blob {digest} is damaged"
                elif descriptor["mediaType"].endswith((".index.v1+json", ".manifest.v1+json")):
                    document = json.loads(data)
                    todo += document.get("manifests", [])
                    todo += [document["config"], *document["layers"]] if "config" in document else []


class Running:
    """A build that goes on."""

    def __init__(self, subject: Subject) -> None:
        beside, number = subject.root.parent, time.monotonic_ns()
        self._paths = [beside / f"{subject.root.name}-{number}.{kind}" for kind in ("out", "err")]
        with self._paths[0].open("wb") as out, self._paths[1].open("wb") as err:
            self.process = subprocess.Popen(
                [measuring.imgbake(), "build", "--format", "json", "--progress", "plain"],
                cwd=subject.root,
                env=measuring.environ({"XDG_CACHE_HOME": str(subject.cache)}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def wait(self) -> Built:
        """Waits for its end."""
        try:
            code = self.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            code = self.process.wait()
        texts = [path.read_text(errors="replace") for path in self._paths]
        for path in self._paths:
            path.unlink()
        return Built(code, texts[1], _digests(texts[0]) if code == 0 else {})


def _digests(report: str) -> dict[str, str]:
    nodes = json.loads(report)["nodes"]
    return {node["node"]: node["artifact"]["digest"] for node in nodes if node["node"].startswith("image:")}
