"""POST /build: the context goes up in pieces, and what the engine says comes back line by line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import urlencode

from imgbake_docker.engine import Client
from imgbake_docker.local import Local


class Post:
    """One build. Its context is sent and its answer read in one thread, and cancelled from another."""

    def __init__(self, client: Client, parameters: dict[str, Any], context: Iterable[bytes]) -> None:
        """`parameters` are the query's, `context` the pieces of a tar."""
        self._client, self._parameters, self._pieces = client, parameters, context
        self._hang_up: Callable[[], None] | None = None
        self._is_cancelled = False

    def send(self, put: Callable[[dict[str, Any]], None]) -> None:
        """Hands over each message of the engine."""
        local = self._client.local
        for line in self._by_sdk() if local is None else self._at_socket(local):
            if line.strip():
                put(json.loads(line))

    def cancel(self) -> None:
        """Hangs up, upon which the engine ends the build and removes its container."""
        self._is_cancelled = True
        if self._hang_up is not None:
            self._hang_up()

    def _at_socket(self, local: Local) -> Iterator[bytes]:
        with local.working() as exchange:
            self._hang_up = exchange.hang_up
            exchange.ask("POST", f"/build?{urlencode(self._parameters)}", self._context())
            yield from exchange.lines()

    def _by_sdk(self) -> Iterator[bytes]:
        from docker.errors import APIError
        from docker.types import CancellableStream

        client = self._client
        response = client.post(
            f"{client.base_url}/v{client.api_version}/build",
            params=self._parameters,
            data=self._context(),
            headers={"Content-Type": "application/x-tar"},
            stream=True,
            timeout=None,
        )
        self._hang_up = CancellableStream(iter(()), response).close
        if response.status_code >= 400:
            said = response.json().get("message", "") if response.content else ""
            raise APIError(said, response=response, explanation=said or f"status {response.status_code}")
        yield from response.iter_lines()

    def _context(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if self._is_cancelled:
                raise ConnectionAbortedError("cancelled")
            yield piece
