"""What a bake in a cluster is made from. Pure."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from imgbake.api import Blueprint, CacheFolder
from imgbake_docker.naming import SCRATCH
from imgbake_kaniko import commits, dockerfiles, lowering, naming
from imgbake_kaniko.commits import Commit
from imgbake_kaniko.options import Options
from imgbake_oci.reference import Reference, parse

CONTEXT = "/workspace"  # where the context lies in the executor
RECIPE = "/kaniko/recipe"  # where the Dockerfile does, if the context has none
_DOCKERFILE = "Dockerfile"
_SECRET = "secret."


class Plan(msgspec.Struct, frozen=True):
    """What the manifests of a bake are made from."""

    name: str
    options: Options
    destinations: tuple[Reference, ...]
    registries: tuple[str, ...]  # whose credentials the Job may need, sorted
    is_checked: bool
    dockerfile: str = _DOCKERFILE  # its name in the context, or its path
    flags: tuple[str, ...] = ()  # what the executor is told of the image
    secrets: tuple[str, ...] = ()  # arguments that commands find in /run/secrets
    caches: tuple[CacheFolder, ...] = ()
    commit: Commit | None = None  # that Kaniko clones
    text: str = ""  # the Dockerfile, if the context has none

    @property
    def context(self) -> str:
        """Where Kaniko finds the context, in its own words."""
        if self.commit is not None:
            return self.commit.context
        said = self.options.context.rstrip("/")
        places = {"volume": f"dir://{CONTEXT}", "stream": "tar://stdin"}
        return places.get(said, f"{said}/{self.name}.tar.gz")

    @property
    def has_volume(self) -> bool:
        """Does the context come by a volume?"""
        return self.options.context == "volume"

    @property
    def is_static(self) -> bool:
        """Is that a volume which only we can remove?"""
        return self.has_volume and not self.options.provision

    @property
    def recipe(self) -> dict[str, str]:
        """Files of the Secret that say what is built of a commit."""
        if self.commit is None:
            return {}
        return {_DOCKERFILE: self.text, f"{_DOCKERFILE}.dockerignore": self.commit.hidden}

    @property
    def secret_files(self) -> dict[str, str]:
        """Which key of the Secret is which file in /run/secrets."""
        return {f"{_SECRET}{name}": name for name in self.secrets}

    @property
    def secret_env(self) -> dict[str, str]:
        """The variables of the executor that hold a secret argument."""
        return {name: value for name, value in self.options.env.items() if "{{" in value}

    @property
    def secret_texts(self) -> dict[str, str]:
        """What the Secret holds besides credentials, by key, with arguments still named."""
        return self.secret_env | {key: f"{{{{ {name} }}}}" for key, name in self.secret_files.items()}


def plan(blueprint: Blueprint, options: Options, run: str) -> Plan:
    """The plan of a bake; `run` tells it from others. Raises BakeError for tags that are none."""
    destinations = naming.references(blueprint.image, blueprint.target, options)
    name = naming.object_name(blueprint.image, blueprint.target, run)
    registries = {each.registry for each in (*destinations, *bases(blueprint))}
    found = Plan(
        name,
        options,
        destinations,
        tuple(sorted(registries)),
        lowering.is_checked(blueprint),
        secrets=tuple(sorted({each for layer in blueprint.layers for each in layer.setup.secrets})),
        caches=_caches(blueprint),
    )
    return found if blueprint.described is None else _described(found, blueprint)


def _caches(blueprint: Blueprint) -> tuple[CacheFolder, ...]:
    """Each folder once, and shared only if all say so."""
    found: dict[str, CacheFolder] = {}
    for layer in blueprint.layers:
        for cache in layer.setup.caches:
            known = found.get(cache.path, cache)
            found[cache.path] = CacheFolder(cache.path, shared=known.shared and cache.shared)
    return tuple(found[path] for path in sorted(found))


def _described(plan: Plan, blueprint: Blueprint) -> Plan:
    assert blueprint.described is not None
    selector = {**dockerfiles.nodes(blueprint.described), **plan.options.node_selector}
    options = replace(plan.options, node_selector=selector)
    plan = replace(plan, flags=dockerfiles.flags(blueprint.described), options=options)
    if not plan.options.is_cloned:
        return plan
    return replace(
        plan,
        dockerfile=f"{RECIPE}/{_DOCKERFILE}",
        commit=commits.unknown(plan.options),
        text=dockerfiles.completed(blueprint.described).dockerfile.text,
    )


def bases(blueprint: Blueprint) -> tuple[Reference, ...]:
    """The images that the Job pulls."""
    found = [blueprint.base.reference]
    if blueprint.described is not None:
        found = list(blueprint.described.bases)
    return tuple(parse(reference) for reference in found if reference != SCRATCH)
