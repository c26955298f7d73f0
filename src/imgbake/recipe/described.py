"""[images] that another tool's file describes: which kind of file, and what its plugin says of the table.

[images.NAME]
KIND = "path"        the key is the kind; it and the keys beside it are options of the plugin
targets = [...]      and what all images have: targets, needs, timeout, retries, resources
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from imgbake.model import At, Description, Image, Target
from imgbake.recipe import options
from imgbake.recipe.reading import Reading
from imgbake.recipe.tables import DescribedTable, ImageTable
from imgbake.recipe.tasks import own_options

_CORE = options.keys(ImageTable)


class DescribedImage(msgspec.Struct, frozen=True):
    """The table of an image that a file describes."""

    common: DescribedTable
    description: Description
    secrets: tuple[str, ...]  # secret arguments of the recipe that its options name

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets that bake it."""
        return self.common.targets


def described_image(table: Mapping[str, Any], at: At, reading: Reading) -> DescribedImage | None:
    """The image, if one of the table's keys is a kind of file; else None. Its faults are added."""
    found = [(key, cls) for key in table.keys() - _CORE if (cls := reading.kinds.format(key))]
    if not found:
        return None
    for key, _ in sorted(found)[1:]:
        both = " and ".join(sorted(f"'{kind}'" for kind, _ in found))
        reading.fault(at / key, f"an image is described by one file, not by {both}", value=False)
    kind, cls = min(found)
    type_ = own_options(kind, cls, DescribedTable)
    own = _without_components(table, kind, type_, at, reading)
    common, _ = options.read_repaired(own, DescribedTable, at, reading.faults, beside=(type_,))
    typed, is_right = options.read_repaired(own, type_, at, reading.faults, beside=(DescribedTable,))
    if common is None or typed is None or not is_right:
        return DescribedImage(common or DescribedTable(), Description(kind, None), ())
    secrets = tuple(cast(Any, cls)(typed).secrets())
    _check_secrets(secrets, at, reading)
    return DescribedImage(common, Description(kind, typed), secrets)


def check_accepted(image: Image, kind: str, target: Target, at: At, reading: Reading) -> None:
    """Adds a fault if the target can't bake images of this kind of file."""
    cls = reading.kinds.target(target.uses)
    if cls is None or kind in _accepted(cls):
        return
    able = [name for name in reading.kinds.target_kinds() if kind in _accepted(reading.kinds.target(name))]
    if able:
        hint = f"declare a target that can, and name it in `targets`: one that uses {' or '.join(able)}"
    else:
        hint = "no kind of target that is installed can"
    reading.fault(at, f"the target '{target.name}' can't bake an image that is a {kind}", hint)


def _without_components(
    table: Mapping[str, Any], kind: str, type_: type[msgspec.Struct], at: At, reading: Reading
) -> dict[str, Any]:
    """The table without the keys of images that are made of components, each of them a fault."""
    wrong = table.keys() & (_CORE - options.keys(DescribedTable) - options.keys(type_))
    for key in sorted(wrong):
        hint = f"write it in the {kind}, or leave out `{kind}`"
        reading.fault(at / key, f"an image that is a {kind} has no '{key}'", hint, value=False)
    return {key: value for key, value in table.items() if key not in wrong}


def _check_secrets(names: tuple[str, ...], at: At, reading: Reading) -> None:
    known = reading.expander.secrets
    for name in names:
        if name not in known:
            hint = f"declare it: [args] {name} = {{ secret = true }}"
            reading.unknown(at / "secrets", "secret argument", name, known, hint)


def _accepted(cls: type[Any] | None) -> frozenset[str]:
    return getattr(cls, "accepts", frozenset())
