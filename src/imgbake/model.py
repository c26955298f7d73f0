"""The recipe as frozen values: what `imgbake.toml` says once it is read, checked and expanded.

Text that names a secret argument still holds `{{ name }}` here: a secret is put in at the moment
of use (`RunContext.reveal`) and never before, so that no value in this module can leak one.
"""

from __future__ import annotations

from typing import Any

import msgspec

Scalar = str | int | float | bool


class At(msgspec.Struct, frozen=True):
    """A place in the recipe by its keys: file and path, such as ("tasks", "wheel", "run")."""

    file: str
    path: tuple[str | int, ...]

    def __truediv__(self, key: str | int) -> At:
        return At(self.file, (*self.path, key))


class Arg(msgspec.Struct, frozen=True):
    """A recipe argument. `value` is None while it is missing, and for a secret always.

    `origin` says what gave the value: "--arg", "environment", "saved", "default", or nothing.
    """

    name: str
    at: At
    value: str | None = None
    default: str | None = None
    origin: str = ""
    help: str = ""
    choices: tuple[str, ...] = ()
    secret: bool = False
    env: str = ""


class Policy(msgspec.Struct, frozen=True):
    """How a node is run. None of it is in the fingerprint."""

    timeout: float | None = None  # seconds
    retries: int = 0
    resources: dict[str, int] = {}  # pool name to how much of it this node holds while it runs


class Task(msgspec.Struct, frozen=True):
    """A user's node that makes files. `options` is the typed struct of the plugin that `uses` names."""

    name: str
    at: At
    uses: str
    options: Any
    needs: tuple[str, ...] = ()  # task names whose outcome is in the fingerprint
    after: tuple[str, ...] = ()  # task names that only come first
    inputs: tuple[str, ...] = ()  # globs, relative to the recipe's folder
    exclude: tuple[str, ...] = ()  # globs of what is no input although `inputs` matches it
    outputs: tuple[str, ...] = ()
    store: bool = True  # keep the outputs in the content store
    always: bool = False  # run even when nothing changed
    policy: Policy = Policy()
    args: tuple[str, ...] = ()  # arguments that it reads
    missing: tuple[str, ...] = ()  # of these, the ones that nobody gave


class FileCopy(msgspec.Struct, frozen=True):
    """Files that a component puts into an image."""

    source: str  # a path or glob relative to the recipe, or task:NAME
    to: str  # absolute path in the image; with a final slash it names a folder
    at: At
    mode: int | None = None
    owner: tuple[int, int] = (0, 0)
    unpack: bool = False
    exclude: tuple[str, ...] = ()


class CacheFolder(msgspec.Struct, frozen=True):
    """A folder that is kept between builds and never part of an image."""

    path: str
    shared: bool = False  # may several commands use it at once?


