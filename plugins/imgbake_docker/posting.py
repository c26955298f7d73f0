"""POST /build: the context goes up in pieces, and what the engine says comes back line by line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any, Protocol
from urllib.parse import urlencode

from imgbake.api import RunContext
from imgbake_docker.engine import Client
from imgbake_docker.following import follow
from imgbake_docker.local import Local

_TIMES = 5
_PASSED_BY = re.compile(r'unable to find image "?sha256:[0-9a-f]{64}"?')


class Told(Protocol):
    """Takes in what the engine says of a build."""

    image: str  # the id of what was built

    def hear(self, message: dict[str, Any]) -> None:
        """Raises StepError when the build has failed."""


def build(
    client: Client,
    parameters: dict[str, Any],
    context: Callable[[], Iterable[bytes]],
    told: Callable[[], Told],
    ctx: RunContext,
    timeout: float | None = None,
) -> str:
    """Builds, and returns the id of the image.

    Where somebody removes any image while the engine looks through its cache, it gives up, saying that it
    can't find that image: then it is asked again.
    """
    for times in range(1, _TIMES + 1):
        heard, post = told(), Post(client, parameters, context())
        with closing(follow(post.send, post.cancel, ctx, timeout)) as messages:
            for message in messages:
                if times < _TIMES and _PASSED_BY.search(str(message.get("error", ""))):
                    break
                heard.hear(message)
            else:
                return heard.image
    raise AssertionError("the last time raises or returns")


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
            # The SDK would use the connection again, although `cancel` may have hung up.
            headers={"Content-Type": "application/x-tar", "Connection": "close"},
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
