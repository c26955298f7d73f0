"""The tables of imgbake.toml as they are written, before anything is expanded or looked up.

One struct for each kind of table that belongs to the core; the descriptions are the recipe's
reference and what editors show. Keys that a plugin adds to a table with `uses` are in its options.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from imgbake.model import Scalar

Strings = tuple[str, ...]
Seconds = Annotated[
    int | float | str,
    Meta(extra_json_schema={"examples": [90, "90s", "5m", "1h30m"]}),
]
Use = Annotated[
    dict[str, Scalar],
    Meta(
        extra_json_schema={
            "properties": {"use": {"type": "string", "description": "The component's name."}},
            "required": ["use"],
        }
    ),
]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table in which only the keys that are named here may stand."""


class ProjectTable(Table, frozen=True, kw_only=True):
    """The project as a whole."""

    name: Annotated[str | None, Meta(description="The project's name; its folder's name when left out.")] = (
        None
    )
    pools: Annotated[
        dict[str, Annotated[int, Meta(ge=1)]],
        Meta(description="Resource pools and how much each holds, such as `{ db = 1 }`; see `resources`."),
    ] = {}
    streams: Annotated[
        str,
        Meta(
            description="Where image streams are kept: a folder relative to the recipe, or an address that "
            "a plugin knows, KIND://…; `.imgbake/streams` when left out."
        ),
    ] = ""


class ArgTable(Table, frozen=True, kw_only=True):
    """An argument of the recipe, read as `{{ name }}`. A bare value is its default."""

    default: Annotated[
        Scalar | None,
        Meta(description="The value when nobody gives one. Without it the argument must be given."),
    ] = None
    help: Annotated[str, Meta(description="What it is for.")] = ""
    choices: Annotated[tuple[Scalar, ...], Meta(description="The only values that it may have.")] = ()
    secret: Annotated[
        bool,
        Meta(description="Its value is put in when it is used, masked in all output and kept nowhere."),
    ] = False
    env: Annotated[
        str, Meta(description="An environment variable that gives the value; `--arg` wins over it.")
    ] = ""


class PolicyKeys(Table, frozen=True, kw_only=True):
    """How a node is run. None of it decides whether it runs."""

    timeout: Annotated[
        Seconds | None,
        Meta(description='The longest it may take: seconds, or text such as "90s", "5m", "1h30m".'),
    ] = None
    retries: Annotated[int, Meta(ge=0, description="How many times it is tried again after a failure.")] = 0
    resources: Annotated[
        dict[str, Annotated[int, Meta(ge=1)]],
        Meta(
            description="How much of each pool of `[project]` it holds while it runs, such as `{ db = 1 }`."
        ),
    ] = {}


