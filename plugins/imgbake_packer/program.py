"""The program `packer`: which version it is, and how it is run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from imgbake.api import BakeError, RunContext, StepError

_VERSION = re.compile(r"Packer v(\d+)\.(\d+)")
_OLDEST = (1, 6)
_WITH_PLUGINS = (1, 7)
_CLEANING_UP = 900.0  # seconds that Packer may take to remove what it made when it must stop
_QUIET = {"CHECKPOINT_DISABLE": "1", "PACKER_NO_COLOR": "1"}  # no calls home


def version(ctx: RunContext) -> tuple[int, int]:
    """The version of Packer. Raises BakeError when there is none, or it is too old."""
    hint = "install Packer 1.6 or later; on some systems another program has this name"
    try:
        said = ctx.run(["packer", "version"], env=_QUIET, capture=True).stdout
    except StepError as error:
        raise BakeError(f"the target 'packer' needs Packer: {error.message}", hint=hint) from None
    found = _VERSION.search(said)
    if found is None:
        raise BakeError(f"`packer version` says {said.strip()[:80]!r}, which is not Packer's", hint=hint)
    numbers = int(found[1]), int(found[2])
    if numbers < _OLDEST:
        raise BakeError(f"Packer {found[1]}.{found[2]} is too old", hint=hint)
    return numbers


def has_plugins(found: tuple[int, int]) -> bool:
    """Does this version install plugins with `packer init`?"""
    return found >= _WITH_PLUGINS


def init(template: Path, ctx: RunContext, cwd: Path | None = None) -> None:
    """Installs the plugins that a template requires, unless they are there."""
    ctx.run(["packer", "init", str(template)], cwd=cwd, env=_QUIET, title="`packer init`")


def build(
    template: Path,
    var_file: Path,
    on_line: Callable[[str], None],
    ctx: RunContext,
    *,
    cwd: Path | None = None,
    only: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> int:
    """Runs `packer build`, in the project unless said otherwise, and returns its exit code.

    A stop lets it remove what it made.
    """
    argv = ["packer", "build", "-machine-readable", f"-var-file={var_file}"]
    argv += [f"-only={','.join(only)}"] if only else []
    ran = ctx.run(
        [*argv, str(template)],
        cwd=cwd,
        env=_QUIET | dict(env or {}),
        check=False,
        grace=_CLEANING_UP,
        on_line=on_line,
        title="`packer build`",
    )
    return ran.code
