"""The engine's BuildKit. It has caches and secrets, and no limits.

A stage is sent as a Dockerfile of its own, FROM the image that the stage before it became, under a name
that it bears meanwhile: BuildKit finds images by name only. So each stage has the network of its
component, which Dockerfiles have had no word for in all versions, and no file is sent twice.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from imgbake.api import RunContext, Setup, StepError
from imgbake_docker import building, owning, proxies, solving
from imgbake_docker.building import Order
from imgbake_docker.engine import Client
from imgbake_docker.naming import SCRATCH
from imgbake_docker.sending import context

_CODE = re.compile(r"exit code: (\d+)")
_FAILED = re.compile(r" > \[[^]]*\] (RUN .*):$")
_SECRET = "IMGBAKE_SECRET_"
_MEANWHILE = "imgbake-stage"


class BuildKit:
    """Builds by BuildKit in the engine, which has the bases."""

    name = "buildkit"

    def __init__(self, command: Sequence[str], client: Client) -> None:
        """`command` is `buildx build` for the builder in the engine."""
        self._command = command
        self._client = client

    def build(self, order: Order, ctx: RunContext) -> str:
        setup = order.stage.layer.setup if order.stage.layer and order.stage.commands else Setup()
        size = order.files.stat().st_size if order.files else 0
        by = self._by_buildx if setup.secrets or size > solving.LARGE else self._by_post
        with self._named(order.base, owning.project(ctx.root)) as base:
            try:
                return by(order, base, setup, ctx)
            except StepError as error:
                raise _failure(order, error) from None

    def _by_post(self, order: Order, base: str, setup: Setup, ctx: RunContext) -> str:
        stage = order.stage
        return solving.solve(
            self._client,
            _parameters(order, setup),
            lambda: context(stage.text(base), stage.archive(), order.files, ctx.progress),
            ctx,
            setup.timeout,
        )

    def _by_buildx(self, order: Order, base: str, setup: Setup, ctx: RunContext) -> str:
        from imgbake_docker import buildx

        folder = ctx.work / os.urandom(8).hex()
        told = folder.with_suffix(".json")
        _write(folder, order, base)
        ctx.run(
            [*self._command, *_flags(order, setup), f"--metadata-file={told}", str(folder)],
            env={_SECRET + name: f"{{{{ {name} }}}}" for name in setup.secrets},
            title="docker buildx build",
            timeout=setup.timeout,
        )
        return buildx.image_id(told)

    @contextlib.contextmanager
    def _named(self, image: str, project: str) -> Iterator[str]:
        """A name for an image while the block runs. Those that a killed build of the project left go."""
        if image == SCRATCH:
            yield image
            return
        self._forget_left(project)
        process = owning.process().replace(" ", "-")
        name = f"{_MEANWHILE}:{project}-{process}-{os.urandom(8).hex()}"
        self._client.tag(image, *name.split(":"))
        try:
            yield name
        finally:
            self._client.untag(name)

    def _forget_left(self, project: str) -> None:
        names = (name for found in self._client.images(_MEANWHILE) for name in found["RepoTags"] or ())
        for name in names:
            whose, _, process = name.partition(":")[2].rpartition("-")[0].partition("-")
            if whose == project and not owning.is_wanted(process.replace("-", " ")):
                self._client.untag(name)  # unless another thread did


def _write(folder: Path, order: Order, base: str) -> None:
    """The context: the stage's Dockerfile, and the archive that it adds."""
    folder.mkdir()
    (folder / "Dockerfile").write_text(order.stage.text(base))
    if order.files is not None:
        archive = folder / order.stage.archive()
        try:
            archive.hardlink_to(order.files)
        except OSError:
            shutil.copyfile(order.files, archive)


def _flags(order: Order, setup: Setup) -> Iterator[str]:
    yield from ("--load", "--progress=plain", "--provenance=false")
    yield f"--build-arg=SOURCE_DATE_EPOCH={order.epoch}"
    yield from (f"--build-arg={name}={value}" for name, value in order.arguments.items())
    # Secrets go by the environment of the command, where `ctx.run` puts them.
    yield from (f"--secret=id={name},env={_SECRET}{name}" for name in setup.secrets)
    if order.stage.commands:
        yield f"--network={setup.network}"
    if order.anew:
        yield "--no-cache"
    if order.platform:
        yield f"--platform={order.platform}"


def _parameters(order: Order, setup: Setup) -> dict[str, str]:
    """The query of POST /build, which means what the flags do."""
    args = {**proxies.arguments(), "SOURCE_DATE_EPOCH": str(order.epoch), **order.arguments}
    found = {"buildargs": json.dumps(args)}
    if order.stage.commands:
        found["networkmode"] = setup.network
    if order.anew:
        found["nocache"] = "1"
    if order.platform:
        found["platform"] = order.platform
    return found


def _failure(order: Order, error: StepError) -> StepError:
    """Says which command failed, if BuildKit does."""
    line, code = told(error.tail)
    command = next((text for instruction, text in order.stage.commands if instruction == line), "")
    if not command:
        return building.failure(order, "", error.message, error.tail)
    return building.failure(order, command, f"exited with code {code}", error.tail)


def told(tail: Sequence[str]) -> tuple[str, str]:
    """The RUN that failed and its exit code, as BuildKit tells them; empty if it doesn't."""
    code = next((match[1] for line in reversed(tail) if (match := _CODE.search(line))), "")
    failed = next((match[1] for line in tail if (match := _FAILED.search(line))), "")
    return (failed, code) if failed and code else ("", "")