class TaskTable(PolicyKeys, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A node that makes files. Its other keys are options of the kind that `uses` names."""

    uses: Annotated[str | None, Meta(description='The kind of task; "script" when there is a `run`.')] = None
    needs: Annotated[Strings, Meta(description="Tasks that come first, and whose outcome decides.")] = ()
    after: Annotated[Strings, Meta(description="Tasks that only come first.")] = ()
    inputs: Annotated[
        Strings,
        Meta(
            description="Globs of files that decide, relative to the recipe. Whoever writes them comes first."
        ),
    ] = ()
    exclude: Annotated[
        Strings, Meta(description="Globs of files that are no inputs although they match.")
    ] = ()
    outputs: Annotated[
        Strings, Meta(description="Globs of the files that it makes, relative to the recipe.")
    ] = ()
    store: Annotated[
        bool,
        Meta(
            description="Keep the outputs in the content store. Without it they are made again when missing."
        ),
    ] = True
    always: Annotated[bool, Meta(description="Run even when nothing changed.")] = False


class FileTable(Table, frozen=True, kw_only=True):
    """Files that a component copies into an image."""

    source: Annotated[
        str,
        Meta(description="A path or glob relative to the recipe, or `task:NAME` for all that a task makes."),
    ] = msgspec.field(name="from")
    to: Annotated[
        str,
        Meta(
            description="An absolute path in the image. With a slash at its end it names a folder.",
            extra_json_schema={"pattern": "^/"},
        ),
    ]
    mode: Annotated[
        str | None,
        Meta(
            description='Permissions of the files, such as "0640"; their own when left out.',
            extra_json_schema={"pattern": "^[0-7]{3,4}$"},
        ),
    ] = None
    owner: Annotated[
        str | None,
        Meta(
            description='User and group by number, "1000:1000"; "1000" is both, "0:0" the default.',
            extra_json_schema={"pattern": "^[0-9]+(:[0-9]+)?$"},
        ),
    ] = None
    unpack: Annotated[bool, Meta(description="Unpack a zip or tar archive there instead of copying it.")] = (
        False
    )
    exclude: Annotated[Strings, Meta(description="Globs of files to leave out.")] = ()


class CacheTable(Table, frozen=True, kw_only=True):
    """A folder that is kept between builds."""

    path: Annotated[
        str, Meta(description="An absolute path in the image.", extra_json_schema={"pattern": "^/"})
    ]
    shared: Annotated[bool, Meta(description="May several commands use it at once?")] = False


class LimitsTable(Table, frozen=True, kw_only=True):
    """What commands may use, where the system can hold them to it."""

    memory: Annotated[str | int | None, Meta(description='Bytes, or text such as "2GB".')] = None
    cpus: Annotated[
        Annotated[float, Meta(gt=0)] | None, Meta(description="Processors, 1.5 for one and a half.")
    ] = None
    processes: Annotated[
        Annotated[int, Meta(gt=0)] | None, Meta(description="Processes and threads at once.")
    ] = None


class ComponentTable(Table, frozen=True, kw_only=True):
    """Files, environment and commands by phase, written once and used by any image."""

    params: Annotated[
        dict[str, Scalar],
        Meta(description="Parameters and their defaults, read as `{{ params.name }}` in this table."),
    ] = {}
    needs: Annotated[Strings, Meta(description="Components that come before this one in an image.")] = ()
    document: Annotated[
        str,
        Meta(
            description="Instead of all keys but `params` and `needs`: a file in a target's own language, "
            "relative to the recipe, or a component that the target knows by a name with a colon."
        ),
    ] = ""
    files: Annotated[tuple[FileTable, ...], Meta(description="What is copied into the image.")] = ()
    env: Annotated[dict[str, str], Meta(description="Environment variables of the image.")] = {}
    build: Annotated[str | Strings, Meta(description="Commands that run while the image is made.")] = ()
    validate: Annotated[
        str | Strings,
        Meta(description="Commands that run before the image is finished; a failure fails the build."),
    ] = ()
    test: Annotated[
        str | Strings, Meta(description="Commands that run on a fresh instance of the finished image.")
    ] = ()
    user: Annotated[
        str | None, Meta(description="Whom commands run as: a name or number, and a group after a colon.")
    ] = None
    workdir: Annotated[str | None, Meta(description="Where commands run; the image's when left out.")] = None
    shell: Annotated[Strings, Meta(min_length=1, description="What a command is given to.")] = (
        "/bin/sh",
        "-c",
    )
    caches: Annotated[
        tuple[str | CacheTable, ...],
        Meta(description="Folders that are kept between builds and never part of the image."),
    ] = ()
    secrets: Annotated[
        Strings, Meta(description="Secret arguments that are files in /run/secrets while commands run.")
    ] = ()
    network: Annotated[Literal["host", "none"], Meta(description="The network that commands can reach.")] = (
        "host"
    )
    timeout: Annotated[
        Seconds | None,
        Meta(description="The longest that a phase may take: 90, 5m."),
    ] = None
    limits: Annotated[LimitsTable | None, Meta(description="What commands may use.")] = None


class HealthcheckTable(Table, frozen=True, kw_only=True):
    """How to ask a container whether it is well."""

    test: Annotated[
        str | Strings, Meta(description="A shell command; or a list: a program and its arguments.")
    ]
    interval: Annotated[Seconds, Meta(description="The time between two checks.")] = 0
    timeout: Annotated[Seconds, Meta(description="The longest that a check may take.")] = 0
    start_period: Annotated[
        Seconds, Meta(description="The time to start up in which a failure does not count.")
    ] = 0
    retries: Annotated[int, Meta(ge=0, description="How many failures in a row make it unhealthy.")] = 0


class DescribedTable(PolicyKeys, frozen=True, kw_only=True):
    """An image that another tool's file describes. Its other keys are options of that kind of file."""

    targets: Annotated[Strings, Meta(description='The targets that bake it; `["oci"]` when left out.')] = (
        "oci",
    )
    needs: Annotated[
        Strings,
        Meta(
            description="Tasks that come first, and whose outcome decides. "
            "Those that write files of the image come first anyway."
        ),
    ] = ()
    stream: Annotated[
        str | dict[str, str],
        Meta(
            description="The tag of an image stream, NAME:TAG, that points to what is baked last; or a table "
            "by target."
        ),
    ] = ""


class ImageTable(DescribedTable, frozen=True, kw_only=True):
    """A base, and components in the order in which they are applied."""

    base: Annotated[
        str | dict[str, str | dict[str, Any]],
        Meta(
            description='What it starts from: "scratch", a registry reference, `oci:DIR`, '
            "`oci-archive:FILE`, `image:NAME`, or what else a plugin resolves; or a table by artifact kind, "
            "where some kinds take a table that says what to look for."
        ),
    ]
    components: Annotated[
        tuple[str | Use, ...],
        Meta(description='Names of components, or `{ use = "name", param = "value" }`. Each at most once.'),
    ] = ()
    entrypoint: Annotated[
        str | Strings | None,
        Meta(description="What a container runs: a program and its arguments, or a shell command."),
    ] = None
    cmd: Annotated[
        str | Strings | None, Meta(description="Default arguments of the entrypoint, or the command.")
    ] = None
    env: Annotated[
        dict[str, str], Meta(description="Environment variables; they win over the components'.")
    ] = {}
    user: Annotated[
        str | int | None, Meta(description="The user, and group after a colon, that it runs as.")
    ] = None
    workdir: Annotated[str | None, Meta(description="The folder that it runs in, absolute.")] = None
    ports: Annotated[tuple[int | str, ...], Meta(description='Ports that it serves: 8080, "53/udp".')] = ()
    volumes: Annotated[Strings, Meta(description="Folders that hold data outside the image, absolute.")] = ()
    labels: Annotated[dict[str, str], Meta(description="Labels of the image.")] = {}
    annotations: Annotated[dict[str, str], Meta(description="Annotations of the image's manifest.")] = {}
    stop_signal: Annotated[
        str | None, Meta(description='The signal that asks it to stop, such as "SIGINT".')
    ] = None
    healthcheck: Annotated[HealthcheckTable | None, Meta(description="How to ask whether it is well.")] = None


class TargetTable(PolicyKeys, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A named way of baking. Its other keys are options of the kind that `uses` names."""

    uses: Annotated[str, Meta(description="The kind of target.")]


class DestinationTable(PolicyKeys, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A named place that images go to. Its other keys are options of the kind that `uses` names."""

    uses: Annotated[str, Meta(description="The kind of destination.")]


class DistributionTable(Table, frozen=True, kw_only=True):
    """Finished images, and where `imgbake distribute` takes them."""

    images: Annotated[
        Strings,
        Meta(
            min_length=1,
            description="Images, as NAME or NAME@TARGET, or those of streams, `stream:NAME:TAG`. Each goes "
            "to every destination that takes its kind.",
        ),
    ]
    to: Annotated[Strings, Meta(min_length=1, description="The destinations.")]
    tags: Annotated[
        Strings, Meta(min_length=1, description="The names that move there, once all is there.")
    ] = ("latest",)
    atomic: Annotated[
        bool, Meta(description="Move no name at any destination before every destination has everything.")
    ] = True


class TriggerTable(Table, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """What is done when a tag of an image stream has moved. With `uses`, the other keys are the kind's."""

    on: Annotated[str | Strings, Meta(description="The tag, NAME:TAG, or several.")]
    run: Annotated[
        Strings, Meta(description="Tasks to run first, whether what they see has changed or not.")
    ] = ()
    build: Annotated[
        bool | Strings,
        Meta(
            description="Images to build then; with `true` all whose base is the tag, and those that stand "
            "on them."
        ),
    ] = False
    distribute: Annotated[Strings, Meta(description="Distributions to carry out at last.")] = ()
    uses: Annotated[str, Meta(description="A kind of trigger that a plugin adds.")] = ""
    paused: Annotated[bool, Meta(description="Do nothing for now.")] = False
    config: Annotated[bool, Meta(description="Start it also when what this table says has changed.")] = False


class PlainTriggerTable(TriggerTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One that builds, runs and distributes, and has no kind."""


class StreamTagTable(Table, frozen=True, kw_only=True):
    """A tag of an image stream: what it is meant to point to, and when it is imported again."""

    source: Annotated[
        str | dict[str, str | dict[str, Any]],
        Meta(
            description="What it points to once it is imported: anything that a base can be, `KIND:…` for "
            "artifacts of another kind than containers (`ami:ssm:/a/parameter`), or a table by kind; or "
            "another stream's tag or image, `stream:NAME:TAG`, `stream:NAME@DIGEST`. Without it the tag "
            "is moved by hand."
        ),
    ] = msgspec.field(name="from", default="")
    alias: Annotated[str, Meta(description="A tag of the same stream that it follows.")] = ""
    every: Annotated[
        Seconds | None,
        Meta(description='How often `imgbake stream sync` and `watch` import it: "15m", "24h".'),
    ] = None
    cron: Annotated[
        str,
        Meta(description='When they import it, as cron writes it, in UTC: "0 3 * * 1-5".'),
    ] = ""
    reference: Annotated[
        bool,
        Meta(description="It is the reference in `from` itself, never imported: what that means now counts."),
    ] = False
    reference_policy: Annotated[
        Literal["source", "local"],
        Meta(description="Where users take its images from: the source, or the stream's `repository`."),
    ] = "source"
    platform: Annotated[
        str,
        Meta(description="Of an index, import the image for this platform, such as `linux/arm64`."),
    ] = ""
    image: Annotated[
        str,
        Meta(
            description="Where it points to before its first import: a reference with a digest. "
            "`imgbake stream export` writes it."
        ),
    ] = ""
    annotations: Annotated[dict[str, str], Meta(description="What people should know of it.")] = {}


class StreamTable(Table, frozen=True, kw_only=True):
    """An image stream: tags that point to exact images, and remember what they pointed to."""

    tags: Annotated[dict[str, StreamTagTable], Meta(description="Its tags, by name.")] = {}
    repository: Annotated[
        str,
        Meta(description='A repository that its images are brought to, for `reference_policy = "local"`.'),
    ] = ""
    lookup: Annotated[
        bool, Meta(description="A plain NAME:TAG in a `base` means this stream, without `stream:`.")
    ] = False
    labels: Annotated[dict[str, str], Meta(description="Labels of the stream.")] = {}
    annotations: Annotated[dict[str, str], Meta(description="What people should know of it.")] = {}
