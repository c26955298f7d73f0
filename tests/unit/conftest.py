"""A kitchen for recipes: reads text as imgbake.toml, with a few kinds of task and target of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from imgbake import recipe


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


class Script:
    """Runs a command."""

    def __init__(self, options: ScriptOptions) -> None: ...


class Fetch:
    """Fetches a file."""

    def __init__(self, options: FetchOptions) -> None: ...


class Box:
    """Bakes a box, without running anything."""

    artifact = "container"
    phases: frozenset[str] = frozenset()

    def __init__(self, options: BoxOptions) -> None: ...


class Vm:
    """Bakes a machine."""

    artifact = "machine"
    phases = frozenset({"build", "validate"})

    def __init__(self, options: VmOptions) -> None: ...


class Kinds:
    """What is installed."""

    def __init__(self) -> None:
        self.steps: dict[str, Any] = {"fetch": Fetch, "script": Script}
        self.targets: dict[str, Any] = {"oci": Box, "vm": Vm}
        self.asked: list[str] = []

    def step(self, kind: str) -> Any:
        self.asked.append(kind)
        return self.steps.get(kind)

    def target(self, kind: str) -> Any:
        self.asked.append(kind)
        return self.targets.get(kind)

    def step_kinds(self) -> list[str]:
        return sorted(self.steps)

    def target_kinds(self) -> list[str]:
        return sorted(self.targets)


class Kitchen:
    """Reads recipes in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kinds = Kinds()

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def read(
        self,
        text: str,
        given: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
        parsed: Path | None = None,
    ) -> recipe.Loaded:
        """What was read, faults and all."""
        self.write("imgbake.toml", text)
        return recipe.read(
            Path("imgbake.toml"), given=given or {}, environ=environ or {}, kinds=self.kinds, parsed=parsed
        )

    def good(
        self, text: str, given: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None
    ) -> recipe.Recipe:
        """The recipe, which must have no faults."""
        loaded = self.read(text, given, environ)
        assert not loaded.faults, recipe.problems(loaded.faults, loaded.sources).render()
        return loaded.recipe

    def errors(
        self, text: str, given: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None
    ) -> str:
        """All errors as they are shown."""
        loaded = self.read(text, given, environ)
        assert loaded.faults, "the recipe was accepted"
        return recipe.problems(loaded.faults, loaded.sources).render()

    def messages(self, text: str, given: Mapping[str, str] | None = None) -> list[str]:
        """The first line of each error."""
        return [paragraph.splitlines()[0] for paragraph in self.errors(text, given).split("\n\n")[:-1]]


@pytest.fixture
def kitchen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kitchen:
    monkeypatch.chdir(tmp_path)
    return Kitchen(tmp_path)


@pytest.fixture
def kinds() -> Kinds:
    return Kinds()
