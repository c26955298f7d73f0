"""What steps, targets and formats see of the world, and of the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from imgbake.contract.artifacts import Artifact, Part, Tree

if TYPE_CHECKING:
    from imgbake.contract.runners import Runner

T = TypeVar("T")


class Completed(msgspec.Struct, frozen=True):
    """A command that ended."""

    code: int
    stdout: str


class Blobs(Protocol):
    """The content store as steps see it: blobs by digest. Safe from threads and other processes."""

    def has(self, digest: str) -> bool:
        """Is there a blob of this digest? Does not read it."""

    def path(self, digest: str) -> Path:
        """A verified file with this content, only to be read. Raises KeyError when there is none."""

    def add_bytes(self, data: bytes) -> str:
        """Keeps these bytes and returns their digest."""

    def add_file(self, path: Path) -> str:
        """Keeps a copy of this file (a reflink where the file system can) and returns its digest."""

    def adopt(self, path: Path, digest: str) -> str:
        """Moves a file that the caller wrote below `scratch` into the store, trusting its digest."""

    def scratch(self) -> Path:
        """A folder on the store's file system for files that will be adopted."""

    def link(self, digest: str, to: Path) -> None:
        """Puts this blob at a path: a hard link if possible, else a copy. Raises KeyError if absent.

        What was there is replaced at once.
        """


class PartsContext(Protocol):
    """What a step may look at while its fingerprint is made. It reads; it changes nothing."""

    @property
    def name(self) -> str:
        """The task's or image's name."""

    @property
    def root(self) -> Path:
        """The project's folder."""

    @property
    def folder(self) -> str:
        """A folder that belongs to this node alone, relative to the project."""

    def files(self, patterns: Sequence[str], exclude: Sequence[str] = ()) -> Tree:
        """The files of the project that match, by content."""

    def env(self, name: str) -> str | None:
        """An environment variable. The engine adds it to the parts, by the digest of its value."""

    def tool(self, name: str) -> str:
        """The path of a program, empty when it is not found. The engine adds it to the parts, by content."""

    def pinned(self, table: str, key: str) -> str | None:
        """What imgbake.lock, or a `--commit` for it, says of this key."""

    def meant(self, reference: str) -> str:
        """What `stream:NAME:TAG` or `stream:NAME@DIGEST` refers to now, with its digest; any other reference
        as it is. Raises BakeError when there is no such tag or image."""

    def volatile(self) -> None:
        """Says that what decides lies outside this machine, so that it is asked in every build."""

    def reveal(self, text: str) -> str:
        """The text with secrets put in. The result must not be kept or printed."""


class DescribingContext(PartsContext, Protocol):
    """What a format may look at while it finds out what a build takes."""

    def watch(self, path: str) -> None:
        """Notes that a file or folder decides, absolute or relative to the project: before it is read."""

    def exact(self, paths: Sequence[str]) -> Tree:
        """What stands at these paths of the project, which are no patterns; what isn't there is left out.

        Links are not followed, permissions are those on disk, and each name is a file of its own.
        """

    def base(self, reference: str) -> Artifact:
        """The image that a reference names, resolved and pinned as bases are. Raises BakeError.

        `image:NAME` is one of the recipe, of those that the format has told of.
        """

    def base_config(self, base: Artifact, platform: str) -> dict[str, Any] | None:
        """What a resolved image says of how it is run (OCI image-spec, config.md).

        None when nobody can tell. Raises BakeError when it can't be asked now.
        """


class ResolveContext(Protocol):
    """What a resolver of bases may look at."""

    @property
    def project(self) -> str:
        """The project's name."""

    @property
    def root(self) -> Path:
        """The project's folder."""

    @property
    def blobs(self) -> Blobs:
        """The content store."""

    def pinned(self, table: str, key: str) -> str | None:
        """The digest that imgbake.lock holds for this reference."""

    def reveal(self, text: str) -> str:
        """The text with secrets put in."""

    def check(self) -> None:
        """Raises Interrupted when the build stops: call it while you wait."""

    def shared(self, cls: Callable[[], T]) -> T:
        """What this class makes without arguments, once for all nodes of a build; its `close` ends it."""


