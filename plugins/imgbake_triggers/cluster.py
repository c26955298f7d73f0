"""Objects of a cluster that follow tags, by the annotation that OpenShift reads."""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import msgspec

from imgbake.api import BakeError, Moved
from imgbake_kaniko.cluster import kubeconfig
from imgbake_kaniko.cluster.connection import Connection, Refused

ANNOTATION = "image.openshift.io/triggers"
_KINDS = {
    "deployments": "/apis/apps/v1",
    "statefulsets": "/apis/apps/v1",
    "daemonsets": "/apis/apps/v1",
    "cronjobs": "/apis/batch/v1",
}
_PATCH = "application/strategic-merge-patch+json"
_TRIES = 5
_FIELD = re.compile(
    r"(?P<pod>spec\.(?:jobTemplate\.spec\.)?template\.spec)\.(?P<list>containers|initContainers)"
    r"\[(?:\?\(@\.name==(?P<quote>[\"'])(?P<name>[^\"']+)(?P=quote)\)|(?P<index>[0-9]+))\]\.image"
)


class _From(msgspec.Struct, frozen=True):
    kind: str
    name: str
    namespace: str = ""


class _Entry(msgspec.Struct, frozen=True, rename="camel"):
    """What the annotation says of one field."""

    source: _From = msgspec.field(name="from")
    field_path: str = ""
    paused: bool = False


def follow(moved: Moved, namespace: str, context: str, check: Callable[[], None]) -> Iterator[str]:
    """Lets the objects of a namespace that follow a tag have its image. Says which were changed.

    Raises BakeError for an annotation that can't be followed, once all others are done.
    """
    connection = Connection(kubeconfig.access(context), check)
    wrong = []
    for kind, group in _KINDS.items():
        place = f"{group}/namespaces/{quote(namespace, safe='')}/{kind}"
        for found in msgspec.json.decode(connection.read("GET", place))["items"]:
            check()
            name = found["metadata"]["name"]
            try:
                if ANNOTATION in found["metadata"].get("annotations", {}) and _set(
                    connection, f"{place}/{quote(name, safe='')}", moved, found
                ):
                    yield f"{kind}/{name}"
            except ValueError as error:
                wrong.append(f"{namespace}: {kind}/{name}: {error}")
    if wrong:
        raise BakeError("; ".join(wrong), hint=f"correct the annotation {ANNOTATION}")


def _set(connection: Connection, place: str, moved: Moved, found: dict[str, Any]) -> bool:
    """Changes one object, if it has other images. When somebody else changed it meanwhile, looks again."""
    for turn in range(_TRIES):
        patch = patch_of(moved, found)
        if not patch:
            return False
        try:
            connection.read("PATCH", place, msgspec.json.encode(patch), _PATCH)
            return True
        except Refused as error:
            if error.status != http.client.CONFLICT or turn == _TRIES - 1:
                raise
            found = msgspec.json.decode(connection.read("GET", place))
    return False


def patch_of(moved: Moved, found: dict[str, Any]) -> dict[str, Any]:
    """What is to be changed of an object, nothing if it has the image. Raises ValueError."""
    try:
        entries = msgspec.json.decode(found["metadata"]["annotations"][ANNOTATION], type=list[_Entry])
    except msgspec.DecodeError as error:
        raise ValueError(f"the annotation is no list of triggers: {error}") from None
    wanted: dict[str, dict[str, dict[str, str]]] = {}
    for entry in entries:
        if entry.paused or not _is_meant(entry.source, moved, found):
            continue
        pod, kind, container = _container(entry.field_path, found)
        if container["image"] != moved.reference:
            wanted.setdefault(pod, {}).setdefault(kind, {})[container["name"]] = moved.reference
    return _patch(wanted, found) if wanted else {}


def _is_meant(source: _From, moved: Moved, found: dict[str, Any]) -> bool:
    """A namespace, where one is written, is that of the object, or the project that has the stream."""
    where = ("", moved.project, found["metadata"].get("namespace", ""))
    is_tag = source.kind == "ImageStreamTag" and source.name == f"{moved.stream}:{moved.tag}"
    return is_tag and source.namespace in where


def _container(path: str, found: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Where a field is: the pod's specification, the list, and the container."""
    field = _FIELD.fullmatch(path)
    if field is None:
        raise ValueError(f"'{path}' is no container's image")
    place: Any = found
    for key in field["pod"].split("."):
        place = place.get(key, {})
    containers = place.get(field["list"], [])
    for number, container in enumerate(containers):
        if container["name"] == field["name"] or str(number) == field["index"]:
            return field["pod"], field["list"], container
    raise ValueError(f"'{path}' names a container that isn't there")


def _patch(wanted: dict[str, dict[str, dict[str, str]]], found: dict[str, Any]) -> dict[str, Any]:
    """Only if the object is still the one that was looked at."""
    patch: dict[str, Any] = {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}}
    for pod, lists in wanted.items():
        place = patch
        for key in pod.split("."):
            place = place.setdefault(key, {})
        for kind, images in lists.items():
            place[kind] = [{"name": name, "image": image} for name, image in images.items()]
    return patch
