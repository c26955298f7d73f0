"""The engine's BuildKit, told what to build by a POST (/build?version=2).

buildx opens a session, in which BuildKit asks for files, secrets and passwords; that takes longer than a
small build does. What needs nothing of these is posted, context and all. BuildKit takes a posted context
apart into two more copies, so that a large one had better go by a session, too.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from imgbake.api import RunContext, StepError
from imgbake_docker import posting
from imgbake_docker.engine import Client
from imgbake_docker.tracing import Trace

LARGE = 1 << 20
"""Bytes of a context from which on it isn't posted."""

_TAIL = 20


def solve(
    client: Client,
    parameters: dict[str, Any],
    context: Callable[[], Iterable[bytes]],
    ctx: RunContext,
    timeout: float | None = None,
) -> str:
    """Builds, and returns the id of the image.

    `parameters` are the query's, as docker's API has them, `context` is a tar in pieces. Raises StepError
    with the last lines, as `buildx build --progress=plain` ends, and TimedOut after `timeout` seconds.
    """
    return posting.build(client, {"version": "2", **parameters}, context, lambda: _Told(ctx), ctx, timeout)


class _Told:
    """What BuildKit has said so far."""

    def __init__(self, ctx: RunContext) -> None:
        self.image = ""
        self._ctx = ctx
        self._trace = Trace()
        self._tail: deque[str] = deque(maxlen=_TAIL)

    def hear(self, message: dict[str, Any]) -> None:
        """Logs what is done and printed. Raises StepError when the build has failed."""
        match message:
            case {"error": str(error)}:
                failed = (f" > {self._trace.failed}:",) if self._trace.failed else ()
                raise StepError(error, tail=(*self._tail, *failed, f"ERROR: {error}"))
            case {"id": "moby.buildkit.trace", "aux": str(trace)}:
                for line in self._trace.hear(base64.b64decode(trace)):
                    self._tail.append(line)
                    self._ctx.log(line)
            case {"id": "moby.image.id", "aux": {"ID": str(image)}}:
                self.image = image
