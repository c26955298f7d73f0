"""The format `dockerfile`: what a build of a Dockerfile can be given, what it reads, and what decides.

the Dockerfile ── parse ──┐
values of its ARGs ───────┼── plan ── images ── resolved, and asked for environment and ONBUILD
.dockerignore ────────────┘     └──── files that it can see ── digests
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from imgbake.api import (
    Argument,
    Artifact,
    BakeError,
    Described,
    DescribingContext,
    Given,
    Interrupted,
    PluginError,
    did_you_mean,
    read_file,
)
from imgbake_dockerfile import arguments, folders
from imgbake_dockerfile.arguments import Argument as Listed
from imgbake_dockerfile.build import Base, Build, Secret, merged
from imgbake_dockerfile.folders import Folder
from imgbake_dockerfile.located import DockerfileError
from imgbake_dockerfile.options import IMAGE, REFERENCE, STREAM, Options
from imgbake_dockerfile.parsing import parse
from imgbake_dockerfile.planning import plan
from imgbake_dockerfile.reach import could_reach
from imgbake_dockerfile.request import LOCAL, UNSEEN, Request, Source, pinned
from imgbake_dockerfile.sent import sent
from imgbake_dockerfile.syntax import Dockerfile
from imgbake_dockerfile.wildcards import is_wild

_HELD_HERE = ("oci", "docker-daemon")  # transports of images that are on this machine or its engine
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")
_TAG = re.compile(r"stream:[^:@]+:[^:@]+")  # of a stream
_DIGITS = 32  # of a digest, enough to name an image
_BUILDKIT_FLAGS = frozenset(
    {"mount", "network", "security", "device", "link", "parents", "exclude", "checksum", "chmod"}
)


class DockerfileFormat:
    """An image that is a Dockerfile, built as docker would, from what its build can see."""

    kind: ClassVar[str] = "dockerfile"
    version: ClassVar[int] = 1

    def __init__(self, options: Options) -> None:
        self._options = options

    def secrets(self) -> tuple[str, ...]:
        return tuple(secret.arg for secret in self._secrets() if secret.arg)

    def images(self) -> tuple[str, ...]:
        found = (text for text in self._options.contexts.values() if text.startswith(IMAGE))
        return tuple(dict.fromkeys(text.removeprefix(IMAGE) for text in found))

    def streams(self, given: Given, root: Path) -> tuple[str, ...]:
        contexts = self._options.contexts
        try:
            images = self._plans(self._read(root), self._values(given)).images
        except BakeError:
            images = ()
        taken = (_of_registry(image.reference) for image in images if image.reference not in contexts)
        return tuple(text for text in (*contexts.values(), *taken) if text.startswith(STREAM))

    def arguments(self, given: Given, root: Path) -> tuple[Argument, ...]:
        file = self._options.file
        return tuple(
            Argument(one.name, one.stage, f"{file}:{one.line}", one.default, one.value, one.needed, one.help)
            for one in self._listed(self._read(root), self._values(given))
        )

    def reads(self, given: Given, root: Path) -> tuple[str, ...]:
        all_of_them = (self._options.folder or "**", *self._options.folders.values())
        try:
            build = self._plans(self._read(root), self._values(given))
        except BakeError:
            return (*self._files(), *all_of_them)
        if build.everything:
            return (*self._files(), *all_of_them)
        places = {"": self._options.folder, **self._options.folders}
        found = (posixpath.join(places[seen.context], _glob(seen.path)) or "**" for seen in build.seen)
        return (*self._files(), *found)

    def describe(self, given: Given, ctx: DescribingContext) -> Described:
        options = self._options
        self._look_at_files(ctx)
        dockerfile = self._read(ctx.root)
        values = self._values(given)
        self._refuse_missing(dockerfile, values)
        asking = _Asking(ctx, options.file, options.contexts)
        build = self._plans(dockerfile, values, asking)
        self._refuse_undeclared(dockerfile, asking)
        bases = {image.reference: asking.base(image.reference) for image in build.images}
        self._refuse_unused({*bases, *(each.context for each in build.seen if each.context)})
        ours = {name: base for name, base in bases.items() if self._is_ours(name, base)}
        contexts = {_name(name, base, ctx): name for name, base in ours.items()}
        names = {
            name: pinned(self._meant(name, base), base.digest)
            for name, base in bases.items()
            if name not in ours and not base.facts.get(LOCAL)
        }
        names |= {name: sent for sent, name in contexts.items()}
        seen = folders.seen(build, self._folders(), ctx)
        asked = Request(
            options.file,
            options.folder,
            sent(dockerfile, build, names),
            folders.ignored(self._folders()[0], ctx.root),
            options.target,
            build.args,
            options.labels,
            options.platforms,
            build.images,
            tuple(self._mounted(dockerfile, build)),
            options.ssh,
            options.cache_from,
            options.cache_to,
            options.network,
            contexts,
            options.folders,
            _only_buildkit(options, build),
            bool(build.secrets or build.remotes),
            build.platform_args,
            not could_reach(build, UNSEEN) and not any(entry.kind == "symlink" for entry in seen.entries),
        )
        return Described(self.kind, asked, seen, bases, build.args)

    def _is_ours(self, name: str, base: Artifact) -> bool:
        """Is this an image of the recipe that no registry has?"""
        is_image = self._options.contexts.get(name, "").startswith(IMAGE)
        return is_image and base.reference.partition(":")[0] in _HELD_HERE

    def _meant(self, name: str, base: Artifact) -> str:
        """The reference that a name of the Dockerfile stands for."""
        said = self._options.contexts.get(name, name)
        return base.reference if said.startswith((IMAGE, STREAM)) else said.removeprefix(REFERENCE)

    def _refuse_unused(self, taken: Collection[str]) -> None:
        for name in self._options.contexts:
            if name not in taken:
                known = ", ".join(sorted(taken)) or "none"
                hint = did_you_mean(name, taken) or f"{self._options.file} takes {known}"
                message = f"`contexts`: no FROM, --from or mount that is needed takes '{name}'"
                raise DockerfileError(message, hint=hint)

    def _secrets(self) -> Iterator[Source]:
        for secret in self._options.secrets:
            if isinstance(secret, str):
                yield Source(secret, arg=secret)
            else:
                yield Source(secret.id, secret.arg, secret.env, secret.file)

    def _mounted(self, dockerfile: Dockerfile, build: Build) -> Iterator[Source]:
        """The secrets that are asked for. Raises DockerfileError for one that is required and not given."""
        known = {secret.id: secret for secret in self._secrets()}
        for asked in build.secrets:
            if asked.kind == "secret" and asked.id in known:
                yield known[asked.id]
            elif asked.required and not self._has(asked):
                where = dockerfile.source.where(asked.line, word="--mount")
                key = "secrets" if asked.kind == "secret" else "ssh"
                hint = f'name it in the image\'s table: {key} = ["{asked.id}"]'
                raise DockerfileError(f"the {asked.kind} '{asked.id}' is required", where=where, hint=hint)

    def _has(self, asked: Secret) -> bool:
        return asked.kind == "ssh" and asked.id in {text.partition("=")[0] for text in self._options.ssh}

    def _values(self, given: Given) -> dict[str, str]:
        own = {name: str(value) for name, value in self._options.build_args.items()}
        return {**given.recipe, **own, **given.said}

    def _plans(
        self, dockerfile: Dockerfile, values: Mapping[str, str], bases: _Asking | None = None
    ) -> Build:
        """What the builds for all platforms take together."""
        return merged(
            plan(
                dockerfile,
                values,
                target=self._options.target,
                platform=platform,
                bases=bases,
                folders=self._options.folders,
            )
            for platform in self._platforms()
        )

    def _platforms(self) -> tuple[str, ...]:
        return self._options.platforms or ("",)

    def _listed(self, dockerfile: Dockerfile, values: Mapping[str, str]) -> tuple[Listed, ...]:
        platform = self._platforms()[0]
        return arguments.listed(dockerfile, values, target=self._options.target, platform=platform)

    def _refuse_undeclared(self, dockerfile: Dockerfile, asked: _Asking) -> None:
        """A build argument that nothing declares is a misspelt one, unless a base is unknown."""
        wrong = arguments.undeclared(dockerfile, self._options.build_args, asked.triggers)
        if wrong and asked.knows_all:
            raise DockerfileError(f"`build_args`: {wrong[0].message}", hint=wrong[0].hint)

    def _refuse_missing(self, dockerfile: Dockerfile, values: Mapping[str, str]) -> None:
        """For a Dockerfile that could not be read before the tasks had run."""
        lacking = arguments.missing(self._listed(dockerfile, values))
        if lacking:
            hint = " ".join(f"--arg {name}=VALUE" for name in lacking)
            names = ", ".join(f"'{name}'" for name in lacking)
            raise DockerfileError(f"{self._options.file} needs {names}", hint=f"give {hint}")

    def _files(self) -> tuple[str, ...]:
        """The Dockerfile, and where ignore files may stand."""
        ignoring = (file for folder in self._folders() for file in folder.ignore_files)
        return tuple(dict.fromkeys((self._options.file, *ignoring)))

    def _folders(self) -> tuple[Folder, ...]:
        """The build's own context, and those of other names. The file that counts first stands first."""
        options = self._options
        own = Folder("", options.folder, f"{options.file}.dockerignore")
        return (own, *(Folder(name, path) for name, path in options.folders.items()))

    def _look_at_files(self, ctx: DescribingContext) -> None:
        """Notes the Dockerfile and the ignore files, and where they and the context really are."""
        ctx.exact(self._files())
        for name in (*self._files(), *(folder.path for folder in self._folders())):
            path = ctx.root / name
            if path.is_symlink():
                ctx.watch(os.path.realpath(path))  # of a link to itself, too

    def _read(self, root: Path) -> Dockerfile:
        path = root / self._options.file
        try:
            data = read_file(path)
        except OSError as error:
            hint = "`dockerfile` is a path relative to the recipe's folder"
            message = f"{self._options.file} can't be read: {error.strerror}"
            raise DockerfileError(message, hint=hint) from None
        return _parsed(data, self._options.file)


