"""What a file of another tool's may look at while it is found out what its build takes, and what decides.

Images that it takes are resolved and pinned as bases of the recipe are, each once in a build. What a
resolved image says of itself is remembered by its digest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from imgbake.contract import Artifact, Described, Format, Part, Resolved, Target, Tree
from imgbake.engine import bases, fingerprint
from imgbake.engine.context import Looking
from imgbake.engine.graph import IMAGE, Node
from imgbake.engine.project import Project
from imgbake.engine.secrets import without_passwords
from imgbake.errors import BakeError, Interrupted, PluginError
from imgbake.streams import PREFIX as STREAM

_CONFIGS = 1  # moved when what is remembered of images changes its form


class Describing(Looking):
    """A DescribingContext. What it finds out about the world counts for the `outer` context."""

    def __init__(
        self, project: Project, node: Node, target: Target, images: Mapping[str, Artifact], outer: Looking
    ) -> None:
        """`images` are those of the recipe that the node stands on, by name."""
        super().__init__(project, node)
        self.noted = outer.noted
        self._target = target
        self._images = images
        self._outer = outer
        self.moving: dict[str, str] = {}  # references that a lock file can hold, and what they are now

    def volatile(self) -> None:
        self._outer.volatile()

    def pinned(self, table: str, key: str) -> str | None:
        return self._outer.pinned(table, key)

    def watch(self, path: str) -> None:
        self._project.watch(path)

    def exact(self, paths: Sequence[str]) -> Tree:
        return self._project.files.as_they_are(paths)

    def base(self, reference: str) -> Artifact:
        if reference.startswith(IMAGE):
            return self._images[reference.removeprefix(IMAGE)]
        own, unasked = (None, None) if reference.startswith(STREAM) else self._own(reference)
        try:
            resolved = own or self._resolved(reference)
        except BakeError as error:
            if unasked is None or isinstance(error, Interrupted | PluginError):
                raise
            raise BakeError(f"{unasked.placed}; {error.placed}", hint=unasked.hint) from None
        if resolved.volatile:
            self.volatile()
            if own is None and not reference.startswith(STREAM):
                self.moving[reference] = resolved.artifact.digest
        for path in resolved.local:
            self._project.watch(path)
        return resolved.artifact

    def base_config(self, base: Artifact, platform: str) -> dict[str, Any] | None:
        if "config" in base.facts:
            return dict(base.facts["config"])
        key = fingerprint.of([Part("config of a base", f"{_CONFIGS} {base.digest} {platform}")])
        known = self._project.remembered(key)
        if known is None:
            found = self._project.plugins.base_config(base, platform, self)
            if found is None:
                return None
            known = Artifact("config", digest=base.digest, facts={"config": found})
            self._project.remember(key, known)
        return dict(known.facts["config"])

    def _own(self, reference: str) -> tuple[Resolved | None, BakeError | None]:
        """The image, if only the target has it; or why it can't tell."""
        ask = getattr(self._target, "base", None)
        try:
            return (ask(reference, self) if ask is not None else None), None
        except (Interrupted, PluginError):
            raise
        except BakeError as error:
            return None, error

    def _resolved(self, reference: str) -> Resolved:
        kind, known = self._target.artifact, self._project.resolved
        key = (kind, reference, type(self._outer).__name__)
        with self._project.turns.alone("\0".join(key), lambda: None):
            if key not in known:
                known[key] = bases.resolve(kind, reference, self._project, self)
            return known[key]


def parts(described: Described, format: Format | None) -> Iterator[Part]:
    """What decides of a described image besides what its target lowers it to."""
    if format is not None:
        yield Part("format", f"{format.kind} {format.version}")
    for name, value in described.args.items():
        yield Part(f"arg {name}", value)
    for reference, base in described.bases.items():
        yield Part(f"base {without_passwords(reference)}", base.digest)
    for entry in described.files.entries:
        yield Part(f"file {entry.source or entry.path}", entry.value())
