"""From a blueprint to the Dockerfile that Kaniko reads, and a list of what is in its context. Pure.

    FROM base                    all components in one stage, each with its files as one archive
    ADD runtime.tar /
    RUN …
    FROM app AS app-checked      `validate`: a stage beside it, which the next depends on, and of which
    RUN …                        nothing remains
    FROM app
    COPY --from=app-checked …

Kaniko saves and unpacks the whole file system between stages, so there are no more than are needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec
from msgspec.structs import replace

from imgbake.api import BakeError, Blueprint, Layer
from imgbake_docker import instructions, lowering
from imgbake_docker.lowering import BASE_USER, BASE_WORKDIR, Stage
from imgbake_docker.naming import SCRATCH
from imgbake_docker.options import Options as DockerOptions
from imgbake_oci import sources
from imgbake_oci.target import copy_document

PASSED = ".imgbake-passed"
"""A file of the context that goes from a stage that checks to the next, and into no image."""

_DEFAULTS = {f"ARG {BASE_USER}": "=0", f"ARG {BASE_WORKDIR}": "=/"}


def dockerfile(blueprint: Blueprint) -> str:
    """The Dockerfile. Raises BakeError with a hint for what Kaniko can't do."""
    _check(blueprint)
    stages = lowering.stages(_unmounted(blueprint), DockerOptions())
    mounted = {layer.component: _mounted(layer) for layer in blueprint.layers}
    text = f"# image {blueprint.image}, baked by the target {blueprint.target}\n"
    return text + "".join(f"\n{block}\n" for block in _blocks(stages, mounted))


def contents(blueprint: Blueprint) -> str:
    """What is in the context besides the Dockerfile, as JSON, by file name; empty when it is nothing."""
    found: dict[str, object] = {
        stage.archive(): [copy_document(copied) for copied in stage.layer.files]
        for stage in lowering.stages(blueprint, DockerOptions())
        if stage.layer is not None and stage.archive()
    }
    if is_checked(blueprint):
        found[PASSED] = "empty"
    if not found:
        return ""
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"


def is_checked(blueprint: Blueprint) -> bool:
    """Does any component validate?"""
    return any(layer.validate for layer in blueprint.layers)


def _blocks(stages: tuple[Stage, ...], mounted: Mapping[str, str]) -> Iterator[str]:
    """FROM, and the lines of each stage; a new FROM only behind a stage that checks."""
    yield f"FROM {stages[0].base}" + _label(stages[0], 0, stages)
    checked: list[str] = []
    for number, stage in enumerate(stages):
        layer = stage.layer
        if layer is None:
            lines = [f"COPY --from={name} /{PASSED} /{PASSED}" for name in checked]
            yield "\n".join([*lines, *stage.lines])
            return
        heading = f"# component {layer.component}{mounted[layer.component]}"
        yield "\n".join([heading, *map(_with_default, stage.lines)])
        if layer.validate:
            checked.append(f"{stage.name}-checked")
            yield "\n".join(_checking(layer, stage.name, checked[-1]))
            yield f"FROM {stage.name}" + _label(stages[number + 1], number + 1, stages)


def _unmounted(blueprint: Blueprint) -> Blueprint:
    """The blueprint without what is mounted into the pod, of which a Dockerfile for Kaniko says nothing."""
    layers = tuple(
        replace(layer, setup=replace(layer.setup, caches=(), secrets=())) for layer in blueprint.layers
    )
    return replace(blueprint, layers=layers)


def _mounted(layer: Layer) -> str:
    """The same, as a comment says it: so it decides."""
    if not (layer.build or layer.validate):
        return ""
    secrets, caches = layer.setup.secrets, [cache.path for cache in layer.setup.caches]
    said = {"secrets": ", ".join(secrets), "caches": ", ".join(caches)}
    return "".join(f"; {key}: {value}" for key, value in said.items() if value)


def _label(stage: Stage, number: int, stages: tuple[Stage, ...]) -> str:
    """AS, with the name of the last component up to the next that checks; the last stage has none."""
    for each in stages[number:]:
        if each.layer is not None and each.layer.validate:
            return f" AS {each.name}"
    return ""


def _checking(layer: Layer, stage: str, name: str) -> Iterator[str]:
    yield f"# component {layer.component}: validate"
    yield f"FROM {stage} AS {name}"
    of = f"component '{layer.component}': "
    if layer.setup.user is not None:
        yield f"USER {instructions.quoted(layer.setup.user, of + '`user`')}"
    if layer.setup.workdir is not None:
        yield f"WORKDIR {instructions.quoted(layer.setup.workdir, of + '`workdir`')}"
    yield from (instructions.run(command, layer.setup) for command in layer.validate)
    yield f"COPY {PASSED} /{PASSED}"


def _with_default(line: str) -> str:
    return line + _DEFAULTS.get(line, "")


def _check(blueprint: Blueprint) -> None:
    base = blueprint.base.reference
    if base != SCRATCH and not sources.is_remote(base):
        hint = "push it to a registry and name it there"
        raise BakeError(f"the cluster can't see the base {base}: it is on this machine", hint=hint)
    if blueprint.config.annotations:
        hint = 'write `labels`, or bake it with `uses = "oci"`'
        raise BakeError("Kaniko writes no `annotations` into an image", hint=hint)
    for layer in blueprint.layers:
        if (layer.build or layer.validate or layer.test) and (key := _missing(layer)):
            message = f"component '{layer.component}' asks for `{key}`, which Kaniko has not"
            raise BakeError(
                message, hint=_HINTS.get(key, 'leave it out, or bake the image with `uses = "oci"`')
            )
        user = layer.setup.user
        if layer.test and user is not None and not _NUMBERS.fullmatch(user):
            message = f"component '{layer.component}': `test` can't run as '{user}' in a cluster"
            raise BakeError(message, hint='Kubernetes knows users by number: write user = "1000:1000"')


_NUMBERS = re.compile(r"[0-9]+(:[0-9]+)?")
_HINTS = {
    "limits.memory": "leave it out, and write `limits` on the target",
    "limits.cpus": "leave it out, and write `limits` on the target",
    "timeout": "leave it out, and write `timeout` on the target",
}


def _missing(layer: Layer) -> str:
    setup = layer.setup
    asked = {
        "network": setup.network != "host",
        "limits.memory": setup.memory is not None,
        "limits.cpus": setup.cpus is not None,
        "limits.processes": setup.processes is not None,
        "timeout": setup.timeout is not None,
    }
    return next((key for key, is_said in asked.items() if is_said), "")
