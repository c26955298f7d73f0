"""Every type that the core and its plugins exchange.

A plugin implements `Step` (a kind of task) or `Target` (a way of baking) as an ordinary class whose
only constructor argument is its options, one typed `msgspec.Struct`. The engine hands it a context,
its only way to touch the world: whatever is read through a context is known to decide, and whatever
is started through it can be stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import msgspec

from imgbake import digest as digests
from imgbake.model import ImageConfig, Setup

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


class Part(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One labelled piece of a fingerprint: hashed to decide, compared to explain.

    The label is a kind and a name: "option run", "input src/a.py", "needs task:wheel", "tool git".
    The value is text that a person can read; a digest where the content is long.
    """

    label: str
    value: str


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One file of a tree. Permissions are 0755 or 0644 by the owner's x bit, plus setuid, setgid, sticky.

    `digest` is the content's digest for a file, the target's text for a symlink, the path of the
    first name for a hard link, and empty for a folder.
    """

    path: str  # relative to the tree, with forward slashes
    kind: str  # "file", "dir", "symlink", "hardlink"
    mode: int
    digest: str = ""
    size: int = 0
    source: str = ""  # where the content can be read, relative to the project; not part of the digest

    def value(self) -> str:
        """The entry as a fingerprint sees it: permissions and content, not where it was read."""
        return f"{self.kind} {self.mode:04o} {self.digest}"


class Tree(msgspec.Struct, frozen=True):
    """A folder as a value: its entries sorted by path, and a digest that any machine would give."""

    entries: tuple[Entry, ...] = ()

    @property
    def digest(self) -> str:
        """The digest of the listing (paths, kinds, permissions and contents)."""
        return digests.of_bytes(msgspec.json.encode([(e.path, e.value()) for e in self.entries]))


class Artifact(msgspec.Struct, frozen=True):
    """The result of a step. Dependents key on `digest`, so it must say what was made, not when."""

    kind: str  # "files", "container", "ami", "base", or a plugin's own
    digest: str = ""
    reference: str = ""  # how its users name it: an image reference, a commit, an AMI id
    facts: dict[str, Any] = {}  # JSON values worth knowing; not part of any fingerprint
    blobs: tuple[str, ...] = ()  # digests in the store without which it is not whole
    proof: tuple[str, ...] = ()  # project-relative files; while they stay as they are, so does it
    tree: Tree | None = None  # the outputs of a task


class Copied(msgspec.Struct, frozen=True):
    """A component's `files` line, resolved to content.

    The paths of the tree are relative to `to`; a single file copied to a path that does not end
    with a slash is one entry with an empty path.
    """

    to: str
    tree: Tree
    mode: int | None = None
    owner: tuple[int, int] = (0, 0)
    unpack: bool = False
    exclude: tuple[str, ...] = ()


class Layer(msgspec.Struct, frozen=True):
    """One component of an image, resolved: files by content, environment, commands by phase."""

    component: str
    files: tuple[Copied, ...] = ()
    env: dict[str, str] = {}
    build: tuple[str, ...] = ()
    validate: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    setup: Setup = Setup()


class Argument(msgspec.Struct, frozen=True):
    """Something that a build of a described image can be given."""

    name: str
    place: str = ""  # what it is an argument of, such as a stage; empty for all of it
    at: str = ""  # file and line
    default: str | None = None
    value: str | None = None  # what the build will use, None while nobody gives it and there is no default
    is_needed: bool = False  # it is used, and has no default
    help: str = ""


class Given(msgspec.Struct, frozen=True):
    """Values for the arguments of a described image that its own table doesn't give."""

    said: dict[str, str] = {}  # by `--arg`, or saved, under names that [args] doesn't have; these win
    recipe: dict[str, str] = {}  # arguments of the recipe, secrets apart; what the table says wins


class Described(msgspec.Struct, frozen=True):
    """An image that another tool's file describes, with all that its build takes resolved.

    `plan` is what the format tells targets that know it, such as its text and its options.
    """

    format: str
    plan: Any
    files: Tree = Tree()  # all that the build can see, by paths as the build knows them
    bases: dict[str, Artifact] = {}  # the images that it takes, by the names that it has for them
    args: dict[str, str] = {}  # the given arguments that decide


class Blueprint(msgspec.Struct, frozen=True):
    """An image with everything resolved to digests: what a target lowers.

    One that is `described` has neither layers nor a configuration of the recipe, and no base of its own.
    """

    image: str
    target: str
    base: Artifact
    layers: tuple[Layer, ...]
    config: ImageConfig
    epoch: int  # seconds since 1970 that every time inside the image is set to (SOURCE_DATE_EPOCH)
    described: Described | None = None


class Lowered(msgspec.Struct, frozen=True):
    """A blueprint in a target's native words: documents by file name. Pure text, in the fingerprint.

    Those `beside` say how it is baked and not what: they are printed, and decide nothing.
    """

    documents: dict[str, str]
    beside: dict[str, str] = {}


