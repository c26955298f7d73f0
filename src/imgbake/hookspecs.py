"""The doors a plugin may come in by. Hooks hand in classes and do nothing else; one of them acts.

A plugin is a module named by entry points of the group `imgbake`, one for each kind that it adds
(and one named `base` if it resolves bases, `command` if it adds commands, `observer` if it observes,
`copy` if `imgbake copy` can name its destinations; `base-squashfs` if it resolves bases of this kind
alone, so that it is imported for no other; `shelf-git` if it keeps streams at `git://…`; `trigger-chat`
if it adds the kind of trigger `chat`):

    [project.entry-points.imgbake]
    squashfs = "imgbake_squashfs"

It is imported when a recipe uses one of these names, and not before.
"""

from __future__ import annotations

from typing import Any

import pluggy

from imgbake.contract import (
    Artifact,
    Destination,
    Format,
    ResolveContext,
    Resolved,
    Runner,
    Shelf,
    Step,
    Target,
    Trigger,
)
from imgbake.events import Observer

hookspec = pluggy.HookspecMarker("imgbake")
hookimpl = pluggy.HookimplMarker("imgbake")


@hookspec
def imgbake_steps() -> list[type[Step]]:  # type: ignore[empty-body]  # a hook's specification has no body
    """Kinds of task."""


@hookspec
def imgbake_targets() -> list[type[Target]]:  # type: ignore[empty-body]  # as above
    """Ways of baking."""


@hookspec
def imgbake_formats() -> list[type[Format]]:  # type: ignore[empty-body]  # as above
    """Kinds of file, other tools', that describe an image."""


@hookspec
def imgbake_destinations() -> list[type[Destination]]:  # type: ignore[empty-body]  # as above
    """Places that finished images go to."""


@hookspec
def imgbake_runners() -> list[type[Runner]]:  # type: ignore[empty-body]  # as above
    """Where the commands of components run."""


@hookspec
def imgbake_shelves() -> list[type[Shelf]]:  # type: ignore[empty-body]  # as above
    """Places that image streams are kept in."""


@hookspec
def imgbake_triggers() -> list[type[Trigger]]:  # type: ignore[empty-body]  # as above
    """What can be done when a tag of an image stream has moved."""


@hookspec
def imgbake_observers() -> list[type[Observer]]:  # type: ignore[empty-body]  # as above
    """What wants to see every event. Made without arguments, once for each build."""


@hookspec
def imgbake_commands() -> list[tuple[str, object]]:  # type: ignore[empty-body]  # as above
    """Command groups: a name and the `typer.Typer` that becomes `imgbake NAME`."""


@hookspec(firstresult=True)
def imgbake_resolve(kind: str, reference: str, ctx: ResolveContext) -> Resolved | None:
    """Pins a base of this artifact kind ("container", "ami") to a digest; None if it is not ours.

    Called with what stands in the recipe's `base`. Raises BakeError when it can't be found.
    """


@hookspec(firstresult=True)
def imgbake_base_config(artifact: Artifact, platform: str, ctx: ResolveContext) -> dict[str, Any] | None:
    """What a base that was resolved says of how it is run (OCI image-spec, config.md); None if not ours.

    `platform` is os/architecture[/variant], or nothing for this machine's. Raises BakeError.
    """


@hookspec(firstresult=True)
def imgbake_base_facts(artifact: Artifact, ctx: ResolveContext) -> dict[str, Any] | None:
    """What is worth knowing of a base that was resolved, as JSON values for people; None if not ours.

    `platforms` are those that it has images for, with the digest of each where it is an index. Raises
    BakeError.
    """
