"""What all deliveries of one run share: connections, what is read of sources, and who has what."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from imgbake.api import Artifact, ResolveContext, RunContext, Turns, default_folder
from imgbake_copy.options import Options
from imgbake_oci.descriptor import Descriptor

if TYPE_CHECKING:  # all of HTTP and TLS, which reading a recipe doesn't need
    from imgbake_copy.content import Content
    from imgbake_copy.sources import Source
    from imgbake_oci.reference import Reference
    from imgbake_oci.registry import FilePart

Context = ResolveContext | RunContext


class Copier:
    """One for all nodes of a run. Safe from threads."""

    def __init__(self) -> None:
        from imgbake_copy.spool import Spools
        from imgbake_oci.registry import Client

        self.client = Client(remembering=default_folder() / "uploads")
        self.turns = Turns()
        self.held: dict[tuple[str, str], str] = {}  # host and digest to a repository there that has the blob
        self.seen: set[Reference] = set()  # manifests that were at their destinations, by digest
        self._spools = Spools()
        self._lock = threading.Lock()
        self._sources: dict[str, Source] = {}
        self._contents: dict[object, Content] = {}

    def source(self, artifact: Artifact, ctx: Context) -> Source:
        """Where the content of an artifact is read."""
        from imgbake_copy import sources
        from imgbake_oci.amazon import Registries

        with self._lock:
            name = artifact.reference
            if name not in self._sources:
                registries = ctx.shared(Registries)
                self._sources[name] = sources.opened(name, ctx.root, self.client, self._spools, registries)
            return self._sources[name]

    def content(self, artifact: Artifact, options: Options, ctx: Context) -> Content:
        """What is to be copied of an artifact, read once for all destinations that take the same of it."""
        from imgbake_copy import content

        key = (artifact.reference, artifact.digest, options.platforms, options.referrers)
        with self.turns.alone(key, ctx.check):
            if key not in self._contents:
                source = self.source(artifact, ctx)
                self._contents[key] = content.gather(
                    source, artifact.digest, options.chosen(), ctx.check, referrers=options.referrers
                )
            return self._contents[key]

    def settled(self, artifact: Artifact, options: Options, ctx: Context) -> Content | None:
        """The same of content that only moved files can change. A registry may list new referrers at any
        time: None then."""
        if options.referrers and self.source(artifact, ctx).repository is not None:
            return None
        return self.content(artifact, options, ctx)

    def part(self, artifact: Artifact, blob: Descriptor, ctx: RunContext) -> FilePart:
        """Where the bytes of a blob are, or come."""
        from imgbake_oci.registry import FilePart

        try:
            if ctx.blobs.has(blob.digest):
                return FilePart(ctx.blobs.path(blob.digest), 0, blob.size)
        except KeyError:
            pass
        return self.source(artifact, ctx).part(blob, ctx.blobs.scratch(), ctx.check)

    def close(self) -> None:
        """Ends what is under way, closes connections, removes what was spooled."""
        self._spools.close()
        self.client.close()
