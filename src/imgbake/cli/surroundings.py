"""What commands of plugins may ask of the project that they were started in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imgbake.contract import Artifact
from imgbake.engine.ledger import Ledger
from imgbake.engine.pointers import Pointers
from imgbake.engine.project import STATE
from imgbake.recipe.glance import project_table


class Surroundings:
    """The project of the folder that is the current one when it is asked."""

    def __init__(self, recipe: str) -> None:
        self._recipe = recipe

    @property
    def root(self) -> Path:
        return Path.cwd()

    def project(self) -> str:
        try:
            name = project_table(Path(self._recipe)).get("name")
        except FileNotFoundError:
            return ""
        return name if isinstance(name, str) else self.root.name

    def artifacts(self) -> dict[str, Artifact]:
        ledger = Ledger(self.root / STATE / "ledger")
        return {node: last.artifact for node in ledger.nodes() if (last := ledger.last(node))}

    def held(self) -> dict[str, list[str]]:
        return Pointers(self.root / STATE / "pointers").held()

    def table(self, rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
        from imgbake.ui.tables import table

        return table(rows, header)
