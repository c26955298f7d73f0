"""A node of a Kubernetes cluster, as small as Jobs need it: takes pods, and runs them on docker.

    python node.py KUBECONFIG CERTIFICATE PORT      CERTIFICATE is PEM, with its key

What a kubelet and a scheduler do, for one node: pods are bound, their volumes (claims of hostPath, secrets)
are mounted, init containers and containers run one after the other on the docker engine, their states are
told, and `log`, `exec` and `attach` are served to the API server. No probes, no restarts, no networks: pods
have the machine's. A pod that asks for a label that the node has not is told to be unschedulable.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import datetime
import hashlib
import http.server
import json
import os
import shutil
import signal
import socket
import ssl
import struct
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import docker
import requests.exceptions
from docker.errors import APIError, ImageNotFound

from imgbake_dockerfile import platforms
from imgbake_kaniko.cluster import kubeconfig
from imgbake_kaniko.cluster.connection import Connection, Refused

NAME = "node"
LABELS = {"kubernetes.io/hostname": NAME, "kubernetes.io/arch": platforms.host().architecture}
LOOK_EVERY = 0.2
PULLED = set[str]()  # images that are on the engine because of us
Object = dict[str, Any]
STATUS = "application/merge-patch+json"


def engine(timeout: int | None = 60) -> Any:
    """A client of the engine that the environment names, as docker's own commands find it."""
    return docker.APIClient(timeout=timeout, **docker.utils.kwargs_from_env())


class Api:
    """The API server, as the node asks it."""

    def __init__(self) -> None:
        self._connection = Connection(kubeconfig.access())

    def call(self, method: str, path: str, body: Object | None = None, content: str = "") -> Object:
        data = None if body is None else json.dumps(body).encode()
        found: Object = json.loads(self._connection.read(method, path, data, content))
        return found

    def register(self, port: int) -> None:
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": NAME, "labels": LABELS},
            "status": {
                "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
                "conditions": [ready],
            },
        }
        self.call("POST", "/api/v1/nodes", node)
        self.call("PATCH", f"/api/v1/nodes/{NAME}/status", {"status": node["status"]}, STATUS)


