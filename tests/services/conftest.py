"""A Kubernetes cluster: Debian's etcd, a real API server with its controllers, and a node on docker."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest

from imgbake.api import BakeError
from imgbake.testing import busybox
from imgbake_docker.engine import connected
from imgbake_kaniko.tests.in_cluster import InCluster

_CONTROLLERS = (
    "job-controller,garbage-collector-controller,serviceaccount-controller,ttl-after-finished-controller,"
    "persistentvolume-binder-controller,persistentvolume-protection-controller,"
    "persistentvolumeclaim-protection-controller"
)
_PROGRAMS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "docker-registry",
    "openssl",
    "kaniko-executor",
)
_TOKEN = "a-token-for-tests"
_STRANGER = "a-token-of-one-who-may-do-nothing"
_PORTS = random.Random()  # and not the one that a test run may have seeded
_RUN = secrets.token_hex(4)  # test runs side by side have images of their own
EXECUTOR, UPLOADER = f"imgbake-test/kaniko:{_RUN}", f"imgbake-test/busybox:{_RUN}"


class Cluster(NamedTuple):
    """A running cluster."""

    kubeconfig: Path
    registry: str  # host and port
    folder: Path
    executor: str  # images on the node
    uploader: str
    tokens: tuple[str, str] = (_TOKEN, _STRANGER)  # of one who may do everything, and of one who may not

    def objects(self, kind: str) -> list[Any]:
        """All objects of a kind, such as "pods", in the namespace `default`, or in none."""
        from imgbake_kaniko.cluster import kubeconfig
        from imgbake_kaniko.cluster.connection import Connection

        group = "apis/batch/v1" if kind == "jobs" else "api/v1"
        place = kind if kind == "persistentvolumes" else f"namespaces/default/{kind}"
        access = kubeconfig.access(environ={"KUBECONFIG": str(self.kubeconfig)})
        found: list[Any] = json.loads(Connection(access).read("GET", f"/{group}/{place}"))["items"]
        return found


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster, with a registry beside it, and Kaniko and busybox as images of its node."""
    for program in _PROGRAMS:
        if shutil.which(program) is None:
            _missing(f"{program} is not installed; `tests/services/build-tools` builds what Debian has not")
    folder = tmp_path_factory.mktemp("cluster")
    with contextlib.ExitStack() as stack:
        stack.enter_context(_images())
        api, etcd, peers, kubelet, registry = (_free_port() for _ in range(5))
        start = _Starter(folder, stack)
        start("etcd", *_etcd(folder, etcd, peers))
        _keys(folder)
        start("kube-apiserver", *_api_server(folder, api, etcd))
        start.wait_until(lambda: (folder / "apiserver.crt").exists() and _answers(api))
        config = _kubeconfig(folder, api)
        start("kube-controller-manager", *_controllers(folder, config))
        start("docker-registry", "serve", str(_registry(folder, registry)))
        start(sys.executable, str(Path(__file__).with_name("node.py")), config, folder / "node.pem", kubelet)
        made = Cluster(config, f"127.0.0.1:{registry}", folder, EXECUTOR, UPLOADER)
        start.wait_until(lambda: _is_ready(made) and _answers(registry) and _answers(kubelet))
        yield made


@pytest.fixture(scope="session")
def base(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Busybox in the registry."""
    try:
        layout = busybox.bake(tmp_path_factory.mktemp("busybox"))
    except FileNotFoundError as error:
        _missing(str(error))
    name = f"{cluster.registry}/busybox:1"
    copy = [
        "skopeo",
        "copy",
        "--quiet",
        "--dest-tls-verify=false",
        f"oci:{layout}:latest",
        f"docker://{name}",
    ]
    subprocess.run(copy, check=True)
    return name


@pytest.fixture
def project(tmp_path: Path, cluster: Any, base: str) -> InCluster:
    root = tmp_path / "shop"
    root.mkdir()
    return InCluster(root, cluster, base)


class _Starter:
    """Starts programs that end with the test run, and whose output is kept beside the cluster."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._started: dict[Path, subprocess.Popen[bytes]] = {}  # by its log

    def __call__(self, program: str, *args: object) -> None:
        name = Path(str(args[0])).stem if program == sys.executable else program
        path = self._folder / f"{name}.log"
        log = self._stack.enter_context(path.open("wb"))
        process = subprocess.Popen([program, *map(str, args)], stdout=log, stderr=log)
        self._started[path] = process
        self._stack.callback(_end, process)

    def wait_until(self, is_so: Callable[[], bool], seconds: float = 180) -> None:
        """Waits for what these programs do. Raises TimeoutError, also when one of them has ended."""
        until = time.monotonic() + seconds
        while not is_so():
            ended = [log for log, process in self._started.items() if process.poll() is not None]
            if ended or time.monotonic() > until:
                said = "\n".join(log.read_text(errors="replace")[-2000:] for log in ended)
                raise TimeoutError(f"the cluster did not come up\n{said}")
            time.sleep(0.2)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _etcd(folder: Path, port: int, peers: int) -> list[str]:
    client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peers}"
    return [
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
    ]


