"""Names of tasks, components, images, targets and arguments, compared without regard to spelling.

AWS treats names as one that differ only in case, spaces, underscores or hyphens; so do we, in every
table, since a component may end up there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from imgbake.errors import did_you_mean

LONGEST = 100  # characters: files and repositories are to be named for it

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ONE = str.maketrans(" _", "--")


def is_name(text: str) -> bool:
    """May this be the name of something in a recipe?"""
    return len(text) <= LONGEST and _NAME.fullmatch(text) is not None


def fold(name: str) -> str:
    """The name as it is compared: `My_App` and `my-app` are one."""
    return name.lower().translate(_ONE)


def doubles(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of different names that are one when folded: an earlier one and a later one."""
    first: dict[str, str] = {}
    return [(known, name) for name in names if (known := first.setdefault(fold(name), name)) != name]


def suggest(name: str, known: Iterable[str]) -> str:
    """What an unknown name was probably meant to be: first of all one of another spelling."""
    names = list(known)
    same = by_fold(names).get(fold(name))
    return f"did you mean '{same}'?" if same else did_you_mean(name, names)


def by_fold(names: Iterable[str]) -> Mapping[str, str]:
    """The names by how they are compared."""
    return {fold(name): name for name in names}
