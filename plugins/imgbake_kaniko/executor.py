"""The pod in which Kaniko runs, as plain data: its containers, and what they find in it. Pure.

/workspace           the context, on the volume
/kaniko/.docker      credentials of registries, of the Secret
/kaniko/recipe       the Dockerfile of a context that is cloned, of the Secret
/run/secrets         the secrets of components, of the Secret   } Kaniko takes nothing that is mounted
caches               folders of the pod, or of a claim           } into an image
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from imgbake.api import CacheFolder, digest
from imgbake_kaniko import lowering
from imgbake_kaniko.options import Options
from imgbake_kaniko.plan import CONTEXT, RECIPE, Plan

KANIKO, UPLOAD = "kaniko", "upload"  # names of containers
VOLUME = "context"
UNPACKED = "context"  # the folder of the volume that the context is in
COMPLETE = ".imgbake-complete"  # the file that ends the wait for an upload
CONFIG_KEY = ".dockerconfigjson"

_CREDENTIALS, _RECIPE, _SECRETS, _CACHES, _KEPT = "credentials", "recipe", "secrets", "caches", "kept"
_LAST_WORDS = "/dev/termination-log"  # read by the kubelet when the container ends
_READABLE = 0o444

_Spec = dict[str, Any]


def pod_spec(plan: Plan) -> _Spec:
    """What the Job makes its pod of."""
    spec: _Spec = {**placed(plan.options), "restartPolicy": "Never"}
    if plan.has_volume:
        spec["initContainers"] = [_upload(plan)]
    return {**spec, "containers": [_kaniko(plan)], "volumes": list(_volumes(plan))}


def placed(said: Options) -> _Spec:
    """Where pods run, and as whom."""
    spec: _Spec = {"enableServiceLinks": False}
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


def resources(said: Options) -> _Spec:
    """What a container may use: every one of ours, for a quota can want it of all."""
    found = {
        key: dict(value) for key, value in (("requests", said.requests), ("limits", said.limits)) if value
    }
    return {"resources": found} if found else {}


def claimed(plan: Plan) -> _Spec:
    """The volume that holds the context."""
    return {"name": VOLUME, "persistentVolumeClaim": {"claimName": plan.name}}


def mounts_of_commands(plan: Plan) -> Iterator[_Spec]:
    """Where what commands find, secrets and caches, is mounted."""
    if plan.secrets:
        yield {"name": _SECRETS, "mountPath": "/run/secrets", "readOnly": True}
    for cache in plan.caches:
        name = _KEPT if _is_kept(plan, cache) else _CACHES
        folder = digest.of_bytes(cache.path.encode()).removeprefix("sha256:")[:16]
        yield {"name": name, "mountPath": cache.path, "subPath": f"imgbake-{folder}"}


def volumes_of_commands(plan: Plan) -> Iterator[_Spec]:
    """The volumes of that."""
    if plan.secrets:
        yield _of_secret(plan, _SECRETS, plan.secret_files, mode=_READABLE)
    kept = [_is_kept(plan, cache) for cache in plan.caches]
    if not all(kept):
        yield {"name": _CACHES, "emptyDir": {}}
    if any(kept):
        yield {"name": _KEPT, "persistentVolumeClaim": {"claimName": plan.options.cache_claim}}


def arguments(plan: Plan) -> list[str]:
    """The executor's flags."""
    said = plan.options
    found = [f"--dockerfile={plan.dockerfile}", f"--context={plan.context}"]
    if plan.commit is not None and plan.commit.folder:
        found.append(f"--context-sub-path={plan.commit.folder}")
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


def _kaniko(plan: Plan) -> _Spec:
    said = plan.options
    container: _Spec = {"name": KANIKO, "image": said.executor, "args": arguments(plan)}
    if variables := list(_variables(plan)):
        container["env"] = variables
    container |= {"volumeMounts": list(_mounts(plan)), "terminationMessagePath": _LAST_WORDS}
    container |= resources(said)
    if said.context == "stream":
        container |= {"stdin": True, "stdinOnce": True}
    return container


def _variables(plan: Plan) -> Iterator[_Spec]:
    commit = plan.commit
    said = plan.options.env
    login = commit.login if commit is not None else {}
    plain = commit.env if commit is not None else {}
    for name, value in {**plain, **said, **login}.items():
        if name in plan.secret_env or name in login:
            yield {"name": name, "valueFrom": {"secretKeyRef": {"name": plan.name, "key": name}}}
        else:
            yield {"name": name, "value": value}


def _mounts(plan: Plan) -> Iterator[_Spec]:
    if plan.has_volume:
        yield {"name": VOLUME, "mountPath": CONTEXT, "subPath": f"{plan.name}/{UNPACKED}"}
    yield {"name": _CREDENTIALS, "mountPath": "/kaniko/.docker", "readOnly": True}
    if plan.recipe:
        yield {"name": _RECIPE, "mountPath": RECIPE, "readOnly": True}
    yield from mounts_of_commands(plan)


def _volumes(plan: Plan) -> Iterator[_Spec]:
    if plan.has_volume:
        yield claimed(plan)
    yield _of_secret(plan, _CREDENTIALS, {CONFIG_KEY: "config.json"})
    if plan.recipe:
        yield _of_secret(plan, _RECIPE, {name: name for name in plan.recipe})
    yield from volumes_of_commands(plan)


def _of_secret(plan: Plan, name: str, files: Mapping[str, str], mode: int | None = None) -> _Spec:
    items = [{"key": key, "path": path} for key, path in files.items()]
    secret: _Spec = {"secretName": plan.name, "items": items}
    return {"name": name, "secret": secret if mode is None else {**secret, "defaultMode": mode}}


def _is_kept(plan: Plan, cache: CacheFolder) -> bool:
    """Does a cache outlive the pod? Nothing keeps two pods apart, so only if they may meet in it."""
    return bool(plan.options.cache_claim) and cache.shared


def _upload(plan: Plan) -> _Spec:
    return {
        "name": UPLOAD,
        "image": plan.options.uploader,
        "command": ["sh", "-c", f"until [ -e {CONTEXT}/{COMPLETE} ]; do sleep 1; done"],
        "volumeMounts": [{"name": VOLUME, "mountPath": CONTEXT, "subPath": plan.name}],
        **resources(plan.options),
    }
