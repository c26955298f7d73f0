"""An image's configuration: the base's, and what the recipe says (image-spec, config.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from imgbake.api import Blueprint, Healthcheck, ImageConfig
from imgbake_oci.bases import Base

_NANOSECONDS = 1_000_000_000


def configuration(base: Base, blueprint: Blueprint, added: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The configuration of an image that adds layers, given as component and diff id, to a base."""
    whole: dict[str, Any] = dict(base.config.whole) if base.config else {}
    created = timestamp(blueprint.epoch)
    diff_ids = [*(base.config.diff_ids if base.config else ()), *(diff_id for _, diff_id in added)]
    whole.pop("container_config", None)
    whole.pop("container", None)
    whole.update(
        created=created,
        architecture=base.platform.architecture,
        os=base.platform.os,
        config=_execution(dict(whole.get("config") or {}), blueprint),
        rootfs={"type": "layers", "diff_ids": diff_ids},
        history=[*_base_history(base), *_history(blueprint, dict(added), created)],
    )
    if base.platform.variant:
        whole["variant"] = base.platform.variant
    return whole


def merged_env(base: Iterable[str], *additions: Mapping[str, str]) -> list[str]:
    """NAME=VALUE lines: the base's in their order, then what is new; a later value replaces in place."""
    values = {name: value for name, _, value in (line.partition("=") for line in base)}
    for addition in additions:
        values.update(addition)
    return [f"{name}={value}" for name, value in values.items()]


def timestamp(epoch: int) -> str:
    """Seconds since 1970 as RFC 3339 has them."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _execution(config: dict[str, Any], blueprint: Blueprint) -> dict[str, Any]:
    """The part that says how the image is run. None in the recipe keeps the base's value."""
    said = blueprint.config
    if said.entrypoint is not None:
        config["Entrypoint"] = list(said.entrypoint)
        config.pop("Cmd", None)  # it was meant for the base's entrypoint, as docker has it
    simple = {"Cmd": said.cmd, "User": said.user, "WorkingDir": said.workdir, "StopSignal": said.stop_signal}
    for name, value in simple.items():
        if value is not None:
            config[name] = list(value) if isinstance(value, tuple) else value
    env = merged_env(config.get("Env") or (), *(layer.env for layer in blueprint.layers), said.env)
    if env:
        config["Env"] = env
    _add_names(config, "ExposedPorts", said.ports)
    _add_names(config, "Volumes", said.volumes)
    if said.labels:
        config["Labels"] = {**(config.get("Labels") or {}), **said.labels}
    if said.healthcheck is not None:
        config["Healthcheck"] = _healthcheck(said.healthcheck)
    return config


def _add_names(config: dict[str, Any], key: str, names: Iterable[str]) -> None:
    """Sets are objects with empty members in this document."""
    added: dict[str, Any] = {name: {} for name in names}
    if added:
        config[key] = {**(config.get(key) or {}), **added}


def _healthcheck(said: Healthcheck) -> dict[str, Any]:
    times = {"Interval": said.interval, "Timeout": said.timeout, "StartPeriod": said.start_period}
    document: dict[str, Any] = {"Test": list(said.test)}
    document.update({name: round(value * _NANOSECONDS) for name, value in times.items() if value})
    if said.retries:
        document["Retries"] = said.retries
    return document


def _base_history(base: Base) -> list[dict[str, Any]]:
    """The base's history, which may say less than it has layers, or nothing: then made to agree."""
    if base.config is None:
        return []
    known = list(base.config.whole.get("history", ()))
    layers = len(base.config.diff_ids)
    if sum(not entry.get("empty_layer") for entry in known) == layers:
        return known
    return [{"created_by": "imgbake: layer of the base"}] * layers


def _history(blueprint: Blueprint, added: Mapping[str, str], created: str) -> Iterable[dict[str, Any]]:
    for layer in blueprint.layers:
        entry: dict[str, Any] = {"created": created, "created_by": f"imgbake: component {layer.component}"}
        if layer.component not in added:
            entry["empty_layer"] = True
        yield entry
    if blueprint.config != ImageConfig():
        yield {"created": created, "created_by": "imgbake: image configuration", "empty_layer": True}
