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

from imgbake.api import Blueprint, Json
from imgbake_docker.naming import SCRATCH
from imgbake_kaniko import dockerfiles, lowering, naming
from imgbake_kaniko.options import Options
from imgbake_oci.reference import HUB, Reference, parse

Manifest = dict[str, Any]
"""An object of the Kubernetes API."""

MANAGED_BY = "app.kubernetes.io/managed-by"
RUN = "imgbake.dev/run"
KANIKO, UPLOAD, TEST = "kaniko", "upload", "test"  # names of containers
CONTEXT = "/workspace"  # where the context lies in the executor
UNPACKED = "context"  # the folder of the volume that it is there
COMPLETE = ".imgbake-complete"  # the file that ends the wait for an upload
CONFIG_KEY = ".dockerconfigjson"

_VOLUME, _CREDENTIALS = "context", "credentials"
_LAST_WORDS = "/dev/termination-log"  # read by the kubelet when the container ends
_AFTERWARDS = 600  # seconds until the cluster removes a Job that nobody removed
_FOLDER = "/var/lib/imgbake"
_HUB_KEY = "https://index.docker.io/v1/"


class Plan(msgspec.Struct, frozen=True):
    """What the manifests of a bake are made from."""

    name: str
    options: Options
    destinations: tuple[Reference, ...]
    registries: tuple[str, ...]  # whose credentials the Job may need, sorted
    is_checked: bool
    dockerfile: str = "Dockerfile"  # its name in the context
    flags: tuple[str, ...] = ()  # what the executor is told of the image

    @property
    def context(self) -> str:
        """Where Kaniko finds the context, in its own words."""
        said = self.options.context.rstrip("/")
        places = {"volume": f"dir://{CONTEXT}", "stream": "tar://stdin"}
        return places.get(said, f"{said}/{self.name}.tar.gz")

    @property
    def has_volume(self) -> bool:
        """Does the context come by a volume?"""
        return self.options.context == "volume"


def plan(blueprint: Blueprint, options: Options, run: str) -> Plan:
    """The plan of a bake; `run` tells it from others. Raises BakeError for tags that are none."""
    destinations = naming.references(blueprint, options)
    name = naming.object_name(blueprint.image, blueprint.target, run)
    registries = {each.registry for each in (*destinations, *bases(blueprint))}
    is_checked = lowering.is_checked(blueprint)
    flags = dockerfiles.flags(blueprint.described) if blueprint.described is not None else ()
    return Plan(name, options, destinations, tuple(sorted(registries)), is_checked, flags=flags)


def bases(blueprint: Blueprint) -> tuple[Reference, ...]:
    """The images that the Job pulls."""
    found = [blueprint.base.reference]
    if blueprint.described is not None:
        found = list(blueprint.described.bases)
    return tuple(parse(reference) for reference in found if reference != SCRATCH)


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


def secret(plan: Plan, auths: Mapping[str, Json], env: Mapping[str, str]) -> Manifest:
    """The Secret with credentials by registry, and the executor's secret environment."""
    config = msgspec.json.encode({"auths": auths}, order="sorted").decode()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(plan),
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {CONFIG_KEY: config, **env},
    }


def nameless_secret(plan: Plan) -> Manifest:
    """The same without anything secret: the registries' names alone, and those of variables."""
    auths: dict[str, Json] = {auth_key(registry): {} for registry in plan.registries}
    return secret(plan, auths, dict.fromkeys(secret_env(plan.options), ""))


def auth_key(registry: str) -> str:
    """By which name docker's configuration knows a registry."""
    return _HUB_KEY if registry == HUB else registry


def secret_env(options: Options) -> dict[str, str]:
    """The variables of the executor's environment that hold a secret argument."""
    return {name: value for name, value in options.env.items() if "{{" in value}


def job(plan: Plan) -> Manifest:
    """The Job. It is tried once: what fails is told, and not hidden by another try."""
    said = plan.options
    spec: Manifest = {
        "backoffLimit": 0,
        "activeDeadlineSeconds": said.deadline,
        "template": {"metadata": _labelled(plan), "spec": _pod_spec(plan)},
    }
    if not said.keep:
        spec["ttlSecondsAfterFinished"] = _AFTERWARDS
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": _metadata(plan), "spec": spec}


