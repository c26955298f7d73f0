"""Containers that are gone when their work is done: removed by us, or by the next of us if we were killed.

Each bears two labels: the project, which is a folder of a machine, and the process that wants it. Whoever
makes a container removes those of its project that nobody wants any more.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator
from typing import Any

from imgbake.api import RunContext
from imgbake_docker import owning
from imgbake_docker.engine import Client

PROJECT = "imgbake.project"
_PROCESS = "imgbake.process"
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_.-]+")


@contextlib.contextmanager
def container(client: Client, image: str, ctx: RunContext, **asked: Any) -> Iterator[str]:
    """A new container, not started, by its id. `asked` is what the SDK's `create_container` takes."""
    project = owning.project(ctx.root)
    _remove_unwanted(client, project)
    labels = {PROJECT: project, _PROCESS: owning.process()}
    name = f"imgbake-{_NOT_IN_NAMES.sub('-', ctx.name)}-{secrets.token_hex(6)}"
    made = str(client.create_container(image, name=name, labels=labels, **asked)["Id"])
    try:
        yield made
    finally:
        _remove(client, made)


def _remove_unwanted(client: Client, project: str) -> None:
    for found in client.containers(all=True, filters={"label": f"{PROJECT}={project}"}):
        if not owning.is_wanted(found["Labels"].get(_PROCESS, "")):
            _remove(client, found["Id"])


def _remove(client: Client, container: str) -> None:
    from docker.errors import APIError, NotFound

    with contextlib.suppress(NotFound):
        try:
            client.remove_container(container, force=True, v=True)
        except APIError as error:
            if "already in progress" not in str(error.explanation):
                raise
