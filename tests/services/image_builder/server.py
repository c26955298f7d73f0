"""The emulator behind HTTP, with an API to control it from outside."""

from __future__ import annotations

import functools
import json
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import msgspec

from .clock import ManualClock
from .emulator import Answer, Emulator
from .errors import Dropped
from .faults import AnyFault

CONTROL = "/_emulator/"


class ImageBuilder(Emulator):
    """EC2 Image Builder on a port of this machine, as long as the `with` lasts."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self._server = _Server((host, port), self)
        self.url = f"http://{host}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()
        if not self.clock.manual:
            threading.Thread(target=self._tick, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def client(self, region: str = "us-east-1", **options: Any) -> Any:
        """A boto3 client that talks to the emulator, without retries unless it is told otherwise."""
        from botocore.config import Config

        options.setdefault("config", Config(retries={"total_max_attempts": 1}))
        return _session().client("imagebuilder", region_name=region, endpoint_url=self.url, **options)

    def control(self, method: str, name: str, body: bytes) -> Any:
        """What a request to the control API does."""
        match method, name:
            case "GET", "requests":
                return [seen.told() for seen in self.requests]
            case "DELETE", "requests":
                self.requests.clear()
            case "GET", "faults":
                return msgspec.to_builtins(self.faults.all)
            case "POST", "faults":
                self.faults.add(msgspec.json.decode(body, type=AnyFault))
            case "DELETE", "faults":
                self.faults.clear()
            case "POST", "clock":
                if not isinstance(self.clock, ManualClock):
                    raise ValueError("the clock goes by itself; start the emulator with --manual-clock")
                self.clock.advance(float(json.loads(body)["seconds"]))
            case "GET", "clock":
                return {"now": self.clock.now(), "manual": self.clock.manual}
            case "POST", "reset":
                self.reset()
            case _:
                raise LookupError(f"{method} {CONTROL}{name} is nothing that the emulator can do")
        return {}

    def _tick(self) -> None:
        """Moves images on while nobody asks for them."""
        while not self._server.is_over:
            due = self.builds.due()
            wait = 0.1 if due is None else due - self.clock.now()
            time.sleep(min(max(wait, 0.005), 0.1))
            self.builds.advance()


@functools.cache
def _session() -> Any:
    """One for all clients, so that each model is read once."""
    import boto3

    return boto3.Session(aws_access_key_id="emulator", aws_secret_access_key="emulator")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], emulator: ImageBuilder) -> None:
        self.emulator, self.is_over = emulator, False
        super().__init__(address, _Handler)

    def server_close(self) -> None:
        self.is_over = True
        super().server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            self._send(self._answer(body))
        except Dropped:
            self.close_connection = True
        except (BrokenPipeError, ConnectionResetError):  # the client has gone
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815 - http.server's names

    def _answer(self, body: bytes) -> Answer:
        emulator, name = self.server.emulator, self.path.removeprefix(CONTROL)
        if name == self.path:
            headers = {key.title(): value for key, value in self.headers.items()}
            return emulator.answer(self.command, self.path, headers, body)
        try:
            return _control(200, emulator.control(self.command, name, body))
        except LookupError as error:
            return _control(404, {"error": str(error)})
        except (ValueError, TypeError, msgspec.MsgspecError) as error:
            return _control(400, {"error": str(error)})

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are kept, and not printed."""


def _control(status: int, values: Mapping[str, Any] | list[Any]) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(values).encode())