class Pod:
    """One pod on the node, from when it is bound until it is removed."""

    def __init__(self, api: Api, engine: Any, pod: Object) -> None:
        self.api, self.engine, self.pod = api, engine, pod
        self.name, self.namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        self.path = f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"
        self.folder = Path(tempfile.mkdtemp(prefix="imgbake-node-"))
        self.containers: dict[str, str] = {}  # name to docker's id
        self.states: dict[str, Object] = {}
        self.is_doomed = False

    def run(self) -> None:
        try:
            self.tell("Pending")
            for kind in ("initContainers", "containers"):
                for container in self.pod["spec"].get(kind, ()):
                    if not self.run_container(container):
                        self.tell("Failed")
                        return
            self.tell("Succeeded")
        except Doomed:
            return
        except Exception as error:  # noqa: BLE001  # what a node can't do is told, as a kubelet would
            print(f"{self.name}: {error!r}", file=sys.stderr)
            self.tell("Failed", "NodeError", str(error))

    def run_container(self, container: Object) -> bool:
        name = container["name"]
        if not self.has_image(container["image"]):
            why = f'Back-off pulling image "{container["image"]}"'
            self.states[name] = {"waiting": {"reason": "ImagePullBackOff", "message": why}}
            self.tell("Pending")
            while not self.is_doomed:
                time.sleep(LOOK_EVERY)
            raise Doomed
        said = self.folder / f"{name}-said"
        said.touch()
        made = self.make(container, said)
        self.containers[name] = made
        if container.get("stdin"):
            self.start_when_attached(made)
        else:
            self.engine.start(made)
        self.states[name] = {"running": {"startedAt": now()}}
        self.tell("Running" if container in self.pod["spec"]["containers"] else "Pending")
        code = self.ended(made)
        was_killed = self.engine.inspect_container(made)["State"]["OOMKilled"]
        reason = "OOMKilled" if was_killed else "Error" if code else "Completed"
        ended = {"exitCode": code, "reason": reason, "message": said.read_text(), "finishedAt": now()}
        self.states[name] = {"terminated": ended}
        self.tell("Running" if container in self.pod["spec"]["containers"] else "Pending")
        return code == 0

    def ended(self, container: str) -> int:
        while True:
            if self.is_doomed:
                raise Doomed
            with contextlib.suppress(requests.exceptions.RequestException):
                return int(self.engine.wait(container, timeout=1)["StatusCode"])

    def start_when_attached(self, container: str) -> None:
        self.engine.start(container)

    def has_image(self, image: str) -> bool:
        try:
            self.engine.inspect_image(image)
        except ImageNotFound:
            if not image.startswith("127.0.0.1:"):
                return False
            try:
                self.engine.pull(image)
            except APIError:
                return False
            PULLED.add(image)
        return True

    def make(self, container: Object, said: Path) -> str:
        binds = [f"{said}:{container.get('terminationMessagePath', '/dev/termination-log')}"]
        for mount in container.get("volumeMounts", ()):
            source = self.volume(mount["name"])
            if mount.get("subPath"):
                source.mkdir(parents=True, exist_ok=True)
                mode, source = source.stat().st_mode & 0o7777, source / mount["subPath"]
                if not source.is_dir():
                    source.mkdir(parents=True)
                    source.chmod(mode)  # as a kubelet does it
            binds.append(f"{source}:{mount['mountPath']}" + (":ro" if mount.get("readOnly") else ""))
        user = container.get("securityContext", {}).get("runAsUser")
        host = self.engine.create_host_config(network_mode="host", binds=binds, mem_limit=memory(container))
        made = self.engine.create_container(
            container["image"],
            entrypoint=container.get("command"),
            command=container.get("args"),
            environment=self.environment(container),
            working_dir=container.get("workingDir"),
            user=None if user is None else str(user),
            stdin_open=container.get("stdin", False),
            host_config=host,
        )
        return str(made["Id"])

    def environment(self, container: Object) -> dict[str, str]:
        found = {}
        for each in container.get("env", ()):
            if "valueFrom" in each:
                asked = each["valueFrom"]["secretKeyRef"]
                found[each["name"]] = self.secret(asked["name"])[asked["key"]].decode()
            else:
                found[each["name"]] = each.get("value", "")
        return found

    def volume(self, name: str) -> Path:
        volume = next(each for each in self.pod["spec"]["volumes"] if each["name"] == name)
        if "secret" in volume:
            folder = self.folder / name
            folder.mkdir(exist_ok=True)
            secret = self.secret(volume["secret"]["secretName"])
            for item in volume["secret"]["items"]:
                (folder / item["path"]).write_bytes(secret[item["key"]])
                (folder / item["path"]).chmod(volume["secret"].get("defaultMode", 0o644))
            return folder
        if "emptyDir" in volume:
            folder = self.folder / name
            folder.mkdir(exist_ok=True)
            folder.chmod(0o777)
            return folder
        claim = volume["persistentVolumeClaim"]["claimName"]
        found = self.api.call("GET", f"/api/v1/namespaces/{self.namespace}/persistentvolumeclaims/{claim}")
        bound = self.api.call("GET", f"/api/v1/persistentvolumes/{found['spec']['volumeName']}")
        return Path(bound["spec"]["hostPath"]["path"])

    def secret(self, name: str) -> dict[str, bytes]:
        found = self.api.call("GET", f"/api/v1/namespaces/{self.namespace}/secrets/{name}")
        return {key: base64.b64decode(value) for key, value in found["data"].items()}

    def tell(self, phase: str, reason: str = "", message: str = "") -> None:
        """Tells the API how the pod is."""
        status: Object = {"phase": phase, "startTime": now(), "reason": reason, "message": message}
        for kind, key in (
            ("initContainers", "initContainerStatuses"),
            ("containers", "containerStatuses"),
        ):
            status[key] = [self.container_status(each) for each in self.pod["spec"].get(kind, ())]
        with contextlib.suppress(Refused):
            self.api.call("PATCH", f"{self.path}/status", {"status": status}, STATUS)

    def container_status(self, container: Object) -> Object:
        waiting = {"waiting": {"reason": "PodInitializing"}}
        return {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "ready": False,
            "restartCount": 0,
            "state": self.states.get(container["name"], waiting),
        }

    def remove(self) -> None:
        """Ends and forgets it, here and in the API."""
        self.end()
        with contextlib.suppress(Refused):
            self.api.call("DELETE", self.path, {"gracePeriodSeconds": 0})

    def end(self) -> None:
        """Ends it here, and removes what it left."""
        self.is_doomed = True
        for container in self.containers.values():
            with contextlib.suppress(APIError):
                self.engine.remove_container(container, force=True, v=True)
        shutil.rmtree(self.folder, ignore_errors=True)


