"""The trigger `kubernetes` and a real API server."""

from __future__ import annotations

import json
from typing import Any

from imgbake_kaniko.cluster import kubeconfig
from imgbake_kaniko.cluster.connection import Connection
from imgbake_kaniko.tests.in_cluster import InCluster

RECIPE = """
[streams.base.tags.latest]
from = "{base}"

[triggers.deploy]
on = "base:latest"
uses = "kubernetes"
namespaces = ["default"]
"""
ANNOTATION = "image.openshift.io/triggers"


def _manifest(kind: str, name: str, path: str, *, paused: bool = False) -> dict[str, Any]:
    source = {"kind": "ImageStreamTag", "name": "base:latest"}
    said = json.dumps([{"from": source, "fieldPath": path, "paused": paused}])
    containers = [{"name": "web", "image": "old"}, {"name": "log", "image": "old"}]
    pod: dict[str, Any] = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": containers, "restartPolicy": "Always"},
    }
    spec: dict[str, Any] = {"selector": {"matchLabels": {"app": name}}, "template": pod, "replicas": 0}
    version = "apps/v1"
    if kind == "CronJob":
        pod["spec"]["restartPolicy"] = "Never"
        spec = {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {"spec": {"template": pod}}}
        version = "batch/v1"
    metadata = {"name": name, "annotations": {ANNOTATION: said}}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def test_objects_that_follow_a_tag_get_its_image(project: InCluster, cluster: Any, base: str) -> None:
    connection = Connection(kubeconfig.access(environ={"KUBECONFIG": str(cluster.kubeconfig)}))
    deployments, jobs = (
        "/apis/apps/v1/namespaces/default/deployments",
        "/apis/batch/v1/namespaces/default/cronjobs",
    )
    web = 'template.spec.containers[?(@.name=="web")].image'
    made = [
        (deployments, _manifest("Deployment", "shop", f"spec.{web}")),
        (deployments, _manifest("Deployment", "waits", f"spec.{web}", paused=True)),
        (jobs, _manifest("CronJob", "nightly", f"spec.jobTemplate.spec.{web}")),
    ]
    for place, manifest in made:
        connection.read("POST", place, json.dumps(manifest).encode())
    try:
        project.recipe(RECIPE.format(base=base))
        ran = project.run("stream", "sync")
        assert ran.code == 0, ran.stderr
        assert "set the image of deployments/shop, cronjobs/nightly" in ran.stderr
        found = {name: _images(connection, place, name) for place, name in _names(made)}
        image = project.run("stream", "image", "base:latest", "--format", "json").json["reference"]
        assert found == {"shop": [image, "old"], "waits": ["old", "old"], "nightly": [image, "old"]}
    finally:
        for place, name in _names(made):
            connection.read("DELETE", f"{place}/{name}")


def _names(made: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, str]]:
    return [(place, manifest["metadata"]["name"]) for place, manifest in made]


def _images(connection: Connection, place: str, name: str) -> list[str]:
    spec = json.loads(connection.read("GET", f"{place}/{name}"))["spec"]
    pod = (spec.get("jobTemplate", {}).get("spec") or spec)["template"]
    return [container["image"] for container in pod["spec"]["containers"]]
