"""What is made in the cluster for a bake, as plain data. Pure.

    Job ── owns ── PersistentVolumeClaim ── bound to ── PersistentVolume
     │             Secret (kubernetes.io/dockerconfigjson)
     └─ Pod: the init container `upload` waits until the context is on the volume,
             then the container `kaniko` builds and pushes, and leaves the digest as its last words

All bear the same name, and labels by which they can be found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from imgbake.api import Json
from imgbake_kaniko import executor
from imgbake_kaniko.executor import CONFIG_KEY
from imgbake_kaniko.plan import Plan
from imgbake_oci.reference import HUB

Manifest = dict[str, Any]
"""An object of the Kubernetes API."""

MANAGED_BY = "app.kubernetes.io/managed-by"
RUN = "imgbake.dev/run"
TEST = "test"  # the container that tests

_AFTERWARDS = 600  # seconds until the cluster removes a Job that nobody removed
_FOLDER = "/var/lib/imgbake"
_HUB_KEY = "https://index.docker.io/v1/"


def volume(plan: Plan) -> Manifest:
    """The PersistentVolume, bound to the claim and to no other."""
    said = plan.options
    source = said.volume or {"hostPath": {"path": _FOLDER, "type": "DirectoryOrCreate"}}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": _metadata(plan, namespaced=False),
        "spec": {
            "capacity": {"storage": said.volume_size},
            "accessModes": [said.access_mode],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": said.storage_class,
            "claimRef": {"namespace": said.namespace, "name": plan.name},
            **source,
        },
    }


def claim(plan: Plan) -> Manifest:
    """The PersistentVolumeClaim: for our volume, or for one that the storage class makes."""
    said = plan.options
    spec: Manifest = {
        "accessModes": [said.access_mode],
        "resources": {"requests": {"storage": said.volume_size}},
    }
    if not said.provision:
        spec |= {"storageClassName": said.storage_class, "volumeName": plan.name}
    elif said.storage_class:
        spec["storageClassName"] = said.storage_class
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": _metadata(plan), "spec": spec}


def secret(plan: Plan, auths: Mapping[str, Json], texts: Mapping[str, str]) -> Manifest:
    """The Secret with credentials by registry, and whatever else is secret, by key."""
    config = msgspec.json.encode({"auths": auths}, order="sorted").decode()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(plan),
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {CONFIG_KEY: config, **plan.recipe, **texts},
    }


def nameless_secret(plan: Plan) -> Manifest:
    """The same without anything secret: the registries' names alone, and the keys."""
    auths: dict[str, Json] = {auth_key(registry): {} for registry in plan.registries}
    return secret(plan, auths, dict.fromkeys(plan.secret_texts, ""))


def auth_key(registry: str) -> str:
    """By which name docker's configuration knows a registry."""
    return _HUB_KEY if registry == HUB else registry


def job(plan: Plan, *, is_kept: bool = False) -> Manifest:
    """The Job. It is tried once: what fails is told, and not hidden by another try."""
    said = plan.options
    spec: Manifest = {
        "backoffLimit": 0,
        "activeDeadlineSeconds": said.deadline,
        "template": {"metadata": _labelled(plan), "spec": executor.pod_spec(plan)},
    }
    if not (said.keep or is_kept):
        spec["ttlSecondsAfterFinished"] = _AFTERWARDS
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": _metadata(plan), "spec": spec}


def test_pod(plan: Plan, image: str, container: Manifest) -> Manifest:
    """A pod that runs a container, of which a part is given, on the finished image."""
    if mounts := list(executor.mounts_of_commands(plan)):
        container = {**container, "volumeMounts": mounts}
    spec = {
        **executor.placed(plan.options),
        "restartPolicy": "Never",
        "activeDeadlineSeconds": plan.options.deadline,
        "imagePullSecrets": [{"name": plan.name}],
        "containers": [{"name": TEST, "image": image, **container, **executor.resources(plan.options)}],
    }
    if mounts:
        spec["volumes"] = list(executor.volumes_of_commands(plan))
    return {"apiVersion": "v1", "kind": "Pod", "metadata": _metadata(plan), "spec": spec}


def cleaning_pod(plan: Plan, node: str) -> Manifest:
    """A pod that empties the folder of a bake on its volume, on the node where that may be."""
    name = f"{plan.name}-clean"
    spec = {
        **executor.placed(plan.options),
        "nodeName": node,
        "restartPolicy": "Never",
        "activeDeadlineSeconds": 60,
        "containers": [
            {
                "name": "clean",
                "image": plan.options.uploader,
                "command": ["sh", "-c", f"rm -rf /volume/{plan.name}"],
                "volumeMounts": [{"name": executor.VOLUME, "mountPath": "/volume"}],
                **executor.resources(plan.options),
            }
        ],
        "volumes": [executor.claimed(plan)],
    }
    metadata = {**_metadata(plan), "name": name}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def owned(manifest: Manifest, owner: Manifest) -> Manifest:
    """The manifest, to be removed by the cluster together with its owner, which exists already."""
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    return {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": [reference]}}


def _metadata(plan: Plan, *, namespaced: bool = True) -> Manifest:
    found: Manifest = {"name": plan.name}
    if namespaced:
        found["namespace"] = plan.options.namespace
    return found | _labelled(plan)


def _labelled(plan: Plan) -> Manifest:
    said = plan.options
    found: Manifest = {"labels": {**said.labels, MANAGED_BY: "imgbake", RUN: plan.name}}
    if said.annotations:
        found["annotations"] = dict(said.annotations)
    return found


def title(manifest: Manifest) -> str:
    """What people call an object: kind, namespace and name."""
    place = [manifest["metadata"].get("namespace"), manifest["metadata"]["name"]]
    return f"{manifest['kind']} {'/'.join(filter(None, place))}"


def documents(plan: Plan) -> Sequence[tuple[str, Manifest]]:
    """What is applied to a cluster, in this order, each with its file's name; nothing secret in it."""
    found = [("secret.yaml", nameless_secret(plan)), ("job.yaml", job(plan))]
    if not plan.has_volume:
        return found
    volumes = [("persistent-volume.yaml", volume(plan))] if plan.is_static else []
    return [*volumes, ("persistent-volume-claim.yaml", claim(plan)), *found]