def test_pod(plan: Plan, image: str, container: Manifest) -> Manifest:
    """A pod that runs a container, of which a part is given, on the finished image."""
    spec = {
        **_placed(plan.options),
        "restartPolicy": "Never",
        "activeDeadlineSeconds": plan.options.deadline,
        "imagePullSecrets": [{"name": plan.name}],
        "containers": [{"name": TEST, "image": image, **container}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": _metadata(plan), "spec": spec}


def cleaning_pod(plan: Plan, node: str) -> Manifest:
    """A pod that empties the folder of a bake on its volume, on the node where that may be."""
    name = f"{plan.name}-clean"
    spec = {
        **_placed(plan.options),
        "nodeName": node,
        "restartPolicy": "Never",
        "activeDeadlineSeconds": 60,
        "containers": [
            {
                "name": "clean",
                "image": plan.options.uploader,
                "command": ["sh", "-c", f"rm -rf /volume/{plan.name}"],
                "volumeMounts": [{"name": _VOLUME, "mountPath": "/volume"}],
            }
        ],
        "volumes": [_claimed(plan)],
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


def arguments(plan: Plan) -> list[str]:
    """The executor's flags."""
    said = plan.options
    found = [f"--dockerfile={plan.dockerfile}", f"--context={plan.context}"]
    found += [f"--destination={each.name}:{each.tag}" for each in plan.destinations]
    found += [f"--digest-file={_LAST_WORDS}", "--log-format=json", f"--snapshot-mode={said.snapshot_mode}"]
    found += [f"--push-retry={said.push_retry}", f"--compression={said.compression}"]
    found += plan.flags
    found += ["--reproducible"] if said.reproducible else []
    found += ["--cache=true"] if said.cache else []
    found += [f"--cache-repo={said.cache_repo}"] if said.cache_repo else []
    found += [f"--insecure-registry={registry}" for registry in said.insecure_registries]
    found += [f"--registry-mirror={mirror}" for mirror in said.registry_mirrors]
    found += [f"--ignore-path=/{lowering.PASSED}"] if plan.is_checked else []
    return [*found, *said.flags]


def _pod_spec(plan: Plan) -> Manifest:
    volumes: list[Manifest] = [
        {
            "name": _CREDENTIALS,
            "secret": {
                "secretName": plan.name,
                "items": [{"key": CONFIG_KEY, "path": "config.json"}],
            },
        }
    ]
    spec: Manifest = {**_placed(plan.options), "restartPolicy": "Never"}
    if plan.has_volume:
        volumes.insert(0, _claimed(plan))
        spec["initContainers"] = [_upload(plan)]
    return {**spec, "containers": [_kaniko(plan)], "volumes": volumes}


def _placed(said: Options) -> Manifest:
    """Where pods run, and as whom."""
    spec: Manifest = {"enableServiceLinks": False}
    if said.service_account:
        spec["serviceAccountName"] = said.service_account
    else:
        spec["automountServiceAccountToken"] = False
    if said.node_selector:
        spec["nodeSelector"] = dict(said.node_selector)
    if said.tolerations:
        tolerations = [msgspec.to_builtins(each) for each in said.tolerations]
        spec["tolerations"] = [{key: value for key, value in each.items() if value} for each in tolerations]
    return spec


def _kaniko(plan: Plan) -> Manifest:
    said = plan.options
    mounts = [{"name": _CREDENTIALS, "mountPath": "/kaniko/.docker", "readOnly": True}]
    if plan.has_volume:
        folder = f"{plan.name}/{UNPACKED}"
        mounts.insert(0, {"name": _VOLUME, "mountPath": CONTEXT, "subPath": folder})
    container: Manifest = {"name": KANIKO, "image": said.executor, "args": arguments(plan)}
    if said.env:
        container["env"] = [_variable(plan, name, value) for name, value in said.env.items()]
    if resources := {
        key: dict(value) for key, value in (("requests", said.requests), ("limits", said.limits)) if value
    }:
        container["resources"] = resources
    container |= {"volumeMounts": mounts, "terminationMessagePath": _LAST_WORDS}
    if plan.options.context == "stream":
        container |= {"stdin": True, "stdinOnce": True}
    return container


def _variable(plan: Plan, name: str, value: str) -> Manifest:
    if "{{" not in value:
        return {"name": name, "value": value}
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": plan.name, "key": name}}}


def _upload(plan: Plan) -> Manifest:
    return {
        "name": UPLOAD,
        "image": plan.options.uploader,
        "command": ["sh", "-c", f"until [ -e {CONTEXT}/{COMPLETE} ]; do sleep 1; done"],
        "volumeMounts": [{"name": _VOLUME, "mountPath": CONTEXT, "subPath": plan.name}],
    }


def _claimed(plan: Plan) -> Manifest:
    return {"name": _VOLUME, "persistentVolumeClaim": {"claimName": plan.name}}


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


def documents(plan: Plan) -> Sequence[tuple[str, Manifest]]:
    """What is applied to a cluster, in this order, each with its file's name; nothing secret in it."""
    found = [("secret.yaml", nameless_secret(plan)), ("job.yaml", job(plan))]
    if not plan.has_volume:
        return found
    volumes = [] if plan.options.provision else [("persistent-volume.yaml", volume(plan))]
    return [*volumes, ("persistent-volume-claim.yaml", claim(plan)), *found]