class _Asking:
    """Resolves images, each once, and asks what they say to the stages that are FROM them."""

    def __init__(self, ctx: DescribingContext, file: str, contexts: Mapping[str, str]) -> None:
        self._ctx, self._file, self._contexts = ctx, file, contexts
        self._bases: dict[str, Artifact] = {}
        self.triggers: list[str] = []
        self.knows_all = True

    def base(self, reference: str) -> Artifact:
        """What a reference means. Raises BakeError."""
        if reference not in self._bases:
            said = self._contexts.get(reference, reference)
            is_ours = reference in self._contexts and said.startswith((IMAGE, STREAM))
            meant = said if is_ours else _of_registry(said.removeprefix(REFERENCE))
            try:
                self._bases[reference] = self._ctx.base(meant)
            except (Interrupted, PluginError):
                raise
            except BakeError as error:
                message = f"{self._file} takes the image {reference}: {error.placed}"
                raise BakeError(message, hint=error.hint) from None
        return self._bases[reference]

    def __call__(self, reference: str, platform: str) -> Base | None:
        config = self._ctx.base_config(self.base(reference), platform)
        if config is None:
            self.knows_all = False
            return None
        found = _base(config)
        self.triggers += found.triggers
        return found


def _of_registry(reference: str) -> str:
    """A reference that no base of a recipe looks like: in a Dockerfile, `oci:1` is an image of Docker Hub.

    `stream:NAME:TAG`, which an argument may give to FROM, can be none, and is a tag of a stream.
    """
    is_other = reference.partition(":")[0] in ("oci", "oci-archive", "docker-archive")
    is_other = is_other or (reference.startswith(STREAM) and not _TAG.fullmatch(reference))
    return f"docker.io/library/{reference}" if is_other else reference


