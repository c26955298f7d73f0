"""A project whose image goes to destinations, for tests of these."""

from __future__ import annotations

import json
from collections.abc import Sequence

from imgbake.testing.project import Project, Ran

APP = '{ from = "app", to = "/app" }'


class Shop(Project):
    """A project with the image `shop`, which holds the file `app`."""

    def to(
        self, *, tags: Sequence[str] = ("1", "stable"), files: str = APP, more: str = "", **tables: str
    ) -> None:
        """Writes a recipe that distributes the image to these destinations.

        They are by name what stands in their tables; `more` is what else the distribution's says.
        """
        destinations = "\n".join(f"[destinations.{name}]\n{table}\n" for name, table in tables.items())
        self.recipe(
            f"[components.app]\nfiles = [{files}]\n\n"
            '[images.shop]\nbase = "scratch"\ncomponents = ["app"]\n\n'
            f'{destinations}\n[distributions.prod]\nimages = ["shop"]\nto = {json.dumps(list(tables))}\n'
            f"tags = {json.dumps(list(tags))}\n{more}\n"
        )


def registry(repository: str) -> str:
    """The table of a destination that is a repository."""
    return f'uses = "registry"\nrepository = "{repository}"'


def layout(folder: str) -> str:
    """The table of a destination that is an OCI layout."""
    return f'uses = "layout"\nfolder = "{folder}"'


def results(ran: Ran) -> list[str]:
    """What became of each image at each destination."""
    return [each["result"] for each in ran.json["arrivals"]]
