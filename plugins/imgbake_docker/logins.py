"""Who we are at registries that issue passwords themselves, where nobody has logged in by docker."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgbake.api import RunContext
from imgbake_oci import amazon
from imgbake_oci.reference import Reference

if TYPE_CHECKING:
    from imgbake_oci.registry import Credential

_CONFIG = "config.json"
_DENIED = ("denied", "unauthorized", "authentication", "no basic auth")
_VARIABLE = "IMGBAKE_LOGIN_"


def of_engine(reference: Reference, ctx: RunContext) -> dict[str, str] | None:
    """What an engine is to be told of us at a registry; None where docker's own settings say it."""
    found = _issued([reference], ctx).get(reference.registry)
    return {"username": found.username, "password": found.password} if found else None


def advice(refusal: str, reference: Reference) -> str:
    """What to do about a registry's refusal, empty for one that is not about who we are."""
    return f"`docker login {reference.registry}`" if any(word in refusal for word in _DENIED) else ""


def of_command(references: Iterable[Reference], ctx: RunContext) -> dict[str, str]:
    """The environment in which a command that reads docker's settings knows us; empty if it does already.

    It finds the user's settings with helpers for these registries, which tell what is in that environment: so
    a password that was issued is never on the disk.
    """
    found = _issued(references, ctx)
    if not found:
        return {}
    settings, helpers = ctx.work / "docker", ctx.work / "helpers"
    _write_settings(settings, found)
    _write_helpers(helpers, len(found))
    answers = [_answer(host, credential) for host, credential in found.items()]
    said = {f"{_VARIABLE}{number}": answer for number, answer in enumerate(answers)}
    path = os.pathsep.join([str(helpers), os.environ.get("PATH", os.defpath)])
    return {"DOCKER_CONFIG": str(settings), "PATH": path, **said}


def _issued(references: Iterable[Reference], ctx: RunContext) -> dict[str, Credential]:
    """The passwords that are issued for these repositories, by registry."""
    issuing = [each for each in references if amazon.owner(each.registry) is not None]
    if not issuing:
        return {}
    from imgbake_oci.registry import credentials

    known, registries = credentials.from_environment(), ctx.shared(amazon.Registries)
    found = {each.registry: amazon.issued(each, registries, known) for each in issuing}
    return {host: credential for host, credential in found.items() if credential is not None}


def _answer(host: str, known: Credential) -> str:
    return json.dumps({"ServerURL": host, "Username": known.username, "Secret": known.password})


def _write_helpers(folder: Path, count: int) -> None:
    """So many helpers, as docker asks them."""
    folder.mkdir()
    for number in range(count):
        program = folder / f"docker-credential-imgbake-{number}"
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "${_VARIABLE}{number}"\n')
        program.chmod(0o700)


def _write_settings(folder: Path, hosts: Iterable[str]) -> None:
    """The user's settings, and a helper for each host. Other passwords may be in there, for as long as the
    work goes on; no other user can enter its folder."""
    folder.mkdir()
    own = Path(os.environ.get("DOCKER_CONFIG") or "~/.docker").expanduser()
    settings: dict[str, Any] = {}
    for path in own.iterdir() if own.is_dir() else ():
        if path.name == _CONFIG:
            settings = json.loads(path.read_bytes())
        else:
            (folder / path.name).symlink_to(path.absolute())
    helpers = {host: f"imgbake-{number}" for number, host in enumerate(hosts)}
    settings["credHelpers"] = {**(settings.get("credHelpers") or {}), **helpers}
    (folder / _CONFIG).write_text(json.dumps(settings))