class Doomed(Exception):
    """The pod is being removed."""


class Node:
    """All pods of the node."""

    def __init__(self, api: Api) -> None:
        self.api, self.pods = api, dict[str, Pod]()

    def look(self) -> None:
        found = {each["metadata"]["uid"]: each for each in self.api.call("GET", "/api/v1/pods")["items"]}
        for uid, pod in found.items():
            if pod["metadata"].get("deletionTimestamp"):
                known = self.pods.pop(uid, None) or Pod(self.api, engine(), pod)
                known.remove()
            elif uid not in self.pods and self.is_ready(pod):
                self.pods[uid] = Pod(self.api, engine(timeout=3600), pod)
                threading.Thread(target=self.pods[uid].run, daemon=True).start()
        for uid in self.pods.keys() - found.keys():
            self.pods.pop(uid).remove()

    def leave(self) -> None:
        """Ends all containers, whatever the API knows of it, and removes what was pulled for them."""
        for pod in self.pods.values():
            pod.end()
        for image in PULLED:
            with contextlib.suppress(APIError):
                engine().remove_image(image, force=True)

    def is_ready(self, pod: Object) -> bool:
        """Binds a pod that is bound nowhere, unless something is missing."""
        if pod["spec"].get("nodeName"):
            return True
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
        if why := self.obstacle(pod):
            condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why}
            self.api.call("PATCH", f"{path}/status", {"status": {"conditions": [condition]}}, STATUS)
            return False
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod["metadata"]["name"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": NAME},
        }
        with contextlib.suppress(Refused):
            self.api.call("POST", f"{path}/binding", binding)
        return False  # it is looked at again, bound

    def obstacle(self, pod: Object) -> str:
        selected = pod["spec"].get("nodeSelector", {})
        if not selected.items() <= LABELS.items():
            return "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
        for volume in pod["spec"].get("volumes", ()):
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if not claim:
                continue
            namespace = pod["metadata"]["namespace"]
            found = self.api.call("GET", f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}")
            if found["status"].get("phase") != "Bound":
                return "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."
        return ""

    def named(self, namespace: str, name: str) -> Pod | None:
        return next(
            (pod for pod in self.pods.values() if (pod.namespace, pod.name) == (namespace, name)), None
        )


