"""What is wrong with tags and platforms in the options of a target, found while the recipe is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imgbake.api import BakeError, is_given
from imgbake_oci import reference
from imgbake_oci.descriptor import Platform, platform


def tags(said: Sequence[str]) -> Iterator[str]:
    """What is wrong with references that an image is pushed to."""
    for tag in filter(is_given, said):
        try:
            reference.parse_tag(tag)
        except BakeError as error:
            yield f"{error.message}; {error.hint}"


def platforms(said: Sequence[str]) -> Iterator[str]:
    """What is wrong with the platforms that an image is baked for."""
    seen: set[Platform] = set()
    for text in filter(is_given, said):
        try:
            found = platform(text)
        except ValueError as error:
            yield str(error)
            continue
        if found in seen:
            yield f"{found} is there twice"
        seen.add(found)
