"""The verbs of the API, for the kinds of object that the target makes."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from imgbake_kaniko.cluster.channel import Channel
from imgbake_kaniko.cluster.connection import Connection, Refused
from imgbake_tasks import http_connection

Object = dict[str, Any]

_PLACES = {
    "PersistentVolume": "/api/v1/persistentvolumes",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "Event": "/api/v1/namespaces/{}/events",
}
_PATCH = "application/merge-patch+json"


class Client:
    """Objects of one namespace, and PersistentVolumes. Every method raises BakeError."""

    def __init__(self, connection: Connection, namespace: str) -> None:
        self._connection, self._namespace = connection, namespace

    def steadfast(self) -> Client:
        """The same for what must be done although the step stops."""
        return Client(self._connection.steadfast(), self._namespace)

    @property
    def server(self) -> str:
        """The address of the cluster."""
        return self._connection.server

    def create(self, manifest: Mapping[str, Any]) -> Object:
        """Makes an object, and returns it as the cluster knows it."""
        body = msgspec.json.encode(manifest)
        return _object(self._connection.read("POST", self._place(str(manifest["kind"])), body))

    def find(self, kind: str, name: str) -> Object | None:
        """An object, if it is there."""
        try:
            return _object(self._connection.read("GET", self._place(kind, name)))
        except Refused as error:
            if error.status == http.client.NOT_FOUND:
                return None
            raise

    def list(self, kind: str, *, labels: str = "", fields: str = "") -> Sequence[Object]:
        """The objects of a kind that have these labels and fields."""
        query = {"labelSelector": labels, "fieldSelector": fields}
        path = self._place(kind) + "?" + urlencode({key: value for key, value in query.items() if value})
        return list(_object(self._connection.read("GET", path))["items"])

    def change(self, kind: str, name: str, patch: Mapping[str, Any]) -> Object:
        """Merges a patch into an object (RFC 7386)."""
        body = msgspec.json.encode(patch)
        return _object(self._connection.read("PATCH", self._place(kind, name), body, _PATCH))

    def delete(self, kind: str, name: str, *, grace: int | None = None) -> None:
        """Removes an object, and in the background what it owns. It is no error when it is gone."""
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        try:
            self._connection.read("DELETE", self._place(kind, name), msgspec.json.encode(options))
        except Refused as error:
            if error.status != http.client.NOT_FOUND:
                raise

    def log(self, pod: str, container: str) -> Log:
        """What a container prints, from its beginning, while it runs."""
        query = urlencode({"container": container, "follow": "true"})
        path = f"{self._place('Pod', pod)}/log?{query}"
        return Log(*self._connection.send("GET", path, may_be_silent=True))

    def execute(self, pod: str, container: str, command: Sequence[str]) -> Channel:
        """Runs a command in a container."""
        said = [("container", container), ("stdin", "true"), ("stdout", "true"), ("stderr", "true")]
        query = urlencode([*said, *(("command", word) for word in command)])
        return Channel(self._connection, f"{self._place('Pod', pod)}/exec?{query}")

    def attach(self, pod: str, container: str) -> Channel:
        """The stdin of a container."""
        query = urlencode({"container": container, "stdin": "true", "stdout": "true", "stderr": "true"})
        return Channel(self._connection, f"{self._place('Pod', pod)}/attach?{query}")

    def _place(self, kind: str, name: str = "") -> str:
        path = _PLACES[kind].format(quote(self._namespace, safe=""))
        return f"{path}/{quote(name, safe='')}" if name else path


class Log:
    """An open log. Read by one thread, and closed by another."""

    def __init__(self, connection: http_connection.Connection, response: http.client.HTTPResponse) -> None:
        self._connection, self._response = connection, response

    def __iter__(self) -> Iterator[str]:
        with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
            for line in self._response:
                yield line.decode("utf-8", "replace").rstrip("\r\n")
        # A log that breaks off is no failure: what the container did is asked of its pod.

    def close(self) -> None:
        """Ends it, also while another thread waits for a line."""
        self._connection.end()
        self._response.close()


def _object(data: bytes) -> Object:
    found: Object = msgspec.json.decode(data)
    return found