class Completed(msgspec.Struct, frozen=True):
    """A command that ended."""

    code: int
    stdout: str


class StackLayer(msgspec.Struct, frozen=True):
    """A layer of an image that commands run on: its blob in the store, and its uncompressed digest."""

    digest: str
    diff_id: str


class Commands(msgspec.Struct, frozen=True):
    """Commands to run on an image, and all that decides what they do."""

    commands: tuple[str, ...]
    env: dict[str, str] = {}
    user: str = ""
    workdir: str = ""
    setup: Setup = Setup()


class LayerFormat(msgspec.Struct, frozen=True):
    """How a layer is written: "gzip", "zstd" or "none", the level, and the time that all in it bears."""

    compression: str
    level: int
    epoch: int  # seconds since 1970


class NewLayer(msgspec.Struct, frozen=True):
    """A layer that was written: the digests of its file and of its content, and the file's size in bytes."""

    digest: str
    diff_id: str
    size: int


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
        """The image that a reference names, resolved and pinned as bases are. Raises BakeError."""

    def base_config(self, base: Artifact, platform: str) -> dict[str, Any] | None:
        """What a resolved image says of how it is run (OCI image-spec, config.md).

        None when nobody can tell. Raises BakeError when it can't be asked now.
        """


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

    def files(self, patterns: Sequence[str], exclude: Sequence[str] = ()) -> Tree:
        """The files of the project that match, by content, as `PartsContext.files` finds them."""

    def runner(self, kind: str) -> Runner:
        """A runner of this kind. Raises BakeError when none is installed, or it can't run here."""

    def memo(self, parts: Sequence[Part], make: Callable[[], Artifact], *, anew: bool = False) -> Artifact:
        """A step inside the step: what `make` returned for these parts before, or now.

        Shared by every project that uses the store. A remembered artifact whose blobs are gone or
        damaged is made again. With `anew`, what was remembered before this build doesn't count.
        """


class Step(Protocol):
    """A kind of task. Its options are its only constructor argument.

    A class that also says `local = True` promises that its `parts` only reads files and environment,
    so that it may be asked without a thread of its own.
    """

    kind: ClassVar[str]
    version: ClassVar[int]  # moved when the same options come to mean something else

    def outputs(self, folder: str) -> tuple[str, ...]:
        """What it writes besides the recipe's `outputs`: project-relative paths or globs."""

    def parts(self, ctx: PartsContext) -> Iterable[Part]:
        """What decides besides options, inputs and needs, which the engine adds itself."""

    def run(self, ctx: RunContext) -> Artifact:
        """Does the work. The engine adds the tree of outputs to what it returns."""


class Format(Protocol):
    """A kind of file, another tool's, that describes an image. Its options are its only constructor argument.

    An image whose table has the key `kind` is of this format: the keys of the options stand in that table,
    `kind` is one of them. Nothing here has effects. Before tasks have run, the file may not be there yet.
    """

    kind: ClassVar[str]
    version: ClassVar[int]

    def secrets(self) -> Sequence[str]:
        """The secret arguments of the recipe that the options name."""

    def arguments(self, given: Given, root: Path) -> Sequence[Argument]:
        """All that a build can be given, in the file's order. Raises BakeError for a file that is wrong."""

    def reads(self, given: Given, root: Path) -> Sequence[str]:
        """Globs of the project's files that a build may see: whoever writes them comes first.

        Of a file that is missing or wrong, all that it could see.
        """

    def describe(self, given: Given, ctx: DescribingContext) -> Described:
        """All that a build takes, by content. Raises BakeError."""


class Target(Protocol):
    """A way of baking images. Its options are its only constructor argument.

    A class with `accepts: ClassVar[frozenset[str]]` bakes described images of these formats, too. It may
    have `outputs(image: str) -> tuple[str, ...]`, the folders in the project that it writes for an image
    besides what is below `.imgbake`: no two nodes of a recipe may write one. One that says
    `volatile = True` keeps what it makes outside the project and its store: then `present` is asked in
    every build, also when nothing changed.
    """

    kind: ClassVar[str]
    version: ClassVar[int]
    artifact: ClassVar[str]  # what it makes: "container", "ami", …
    phases: ClassVar[frozenset[str]]  # which of build, validate, test it can run

    def lower(self, blueprint: Blueprint) -> Lowered:
        """The blueprint in native words. Pure. Raises BakeError with a hint for what can't be said."""

    def bake(self, blueprint: Blueprint, lowered: Lowered, ctx: RunContext) -> Artifact:
        """Makes the image."""

    def test(self, artifact: Artifact, blueprint: Blueprint, ctx: RunContext) -> None:
        """Runs the test phase on a fresh instance. Raises StepError when a test fails."""

    def present(self, artifact: Artifact, ctx: ResolveContext) -> bool:
        """Is the artifact still there? Asked before a remembered one is used."""


