"""What a bake has made in the cluster is removed: by the bake itself, or by the next if it was killed.

    .imgbake/kaniko/IMAGE@TARGET       the cluster, the namespace and the name of what is there now

Most of it the Job owns, and the cluster removes it. A PersistentVolume belongs to no namespace and can't
be owned; nor does anybody empty a folder of a node but us.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec

from imgbake.api import BakeError, Blueprint, RunContext
from imgbake_kaniko import manifests
from imgbake_kaniko.cluster.client import Client
from imgbake_kaniko.cluster.connection import Refused, Unreachable
from imgbake_kaniko.manifests import Manifest
from imgbake_kaniko.plan import Plan

_CLEANING_SECONDS = 30
_LOOK_EVERY = 0.3
_NO_GRACE = 1  # seconds between asking and killing


class Note(msgspec.Struct, frozen=True):
    """Where in a cluster something was made."""

    server: str
    namespace: str
    name: str


def note_of(blueprint: Blueprint, ctx: RunContext) -> Path:
    """The file that tells the next bake of an image what this one has made."""
    return ctx.root / ".imgbake" / "kaniko" / f"{blueprint.image}@{blueprint.target}"


def write(path: Path, note: Note) -> None:
    """Leaves a note for the next bake."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(note))


def remove_noted(client: Client, plan: Plan, path: Path, ctx: RunContext) -> None:
    """Removes what a bake that was killed has left, if it was in this cluster and namespace."""
    try:
        note = msgspec.json.decode(path.read_bytes(), type=Note)
    except (FileNotFoundError, msgspec.DecodeError):
        return
    if (note.server, note.namespace) != (client.server, plan.options.namespace):
        return
    ctx.log(f"-- removing {note.namespace}/{note.name}, which a bake that was killed has left")
    remove(client, msgspec.structs.replace(plan, name=note.name), ctx)
    path.unlink()


def remove_released(client: Client, plan: Plan) -> None:
    """Removes the volumes of bakes that were killed elsewhere: the cluster has removed what claimed them."""
    if plan.is_static:
        with may_lack_volumes():
            for volume in client.list("PersistentVolume", labels=f"{manifests.MANAGED_BY}=imgbake"):
                if volume.get("status", {}).get("phase") == "Released":
                    client.delete("PersistentVolume", volume["metadata"]["name"])


def remove(client: Client, plan: Plan, ctx: RunContext) -> None:
    """Removes everything of a bake. What can be removed is, whatever can't; then raises BakeError.

    A cluster that does not answer is not asked again.
    """
    steps: list[Callable[[], None]] = [
        lambda: _end(client, plan, ctx),
        lambda: client.delete("Job", plan.name),
    ]
    if plan.is_static:
        steps.append(lambda: client.delete("PersistentVolume", plan.name))
    failed: list[BakeError] = []
    for step in steps:
        try:
            step()
        except Unreachable:
            raise
        except BakeError as error:
            failed.append(error)
    if failed:
        raise failed[0]


@contextlib.contextmanager
def afterwards(clean: Callable[[], None], ctx: RunContext) -> Iterator[None]:
    """Cleans up however the block ends. A failure to do so hides no other."""
    try:
        yield
    except BaseException:
        try:
            clean()
        except BakeError as error:
            ctx.log(f"-- what was made is left: {error.message}")
        raise
    clean()


@contextlib.contextmanager
def may_lack_volumes() -> Iterator[None]:
    """Says what to do where PersistentVolumes, which belong to the whole cluster, are not ours to make."""
    try:
        yield
    except Refused as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        hint = 'write `provision = true` to have a volume of the storage class, or `context = "stream"`'
        raise BakeError(error.message, hint=hint) from None


def _end(client: Client, plan: Plan, ctx: RunContext) -> None:
    """Ends the pods, and empties the volume where they were."""
    node = ""
    for pod in client.list("Pod", labels=f"{manifests.RUN}={plan.name}"):
        node = pod["spec"].get("nodeName", node)
        client.delete("Pod", pod["metadata"]["name"], grace=_NO_GRACE)
    job = client.find("Job", plan.name)
    if plan.is_static and node and job is not None:
        _empty(client, plan, manifests.owned(manifests.cleaning_pod(plan, node), job), ctx)


def _empty(client: Client, plan: Plan, pod: Manifest, ctx: RunContext) -> None:
    """Empties the volume, which no provisioner does."""
    name = client.create(pod)["metadata"]["name"]
    until = time.monotonic() + _CLEANING_SECONDS
    found: Any = None
    while time.monotonic() < until:
        found = client.find("Pod", name)
        if found is None or found.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            break
        time.sleep(_LOOK_EVERY)
    if found is None or found["status"].get("phase") != "Succeeded":
        ctx.log(f"the files of {plan.name} could not be removed from its volume")
    client.delete("Pod", name, grace=0)
