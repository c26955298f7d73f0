"""The format `template`: an image that is a user's own template of Packer, with values for its variables.

The template is run where it stands, as `packer build` in its folder would. What decides are the files
that it may see, which are those of its folder unless `inputs` says which, and the values.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

import msgspec

from imgbake.api import Argument, BakeError, Described, DescribingContext, Given

FORMAT = "template"


def _described(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text)


class TemplateOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Keys of an image with `template`, instead of a base and components."""

    template: Annotated[
        str, _described("The template, or a folder of `*.pkr.hcl` files, relative to the recipe.")
    ]
    vars: Annotated[dict[str, Any], _described("Values of its variables.")] = {}
    secrets: Annotated[
        tuple[str, ...],
        _described("Secret arguments that become variables of the same name. They never decide."),
    ] = ()
    inputs: Annotated[
        tuple[str, ...], _described("Globs of the files that it uses. Default: all of its folder.")
    ] = ()
    only: Annotated[
        tuple[str, ...], _described("The builds of it that run, as `packer build -only` takes them.")
    ] = ()

    def __post_init__(self) -> None:
        """Raises ValueError for what can't be run; the key that it is about stands in backticks."""
        path = posixpath.normpath(self.template)
        if not self.template or path.startswith(("/", "../")) or path == "..":
            raise ValueError("`template`: paths are relative to the recipe's folder, and stay in it")
        for name in self.secrets:
            if name in self.vars:
                raise ValueError(f"`secrets`: the variable '{name}' has a value in `vars` too")

    @property
    def is_folder(self) -> bool:
        """Is it a folder of files?"""
        return not self.template.endswith((".hcl", ".json"))

    @property
    def folder(self) -> str:
        """Where it is run, relative to the recipe; empty for the recipe's own folder."""
        path = posixpath.normpath(self.template)
        found = path if self.is_folder else posixpath.dirname(path)
        return "" if found == "." else found

    @property
    def is_legacy(self) -> bool:
        """Is it of Packer's older language, for which `packer init` does nothing?"""
        return self.template.endswith(".json") and not self.template.endswith(".pkr.json")


class TemplateFormat:
    """An image that is a template of Packer, run as it stands."""

    kind: ClassVar[str] = FORMAT
    version: ClassVar[int] = 1

    def __init__(self, options: TemplateOptions) -> None:
        self._options = options

    def secrets(self) -> tuple[str, ...]:
        return self._options.secrets

    def arguments(self, given: Given, root: Path) -> tuple[Argument, ...]:
        """None: a variable is given by `vars`, or has a default, or Packer says that it is missing."""
        return ()

    def reads(self, given: Given, root: Path) -> tuple[str, ...]:
        return tuple(self._files())

    def describe(self, given: Given, ctx: DescribingContext) -> Described:
        if not (ctx.root / self._options.template).exists():
            hint = "`template` is a path relative to the recipe's folder"
            raise BakeError(f"there is no template {self._options.template}", hint=hint)
        return Described(self.kind, self._options, ctx.files(tuple(self._files()), (".imgbake/**",)))

    def _files(self) -> Iterator[str]:
        options = self._options
        if not options.is_folder:
            yield options.template
        elif options.inputs:
            yield posixpath.join(options.template, "*.pkr.*")
        yield from options.inputs or [posixpath.join(options.folder, "**")]
