"""One container of a task, from its creation to its removal."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from imgbake.api import BakeError, RunContext, StepError
from imgbake_docker import building, throwaway
from imgbake_docker.container import ContainerOptions
from imgbake_docker.containers import printed
from imgbake_docker.engine import Client
from imgbake_docker.following import follow

_TAIL = 20
_NOT_STARTED = re.compile(r'exec: (?:"[^"]*": )?(.*?)(?:: unknown)?$')
_HOME = "/tmp"  # of a user whom the image does not know, who may write nowhere else


def execute(
    client: Client, image: str, said: ContainerOptions, passed: Mapping[str, str], ctx: RunContext
) -> None:
    """Runs a container to its end and removes it. `passed` are variables of ours that it gets too.

    Raises StepError when it fails. On a stop or a time-out the container is killed.
    """
    tail: deque[str] = deque(maxlen=_TAIL)
    with _created(client, image, said, passed, ctx) as container:
        _start(client, container, said)
        for line in follow(printed(client, container), lambda: None, ctx):
            tail.append(line)
            ctx.log(line)
        code = int(client.wait(container)["StatusCode"])
        if code:
            raise _failure(code, client.inspect_container(container)["State"], said, tuple(tail))


@contextlib.contextmanager
def _created(
    client: Client, image: str, said: ContainerOptions, passed: Mapping[str, str], ctx: RunContext
) -> Iterator[str]:
    from docker.errors import APIError

    user = said.user or _ourselves(client)
    env = {**passed, **{key: ctx.reveal(value) for key, value in said.env.items()}}
    if not said.user and not user.startswith("0:"):
        env.setdefault("HOME", _HOME)
    asked: dict[str, Any] = {"user": user, "environment": env, "healthcheck": {"test": ["NONE"]}}
    if said.run:
        argv = [*said.shell, said.run] if isinstance(said.run, str) else list(said.run)
        asked |= {"entrypoint": argv[:1], "command": argv[1:]}
    if workdir := said.workdir or next((each.to for each in said.mounted if each.is_project), ""):
        asked["working_dir"] = workdir
    asked["host_config"] = _limits(client, said, ctx)
    try:
        with throwaway.container(client, image, ctx, **asked) as made:
            yield made
    except APIError as error:
        if "bind source path does not exist" not in str(error.explanation):
            raise
        hint = "files of the project are mounted where the engine runs: use one on this machine"
        raise BakeError(
            f"the docker engine does not see the project: {error.explanation}", hint=hint
        ) from None


def _limits(client: Client, said: ContainerOptions, ctx: RunContext) -> Any:
    memory = said.memory_bytes()
    return client.create_host_config(
        mounts=[mount.document(ctx.root) for mount in said.mounted],
        network_mode=said.network or None,
        mem_limit=memory,
        memswap_limit=memory,
        nano_cpus=None if said.cpus is None else round(said.cpus * 1_000_000_000),
    )


def _start(client: Client, container: str, said: ContainerOptions) -> None:
    from docker.errors import APIError

    try:
        client.start(container)
    except APIError as error:
        reason = _NOT_STARTED.search(str(error.explanation))
        if reason is None:
            raise
        hint = f"what `{said.image}` has is what can be run in it"
        if isinstance(said.run, str) and said.run:
            hint = "write `run` as a list, a program and its arguments, where an image has no such shell"
        raise StepError(f"{_shown(said)} can't be started: {reason[1]}", hint=hint) from None


def _failure(code: int, state: Mapping[str, Any], said: ContainerOptions, tail: tuple[str, ...]) -> StepError:
    if state.get("OOMKilled"):
        allowed = f" than the {said.memory} that `memory` allows" if said.memory else " than there is"
        hint = "raise `memory`, or let it use less" if said.memory else "set `memory`, or run less at once"
        return StepError(f"{_shown(said)} was killed: it used more memory{allowed}", hint=hint, tail=tail)
    how = f"exited with code {code}"
    with contextlib.suppress(ValueError):  # a code below 129 is no signal
        how += f" ({signal.Signals(code - 128).name})"
    return StepError(f"{_shown(said)} {how}", tail=tail)


def _shown(said: ContainerOptions) -> str:
    """What runs, as messages name it."""
    import shlex

    if not said.run:
        return f"the container of {said.image}"
    return f"`{building.first_line(said.run if isinstance(said.run, str) else shlex.join(said.run))}`"


def _ourselves(client: Client) -> str:
    """The user in a container who is us outside: an engine without root maps its own user to root."""
    if any("rootless" in option for option in client.info().get("SecurityOptions") or ()):
        return "0:0"
    return f"{os.getuid()}:{os.getgid()}"