def _keys(folder: Path) -> None:
    """A key for service accounts, a certificate for the node, and a token for us."""
    key = folder / "account.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    certificate = ["-newkey", "rsa:2048", "-nodes", "-subj", "/CN=node", "-days", "2"]
    pem = folder / "node.pem"
    subprocess.run(
        ["openssl", "req", "-x509", *certificate, "-keyout", pem, "-out", folder / "node.crt"],
        check=True,
        capture_output=True,
    )
    pem.write_bytes(pem.read_bytes() + (folder / "node.crt").read_bytes())
    known = [f'{_TOKEN},tester,1,"system:masters"', f"{_STRANGER},stranger,2"]
    (folder / "tokens.csv").write_text("\n".join(known) + "\n")


def _api_server(folder: Path, port: int, etcd: int) -> list[str]:
    return [
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--cert-dir={folder}",
        "--service-cluster-ip-range=10.0.0.0/24",
        f"--service-account-key-file={folder / 'account.key'}",
        f"--service-account-signing-key-file={folder / 'account.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--kubelet-preferred-address-types=InternalIP",
        "--endpoint-reconciler-type=none",
    ]


def _controllers(folder: Path, kubeconfig: Path) -> list[str]:
    return [
        f"--kubeconfig={kubeconfig}",
        f"--controllers={_CONTROLLERS}",
        f"--service-account-private-key-file={folder / 'account.key'}",
        "--leader-elect=false",
        "--secure-port=0",
        "--pvclaimbinder-sync-period=1s",
    ]


def _kubeconfig(folder: Path, port: int) -> Path:
    authority = base64.b64encode((folder / "apiserver.crt").read_bytes()).decode()
    server = {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": authority}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": server}],
        "users": [{"name": "tester", "user": {"token": _TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "tester"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(document))
    return path


def _registry(folder: Path, port: int) -> Path:
    config = folder / "registry.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder / 'registry'}}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    return config


@contextlib.contextmanager
def _images() -> Iterator[None]:
    """Kaniko's executor and busybox, each alone in an image on the engine."""
    docker = pytest.importorskip("docker")
    busybox = shutil.which("busybox")
    if busybox is None:
        _missing("busybox is not installed")
    with contextlib.ExitStack() as opened:
        try:
            client = opened.enter_context(connected())
        except BakeError as error:
            _missing(str(error))
        executor = {"kaniko/executor": Path(shutil.which("kaniko-executor") or "")}
        changes = [
            'ENTRYPOINT ["/kaniko/executor"]',
            "ENV PATH=/kaniko",
            "ENV HOME=/root",
            "WORKDIR /workspace",
        ]
        _import(client, EXECUTOR, _tar(executor, ()), [*changes, "ENV DOCKER_CONFIG=/kaniko/.docker"])
        names = ("sh", "head", "tar", "touch", "sleep", "rm", "gunzip", "gzip", "ls")
        _import(client, UPLOADER, _tar({"bin/busybox": Path(busybox)}, names), ["ENV PATH=/bin"])
        yield
        for name in (EXECUTOR, UPLOADER):
            with contextlib.suppress(docker.errors.APIError):
                client.remove_image(name, force=True)


def _import(client: Any, name: str, data: bytes, changes: list[str]) -> None:
    repository, _, tag = name.partition(":")
    client.import_image_from_data(data, repository=repository, tag=tag, changes=changes)


def _tar(files: dict[str, Path], links: tuple[str, ...]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, path in files.items():
            member = tar.gettarinfo(path, name)
            member.mode, member.uid, member.gid, member.type = 0o755, 0, 0, tarfile.REGTYPE
            member.size = path.stat().st_size
            with path.open("rb") as content:
                tar.addfile(member, content)
        for name in links:
            member = tarfile.TarInfo(f"bin/{name}")
            member.type, member.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(member)
    return data.getvalue()


def _is_ready(cluster: Cluster) -> bool:
    """Can pods be made? They need the default service account."""
    from imgbake.api import BakeError

    with contextlib.suppress(BakeError):
        return bool(cluster.objects("serviceaccounts"))
    return False


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _free_port() -> int:
    """A port that nobody has, and none of those that clients are given, one of whom could take it first."""
    while True:
        with socket.socket() as free, contextlib.suppress(OSError):
            port = _PORTS.randrange(15000, 32000)
            free.bind(("127.0.0.1", port))
            return port


def _missing(what: str) -> NoReturn:
    if os.environ.get("IMGBAKE_REQUIRE_SERVICES"):
        pytest.fail(what)
    pytest.skip(what)