def _name(name: str, base: Artifact, ctx: DescribingContext) -> str:
    """What an image of the recipe is called while this node is baked: other nodes have other names for it."""
    child = _NOT_IN_NAMES.sub("-", f"{ctx.name}-{name}".lower()).strip("-")
    return f"imgbake-context/{child}:{base.digest.removeprefix('sha256:')[:_DIGITS]}"


def _base(config: Mapping[str, Any]) -> Base:
    pairs = (text.partition("=") for text in config.get("Env") or ())
    return Base({name: value for name, _, value in pairs}, tuple(config.get("OnBuild") or ()))


@lru_cache(maxsize=1024)
def _parsed(data: bytes, file: str) -> Dockerfile:
    return parse(data, file)


def _glob(path: str) -> str:
    """What a source names, as a glob of the project: up to its first wildcard, and all below."""
    names = path.split("/")
    fixed = next((count for count, name in enumerate(names) if is_wild(name)), len(names))
    return "/".join(names[:fixed])


def _only_buildkit(options: Options, build: Build) -> str:
    """What needs BuildKit, if something does."""
    if options.folders:
        return f"`contexts`: the folder '{next(iter(options.folders.values()))}'"
    for stage in build.stages:
        for instruction in stage.instructions:
            names = {flag[2:].partition("=")[0] for flag in instruction.flags}
            if found := names & _BUILDKIT_FLAGS:
                return f"{options.file}:{instruction.first}: {instruction.name} --{min(found)}"
            if instruction.heredocs:
                return f"{options.file}:{instruction.first}: a heredoc"
    return ""
