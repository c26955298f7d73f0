"""Where the cluster is and who we are there, as kubectl finds it.

KUBECONFIG (several files, the first that says something counts), else ~/.kube/config, else the service
account of the pod that we run in.
"""

from __future__ import annotations

import base64
import binascii
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from imgbake.api import BakeError

T = TypeVar("T")

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_PLUGIN_SECONDS = 60
_EXEC_API = "client.authentication.k8s.io/"


class _Cluster(msgspec.Struct, frozen=True, rename="kebab"):
    server: str = ""
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""


class _Variable(msgspec.Struct, frozen=True):
    name: str
    value: str = ""


class _Exec(msgspec.Struct, frozen=True):
    command: str
    api_version: str = msgspec.field(name="apiVersion")
    args: list[str] | None = None
    env: list[_Variable] | None = None


class _User(msgspec.Struct, frozen=True, rename="kebab"):
    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    token: str = ""
    token_file: str = msgspec.field(default="", name="tokenFile")
    username: str = ""
    password: str = ""
    exec: _Exec | None = None


class _Context(msgspec.Struct, frozen=True):
    cluster: str = ""
    user: str = ""


class _Named(msgspec.Struct, frozen=True):
    name: str
    cluster: _Cluster | None = None
    user: _User | None = None
    context: _Context | None = None


class _File(msgspec.Struct, frozen=True):
    current: str | None = msgspec.field(default=None, name="current-context")
    clusters: list[_Named] | None = None
    users: list[_Named] | None = None
    contexts: list[_Named] | None = None


class Access(msgspec.Struct, frozen=True):
    """A cluster and an identity. Certificates and keys are PEM. Never shows its secrets."""

    server: str
    authority: str = ""
    certificate: str = ""
    key: str = ""
    authorization: str = ""
    is_verified: bool = True
    server_name: str = ""

    def __repr__(self) -> str:
        return f"Access({self.server!r})"


def access(context: str = "", environ: Mapping[str, str] = os.environ) -> Access:
    """The access of a context, or of the current one. Raises BakeError."""
    files = [path for path in _paths(environ) if path.is_file()]
    if not files and not context and (_ACCOUNT / "token").is_file():
        return _in_cluster(environ)
    if not files:
        hint = "name a kubeconfig with KUBECONFIG, or run in a pod of the cluster"
        raise BakeError("no Kubernetes cluster is known here: there is no kubeconfig", hint=hint)
    read = [(_read(path), path.parent) for path in files]
    name = context or next((file.current for file, _ in read if file.current), "")
    if not name:
        raise BakeError("the kubeconfig has no current context", hint="write `kube_context` on the target")
    return _access(name, read)


def _paths(environ: Mapping[str, str]) -> list[Path]:
    if said := environ.get("KUBECONFIG"):
        return [Path(path) for path in said.split(os.pathsep) if path]
    return [Path(environ.get("HOME", "/")) / ".kube/config"]


def _in_cluster(environ: Mapping[str, str]) -> Access:
    host = environ.get("KUBERNETES_SERVICE_HOST", "kubernetes.default.svc")
    port = environ.get("KUBERNETES_SERVICE_PORT", "443")
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    token = (_ACCOUNT / "token").read_text().strip()
    return Access(server, (_ACCOUNT / "ca.crt").read_text(), authorization=f"Bearer {token}")


def _read(path: Path) -> _File:
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BakeError(f"{path}: can't be read: {error}") from None
    try:
        return msgspec.convert(_parsed(text, path), _File)
    except msgspec.ValidationError as error:
        raise BakeError(f"{path}: is no kubeconfig: {error}") from None


def _parsed(text: str, path: Path) -> Any:
    if text.lstrip().startswith("{"):
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise BakeError(f"{path}: is no kubeconfig: {error}") from None
    try:
        import yaml
    except ImportError:
        hint = "`pip install pyyaml`, or write it as JSON: `kubectl config view --raw --flatten -o json`"
        raise BakeError(f"{path}: a kubeconfig in YAML needs PyYAML", hint=hint) from None
    try:
        return yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise BakeError(f"{path}: is no kubeconfig: {str(error).splitlines()[0]}") from None


