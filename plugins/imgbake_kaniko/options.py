"""The options of the target `kaniko`, and what is refused while the recipe is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec

from imgbake.api import is_given
from imgbake_oci import checking

EXECUTOR = "ghcr.io/osscontainertools/kaniko:latest"
UPLOADER = "ghcr.io/osscontainertools/kaniko:debug"

AccessMode = Literal["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]
_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LONGEST_LABEL = 63
_GIT = re.compile(r"git(\+https?://[^\s@#?/]+/[^\s@#?]+)?")
_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s]*)?")


def _described(text: str, *, decides: bool = True) -> msgspec.Meta:
    return msgspec.Meta(description=text, extra={} if decides else {"decides": False})


class Toleration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A taint of nodes that the pod may run on all the same, as Kubernetes has it."""

    key: str = ""
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of a target with `uses = "kaniko"`."""

    tags: Annotated[
        tuple[str, ...],
        _described(
            "References that the image is pushed to. Default: `registry` with environment and project."
        ),
    ] = ()
    registry: Annotated[
        str, _described("Registry, with the folder if there is one, of images without `tags`.")
    ] = ""
    environment: Annotated[
        str, _described("First half of the image's name when there are no `tags`. Default: the target.")
    ] = ""
    project: Annotated[
        str, _described("Second half of the image's name when there are no `tags`. Default: the image.")
    ] = ""
    create_repository: Annotated[
        bool,
        _described(
            "Create a repository of Amazon ECR that is missing, before anything is pushed.", decides=False
        ),
    ] = True
    kube_context: Annotated[
        str,
        _described(
            "Context of the kubeconfig. Default: its current one, or the cluster we run in.", decides=False
        ),
    ] = ""
    namespace: Annotated[
        str, _described("Namespace of the Job and all that belongs to it.", decides=False)
    ] = "default"
    context: Annotated[
        str,
        _described(
            'How the files get to the Job: "volume", "stream" (into the executor\'s stdin), '
            '`s3://BUCKET/PREFIX`, or "git": Kaniko clones the commit that is checked out here from its '
            "remote, or from `git+https://HOST/PATH`.",
            decides=False,
        ),
    ] = "volume"
    volume_size: Annotated[str, _described("Size of the volume.", decides=False)] = "5Gi"
    storage_class: Annotated[str, _described("Storage class of volume and claim.", decides=False)] = ""
    access_mode: Annotated[AccessMode, _described("Access mode of volume and claim.", decides=False)] = (
        "ReadWriteOnce"
    )
    volume: Annotated[
        dict[str, Any],
        _described(
            "What the PersistentVolume is, in Kubernetes' words. Default: a folder of the node, `hostPath`.",
            decides=False,
        ),
    ] = {}
    provision: Annotated[
        bool,
        _described(
            "Let the storage class make the volume, instead of a PersistentVolume of ours.", decides=False
        ),
    ] = False
    cache_claim: Annotated[
        str,
        _described(
            "A PersistentVolumeClaim of yours that keeps the `caches` of components which are `shared`. "
            "Other caches, and all without it, are empty when a bake begins.",
            decides=False,
        ),
    ] = ""
    requests: Annotated[
        dict[str, str], _described("What each container requests, such as `cpu`.", decides=False)
    ] = {}
    limits: Annotated[
        dict[str, str], _described("What each container is limited to, such as `memory`.", decides=False)
    ] = {}
    node_selector: Annotated[dict[str, str], _described("Labels of the nodes that it may run on.")] = {}
    tolerations: Annotated[
        tuple[Toleration, ...], _described("Taints of nodes that it may run on all the same.", decides=False)
    ] = ()
    service_account: Annotated[str, _described("Service account of the pods.", decides=False)] = ""
    labels: Annotated[
        dict[str, str], _described("More labels of everything that is made there.", decides=False)
    ] = {}
    annotations: Annotated[
        dict[str, str], _described("Annotations of everything that is made there.", decides=False)
    ] = {}
    env: Annotated[
        dict[str, str],
        _described("Environment of the executor. Values with a secret argument go into the Secret."),
    ] = {}
    executor: Annotated[str, _described("Image of Kaniko's executor.")] = EXECUTOR
    uploader: Annotated[
        str,
        _described(
            "Image with `sh`, `head` and `tar` that receives the files for the volume.", decides=False
        ),
    ] = UPLOADER
    cache: Annotated[bool, _described("Keep layers of commands in a registry, and use those.")] = False
    cache_repo: Annotated[str, _described("Repository of these layers. Default: beside the image.")] = ""
    snapshot_mode: Annotated[
        Literal["full", "redo", "time"], _described("How Kaniko finds what a command changed.")
    ] = "full"
    compression: Annotated[Literal["gzip", "zstd"], _described("How layers are compressed.")] = "gzip"
    reproducible: Annotated[
        bool,
        _described(
            "Leave times out of the image: equal content has equal digests, and Kaniko takes more memory."
        ),
    ] = True
    insecure_registries: Annotated[
        tuple[str, ...], _described("Registries that are spoken to without TLS.")
    ] = ()
    registry_mirrors: Annotated[
        tuple[str, ...], _described("Mirrors to pull from instead of Docker Hub.", decides=False)
    ] = ()
    push_retry: Annotated[int, _described("How many times a failed push is tried again.", decides=False)] = 2
    flags: Annotated[tuple[str, ...], _described("More flags of the executor, each as `--name=value`.")] = ()
    start_timeout: Annotated[
        int,
        _described(
            "Seconds that each container may take to begin: for a node, an image, a volume.", decides=False
        ),
    ] = 600
    deadline: Annotated[
        int,
        _described(
            "Seconds after which the cluster itself ends the Job, also when imgbake is gone.", decides=False
        ),
    ] = 7200
    keep: Annotated[bool, _described("Leave what was made in the cluster, to look at it.", decides=False)] = (
        False
    )

    def __post_init__(self) -> None:
        """Raises ValueError for what can't be baked; the key that it is about stands in backticks."""
        for key, problem in _problems(self):
            raise ValueError(f"`{key}`: {problem}")

    @property
    def is_cloned(self) -> bool:
        """Does Kaniko clone the context?"""
        return _GIT.fullmatch(self.context) is not None

    @property
    def repository(self) -> str:
        """The url that it clones; empty for the one that the checkout here has."""
        return self.context.removeprefix("git+") if self.is_cloned and self.context != "git" else ""


