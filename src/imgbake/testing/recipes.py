"""Recipes read from text, with whatever kinds of task and target a test likes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from imgbake.contract import Destination, Format, Step, Target
from imgbake.recipe import recipe


class Kinds:
    """The kinds that are installed, as far as a recipe can tell."""

    def __init__(
        self,
        steps: Mapping[str, type[Step]],
        targets: Mapping[str, type[Target]],
        formats: Mapping[str, type[Format]] | None = None,
        destinations: Mapping[str, type[Destination]] | None = None,
    ) -> None:
        self._steps = steps
        self._targets = targets
        self._formats = formats or {}
        self._destinations = destinations or {}
        self.asked: list[str] = []  # what would have been imported

    def step(self, kind: str) -> type[Step] | None:
        """The class of this kind of task."""
        self.asked.append(kind)
        return self._steps.get(kind)

    def target(self, kind: str) -> type[Target] | None:
        """The class of this kind of target."""
        self.asked.append(kind)
        return self._targets.get(kind)

    def format(self, kind: str) -> type[Format] | None:
        """The class of this kind of file that describes images."""
        return self._formats.get(kind)

    def destination(self, kind: str) -> type[Destination] | None:
        """The class of this kind of destination."""
        return self._destinations.get(kind)

    def step_kinds(self) -> Sequence[str]:
        """Every kind of task."""
        return sorted(self._steps)

    def target_kinds(self) -> Sequence[str]:
        """Every kind of target."""
        return sorted(self._targets)

    def format_kinds(self) -> Sequence[str]:
        """Every kind of file that describes images."""
        return sorted(self._formats)

    def destination_kinds(self) -> Sequence[str]:
        """Every kind of destination."""
        return sorted(self._destinations)

    def trigger(self, kind: str) -> None:
        """No kind of trigger is there."""

    def trigger_kinds(self) -> list[str]:
        """Every kind of trigger."""
        return []

    def base_kinds(self) -> list[str]:
        """The kinds of artifact whose bases are resolved."""
        return ["container", "disk"]

    def shelf_kinds(self) -> list[str]:
        """What addresses of shelves may begin with."""
        return ["bucket"]


class Recipes:
    """Reads recipes in a folder. Their files are named as they are from there: go there first."""

    def __init__(self, folder: Path, kinds: Kinds) -> None:
        self.folder = folder
        self.kinds = kinds

    def write(self, name: str, text: str) -> None:
        """A file of the project."""
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
        """What was read, with all faults. `given` are arguments."""
        self.write("imgbake.toml", text)
        path = Path("imgbake.toml")
        return recipe.read(path, given=given or {}, environ=environ or {}, kinds=self.kinds, parsed=parsed)

    def good(
        self, text: str, given: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None
    ) -> recipe.Recipe:
        """The recipe. Raises AssertionError with its errors if it has any."""
        loaded = self.read(text, given, environ)
        assert not loaded.faults, recipe.problems(loaded.faults, loaded.sources).render()
        return loaded.recipe

    def errors(
        self, text: str, given: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None
    ) -> str:
        """All errors as they are shown. Raises AssertionError if there is none."""
        loaded = self.read(text, given, environ)
        assert loaded.faults, "the recipe was accepted"
        return recipe.problems(loaded.faults, loaded.sources).render()

    def messages(
        self, text: str, given: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None
    ) -> list[str]:
        """The first line of each error."""
        errors = self.errors(text, given, environ).split("\n\n")[:-1]
        return [error.splitlines()[0] for error in errors]