class Kubelet(http.server.BaseHTTPRequestHandler):
    """What the API server asks of a node: logs, and channels into containers."""

    protocol_version = "HTTP/1.1"
    node: Node

    def do_GET(self) -> None:  # the name that http.server wants
        url = urlsplit(self.path)
        verb, namespace, name, container = url.path.strip("/").split("/")
        pod = self.node.named(namespace, name)
        if pod is None or container not in pod.containers:
            self.send_error(404)
            return
        query = parse_qs(url.query)
        {"containerLogs": self.log, "exec": self.execute, "attach": self.attach}[verb](
            pod.containers[container], query
        )

    do_POST = do_GET  # noqa: N815  # as above

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""

    def log(self, container: str, query: dict[str, list[str]]) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with contextlib.suppress(OSError, APIError):
            for piece in engine(timeout=None).logs(container, stream=True, follow=bool(query.get("follow"))):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")

    def execute(self, container: str, query: dict[str, list[str]]) -> None:
        client = engine(timeout=None)
        made = client.exec_create(container, query["command"], stdin=True)["Id"]
        self.upgrade()
        self.join(client.exec_start(made, socket=True)._sock)
        code = client.exec_inspect(made)["ExitCode"]
        status: Object = {"metadata": {}, "status": "Success"}
        if code:
            status |= {"status": "Failure", "reason": "NonZeroExitCode"}
            status["message"] = f"command terminated with non-zero exit code: exit status {code}"
        self.frame(2, b"\x03" + json.dumps(status).encode())
        self.frame(8, struct.pack(">H", 1000))
        self.close_connection = True

    def attach(self, container: str, query: dict[str, list[str]]) -> None:
        self.upgrade()
        params = {"stdin": 1, "stream": 1, "stdout": 1, "stderr": 1}
        self.join(engine(timeout=None).attach_socket(container, params)._sock)
        self.close_connection = True

    def upgrade(self) -> None:
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.send_response(101)
        for name, value in (
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", accept),
            ("Sec-WebSocket-Protocol", "v4.channel.k8s.io"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()

    def join(self, other: socket.socket) -> None:
        """Moves stdin to a process on the engine, and what it prints back, until it has ended."""
        other.settimeout(None)

        def feed() -> None:
            with contextlib.suppress(OSError):
                while (data := self.message()) is not None:
                    if data[:1] == b"\0":
                        other.sendall(data[1:])
            with contextlib.suppress(OSError):
                other.shutdown(socket.SHUT_WR)

        threading.Thread(target=feed, daemon=True).start()
        stream = other.makefile("rb")
        while len(head := stream.read(8)) == 8:
            data = stream.read(struct.unpack(">I", head[4:])[0])
            self.frame(2, head[:1] + data)

    def frame(self, kind: int, data: bytes) -> None:
        size = bytes([len(data)]) if len(data) < 126 else b"\x7f" + struct.pack(">Q", len(data))
        self.wfile.write(bytes([0x80 | kind]) + size + data)
        self.wfile.flush()

    def message(self) -> bytes | None:
        """One frame from the API server, which sends them whole; None when it closes."""
        head = self.rfile.read(2)
        if len(head) < 2 or head[0] & 0x0F == 8:
            return None
        size = head[1] & 0x7F
        if size >= 126:
            size = int.from_bytes(self.rfile.read(2 if size == 126 else 8), "big")
        mask = self.rfile.read(4)
        data = self.rfile.read(size)
        return data if not any(mask) else bytes(byte ^ mask[n % 4] for n, byte in enumerate(data))


def memory(container: Object) -> int | None:
    said = container.get("resources", {}).get("limits", {}).get("memory")
    if said is None:
        return None
    return int(said[:-2]) << {"Ki": 10, "Mi": 20, "Gi": 30}[said[-2:]]


def now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def main(config: str, certificate: str, port: str) -> None:
    os.environ["KUBECONFIG"] = config
    api = Api()
    node = Node(api)
    Kubelet.node = node
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Kubelet)
    server.daemon_threads = True
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    api.register(int(port))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    atexit.register(node.leave)
    while True:
        try:
            node.look()
        except Exception as error:  # noqa: BLE001  # a node goes on
            print(f"node: {error!r}", file=sys.stderr, flush=True)
        time.sleep(LOOK_EVERY)


if __name__ == "__main__":
    main(*sys.argv[1:])
