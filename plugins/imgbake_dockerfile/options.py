"""The keys of an image that is a Dockerfile, and what is refused while the recipe is read."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from imgbake_dockerfile import platforms
from imgbake_dockerfile.checking import STAGE_NAME
from imgbake_dockerfile.platforms import BadPlatform

REFERENCE = "docker-image://"
"""What a context of a registry begins with, as docker has it."""

IMAGE = "image:"
"""What a context that is an image of the recipe begins with."""

STREAM = "stream:"
"""What a context that is a tag or an image of an image stream begins with."""

_IMAGES = (IMAGE, REFERENCE, STREAM)
_INSIDE = "paths are relative to the recipe's folder, and stay in it"


def _described(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text)


class SecretTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A secret that RUN --mount=type=secret can ask for, and where its value is: one of the three."""

    id: Annotated[str, _described("The id by which the Dockerfile mounts it.")]
    arg: Annotated[str, _described("A secret argument of the recipe.")] = ""
    env: Annotated[str, _described("An environment variable.")] = ""
    file: Annotated[str, _described("A file, relative to the recipe, absolute, or below `~/`.")] = ""

    def __post_init__(self) -> None:
        """Raises ValueError unless exactly one source is said."""
        if sum(map(bool, (self.arg, self.env, self.file))) != 1:
            raise ValueError("`id`: a secret comes from one of `arg`, `env` and `file`")


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Keys of an image with `dockerfile`, instead of a base and components."""

    dockerfile: Annotated[str, _described("The Dockerfile, relative to the recipe.")]
    context: Annotated[
        str | None,
        _described("The folder that COPY and ADD take files from. Default: the Dockerfile's folder."),
    ] = None
    contexts: Annotated[
        dict[str, str],
        _described(
            "What names in FROM, COPY --from and mounts stand for: `image:NAME` of the recipe,"
            " `docker-image://REFERENCE`, `stream:NAME:TAG`, or, but in FROM, a folder, relative to the"
            " recipe."
        ),
    ] = {}
    target: Annotated[str, _described("The stage to build; the last one when left out.")] = ""
    build_args: Annotated[
        dict[str, str | int],
        _described("Values of its ARGs. `--arg` wins; an argument of the recipe of the same name fills in."),
    ] = {}
    secrets: Annotated[
        tuple[str | SecretTable, ...],
        _described("Secrets that RUN can mount: names of secret arguments, or tables. They never decide."),
    ] = ()
    ssh: Annotated[
        tuple[str, ...],
        _described('Agents or keys that RUN can mount: "default", or ID=PATH as docker takes it.'),
    ] = ()
    cache_from: Annotated[
        tuple[str, ...], _described("Caches to look into, as `docker build` takes them. They never decide.")
    ] = ()
    cache_to: Annotated[
        tuple[str, ...], _described("Caches to write, as `docker buildx build` takes them.")
    ] = ()
    platforms: Annotated[
        tuple[str, ...], _described("Platforms as os/architecture[/variant]. Default: this machine's.")
    ] = ()
    network: Annotated[
        Literal["default", "none", "host"], _described("The network that RUN can reach, as docker has it.")
    ] = "default"
    labels: Annotated[dict[str, str], _described("Labels of the image, besides the Dockerfile's.")] = {}

    def __post_init__(self) -> None:
        """Raises ValueError for what can't be; the key that it is about stands in backticks."""
        for key, problem in _problems(self):
            raise ValueError(f"`{key}`: {problem}")

    @property
    def file(self) -> str:
        """The Dockerfile's path in the project."""
        return posixpath.normpath(self.dockerfile)

    @property
    def folder(self) -> str:
        """The context's path in the project; empty for the project itself."""
        found = posixpath.dirname(self.file) if self.context is None else posixpath.normpath(self.context)
        return "" if found == "." else found

    @property
    def folders(self) -> dict[str, str]:
        """The contexts that are folders: their names, and their paths in the project."""
        found = self.contexts.items()
        return {name: posixpath.normpath(text) for name, text in found if not text.startswith(_IMAGES)}


def _problems(said: Options) -> Iterator[tuple[str, str]]:
    for key, path in (("dockerfile", said.dockerfile), ("context", said.context)):
        if path is not None and (problem := _outside(path)):
            yield key, problem
    for name, text in said.contexts.items():
        if "{{" not in text and not text.startswith(_IMAGES) and (problem := _no_folder(name, text)):
            yield "contexts", problem
    for text in said.platforms:
        try:
            if "{{" not in text:  # an argument that is still missing
                platforms.platform(text)
        except BadPlatform as error:
            yield "platforms", str(error)
    ids = [secret if isinstance(secret, str) else secret.id for secret in said.secrets]
    if twice := [one for index, one in enumerate(ids) if one in ids[:index]]:
        yield "secrets", f"'{twice[0]}' is listed twice"


def _no_folder(name: str, text: str) -> str:
    """Why a context can't be a folder; empty when it can."""
    if ":" in text:
        known = f"neither {IMAGE}NAME nor {REFERENCE}REFERENCE nor {STREAM}NAME:TAG nor a folder"
        return f"'{name}' is {known}, but '{text}'"
    if not STAGE_NAME.fullmatch(name):
        return (
            f"'{name}' can't name a folder: a name has a-z, 0-9, '-', '_' and '.', and starts with a letter"
        )
    if posixpath.normpath(text) == ".":
        return f"'{name}' is the whole project: name a folder in it, or make it the `context`"
    return _outside(text)


def _outside(path: str) -> str:
    """Why a path is none in the project; empty when it is one."""
    if not path:
        return "the path is empty"
    normal = posixpath.normpath(path)
    if path.startswith("/") or normal == ".." or normal.startswith("../"):
        return f"'{path}' is outside of the project; {_INSIDE}"
    return ""
