"""How an image is run: the keys of [images.NAME] that become its config (OCI image-spec, config.md)."""

from __future__ import annotations

import re

from imgbake.model import At, Healthcheck, ImageConfig
from imgbake.recipe.reading import Reading
from imgbake.recipe.tables import HealthcheckTable, ImageTable

_SHELL = ("/bin/sh", "-c")
_PORT = re.compile(r"(\d{1,5})(?:/(tcp|udp|sctp))?", re.ASCII)
_LARGEST_PORT = 65535
_DOCKER_FORMS = ("CMD", "CMD-SHELL", "NONE")


def image_config(table: ImageTable, at: At, reading: Reading) -> ImageConfig:
    """The configuration that an image's table asks for; what cannot be is added to the faults."""
    reading.check_env(table.env, at / "env")
    if table.workdir is not None:
        _check_absolute(table.workdir, at / "workdir", reading)
    for index, volume in enumerate(table.volumes):
        _check_absolute(volume, at / "volumes" / index, reading)
    return ImageConfig(
        _command(table.entrypoint),
        _command(table.cmd),
        table.env,
        None if table.user is None else str(table.user),
        table.workdir,
        tuple(_port(port, at / "ports" / index, reading) for index, port in enumerate(table.ports)),
        table.volumes,
        table.labels,
        table.annotations,
        table.stop_signal,
        _healthcheck(table.healthcheck, at / "healthcheck", reading) if table.healthcheck else None,
    )


def _command(command: str | tuple[str, ...] | None) -> tuple[str, ...] | None:
    return (*_SHELL, command) if isinstance(command, str) else command


def _port(port: int | str, at: At, reading: Reading) -> str:
    match = _PORT.fullmatch(str(port))
    if match is None or not 0 < int(match[1]) <= _LARGEST_PORT:
        hint = 'write a number up to 65535, or "53/udp" (tcp, udp or sctp)'
        reading.fault(at, f"'{port}' is no port", hint)
        return str(port)
    return f"{int(match[1])}/{match[2] or 'tcp'}"


def _check_absolute(path: str, at: At, reading: Reading) -> None:
    if not path.startswith("/"):
        reading.fault(at, f"'{path}' is not an absolute path", "it begins with a slash")


def _healthcheck(table: HealthcheckTable, at: At, reading: Reading) -> Healthcheck:
    if isinstance(table.test, str):
        test: tuple[str, ...] = ("CMD-SHELL", table.test)
    else:
        test = table.test if table.test[:1] and table.test[0] in _DOCKER_FORMS else ("CMD", *table.test)
    return Healthcheck(
        test,
        reading.duration(table.interval, at / "interval"),
        reading.duration(table.timeout, at / "timeout"),
        reading.duration(table.start_period, at / "start_period"),
        table.retries,
    )
