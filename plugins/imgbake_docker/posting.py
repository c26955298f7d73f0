"""POST /build: the context goes up in pieces, and what the engine says comes back line by line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from imgbake_docker.engine import Client


class Post:
    """One build. Its context is sent and its answer read in one thread, and cancelled from another."""

    def __init__(self, client: Client, parameters: dict[str, Any], context: Iterable[bytes]) -> None:
        """`parameters` are the query's, `context` the pieces of a tar."""
        self._client, self._parameters, self._pieces = client, parameters, context
        self._response: Any = None
        self._is_cancelled = False

    def send(self, put: Callable[[dict[str, Any]], None]) -> None:
        """Hands over each message of the engine."""
        from docker.errors import APIError

        client = self._client
        self._response = response = client.post(
            f"{client.base_url}/v{client.api_version}/build",
            params=self._parameters,
            data=self._context(),
            headers={"Content-Type": "application/x-tar"},
            stream=True,
            timeout=None,
        )
        if response.status_code >= 400:
            said = response.json().get("message", "") if response.content else ""
            raise APIError(said, response=response, explanation=said or f"status {response.status_code}")
        for line in response.iter_lines():
            if line:
                put(json.loads(line))

    def cancel(self) -> None:
        """Hangs up, upon which the engine ends the build and removes its container."""
        from docker.types import CancellableStream

        self._is_cancelled = True
        if self._response is not None:
            CancellableStream(iter(()), self._response).close()

    def _context(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if self._is_cancelled:
                raise ConnectionAbortedError("cancelled")
            yield piece
