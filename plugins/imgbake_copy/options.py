"""The options of destinations, and what is refused while the recipe is read."""

from __future__ import annotations

from typing import Annotated

import msgspec

from imgbake.api import BakeError, is_given
from imgbake_oci import descriptor, reference
from imgbake_oci.descriptor import Platform


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is taken of an image."""

    platforms: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="Of an index, only these platforms, as os/architecture[/variant]: one is sent as an "
            "image of its own, several as a smaller index. All without."
        ),
    ] = ()
    referrers: Annotated[
        bool, msgspec.Meta(description="Take what refers to it along: signatures, SBOMs, attestations.")
    ] = True

    def __post_init__(self) -> None:
        """Raises ValueError for what can't be; the key that it is about stands in backticks."""
        for text in filter(is_given, self.platforms):
            try:
                descriptor.platform(text)
            except ValueError as error:
                raise ValueError(f"`platforms`: {error}") from None

    def chosen(self) -> tuple[Platform, ...]:
        """The platforms that are taken; all when there are none."""
        return tuple(map(descriptor.platform, self.platforms))


class RegistryOptions(Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of a destination with `uses = "registry"`."""

    repository: Annotated[
        str,
        msgspec.Meta(
            description="The repository, such as `registry.example.com/team/shop`; with a slash at its end, "
            "that of each image is named below it."
        ),
    ]

    def __post_init__(self) -> None:
        """Raises ValueError as above."""
        super().__post_init__()
        if not is_given(self.repository):
            return
        try:
            found = self.of("image")
        except BakeError as error:
            raise ValueError(f"`repository`: {error.message}; {error.hint}") from None
        if found.digest or self.repository.rpartition("/")[2].count(":"):
            raise ValueError("`repository`: it has a tag or digest; a distribution names the tags")

    def of(self, image: str) -> reference.Reference:
        """The repository of an image, without a tag. Raises BakeError."""
        below = image.lower() if self.repository.endswith("/") else ""
        return reference.parse(self.repository + below)


class LayoutOptions(Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of a destination with `uses = "layout"`."""

    folder: Annotated[
        str,
        msgspec.Meta(
            description="The folder of the OCI layout, relative to the recipe; with a slash at its end, that "
            "of each image is a folder in it. Images stand beside what is there."
        ),
    ]

    def __post_init__(self) -> None:
        """Raises ValueError as above."""
        super().__post_init__()
        if not self.folder or ":" in self.folder:
            raise ValueError("`folder`: write a path without a colon, which is where a tag begins")

    def of(self, image: str) -> str:
        """The folder for an image."""
        return self.folder + image if self.folder.endswith("/") else self.folder