class Askable(Protocol):
    """A volatile target that can be asked for an artifact without reading the recipe.

    A build that left nothing to do can then be settled all the same: the next one asks, and if all is still
    there and no file has moved, that is all it does.
    """

    def question(self, artifact: Artifact) -> tuple[Callable[[str], bool], str] | None:
        """A function that tells whether the artifact is there, and its argument; None if there is none.

        The function stands at the top of a module that imports only what Python brings and is quick to
        import, for it is loaded by itself. It raises nothing, and says no when it can't tell.
        """


class BaseHolder(Protocol):
    """A target that has images which nobody else knows, and described images can stand on."""

    def base(self, reference: str, ctx: ResolveContext) -> Resolved | None:
        """The image of this name, if only this target has it. Its facts may hold its `config`."""


class Runner(Protocol):
    """Where the commands of components run.

    Its only constructor argument is a folder of its own beside the content store, shared by all
    projects, that it may fill with what saves time.
    """

    kind: ClassVar[str]
    version: ClassVar[int]

    def refusal(self) -> tuple[str, str] | None:
        """Why nothing can run here, and what to do about it; None when it can."""

    def change(
        self,
        below: Sequence[StackLayer],
        files: StackLayer | None,
        commands: Commands,
        format: LayerFormat,
        to: Path,
        ctx: RunContext,
    ) -> NewLayer:
        """Runs commands on an image, and writes what they changed as a layer (layer.md) to a new file.

        `files` is a layer that this one takes in: what the same component copies. Raises StepError.
        """

    def check(self, stack: Sequence[StackLayer], commands: Commands, ctx: RunContext) -> None:
        """Runs commands on an image and forgets what they changed. Raises StepError when one fails."""

    def shell(self, stack: Sequence[StackLayer], commands: Commands, ctx: RunContext) -> int:
        """Runs commands in a throw-away copy of an image, for the user: their streams are ours.

        Without any it opens a shell on the terminal. Returns the exit code.
        """

    def usage(self) -> int:
        """How many bytes its folder takes."""

    def gc(self, limit: int, unused_since: float) -> tuple[int, int]:
        """Removes what nobody used since then (seconds since 1970), then what was used least recently
        until no more than `limit` bytes are left. What is in use stays.

        Returns how many things were removed, and how many bytes they held.
        """


class Restorer(Protocol):
    """A target that can put back what it made once, without baking it again."""

    def restorable(self, artifact: Artifact, ctx: ResolveContext) -> bool:
        """Could `restore` do it now? Reads only."""

    def restore(self, artifact: Artifact, ctx: RunContext) -> bool:
        """Makes an artifact present that isn't. False when it can't be: then it is baked again."""


class Enterable(Protocol):
    """A target whose images can be looked at from inside."""

    def shell(
        self,
        artifact: Artifact | None,
        blueprint: Blueprint,
        at: str,
        commands: tuple[str, ...],
        ctx: RunContext,
    ) -> int:
        """Runs commands for the user, or else a shell, in a throw-away copy. Returns the exit code.

        Of the finished image; or with `at`, which names a component, of what its commands find. Then
        there need not be an artifact. Raises BakeError.
        """


class Exporter(Protocol):
    """A target whose artifacts can leave imgbake as files, or be pushed to their tags."""

    def formats(self) -> tuple[str, ...]:
        """The formats `export` knows, the default first."""

    def export(self, artifact: Artifact, blobs: Blobs, to: Path, form: str, name: str) -> None:
        """Writes the artifact to a path, whole or not at all. Raises BakeError."""

    def push(self, artifact: Artifact, ctx: RunContext) -> tuple[str, ...]:
        """Pushes to the target's tags and returns the references. Tags move last."""


class Pin(msgspec.Struct, frozen=True):
    """A line of imgbake.lock: in this table, this key means exactly that."""

    table: str
    key: str
    value: str


class Pinnable(Protocol):
    """A step whose input moves by itself and can be held by imgbake.lock."""

    def pin(self, ctx: PartsContext) -> Pin | None:
        """What it would use now if nothing were locked; None when it can't move."""


class ResolveContext(Protocol):
    """What a resolver of bases may look at."""

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


class Resolved(msgspec.Struct, frozen=True):
    """A base, pinned. `local` lists files whose unchanged state proves that it is still the same."""

    artifact: Artifact
    local: tuple[str, ...] = ()
    volatile: bool = False  # asked from outside and not locked, so asked again in every build


__all__ = [
    "Artifact", "Blobs", "Blueprint", "Completed", "Copied", "Entry", "Exporter", "Json",
    "Layer", "Lowered", "Part", "PartsContext", "Pin", "Pinnable", "ResolveContext", "Resolved",
    "RunContext", "Step", "Target", "Tree",
]  # fmt: skip
