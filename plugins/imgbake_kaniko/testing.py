"""The phase test: a component's commands in a pod of the finished image."""

from __future__ import annotations

import posixpath
import secrets
import shlex
from pathlib import Path

from msgspec.structs import replace

from imgbake.api import Artifact, Blueprint, Layer, RunContext, StepError
from imgbake_docker import building
from imgbake_kaniko import baking, credentials, manifests, removing
from imgbake_kaniko.cluster.client import Client
from imgbake_kaniko.manifests import Manifest
from imgbake_kaniko.options import Options
from imgbake_kaniko.plan import Plan, plan
from imgbake_kaniko.removing import Note
from imgbake_kaniko.watching import Watched
from imgbake_oci.reference import parse_tag

_SHELLS = frozenset({"ash", "bash", "dash", "ksh", "mksh", "sh", "zsh"})
_PROMPT = "$ "
_NO_GRACE = 1  # seconds between asking and killing


def test(artifact: Artifact, blueprint: Blueprint, options: Options, ctx: RunContext) -> None:
    """Tests each component that says how, in a pod of its own. Raises StepError."""
    if not any(layer.test for layer in blueprint.layers):
        return
    client = baking.connected(options, ctx.check)
    note = removing.note_of(blueprint, ctx)
    first = parse_tag(artifact.facts["tags"][0])
    for layer in blueprint.layers:
        if layer.test:
            ctx.log(f"-- {layer.component}: test")
        for argv in _argvs(layer) if layer.test else ():
            its = plan(blueprint, options, secrets.token_hex(4))
            its = replace(its, secrets=layer.setup.secrets, caches=layer.setup.caches)
            container = {"command": argv, **_surroundings(layer)}
            pod = manifests.test_pod(its, f"{first.name}@{artifact.digest}", container)
            _Tested(client, its, layer, note, ctx).run(pod)


def _argvs(layer: Layer) -> list[list[str]]:
    """What pods run: one for all commands, or where the shell knows no loop one for each."""
    shell = layer.setup.shell
    if posixpath.basename(shell[0]) not in _SHELLS:
        return [[*shell, command] for command in layer.test]
    each = f'{shlex.join(shell)} "$c" </dev/null || exit $?'
    loop = f'for c do printf "{_PROMPT}%s\\n" "$c"; {each}; done'
    return [[shell[0], "-c", loop, shell[0], *layer.test]]


def _surroundings(layer: Layer) -> Manifest:
    """Where commands run, and as whom: Kubernetes knows users by number only."""
    found: Manifest = {}
    if layer.setup.workdir is not None:
        found["workingDir"] = layer.setup.workdir
    if layer.setup.user is not None:
        user, _, group = layer.setup.user.partition(":")
        found["securityContext"] = {"runAsUser": int(user), **({"runAsGroup": int(group)} if group else {})}
    return found


class _Tested:
    """A pod, from its creation to its removal."""

    def __init__(self, client: Client, plan: Plan, layer: Layer, note: Path, ctx: RunContext) -> None:
        self._client, self._plan, self._layer, self._note, self._ctx = client, plan, layer, note, ctx
        self._command = layer.test[0]

    def run(self, pod: Manifest) -> None:
        """Runs it. Raises StepError when a command fails."""
        client, plan = self._client, self._plan
        labels = f"{manifests.RUN}={plan.name}"
        watched = Watched(client, plan.name, labels, plan.options.start_timeout, self._ctx)
        auths = credentials.auths(plan.destinations, self._ctx)
        removing.remove_noted(client, plan, self._note, self._ctx)
        if not self._is_kept:
            removing.write(self._note, Note(client.server, plan.options.namespace, plan.name))
        with removing.afterwards(self._remove, self._ctx):
            try:
                made = client.create(pod)
                texts = {
                    key: self._ctx.reveal(f"{{{{ {name} }}}}") for key, name in plan.secret_files.items()
                }
                client.create(manifests.owned(manifests.secret(plan, auths, texts), made))
                watched.follow(manifests.TEST, self._hear, self._ctx.log)
            except StepError as error:
                what = f"component '{self._layer.component}': `{building.first_line(self._command)}`"
                message = f"{what}: {error.message}"
                raise StepError(message, hint=error.hint, tail=error.tail) from None

    @property
    def _is_kept(self) -> bool:
        return self._plan.options.keep or self._ctx.keep

    def _remove(self) -> None:
        if not self._is_kept:
            self._client.steadfast().delete("Pod", self._plan.name, grace=_NO_GRACE)
            self._note.unlink(missing_ok=True)

    def _hear(self, line: str) -> str:
        if line.startswith(_PROMPT):
            self._command = line.removeprefix(_PROMPT)
        return line
