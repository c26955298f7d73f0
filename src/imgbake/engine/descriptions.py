"""The images of a recipe that other tools' files describe: what these files ask for.

Asked before anything runs, when a file may still be missing, or wrong: then its image says so when it is
judged, and no other image is harmed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imgbake.contract import Argument, Format, Given
from imgbake.engine.graph import Told
from imgbake.errors import BakeError
from imgbake.model import Arg, At, Image, Recipe
from imgbake.plugins import Plugins
from imgbake.recipe.args import unknown
from imgbake.recipe.faults import Fault


class Descriptions:
    """The described images of one recipe."""

    def __init__(self, recipe: Recipe, plugins: Plugins) -> None:
        declared = recipe.args.items()
        values = {name: arg.value for name, arg in declared if arg.value is not None and not arg.secret}
        self.given = Given(recipe.said, values)
        self._recipe = recipe
        self._plugins = plugins
        self._root = Path(recipe.root)
        self._arguments: dict[str, Sequence[Argument]] = {}  # of each image whose file could be read
        self._has_unread = False

    def format(self, image: Image) -> Format:
        """The plugin's format of a described image, with its options."""
        assert image.description is not None
        cls: Any = self._plugins.format(image.description.format)
        made: Format = cls(image.description.options)
        return made

    def arguments(self, image: Image) -> Sequence[Argument]:
        """All that a build of the image can be given. Raises BakeError for a file that is wrong."""
        return self.format(image).arguments(self.given, self._root)

    def told_by(self, image: Image) -> Told:
        """What the image's file tells. Of one that is missing or wrong, what can be told all the same."""
        if image.description is None or image.description.options is None:
            return Told()
        try:
            found = self._arguments[image.name] = self.arguments(image)
        except BakeError:
            self._has_unread = True  # said when the image is judged
            found = ()
        lacking = (one.name for one in found if one.is_needed and one.value is None)
        reads = self.format(image).reads(self.given, self._root) if self._recipe.tasks else ()
        missing = tuple(name for name in dict.fromkeys(lacking) if not self._is_secret(name))
        images = getattr(self.format(image), "images", None)
        return Told(tuple(reads), missing, tuple(images()) if images else ())

    def streams(self, image: Image) -> Sequence[str]:
        """The tags and images of streams that a described image stands on, as `stream:NAME:TAG`."""
        ask = getattr(self.format(image), "streams", None)
        return ask(self.given, self._root) if ask else ()

    def argument(self, name: str) -> Arg:
        """An argument of a file, as if the recipe had it."""
        listed = (one for found in self._arguments.values() for one in found if one.name == name)
        one = next(listed, Argument(name))
        about = ", ".join(filter(None, (one.help, one.at)))
        return Arg(name, At("", ()), one.value, one.default, help=about)

    def unknown(self, given: Mapping[str, str]) -> list[Fault]:
        """A fault for each argument of the command line that neither the recipe nor a file has."""
        if self._has_unread or not self._arguments:
            return []
        names = {one.name for found in self._arguments.values() for one in found}
        return unknown(given, {*self._recipe.args, *names})

    def _is_secret(self, name: str) -> bool:
        arg = self._recipe.args.get(name)
        return arg is not None and arg.secret
