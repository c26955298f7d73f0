"""Everything that a run knows of one project: the recipe, its graph, and where its state lives.

    .imgbake/
        ledger       what each node did last                   (ledger.py)
        files        digests of files, by what they look like  (memory.py)
        parsed/      recipes that were read, by content        (parsed.py)
        settled/     builds that left nothing to do            (settled.py)
        args.toml    arguments that were saved                 (saved.py)
        logs/        the last log of each node
        tasks/       the folders of tasks that need one
        images/      baked images
        pointers     which names moved where                   (pointers.py)
        lock         held while a build runs

All of it is state: deleting it costs time and history, never correctness. Streams are the exception, since
nobody else remembers what they do: `[project] streams` puts them where they are kept.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from imgbake.contract import Artifact, Resolved, Runner, Shelf
from imgbake.engine import runners
from imgbake.engine.descriptions import Descriptions
from imgbake.engine.graph import Graph, Node
from imgbake.engine.ledger import Ledger
from imgbake.engine.lockfile import Lock
from imgbake.engine.pointers import Pointers
from imgbake.engine.process import Stop
from imgbake.engine.secrets import Secrets
from imgbake.errors import BakeError, Interrupted
from imgbake.files.tree import Files
from imgbake.model import Recipe
from imgbake.plugins import Plugins
from imgbake.store.faults import StoreUnwritable
from imgbake.store.folder import default_folder
from imgbake.store.store import Store
from imgbake.turns import Turns

if TYPE_CHECKING:
    from imgbake.streams.model import Stream

Standing = tuple[Artifact | None, tuple[str, ...]]
"""What is there of something outside of this machine, and why that isn't enough."""

T = TypeVar("T")

STATE = ".imgbake"
_LONGEST_NAME = 200
_LAST_SECOND = 253_402_300_799  # of the year 9999, the last that RFC 3339 can write
_EPOCH_DIGITS = 20  # a number of more is not worth reading


