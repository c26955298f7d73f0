"""One bake: what it needs is made in the cluster, fed, followed and removed."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from imgbake.api import BakeError, Blueprint, RunContext, StepError, digest
from imgbake_kaniko import buckets, credentials, manifests, packing, uploading
from imgbake_kaniko.cluster import kubeconfig
from imgbake_kaniko.cluster.client import Client
from imgbake_kaniko.cluster.connection import Connection
from imgbake_kaniko.commands import Commands
from imgbake_kaniko.manifests import Manifest, Plan
from imgbake_kaniko.options import Options
from imgbake_kaniko.watching import Watched

_CLEANING_SECONDS = 30
_LOOK_EVERY = 0.3
_NO_GRACE = 1  # seconds between asking and killing


def connected(options: Options) -> Client:
    """A client of the cluster that the options mean. Raises BakeError."""
    return Client(Connection(kubeconfig.access(options.kube_context)), options.namespace)


def bake(blueprint: Blueprint, options: Options, dockerfile: str, ctx: RunContext) -> str:
    """Bakes an image in the cluster, and returns the digest that it has in the registry. Raises BakeError."""
    client = connected(options)
    plan = manifests.plan(blueprint, options, secrets.token_hex(4))
    if options.create_repository:
        for reference in plan.destinations:
            if credentials.ensure_repository(reference):
                ctx.log(f"made the repository {reference.name}")
    auths = credentials.auths([*plan.destinations, *manifests.bases(blueprint)])
    packed = packing.pack(blueprint, dockerfile, ctx)
    flags = (*plan.flags, *packed.flags)
    plan = msgspec.structs.replace(plan, dockerfile=packed.dockerfile, flags=flags)
    with buckets.kept(packed.path, plan, ctx):
        env = {name: ctx.reveal(value) for name, value in manifests.secret_env(options).items()}
        run = _Run(client, plan, manifests.secret(plan, auths, env), ctx)
        commands = Commands(blueprint)
        try:
            return run.run(packed.path, commands)
        except StepError as error:
            raise commands.explain(error) from None


class _Run:
    """A Job, from its creation to its removal."""

    def __init__(self, client: Client, plan: Plan, secret: Manifest, ctx: RunContext) -> None:
        self._client, self._plan, self._secret, self._ctx = client, plan, secret, ctx
        labels = f"{manifests.RUN}={plan.name}"
        self._watched = Watched(client, plan.name, labels, plan.options.start_timeout, ctx)
        self._job: Manifest = {}

    def run(self, context: Path, commands: Commands) -> str:
        """Runs it and returns the image's digest. Raises StepError."""
        plan, ctx = self._plan, self._ctx

        with self._cleaned():
            self._make()
            if plan.has_volume:
                pod = self._watched.until_begun(manifests.UPLOAD)
                uploading.to_volume(self._client, pod["metadata"]["name"], context, ctx)
            pod = self._watched.until_begun(manifests.KANIKO)
            if plan.options.context == "stream":
                uploading.to_stdin(self._client, pod["metadata"]["name"], context, ctx)
            said = self._watched.follow(manifests.KANIKO, commands.hear, ctx.log).message
        if not digest.is_digest(said):
            raise StepError(
                f"Kaniko has ended well, and said no digest but {said!r}", tail=tuple(self._watched.tail)
            )
        return said

    def _make(self) -> None:
        """Makes the Job, asleep, then what it owns; and wakes it."""
        client, plan = self._client, self._plan
        job = manifests.job(plan)
        self._sweep()
        self._job = self._create({**job, "spec": {**job["spec"], "suspend": True}})
        if plan.has_volume:
            if not plan.options.provision:
                self._create(manifests.volume(plan))  # of no namespace, so a Job can't own it
            self._create(manifests.owned(manifests.claim(plan), self._job))
        self._create(manifests.owned(self._secret, self._job))
        client.change("Job", plan.name, {"spec": {"suspend": False}})

    def _create(self, manifest: Manifest) -> Manifest:
        made = self._client.create(manifest)
        place = [manifest["metadata"].get("namespace"), manifest["metadata"]["name"]]
        self._ctx.log(f"-- {manifest['kind']} {'/'.join(filter(None, place))}")
        return made

    def _sweep(self) -> None:
        """Removes the volumes of bakes that were killed: the cluster has removed what claimed them."""
        if self._plan.has_volume and not self._plan.options.provision:
            for volume in self._client.list("PersistentVolume", labels=f"{manifests.MANAGED_BY}=imgbake"):
                if volume.get("status", {}).get("phase") == "Released":
                    self._client.delete("PersistentVolume", volume["metadata"]["name"])

    @contextlib.contextmanager
    def _cleaned(self) -> Iterator[None]:
        """Removes everything afterwards, however it ends. A failure to do so hides no other."""
        try:
            yield
        except BaseException:
            with contextlib.suppress(BakeError):
                self._clean()
            raise
        self._clean()

    def _clean(self) -> None:
        client, plan = self._client, self._plan
        if plan.options.keep:
            self._ctx.log(f"kept {plan.options.namespace}/{plan.name}: Job, Secret and volume")
            return
        if not self._job:
            return
        for pod in client.list("Pod", labels=f"{manifests.RUN}={plan.name}"):
            client.delete("Pod", pod["metadata"]["name"], grace=_NO_GRACE)
        is_static = plan.has_volume and not plan.options.provision
        if is_static and self._watched.node:
            self._empty()
        client.delete("Job", plan.name)
        if is_static:
            client.delete("PersistentVolume", plan.name)

    def _empty(self) -> None:
        """Empties the volume, which no provisioner does."""
        pod = manifests.owned(manifests.cleaning_pod(self._plan, self._watched.node), self._job)
        name = self._client.create(pod)["metadata"]["name"]
        until = time.monotonic() + _CLEANING_SECONDS
        found: Any = None
        while time.monotonic() < until:
            found = self._client.find("Pod", name)
            if found is None or found.get("status", {}).get("phase") in ("Succeeded", "Failed"):
                break
            time.sleep(_LOOK_EVERY)
        if found is None or found["status"].get("phase") != "Succeeded":
            self._ctx.log(f"the files of {self._plan.name} could not be removed from its volume")
        self._client.delete("Pod", name, grace=0)