def _access(name: str, files: list[tuple[_File, Path]]) -> Access:
    contexts = [(each.name, each.context, folder) for file, folder in files for each in file.contexts or ()]
    found = next((context for known, context, _ in contexts if known == name and context), None)
    if found is None:
        known = ", ".join(sorted({known for known, _, _ in contexts})) or "none"
        raise BakeError(f"the kubeconfig has no context '{name}'", hint=f"known here: {known}")
    clusters = [(each.name, each.cluster, folder) for file, folder in files for each in file.clusters or ()]
    users = [(each.name, each.user, folder) for file, folder in files for each in file.users or ()]
    cluster, place = _of(found.cluster, clusters, _Cluster(), Path())
    user, home = _of(found.user, users, _User(), Path())
    if not cluster.server:
        raise BakeError(f"the kubeconfig says of the cluster '{found.cluster}' no server")
    if cluster.proxy_url:
        hint = "use a context without `proxy-url`"
        raise BakeError(f"the cluster '{found.cluster}' is behind a proxy, which is not supported", hint=hint)
    access = Access(
        cluster.server.rstrip("/"),
        _pem(cluster.certificate_authority_data, cluster.certificate_authority, place),
        is_verified=not cluster.insecure_skip_tls_verify,
        server_name=cluster.tls_server_name,
    )
    return _as_user(access, user, home)


def _of(name: str, known: list[tuple[str, T | None, Path]], default: T, folder: Path) -> tuple[T, Path]:
    found = ((value, place) for each, value, place in known if each == name and value is not None)
    return next(found, (default, folder))


def _as_user(access: Access, user: _User, home: Path) -> Access:
    certificate = _pem(user.client_certificate_data, user.client_certificate, home)
    key = _pem(user.client_key_data, user.client_key, home)
    token = user.token or (_text(home / user.token_file) if user.token_file else "")
    if user.exec is not None:
        certificate, key, token = _asked(user.exec, home)
    authorization = f"Bearer {token.strip()}" if token else ""
    if user.username:
        pair = base64.b64encode(f"{user.username}:{user.password}".encode()).decode()
        authorization = f"Basic {pair}"
    return msgspec.structs.replace(access, certificate=certificate, key=key, authorization=authorization)


def _pem(data: str, path: str, folder: Path) -> str:
    if not data:
        return _text(folder / path) if path else ""
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise BakeError("the kubeconfig holds a certificate or key that is not base64") from None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BakeError(f"{path}, which the kubeconfig names, can't be read: {error}") from None


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""


class _Credential(msgspec.Struct, frozen=True):
    status: _Status


def _asked(plugin: _Exec, folder: Path) -> tuple[str, str, str]:
    """What a credential plugin says (client-go credential plugins): certificate, key and token."""
    command = str(folder / plugin.command) if "/" in plugin.command else plugin.command
    asked = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": {"interactive": False}}
    environ = {each.name: each.value for each in plugin.env or ()}
    environ["KUBERNETES_EXEC_INFO"] = msgspec.json.encode(asked).decode()
    if not plugin.api_version.startswith(_EXEC_API):
        raise BakeError(f"{plugin.command} speaks {plugin.api_version}, which is not known here")
    try:
        done = subprocess.run(
            [command, *(plugin.args or ())],
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PLUGIN_SECONDS,
            check=True,
        )
        status = msgspec.json.decode(done.stdout, type=_Credential).status
    except OSError as error:
        message = f"{plugin.command}, which the kubeconfig names, could not be run: {error.strerror}"
        raise BakeError(message) from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise BakeError(f"{plugin.command} gave no credentials: {' '.join(said)}") from None
    except (subprocess.TimeoutExpired, msgspec.DecodeError):
        raise BakeError(f"{plugin.command}, which the kubeconfig names, gave no credentials") from None
    return status.client_certificate_data, status.client_key_data, status.token
