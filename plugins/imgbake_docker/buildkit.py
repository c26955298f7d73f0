"""BuildKit, through docker's command buildx. It has caches and secrets, and no limits.

It is given the whole Dockerfile as far as it goes, and builds up to one stage after the other; what it
has built it finds again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from imgbake.api import RunContext, StepError
from imgbake_docker import building
from imgbake_docker.building import Order

_CODE = re.compile(r'process "(.*)" did not complete successfully: exit code: (\d+)')
_SECRET = "IMGBAKE_SECRET_"


class BuildKit:
    """Builds by `docker buildx build`, and loads each stage into the engine."""

    name = "buildkit"

    def __init__(self, command: Sequence[str]) -> None:
        self._command = tuple(command)
        self._done: list[str] = []  # the text of the stages that are built
        self._archives: dict[str, Path] = {}

    def build(self, order: Order, ctx: RunContext) -> str:
        stage = order.stage
        self._done.append(stage.text())
        if order.files is not None:
            self._archives[stage.archive()] = order.files
        folder = self._context(ctx)
        said = folder.parent / "metadata.json"
        setup = stage.layer.setup if stage.layer else None
        secrets = setup.secrets if setup and stage.commands else ()
        try:
            ctx.run(
                [*self._command, "build", *_flags(order, said), *_secret_flags(secrets), str(folder)],
                env={"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
                | {_SECRET + name: f"{{{{ {name} }}}}" for name in secrets},
                title="docker buildx build",
                timeout=setup.timeout if setup and stage.commands else None,
            )
        except StepError as error:
            raise _failure(order, error) from None
        return str(json.loads(said.read_text())["containerimage.config.digest"])

    def _context(self, ctx: RunContext) -> Path:
        """The folder that is sent: the Dockerfile so far, and its archives."""
        folder = ctx.work / "context"
        folder.mkdir(exist_ok=True)
        (folder / "Dockerfile").write_text("\n".join(self._done))
        for name, blob in self._archives.items():
            if not (folder / name).exists():
                try:
                    (folder / name).hardlink_to(blob)
                except OSError:
                    import shutil

                    shutil.copyfile(blob, folder / name)
        return folder


def _flags(order: Order, said: Path) -> list[str]:
    stage = order.stage
    found = ["--load", "--progress=plain", f"--metadata-file={said}", "--provenance=false"]
    found.append(f"--build-arg=SOURCE_DATE_EPOCH={order.epoch}")
    found += [f"--build-arg={name}={value}" for name, value in order.arguments.items()]
    if stage.layer and stage.commands:
        found.append(f"--network={stage.layer.setup.network}")
    if stage.name:
        found.append(f"--target={stage.name}")
    if order.anew:
        found.append(f"--no-cache-filter={stage.name}")
    if order.platform:
        found.append(f"--platform={order.platform}")
    return found


def _secret_flags(names: Sequence[str]) -> list[str]:
    """Secrets go by the environment of the command, where `ctx.run` puts them."""
    return [f"--secret=id={name},env={_SECRET}{name}" for name in names]


def _failure(order: Order, error: StepError) -> StepError:
    found = next((match for line in reversed(error.tail) if (match := _CODE.search(line))), None)
    if found is None:
        return building.failure(order, "", error.message, error.tail)
    ran = [command for _, command in order.stage.commands if building.first_line(command)[:20] in found[1]]
    command = ran[0] if ran else found[1]
    return building.failure(order, command, f"exited with code {found[2]}", error.tail)
