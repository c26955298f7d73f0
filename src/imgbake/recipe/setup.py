"""How a component's commands run: user, folders, secrets, limits, checked."""

from __future__ import annotations

from imgbake.errors import BakeError
from imgbake.model import At, CacheFolder, Setup
from imgbake.recipe.paths import in_image
from imgbake.recipe.reading import Reading
from imgbake.recipe.tables import CacheTable, ComponentTable, LimitsTable
from imgbake.store.sizes import parse_size

_OF_THE_SYSTEM = ("/dev", "/proc", "/run/secrets", "/sys")
_BELOW_THE_SYSTEM = tuple(f"{path}/" for path in _OF_THE_SYSTEM)


def read_setup(table: ComponentTable, at: At, reading: Reading) -> Setup:
    """The setup that a component's table describes. Its faults are added."""
    limits = table.limits or LimitsTable()
    caches = _caches(table.caches, at / "caches", reading)
    _check_said(table, at, reading)
    _check_copies(table, caches, at, reading)
    return Setup(
        user=table.user,
        workdir=_folder(table.workdir, at / "workdir", reading) if table.workdir is not None else None,
        shell=table.shell,
        caches=caches,
        secrets=_secrets(table.secrets, at / "secrets", reading),
        network=table.network,
        timeout=None
        if table.timeout is None
        else reading.duration(table.timeout, at / "timeout", zero=False),
        memory=_memory(limits.memory, at / "limits" / "memory", reading),
        cpus=limits.cpus,
        processes=limits.processes,
    )


def _check_said(table: ComponentTable, at: At, reading: Reading) -> None:
    """Adds faults for what is said but empty."""
    if table.user == "":
        hint = 'write "root", or leave `user` out: then it is the image\'s'
        reading.fault(at / "user", "the user has no name", hint)
    if not table.shell[0]:
        reading.fault(at / "shell" / 0, "the shell is no program", 'such as ["/bin/bash", "-c"]')


def _check_copies(table: ComponentTable, caches: tuple[CacheFolder, ...], at: At, reading: Reading) -> None:
    """Adds faults for files that are copied to where nobody would see them."""
    for index, file in enumerate(table.files):
        for cache in caches:
            if table.build and f"{file.to}/".startswith(f"{cache.path}/"):
                message = f"'{file.to}' is in the cache '{cache.path}', which is never part of the image"
                hint = "copy it in another component, or to another folder"
                reading.fault(at / "files" / index / "to", message, hint)


def _caches(caches: tuple[str | CacheTable, ...], at: At, reading: Reading) -> tuple[CacheFolder, ...]:
    found: dict[str, CacheFolder] = {}
    for index, cache in enumerate(caches):
        place = at / index if isinstance(cache, str) else at / index / "path"
        said, is_shared = (cache, False) if isinstance(cache, str) else (cache.path, cache.shared)
        path = _folder(said, place, reading)
        if path in found:
            reading.fault(place, f"'{said}' is already a cache of this component", "remove one of them")
        elif said.startswith("/") and (path == "/" or f"{path}/".startswith(_BELOW_THE_SYSTEM)):
            hint = f"choose a folder that is none of {', '.join(_OF_THE_SYSTEM)}"
            reading.fault(place, f"'{said}' can't be a cache", hint)
        found[path] = CacheFolder(path, is_shared)
    return tuple(found.values())


def _folder(path: str, at: At, reading: Reading) -> str:
    return in_image(path, at, reading.faults).rstrip("/") or "/"


def _secrets(names: tuple[str, ...], at: At, reading: Reading) -> tuple[str, ...]:
    known = reading.expander.secrets
    for index, name in enumerate(names):
        if name not in known:
            hint = f"declare it: [args] {name} = {{ secret = true }}"
            reading.unknown(at / index, "secret argument", name, known, hint)
        elif name in names[:index]:
            reading.fault(at / index, f"'{name}' is listed twice", "remove one of them")
    return names


def _memory(said: str | int | None, at: At, reading: Reading) -> int | None:
    try:
        found = parse_size(said) if isinstance(said, str) else said
    except BakeError as error:
        reading.fault(at, error.message, error.hint)
        return None
    if found is not None and found <= 0:
        reading.fault(at, f"nothing runs with {said} bytes of memory", 'write a size such as "2GB"')
    return found
