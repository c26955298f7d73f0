"""What commands of plugins may ask of the project that they were started in."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

from imgbake.contract import Artifact
from imgbake.engine.ledger import Ledger
from imgbake.engine.pointers import Pointers
from imgbake.engine.project import STATE
from imgbake.errors import UsageError
from imgbake.files.regular import read_file


class Surroundings:
    """The project of the folder that is the current one when it is asked."""

    def __init__(self, recipe: str) -> None:
        self._recipe = recipe

    @property
    def root(self) -> Path:
        return Path.cwd()

    def project(self) -> str:
        try:
            table = tomllib.loads(read_file(self.root / self._recipe).decode("utf-8-sig")).get("project", {})
        except FileNotFoundError:
            return ""
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{self._recipe} can't be read: {error}", hint="see `imgbake check`") from None
        except OSError as error:
            raise UsageError(f"{self._recipe} can't be read: {error.strerror}") from None
        name = table.get("name") if isinstance(table, dict) else None
        return name if isinstance(name, str) else self.root.name

    def artifacts(self) -> dict[str, Artifact]:
        ledger = Ledger(self.root / STATE / "ledger")
        return {node: last.artifact for node in ledger.nodes() if (last := ledger.last(node))}

    def held(self) -> dict[str, list[str]]:
        return Pointers(self.root / STATE / "pointers").held()

    def table(self, rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
        from imgbake.ui.tables import table

        return table(rows, header)