def _problems(said: Options) -> Iterator[tuple[str, str]]:
    yield from (("tags", problem) for problem in checking.tags(said.tags))
    if not said.tags and not said.registry:
        yield "registry", "an image is pushed to `tags` or below `registry`: write one of them"
    if said.registry and is_given(said.registry):
        below = f"{said.registry.rstrip('/')}/name"
        yield from (("registry", problem) for problem in checking.tags([below]))
    if is_given(said.context):
        yield from (("context", problem) for problem in _context_problems(said))
    yield from _kubernetes_problems(said)
    for flag in said.flags:
        if not flag.startswith("--"):
            yield "flags", f"'{flag}' does not start with --"
        elif (name := flag.partition("=")[0]) in _OURS:
            yield "flags", f"{name} is what imgbake says itself"


def _context_problems(said: Options) -> Iterator[str]:
    is_known = said.context in ("volume", "stream") or said.is_cloned or _BUCKET.fullmatch(said.context)
    if said.context.startswith("git+") and "@" in said.context:
        yield 'it holds a password: write `env = { GIT_TOKEN = "{{ token }}" }` with a secret argument'
    elif not is_known:
        yield f"'{said.context}' is neither 'volume', 'stream', s3://BUCKET/PREFIX, 'git' nor git+https://HOST/PATH"


_OURS = (
    "--context",
    "--context-sub-path",
    "--dockerfile",
    "--destination",
    "--digest-file",
    "--no-push",
    "--tar-path",
)


def _kubernetes_problems(said: Options) -> Iterator[tuple[str, str]]:
    if is_given(said.namespace) and not _is_label(said.namespace):
        yield "namespace", f"'{said.namespace}' is no name of a namespace: use a-z, 0-9 and dashes inside"
    if is_given(said.volume_size) and not _QUANTITY.fullmatch(said.volume_size):
        yield "volume_size", f"'{said.volume_size}' is not a size, such as 5Gi"
    for key in ("requests", "limits"):
        for name, value in getattr(said, key).items():
            if is_given(value) and not _QUANTITY.fullmatch(value):
                yield key, f"{name} = '{value}' is not a quantity, such as 500m or 2Gi"
    if said.provision and said.volume:
        yield "provision", "a volume of yours is not provisioned: leave one of both out"
    if len(said.volume) > 1:
        yield "volume", f"it can be one thing only, not {' and '.join(said.volume)}"
    for key in ("deadline", "start_timeout"):
        if getattr(said, key) < 1:
            yield key, "it is at least 1 second"
    if said.push_retry < 0:
        yield "push_retry", "it is at least 0"


def _is_label(text: str) -> bool:
    return len(text) <= _LONGEST_LABEL and _LABEL.fullmatch(text) is not None
