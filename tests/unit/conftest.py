"""A few kinds of task and target, and recipes that use them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import msgspec
import pytest
from msgspec import Meta

from imgbake.api import Artifact, Blueprint, Lowered, Part, PartsContext, ResolveContext, RunContext
from imgbake.testing.recipes import Kinds, Recipes


class ScriptOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    run: Annotated[str | tuple[str, ...], Meta(description="What to run.")]
    env: dict[str, str] = {}
    cwd: str = "."


class Header(msgspec.Struct, frozen=True):
    name: str
    value: str = ""


class FetchOptions(msgspec.Struct, frozen=True):
    url: str
    method: Literal["GET", "POST"] = "GET"
    tries: Annotated[int, Meta(ge=1, le=9)] = 3
    verify: bool = True
    headers: tuple[Header, ...] = ()

    def __post_init__(self) -> None:
        if self.url.startswith("file:"):
            raise ValueError("`url` cannot be a file")


class BoxOptions(msgspec.Struct, frozen=True):
    tags: tuple[str, ...] = ()


class VmOptions(msgspec.Struct, frozen=True):
    region: str


class _Step:
    version: ClassVar[int] = 1

    def outputs(self, folder: str) -> tuple[str, ...]:
        return ()

    def parts(self, ctx: PartsContext) -> Iterable[Part]:
        return ()

    def run(self, ctx: RunContext) -> Artifact:
        return Artifact("files")


class _Target:
    version: ClassVar[int] = 1

    def lower(self, blueprint: Blueprint) -> Lowered:
        return Lowered({})

    def bake(self, blueprint: Blueprint, lowered: Lowered, ctx: RunContext) -> Artifact:
        return Artifact("container")

    def test(self, artifact: Artifact, blueprint: Blueprint, ctx: RunContext) -> None: ...

    def present(self, artifact: Artifact, ctx: ResolveContext) -> bool:
        return True


class Script(_Step):
    """Runs a command."""

    kind: ClassVar[str] = "script"

    def __init__(self, options: ScriptOptions) -> None: ...


class Fetch(_Step):
    """Fetches a file."""

    kind: ClassVar[str] = "fetch"

    def __init__(self, options: FetchOptions) -> None: ...


class Box(_Target):
    """Bakes a box, without running anything."""

    kind: ClassVar[str] = "oci"
    artifact: ClassVar[str] = "container"
    phases: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, options: BoxOptions) -> None: ...


class Vm(_Target):
    """Bakes a machine."""

    kind: ClassVar[str] = "vm"
    artifact: ClassVar[str] = "machine"
    phases: ClassVar[frozenset[str]] = frozenset({"build", "validate"})

    def __init__(self, options: VmOptions) -> None: ...


@pytest.fixture(scope="session")
def kinds() -> Kinds:
    """Tasks script and fetch, targets oci (containers, no commands) and vm (machines, no tests)."""
    return Kinds({"script": Script, "fetch": Fetch}, {"oci": Box, "vm": Vm})


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kinds: Kinds) -> Recipes:
    """Recipes that are read in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return Recipes(tmp_path, kinds)
