"""What the annotation of an object says, as a patch."""

from __future__ import annotations

import json
from typing import Any

import pytest

from imgbake.api import Moved
from imgbake_triggers.cluster import ANNOTATION, patch_of

MOVED = Moved("deploy", "shop", "web", "latest", "sha256:new", "registry.example/web@sha256:new", "container")
WEB = 'spec.template.spec.containers[?(@.name=="web")].image'


def _object(*entries: dict[str, Any], pod: tuple[str, ...] = ("template",), image: str = "old") -> Any:
    containers = [{"name": "web", "image": image}, {"name": "log", "image": image}]
    spec: Any = {"spec": {"containers": containers, "initContainers": [{"name": "wait", "image": image}]}}
    for key in reversed(pod):
        spec = {key: spec}
    annotations = {ANNOTATION: json.dumps(entries)}
    return {
        "metadata": {"resourceVersion": "7", "namespace": "live", "annotations": annotations},
        "spec": spec,
    }


def _entry(path: str = WEB, name: str = "web:latest", namespace: str = "", **more: Any) -> dict[str, Any]:
    source = {"kind": "ImageStreamTag", "name": name, **({"namespace": namespace} if namespace else {})}
    return {"from": source, "fieldPath": path, **more}


def _images(patch: Any, *pod: str) -> Any:
    for key in ("spec", *(pod or ("template",)), "spec"):
        patch = patch[key]
    return patch


def test_a_container_by_name_and_by_number() -> None:
    numbered = _entry("spec.template.spec.containers[1].image")
    patch = patch_of(MOVED, _object(_entry(), numbered))
    assert patch["metadata"] == {"resourceVersion": "7"}
    wanted = [{"name": "web", "image": MOVED.reference}, {"name": "log", "image": MOVED.reference}]
    assert _images(patch) == {"containers": wanted}


def test_containers_that_come_first_and_those_of_cron_jobs() -> None:
    path = 'spec.jobTemplate.spec.template.spec.initContainers[?(@.name=="wait")].image'
    patch = patch_of(MOVED, _object(_entry(path), pod=("jobTemplate", "spec", "template")))
    wanted = {"initContainers": [{"name": "wait", "image": MOVED.reference}]}
    assert _images(patch, "jobTemplate", "spec", "template") == wanted


@pytest.mark.parametrize("namespace", ["", "shop", "live"])
def test_a_namespace_is_the_objects_or_the_project(namespace: str) -> None:
    assert patch_of(MOVED, _object(_entry(namespace=namespace)))


@pytest.mark.parametrize(
    "entry",
    [
        _entry(name="web:1.2"),
        _entry(name="api:latest"),
        _entry(namespace="elsewhere"),
        _entry(paused=True),
        {"from": {"kind": "ImageStreamImage", "name": "web@sha256:new"}, "fieldPath": WEB},
    ],
)
def test_what_follows_another_tag_or_is_paused_is_left_alone(entry: dict[str, Any]) -> None:
    assert patch_of(MOVED, _object(entry)) == {}


def test_nothing_is_to_be_changed_where_the_image_is_set() -> None:
    assert patch_of(MOVED, _object(_entry(), image=MOVED.reference)) == {}


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("spec.replicas", "is no container's image"),
        ('spec.template.spec.containers[?(@.name=="gone")].image', "names a container that isn't there"),
        ("spec.template.spec.containers[9].image", "names a container that isn't there"),
    ],
)
def test_a_field_that_is_none_is_named(path: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        patch_of(MOVED, _object(_entry(path)))


def test_an_annotation_that_is_no_list_is_said() -> None:
    found = _object()
    found["metadata"]["annotations"][ANNOTATION] = "{"
    with pytest.raises(ValueError, match="no list of triggers"):
        patch_of(MOVED, found)
