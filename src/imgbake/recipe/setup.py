"""How a component's commands run: user, folders, secrets, limits, checked."""

from __future__ import annotations

from imgbake.errors import BakeError, did_you_mean
from imgbake.model import At, CacheFolder, Setup
from imgbake.recipe.paths import in_image
from imgbake.recipe.reading import Reading
from imgbake.recipe.tables import CacheTable, ComponentTable, LimitsTable
from imgbake.store.folder import parse_size


def read_setup(table: ComponentTable, at: At, reading: Reading) -> Setup:
    """The setup that a component's table describes. Its faults are added."""
    limits = table.limits or LimitsTable()
    return Setup(
        user=table.user,
        workdir=_folder(table.workdir, at / "workdir", reading) if table.workdir is not None else None,
        shell=table.shell,
        caches=tuple(
            _cache(cache, at / "caches" / index, reading) for index, cache in enumerate(table.caches)
        ),
        secrets=tuple(
            _secret(name, at / "secrets" / index, reading) for index, name in enumerate(table.secrets)
        ),
        network=table.network,
        timeout=None
        if table.timeout is None
        else reading.duration(table.timeout, at / "timeout", zero=False),
        memory=_memory(limits.memory, at / "limits" / "memory", reading),
        cpus=limits.cpus,
        processes=limits.processes,
    )


def _cache(cache: str | CacheTable, at: At, reading: Reading) -> CacheFolder:
    if isinstance(cache, str):
        return CacheFolder(_folder(cache, at, reading))
    return CacheFolder(_folder(cache.path, at / "path", reading), cache.shared)


def _folder(path: str, at: At, reading: Reading) -> str:
    return in_image(path, at, reading.faults).rstrip("/") or "/"


def _secret(name: str, at: At, reading: Reading) -> str:
    secrets = reading.expander.secrets
    if name not in secrets:
        hint = did_you_mean(name, secrets) or f"declare it: [args] {name} = {{ secret = true }}"
        reading.fault(at, f"there is no secret argument '{name}'", hint)
    return name


def _memory(text: str | int | None, at: At, reading: Reading) -> int | None:
    if text is None or isinstance(text, int):
        return text
    try:
        return parse_size(text)
    except BakeError as error:
        reading.fault(at, error.message, error.hint)
        return None
