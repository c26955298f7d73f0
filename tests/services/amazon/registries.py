"""ECR's registries: any registry behind passwords that ECR issues, its repositories, and fixed tags."""

from __future__ import annotations

import base64
import datetime
import fnmatch
import http.client
import json
import re
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

_PATH = re.compile(r"/v2/(?P<name>.+?)/(?:manifests|blobs|tags|referrers)(?:/(?P<reference>[^?/]+))?")
_OWN = ("authorization", "connection", "transfer-encoding")
_PIECE = 1 << 16


class EcrRegistry:
    """The registry of one account in one region, in front of another that keeps what is in it."""

    def __init__(self, account: str, region: str, behind: str) -> None:
        self.account, self.region, self.behind = account, region, behind
        self.passwords: set[str] = set()
        self.removed: set[tuple[str, str]] = set()  # tags: a registry may not be able to
        self.lifetime = 12 * 3600.0  # seconds of a password
        self.ends_after = 0  # requests, after which the first password is refused
        self._server = _Server(("127.0.0.1", 0), self)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()

    def issue(self) -> tuple[str, datetime.datetime]:
        """A new password, and when it ends."""
        password = secrets.token_hex(8)
        self.passwords.add(password)
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self.lifetime)
        return base64.b64encode(f"AWS:{password}".encode()).decode(), end

    def refusal(self, method: str, path: str, authorization: str) -> tuple[int, str, str] | None:
        """Why a request is refused: its status, and the code and words of the error."""
        password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")[2]
        if self.ends_after and password in self.passwords:
            self.ends_after -= 1
            self.passwords -= set() if self.ends_after else {password}
        if password not in self.passwords:
            return 401, "DENIED", "Your authorization token has expired. Reauthenticate and try again."
        found = _PATH.match(path)
        if found is None:
            return None
        name, reference = found["name"], found["reference"] or ""
        repository = self._repository(name)
        if repository is None:
            said = (
                f"The repository with name '{name}' does not exist in the registry with id '{self.account}'"
            )
            return 404, "NAME_UNKNOWN", said
        if "/manifests/" not in path or ":" in reference:
            return None
        if method == "PUT" and self._is_fixed(repository, reference) and self._has(path, authorization):
            said = f"The image tag '{reference}' already exists in the '{name}' repository"
            return 400, "TAG_INVALID", f"{said} and cannot be overwritten because the tag is immutable."
        if method == "PUT":
            self.removed.discard((name, reference))
        return (404, "MANIFEST_UNKNOWN", "no such tag") if (name, reference) in self.removed else None

    def _repository(self, name: str) -> Any:
        return import_module("moto.ecr.models").ecr_backends[self.account][self.region].repositories.get(name)

    def _is_fixed(self, repository: Any, tag: str) -> bool:
        filters = getattr(repository, "image_tag_mutability_exclusion_filters", None) or ()
        is_left_out = any(fnmatch.fnmatchcase(tag, each["filter"]) for each in filters)
        return str(repository.image_tag_mutability).startswith("IMMUTABLE") and not is_left_out

    def _has(self, path: str, authorization: str) -> bool:
        connection = http.client.HTTPConnection(self.behind)
        connection.request("HEAD", path, headers={"Accept": "*/*"})
        status = connection.getresponse().status
        connection.close()
        return status == 200


def extend(registries: dict[tuple[str, str], EcrRegistry]) -> None:
    """Lets moto's ECR issue passwords for these registries, and remove tags there. Once for a process."""
    responses: Any = import_module("moto.ecr.responses").ECRResponse
    answer, remove = responses.get_authorization_token, responses.batch_delete_image
    results: Any = import_module("moto.core.responses")

    def get_authorization_token(self: Any) -> Any:
        registry = registries.get((self.current_account, self.region))
        if registry is None:
            return answer(self)
        token, end = registry.issue()
        said = {"authorizationToken": token, "expiresAt": end, "proxyEndpoint": f"http://{registry.host}"}
        return results.ActionResult({"authorizationData": [said]})

    def batch_delete_image(self: Any) -> Any:
        registry = registries.get((self.current_account, self.region))
        if registry is None:
            return remove(self)
        for each in self._get_param("imageIds"):
            registry.removed.add((self._get_param("repositoryName"), each["imageTag"]))
        return results.ActionResult({"imageIds": self._get_param("imageIds"), "failures": []})

    responses.get_authorization_token = get_authorization_token
    responses.batch_delete_image = batch_delete_image


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], registry: EcrRegistry) -> None:
        self.registry = registry
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.0"  # so who tries TLS first learns that it is not spoken here
    disable_nagle_algorithm = True
    server: _Server

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        refused = self.server.registry.refusal(self.command, self.path, self.headers.get("Authorization", ""))
        if refused is None:
            self._forward(length)
            return
        while length > 0:
            length -= len(self.rfile.read(min(length, _PIECE)))
        status, code, message = refused
        challenge = {"WWW-Authenticate": f'Basic realm="http://{self.server.registry.host}/",service="ecr"'}
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self._send(status, challenge if status == 401 else {}, len(body), [body])

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - http.server's names

    def _forward(self, length: int) -> None:
        connection = http.client.HTTPConnection(self.server.registry.behind)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _OWN:
                connection.putheader(name, value)
        connection.endheaders()
        while length > 0:
            piece = self.rfile.read(min(length, _PIECE))
            length -= len(piece)
            connection.send(piece)
        answer = connection.getresponse()
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in _OWN}
        if "Location" in headers:  # wherever it thinks that it is
            parts = urlsplit(headers["Location"])
            headers["Location"] = parts._replace(scheme="", netloc="").geturl()
        data = answer.read()
        size = int(headers.pop("Content-Length", len(data)))
        self._send(answer.status, headers, size, [data])
        connection.close()

    def _send(self, status: int, headers: dict[str, str], size: int, pieces: list[bytes]) -> None:
        self.send_response_only(status)
        for name, value in {**headers, "Content-Length": str(size)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            for piece in pieces:
                self.wfile.write(piece)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""