class Setup(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the commands of a component run. None is what the image says by then."""

    user: str | None = None
    workdir: str | None = None
    shell: tuple[str, ...] = ("/bin/sh", "-c")
    caches: tuple[CacheFolder, ...] = ()
    secrets: tuple[str, ...] = ()  # arguments that are files in /run/secrets meanwhile
    network: str = "host"  # or "none"
    timeout: float | None = None  # seconds for all commands of a phase
    memory: int | None = None  # bytes
    cpus: float | None = None
    processes: int | None = None


class Component(msgspec.Struct, frozen=True):
    """Files, environment and commands by phase, written once; its parameters already put in."""

    name: str
    at: At
    files: tuple[FileCopy, ...] = ()
    env: dict[str, str] = {}
    build: tuple[str, ...] = ()
    validate: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    setup: Setup = Setup()
    params: dict[str, str] = {}
    document: str = ""  # instead of all that: a file in a target's own language, or what it knows by name


class Healthcheck(msgspec.Struct, frozen=True):
    """How to ask a container whether it is well (docker's HEALTHCHECK). Times are in seconds."""

    test: tuple[str, ...]
    interval: float = 0
    timeout: float = 0
    start_period: float = 0
    retries: int = 0


class ImageConfig(msgspec.Struct, frozen=True):
    """What an image says of how it is run (OCI image-spec, config.md). None keeps the base's value."""

    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    env: dict[str, str] = {}
    user: str | None = None
    workdir: str | None = None
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    stop_signal: str | None = None
    healthcheck: Healthcheck | None = None


class Description(msgspec.Struct, frozen=True):
    """Another tool's file that describes an image, and how it is built."""

    format: str  # the kind of file
    options: Any  # the typed struct of its plugin


class Image(msgspec.Struct, frozen=True):
    """A name, a base for each kind of artifact, and components in the order they are applied.

    One with a description has neither base nor components.
    """

    name: str
    at: At
    base: dict[str, str]  # artifact kind ("container", "ami"; "" for any) to reference
    components: tuple[Component, ...]
    config: ImageConfig
    targets: tuple[str, ...]
    policy: Policy = Policy()
    args: tuple[str, ...] = ()  # arguments that it, or a component of it, reads
    missing: tuple[str, ...] = ()  # of these, the ones that nobody gave
    needs: tuple[str, ...] = ()  # task names whose outcome is in the fingerprint
    description: Description | None = None
    streams: dict[str, str] = {}  # targets to the tag, NAME:TAG, that follows what they bake


class Target(msgspec.Struct, frozen=True):
    """A named way of baking. `options` is the typed struct of the plugin that `uses` names."""

    name: str
    at: At
    uses: str
    options: Any
    policy: Policy = Policy()
    args: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class Destination(msgspec.Struct, frozen=True):
    """A named place that finished images go to. `options` is the typed struct of its plugin."""

    name: str
    at: At
    uses: str
    options: Any
    policy: Policy = Policy()
    args: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class Route(msgspec.Struct, frozen=True):
    """One way of a distribution: an image, baked by a target, to a destination.

    Or the image of a stream, as `stream:NAME:TAG`, which is of a kind of artifact and of no target.
    """

    image: str
    target: str
    destination: str
    kind: str = ""


class Distribution(msgspec.Struct, frozen=True):
    """Finished images, and where they go under which tags.

    With `atomic`, no name moves at any destination before all destinations have everything.
    """

    name: str
    at: At
    routes: tuple[Route, ...]
    tags: tuple[str, ...]
    atomic: bool = True
    args: tuple[str, ...] = ()  # arguments that it reads
    missing: tuple[str, ...] = ()  # of these, the ones that nobody gave


class DeclaredStream(msgspec.Struct, frozen=True):
    """An image stream, as far as the recipe says what it is."""

    name: str
    at: At
    tags: dict[str, Any] = {}  # to `streams.model.Intent`
    images: dict[str, str] = {}  # tags to the references, with digests, that they point to at first
    repository: str = ""
    lookup: bool = False
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    missing: tuple[str, ...] = ()  # arguments that it reads, and nobody gave


class Trigger(msgspec.Struct, frozen=True):
    """What is done when a tag of an image stream has moved. `options` is the typed struct of its plugin."""

    name: str
    at: At
    on: tuple[str, ...]  # tags, as NAME:TAG
    build: tuple[str, ...] = ()
    builds_standing: bool = False  # build all images that stand on the tag
    run: tuple[str, ...] = ()
    distribute: tuple[str, ...] = ()
    paused: bool = False
    config: bool = False  # is another definition of it a reason, too?
    uses: str = ""
    options: Any = None
    digest: str = ""  # of its definition
    missing: tuple[str, ...] = ()  # arguments that it reads, and nobody gave


class Recipe(msgspec.Struct, frozen=True):
    """Everything a recipe says."""

    name: str
    root: str  # absolute path of the recipe's folder
    files: tuple[str, ...]  # the recipe and what it includes, absolute
    args: dict[str, Arg]
    tasks: dict[str, Task]
    components: dict[str, At]  # every component declared, used or not
    images: dict[str, Image]
    targets: dict[str, Target]
    pools: dict[str, int] = {}  # resource pools and how much each holds
    env_read: dict[str, str | None] = {}  # environment variables that decided something here
    destinations: dict[str, Destination] = {}
    distributions: dict[str, Distribution] = {}
    streams: dict[str, DeclaredStream] = {}
    triggers: dict[str, Trigger] = {}
    shelf: str = ""  # where streams are kept, as the recipe says it
    folders: tuple[str, ...] = ()  # in which files to include were looked for by a pattern, absolute
    said: dict[str, str] = {}  # by `--arg`, or saved, for described images: [args] has no such names
