"""What a builder is asked for: a Dockerfile as it is sent, and all that goes with it.

It is the plan of a described image (`imgbake.api.Described`), which targets for Dockerfiles are given.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from imgbake.api import Artifact, Described, StepError
from imgbake_dockerfile.build import Image
from imgbake_dockerfile.ignoring import Ignore

LOCAL = "is_local"
"""A fact of bases that only the engine which builds has: they go by their own name."""

UNSEEN = ".imgbake.Dockerfile"
"""Under this name a Dockerfile goes with its context, where the build doesn't see it."""


class Source(msgspec.Struct, frozen=True):
    """Where the value of a secret is: an argument of the recipe, a variable, or a file."""

    id: str
    arg: str = ""
    env: str = ""
    file: str = ""


class Text(msgspec.Struct, frozen=True):
    """A Dockerfile as it is sent: no comments, no stages that the target doesn't need, images by digest."""

    text: str
    lines: tuple[int, ...] = ()  # of each line, its number in the user's file

    def place(self, file: str, line: int) -> str:
        """The user's file, and the line in it that a line of the text is, counted from 1."""
        found = self.lines[line - 1] if 0 < line <= len(self.lines) else 0
        return f"{file}:{found}" if found else file


class Request(msgspec.Struct, frozen=True):
    """One build of a Dockerfile."""

    file: str  # the user's Dockerfile, relative to the project
    folder: str  # the context, relative to the project; empty for the project itself
    dockerfile: Text
    ignore: Ignore
    target: str = ""
    args: dict[str, str] = {}
    labels: dict[str, str] = {}
    platforms: tuple[str, ...] = ()
    images: tuple[Image, ...] = ()
    secrets: tuple[Source, ...] = ()  # that a RUN asks for
    ssh: tuple[str, ...] = ()
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    network: str = "default"
    contexts: dict[str, str] = {}  # names in the sent text of images that only we have, to those in `bases`
    folders: dict[str, str] = {}  # the names of contexts that are folders, to their paths in the project
    only_buildkit: str = ""  # what in it older builders don't know, with its place
    asks_back: bool = False  # for a secret or an ssh key that a RUN mounts, or for what an ADD fetches
    platform_args: tuple[str, ...] = ()  # that it uses, and that only BuildKit sets
    is_unseen: bool = False  # a file `UNSEEN` at the top of the context would be: nothing copies it

    def failure(self, message: str, line: int, tail: tuple[str, ...], hint: str = "") -> StepError:
        """What is raised when the build fails at a line of the sent text; 0 if nobody knows where."""
        place = self.dockerfile.place(self.file, line)
        return StepError(f"{place}: {message}", hint=hint, tail=tail)


def request(described: Described) -> Request:
    """The request of a described image of the format `dockerfile`."""
    found = described.plan
    assert isinstance(found, Request), f"{described.format} is no Dockerfile"
    return found


def of_registries(described: Described) -> Iterator[tuple[Image, Artifact]]:
    """The images that it takes from registries, and what each means: not those of the recipe, which no
    registry has, nor those that only the engine has."""
    asked = request(described)
    for image in asked.images:
        base = described.bases[image.reference]
        if base.digest and not base.facts.get(LOCAL) and image.reference not in asked.contexts.values():
            yield image, base


def documents(described: Described) -> dict[str, str]:
    """What decides, as text: the Dockerfile as it is sent, what else is said, and what can be seen.

    Neither secrets nor caches decide.
    """
    asked = request(described)
    said = {
        "target": asked.target,
        "args": asked.args,
        "labels": asked.labels,
        "platforms": asked.platforms,
        "contexts": asked.folders,
        "secrets": [secret.id for secret in asked.secrets],
        "network": asked.network.removeprefix("default"),
    }
    plain = {key: value for key, value in said.items() if value}
    found = {"Dockerfile": asked.dockerfile.text}
    if plain:
        text = msgspec.json.format(msgspec.json.encode(plain, order="sorted"), indent=2).decode()
        found["build.json"] = text + "\n"
    if described.files.entries:
        found["context.txt"] = "".join(f"{entry.path}\n" for entry in described.files.entries)
    return found


def pinned(reference: str, digest: str) -> str:
    """A reference that means exactly this image."""
    return reference if "@" in reference or not digest else f"{reference}@{digest}"
