"""One bake: what it needs is made in the cluster, fed, followed and removed."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from imgbake.api import Blueprint, RunContext, StepError, digest
from imgbake_kaniko import buckets, commits, credentials, executor, manifests, packing, removing, uploading
from imgbake_kaniko.cluster import kubeconfig
from imgbake_kaniko.cluster.client import Client
from imgbake_kaniko.cluster.connection import Connection, Refused
from imgbake_kaniko.commands import Commands
from imgbake_kaniko.manifests import Manifest
from imgbake_kaniko.options import Options
from imgbake_kaniko.plan import Plan, bases, plan
from imgbake_kaniko.removing import Note
from imgbake_kaniko.watching import Watched


def connected(options: Options, check: Callable[[], None]) -> Client:
    """A client of the cluster that the options mean; `check` raises when it must stop. Raises BakeError."""
    return Client(Connection(kubeconfig.access(options.kube_context), check), options.namespace)


def bake(
    blueprint: Blueprint, options: Options, dockerfile: str, ctx: RunContext
) -> tuple[str, dict[str, Any]]:
    """Bakes an image in the cluster. Returns the digest that it has in the registry, and what was made.

    Raises BakeError.
    """
    client = connected(options, ctx.check)
    its = plan(blueprint, options, secrets.token_hex(4))
    if its.commit is not None and blueprint.described is not None:
        its = msgspec.structs.replace(its, commit=commits.find(blueprint.described, options, ctx))
    if options.create_repository:
        for reference in its.destinations:
            if credentials.ensure_repository(reference, ctx):
                ctx.log(f"made the repository {reference.name}")
    auths = credentials.auths([*its.destinations, *bases(blueprint)], ctx)
    context: Path | None = None
    if its.commit is None:
        packed = packing.pack(blueprint, dockerfile, ctx)
        flags = (*its.flags, *packed.flags)
        its = msgspec.structs.replace(its, dockerfile=packed.dockerfile, flags=flags)
        context = packed.path
    note = removing.note_of(blueprint, ctx)
    with buckets.kept(context, its, note.with_name(f"{note.name}.context"), ctx):
        secret = manifests.secret(its, auths, _secret_texts(its, ctx))
        run = _Run(client, its, secret, note, ctx)
        commands = Commands(blueprint)
        try:
            return run.run(context, commands), _facts(its, run.made)
        except StepError as error:
            raise commands.explain(error) from None


def _secret_texts(plan: Plan, ctx: RunContext) -> dict[str, str]:
    found = {key: ctx.reveal(text) for key, text in plan.secret_texts.items()}
    return found if plan.commit is None else found | plan.commit.login


def _facts(plan: Plan, made: list[str]) -> dict[str, Any]:
    found = {"namespace": plan.options.namespace, "resources": made}
    if plan.commit is None:
        return found
    return {**found, "repository": plan.commit.url, "commit": plan.commit.id}


class _Run:
    """A Job, from its creation to its removal."""

    def __init__(self, client: Client, plan: Plan, secret: Manifest, note: Path, ctx: RunContext) -> None:
        self._client, self._plan, self._secret = client, plan, secret
        self._note, self._ctx = note, ctx
        labels = f"{manifests.RUN}={plan.name}"
        self._watched = Watched(client, plan.name, labels, plan.options.start_timeout, ctx)
        self._job: Manifest = {}
        self._is_begun = False  # may something of it be there?
        self.made: list[str] = []  # kind, namespace and name of all that was made

    def run(self, context: Path | None, commands: Commands) -> str:
        """Runs it and returns the image's digest. Raises StepError."""
        plan, ctx = self._plan, self._ctx

        with removing.afterwards(self._clean, ctx):
            self._make()
            if plan.has_volume and context is not None:
                pod = self._watched.until_begun(executor.UPLOAD)
                uploading.to_volume(self._client, pod["metadata"]["name"], context, ctx)
            pod = self._watched.until_begun(executor.KANIKO)
            if plan.options.context == "stream" and context is not None:
                uploading.to_stdin(self._client, pod["metadata"]["name"], context, ctx)
            said = self._watched.follow(executor.KANIKO, commands.hear, ctx.log).message
        if not digest.is_digest(said):
            raise StepError(
                f"Kaniko has ended well, and said no digest but {said!r}", tail=tuple(self._watched.tail)
            )
        return said

    def _make(self) -> None:
        """Makes the Job, asleep, then what it owns; and wakes it."""
        client, plan = self._client, self._plan
        with contextlib.suppress(Refused):  # one that refuses to say does not keep silent
            client.find("Job", plan.name)
        removing.remove_noted(client, plan, self._note, self._ctx)
        removing.remove_released(client, plan)
        if not self._is_kept:
            removing.write(self._note, Note(client.server, plan.options.namespace, plan.name))
        job = manifests.job(plan, is_kept=self._ctx.keep)
        self._job = self._create({**job, "spec": {**job["spec"], "suspend": True}})
        if plan.is_static:
            with removing.may_lack_volumes():
                self._create(manifests.volume(plan))  # of no namespace, so a Job can't own it
        if plan.has_volume:
            self._create(manifests.owned(manifests.claim(plan), self._job))
        self._create(manifests.owned(self._secret, self._job))
        client.change("Job", plan.name, {"spec": {"suspend": False}})

    @property
    def _is_kept(self) -> bool:
        return self._plan.options.keep or self._ctx.keep

    def _create(self, manifest: Manifest) -> Manifest:
        self._is_begun = True
        made = self._client.create(manifest)
        self.made.append(manifests.title(manifest))
        self._ctx.log(f"-- {self.made[-1]}")
        return made

    def _clean(self) -> None:
        if not self._is_begun:
            return  # the cluster was not asked for anything yet, and may be one that keeps silent
        if self._is_kept:
            self._ctx.log(f"kept in the cluster: {', '.join(self.made) or 'nothing'}")
        else:
            removing.remove(self._client.steadfast(), self._plan, self._ctx)
            self._note.unlink(missing_ok=True)
