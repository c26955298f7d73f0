"""Moto's server in this process, which remembers what it is asked and fails where it is told to."""

from __future__ import annotations

import functools
import io
import json
import re
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from . import images, registries, templates
from .registries import EcrRegistry

CONTROL = "/_amazon/faults"
_SIGNED = re.compile(r"Credential=[^/]+/[^/]+/([^/]+)/([^/]+)/")
_REFUSAL = "<Response><Errors><Error><Code>{}</Code><Message>{}</Message></Error></Errors></Response>"


@dataclass
class Fault:
    """What the cloud refuses: all of a region or one operation, so many times or until it is taken away."""

    code: str = "Unavailable"
    region: str = ""
    operation: str = ""
    status: int = 503
    message: str = "told to"
    times: int = -1


class Amazon:
    """The cloud. One for a process, as moto keeps all accounts in variables: see `running`."""

    def __init__(self, port: int = 0) -> None:
        images.extend(self)
        templates.extend()
        self._registries: dict[tuple[str, str], EcrRegistry] = {}
        registries.extend(self._registries)
        self.reset()
        self._serve(port)

    def reset(self) -> None:
        """Empties all accounts, and forgets faults and calls."""
        import_module("moto.moto_api._internal").moto_api_backend.reset()
        for registry in self._registries.values():
            registry.close()
        self._registries.clear()
        self.faults: list[Fault] = []
        self.calls: list[str] = []
        self.copies_take = 0.0  # seconds
        self.failing_copies: list[str] = []  # regions in which the next copy fails
        self.tokens: dict[tuple[str, str], tuple[str, str]] = {}  # region and token: the request, the AMI

    def _serve(self, port: int) -> None:
        from moto.moto_server.werkzeug_app import (
            DomainDispatcherApplication,
            MotoRequestHandler,
            create_backend_app,
        )
        from werkzeug.serving import make_server

        app = self._watched(DomainDispatcherApplication(create_backend_app))
        handler = _quiet(MotoRequestHandler)
        server: Any = make_server("127.0.0.1", port, app, threaded=True, request_handler=handler)
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def count(self, call: str) -> int:
        """How often something was asked, such as "ec2:CopyImage eu-west-1", or without the region."""
        return sum(each == call or each.partition(" ")[0] == call for each in self.calls)

    def registry(self, behind: str, region: str, account: str = "123456789012") -> EcrRegistry:
        """Lets ECR have a registry in a region, whose content another one keeps, at HOST:PORT."""
        made = self._registries[account, region] = EcrRegistry(account, region, behind)
        return made

    def advance_copies(self, region: str, percent: int = 100) -> None:
        """Lets so much of all that is being copied to a region be there."""
        accounts = import_module("moto.ec2.models").ec2_backends
        for account in list(accounts):
            for image in accounts[account][region].amis.values():
                if image.state == "pending":
                    image.ready_at = time.monotonic() + image.takes * (100 - percent) / 100

    def _watched(self, app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
        def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            if environ["PATH_INFO"] == CONTROL:
                return self._controlled(environ, start)
            region, service, operation, body = _asked(environ)
            environ["wsgi.input"] = io.BytesIO(body)
            if operation:
                self.calls.append(f"{service}:{operation} {region}")
            for fault in self.faults:
                if fault.times and fault.region in ("", region) and fault.operation in ("", operation):
                    fault.times -= 1
                    return _refused(fault, service, start)
            return app(environ, start)

        return answer

    def _controlled(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """From outside: POST adds a fault, DELETE takes all away."""
        if environ["REQUEST_METHOD"] == "POST":
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            self.faults.append(Fault(**json.loads(body)))
        elif environ["REQUEST_METHOD"] == "DELETE":
            self.faults.clear()
        start("200 OK", [("Content-Type", "application/json")])
        return [b"{}"]


@functools.cache
def running(amis: str) -> Amazon:
    """The cloud of this process, with the AMIs of a file that others have published. It ends with us."""
    module: Any = import_module("moto.ec2.models.amis")
    module.AMIS = json.loads(Path(amis).read_text())
    module.environ = {"MOTO_AMIS_PATH": amis}  # not the process's own, which other clouds inherit
    return Amazon()


def _asked(environ: dict[str, Any]) -> tuple[str, str, str, bytes]:
    """The region, service and operation of a request, and its body."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    signed = _SIGNED.search(environ.get("HTTP_AUTHORIZATION", ""))
    region, service = (signed[1], signed[2]) if signed else ("", "")
    target = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    named = (
        urllib.parse.parse_qs(body.decode(errors="replace")).get("Action", [""]) if not target else [target]
    )
    return region, service, named[0], body


def _refused(fault: Fault, service: str, start: Callable[..., Any]) -> Iterable[bytes]:
    is_xml = service in ("ec2", "sts")
    said = json.dumps({"__type": fault.code, "message": fault.message})
    text = _REFUSAL.format(fault.code, fault.message) if is_xml else said
    start(
        f"{fault.status} Refused", [("Content-Type", "text/xml" if is_xml else "application/x-amz-json-1.1")]
    )
    return [text.encode()]


def _quiet(handler: type[Any]) -> type[Any]:
    return type("Quiet", (handler,), {"log": lambda *_: None})