class Project:
    """One project, as the contexts, the engine and the screens see it."""

    def __init__(
        self,
        recipe: Recipe,
        graph: Graph,
        plugins: Plugins,
        *,
        lock: Lock,
        secrets: Secrets,
        environ: Mapping[str, str],
        commits: Mapping[str, str],
        warn: Callable[[str], None],
        is_read_only: bool = False,
        descriptions: Descriptions | None = None,
        state: Path | None = None,
        opened: int | None = None,
        has_saved_args: bool = False,
    ) -> None:
        """`state` is where state is kept, if not below the recipe's folder.

        `opened` is a time before anything was read, in nanoseconds since 1970, if that isn't now.
        """
        self.recipe = recipe
        self.opened = time.time_ns() if opened is None else opened
        self.has_saved_args = has_saved_args
        self.descriptions = descriptions or Descriptions(recipe, plugins)
        self.graph = graph
        self.plugins = plugins
        self.lock = lock
        self.secrets = secrets
        self.environ = dict(environ)  # os.environ decodes each variable each time
        self.raw_environ = {os.fsencode(name): os.fsencode(value) for name, value in environ.items()}
        self.commits = commits  # git tasks to the commit that the command line names
        self.root = Path(recipe.root)
        self.state = state or self.root / STATE
        self.files = Files(self.root, self.state / "files")
        self.ledger = Ledger(self.state / "ledger")
        self.env_read: dict[str, str | None] = dict(recipe.env_read)
        self.made: set[str] = set()  # fingerprints of steps inside steps that ran in this build
        self.questions: dict[str, list[str] | None] = {}  # that tell whether what nodes made is there
        self.pointers = Pointers(self.state / "pointers")
        self.standing: dict[str, Standing | BakeError] = {}  # what destinations said while it was planned
        self.names: dict[str, tuple[str, ...]] = {}  # that are to mean what a node delivers
        self.verifies_all = False  # is what is delivered read back, whole?
        self.stop: Stop | None = None  # of the build that is under way
        self._shared: dict[object, Any] = {}
        self._warn = warn
        self._is_read_only = is_read_only
        self._store: Store | None = None
        self._shelf: Shelf | None = None
        self._streams: dict[str, Stream] = {}
        self._opening = threading.Lock()
        self._guard = threading.Lock()
        self.turns = Turns()
        self._runners: dict[str, Runner] = {}  # that were asked for
        self.resolved: dict[tuple[str, ...], Resolved] = {}  # bases that formats asked for in this build

    @property
    def store(self) -> Store:
        """The content store, opened at its first use, whichever threads have it at once."""
        if self._store is None:
            with self._opening:
                if self._store is None:
                    self._store = self._open_store()
        return self._store

    @property
    def epoch(self) -> int:
        """The time that everything inside an image bears: SOURCE_DATE_EPOCH, or 0.

        Raises BakeError when it is no time.
        """
        text = self.env("SOURCE_DATE_EPOCH") or "0"
        seconds = int(text) if text.isascii() and text.isdigit() and len(text) <= _EPOCH_DIGITS else -1
        if not 0 <= seconds <= _LAST_SECOND:
            hint = "set it to whole seconds since 1970, such as the output of `git log -1 --format=%ct`"
            raise BakeError(f"SOURCE_DATE_EPOCH is '{text}', which is no time", hint=hint)
        return seconds

    @property
    def shelf(self) -> Shelf:
        """Where image streams are kept. Raises BakeError when the recipe names no such place."""
        if self._shelf is None:
            from imgbake.streams import shelving  # most recipes have no streams

            address = self.recipe.shelf or shelving.DEFAULT
            self._shelf = shelving.open_shelf(address, self.root, self.plugins, self.check)
        return self._shelf

    def stream(self, name: str) -> Stream:
        """A stream, as it was when it was first asked for. Raises UsageError when there is none."""
        with self.turns.alone(("stream", name), self.check):
            if name not in self._streams:
                from imgbake.streams import shelving

                self._streams[name] = shelving.existing(self.shelf, name)
            return self._streams[name]

    def check(self) -> None:
        """Raises Interrupted when the build that is under way stops."""
        if self.stop is not None and self.stop.is_set():
            raise Interrupted

    def env(self, name: str) -> str | None:
        """An environment variable. What was read is kept in `env_read`, because it decides."""
        self.env_read[name] = value = self.environ.get(name)
        return value

    def pinned(self, node: Node, table: str, key: str) -> str | None:
        """What the command line or the lock file pins this key to, for this node."""
        if table == "git" and node.id in self.commits:
            return self.commits[node.id]
        return self.lock.pinned(table, key)

    def watch(self, path: str) -> None:
        """Notes a file whose state proves something: when it moves, a build is no longer settled."""
        self.files.watch(path)

    def remembered(self, fingerprint: str) -> Artifact | None:
        """What a node of this or another project once made of a fingerprint."""
        return self.store.record(fingerprint)

    def remember(self, fingerprint: str, artifact: Artifact) -> None:
        """Keeps what was made of a fingerprint, unless nothing may be left on the disk."""
        if not self._is_read_only:
            self.store.remember(fingerprint, artifact)

    def runner(self, kind: str) -> Runner:
        """A runner of this kind. Raises BakeError when none is installed, or it can't run here."""
        runner = runners.runner(self.plugins, kind, self.store.folder)
        if (refusal := runner.refusal()) is not None:
            raise BakeError(refusal[0], hint=refusal[1])
        self._runners[kind] = runner
        return runner

    def holds(self, blobs: Iterable[str]) -> bool:
        """Are all these blobs in the store, and sound?"""
        try:
            for digest in blobs:
                self.store.path(digest)
        except KeyError:
            return False
        return True

    def shared(self, make: Callable[[], T]) -> T:
        """What `make` returns, once for this project; it is closed with it, if it can be."""
        with self._guard:
            if make not in self._shared:
                self._shared[make] = make()
            found: T = self._shared[make]
            return found

    def log_file(self, node: str) -> Path:
        """Where the last log of a node is kept."""
        name = quote(node, safe="@:+,= ")
        if len(name) > _LONGEST_NAME:
            name = name[:_LONGEST_NAME] + hashlib.sha256(node.encode()).hexdigest()[:16]
        return self.state / "logs" / f"{name}.log"

    def flush(self) -> None:
        """Lets the store write what it has gathered. What it can't is a warning: what was built is there."""
        if self._store is not None:
            try:
                self._store.flush()
            except BakeError as error:
                self._warn(error.message)

    def close(self) -> None:
        """Ends writing of state."""
        self.ledger.close()
        for shared in self._shared.values():
            if hasattr(shared, "close"):
                shared.close()
        for runner in self._runners.values():
            runner.gc(self.store.size_limit, 0.0)
        if self._store is not None:
            self._store.close()

    def _open_store(self) -> Store:
        local = self.state / "cache"  # for who can't write where all projects have theirs
        if self._is_read_only:
            shared = default_folder()
            is_ours = shared.is_dir() and os.access(shared, os.W_OK)
            return Store(shared if is_ours else local, warn=self._warn)
        try:
            return Store.open(warn=self._warn, is_gathering=True)
        except StoreUnwritable as error:
            self._warn(f"{error.message}; using {os.path.relpath(local)} instead")
            return Store.open(local, warn=self._warn, is_gathering=True)