class Starter(Protocol):
    """Starts what `RunContext.run` then attends to: moves its output, waits for it, ends it."""

    def __call__(
        self, argv: Sequence[str], env: Mapping[bytes, bytes], cwd: Path, *, stdout: int, stderr: int
    ) -> int:
        """Returns the process that was started. Raises OSError.

        It must be a child of this process and lead a process group of its own; `stdout` and `stderr` are
        descriptors for it, and of no use to the caller afterwards.
        """


class RunContext(Protocol):
    """What a step may do while it runs. Everything that it starts ends with it."""

    @property
    def name(self) -> str:
        """The task's or image's name."""

    @property
    def project(self) -> str:
        """The project's name, for what is made to be known by. It decides nothing."""

    @property
    def root(self) -> Path:
        """The project's folder."""

    @property
    def folder(self) -> str:
        """A folder that belongs to this node alone, relative to the project."""

    @property
    def work(self) -> Path:
        """An empty folder, removed when the step ends."""

    @property
    def blobs(self) -> Blobs:
        """The content store."""

    @property
    def force(self) -> bool:
        """Did the user ask for it to run although nothing changed?"""

    @property
    def keep(self) -> bool:
        """Did the user ask to leave what is only made to bake with, such as a machine, to look at it?"""

    def run(
        self,
        command: str | Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        capture: bool = False,
        check: bool = True,
        shell: Sequence[str] = ("/bin/sh", "-c"),
        timeout: float | None = None,
        title: str = "",
        start: Starter | None = None,
        grace: float | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Completed:
        """Runs a command in a process group of its own with stdin closed; its output goes to the log.

        A string is given to the shell, a sequence is run as it is. `env` is added to our environment.
        With `capture`, stdout is returned instead of logged. With `check`, an exit code other than 0
        raises StepError with the last lines of output. Ends with the build, at the node's timeout, or
        after `timeout` seconds of its own. Messages name it by `title`, if there is one. With `start`
        it is started in another way than as a program of this machine. When it must end it is asked to,
        and has `grace` seconds for that (5 when left out) before it is killed; none if the user insists.
        Lines of output are handed to `on_line`, if there is one, instead of the log.
        Secrets that `command` and `env` name are put in here.
        """

    def log(self, text: str) -> None:
        """A line for the node's log and the screen, secrets masked."""

    def progress(self, done: int, total: int, unit: str = "bytes") -> None:
        """How far the step is; total is 0 when nobody knows."""

    def check(self) -> None:
        """Raises Interrupted or StepError when the step must stop: call it in every long loop."""

    def reveal(self, text: str) -> str:
        """The text with secrets put in, for the moment of use."""

    def pinned(self, table: str, key: str) -> str | None:
        """What imgbake.lock, or a `--commit` for it, says of this key."""

    def meant(self, reference: str) -> str:
        """What a tag or an image of a stream refers to, as `PartsContext.meant` says it."""

    def files(self, patterns: Sequence[str], exclude: Sequence[str] = ()) -> Tree:
        """The files of the project that match, by content, as `PartsContext.files` finds them."""

    def runner(self, kind: str) -> Runner:
        """A runner of this kind. Raises BakeError when none is installed, or it can't run here."""

    def shared(self, cls: Callable[[], T]) -> T:
        """What this class makes without arguments, once for all nodes of a build; its `close` ends it."""

    def memo(self, parts: Sequence[Part], make: Callable[[], Artifact], *, anew: bool = False) -> Artifact:
        """A step inside the step: what `make` returned for these parts before, or now.

        Shared by every project that uses the store. A remembered artifact whose blobs are gone or
        damaged is made again. With `anew`, what was remembered before this build doesn't count.
        """


class CommandContext(Protocol):
    """What a plugin's command may ask of the project that it was started in: the `obj` of its context."""

    @property
    def root(self) -> Path:
        """The project's folder."""

    def project(self) -> str:
        """The project's name, empty where there is no recipe. Raises UsageError for one that is no TOML."""

    def artifacts(self) -> dict[str, Artifact]:
        """What each node that ever was done made last, by the node's id."""

    def held(self) -> dict[str, list[str]]:
        """By reference, what names it in this project, or may again by a rollback, so that it must stay."""

    def table(self, rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
        """Aligned columns, as our own commands print them."""
