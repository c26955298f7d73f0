"""Who we are at a registry: what `docker login` and `podman login` left behind.

Looked up in this order: the file that REGISTRY_AUTH_FILE names, docker's config.json (in DOCKER_CONFIG
or ~/.docker), and containers/auth.json below XDG_RUNTIME_DIR and XDG_CONFIG_HOME. In each, a helper
named for the registry (`credHelpers`) comes first, then `auths`, where a key may go as deep as a
repository, then the helper for all registries (`credsStore`).
"""

from __future__ import annotations

import base64
import binascii
import os
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from imgbake.api import BakeError
from imgbake_oci.reference import HUB, Reference
from imgbake_oci.registry.failures import clean

_HUB_KEYS = ("index.docker.io", "docker.io", "registry-1.docker.io")
_HUB_SERVER = "https://index.docker.io/v1/"
_HELPER_SECONDS = 60
_TOKEN_USER = "<token>"  # by this name a helper says that the secret is an identity token


class Credential(msgspec.Struct, frozen=True):
    """A user with a password, or an identity token. Never shows its secrets."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    source: str = ""  # the file or helper that it comes from, or who issued it
    until: float = float("inf")  # the moment at which it ends, by the monotonic clock

    def __repr__(self) -> str:
        return f"Credential({self.username!r} from {self.source})"


class Found(msgspec.Struct, frozen=True):
    """A credential, if there is one, and what went wrong while it was looked for."""

    credential: Credential | None = None
    remark: str = ""


Issuer = Callable[[str], Credential]
"""Issues a credential, another one than that with the password which it is handed, if it is handed one."""


class _Auth(msgspec.Struct):
    auth: str | None = None
    username: str | None = None
    password: str | None = None
    identitytoken: str | None = None


class _File(msgspec.Struct):
    auths: dict[str, _Auth | None] | None = None
    helpers: dict[str, str] | None = msgspec.field(default=None, name="credHelpers")
    store: str | None = msgspec.field(default=None, name="credsStore")


class Credentials:
    """Credentials by registry and repository, looked up when first needed. Safe from threads."""

    def __init__(self, files: tuple[Path, ...]) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._found: dict[str, Found] = {}
        self._helped: dict[tuple[str, str], Found] = {}
        self._issuers: dict[str, Issuer] = {}

    def issue(self, reference: Reference, issuer: Issuer) -> None:
        """Lets somebody else say who we are at this repository, before any file is asked."""
        with self._lock:
            self._issuers[reference.name] = issuer

    def find(self, reference: Reference, refused: str = "") -> Found:
        """The credential for this repository; another one than that with the password that was refused, if
        there is one. Raises BakeError when a file of them can't be read, or none is issued."""
        with self._lock:
            issuer = self._issuers.get(reference.name)
        if issuer is not None:
            return Found(issuer(refused))
        with self._lock:
            if reference.name not in self._found:
                self._found[reference.name] = self._look_up(reference)
            return self._found[reference.name]

    def _look_up(self, reference: Reference) -> Found:
        remarks = []
        for path in self._files:
            found = self._in_file(path, reference)
            if found.credential:
                return found
            remarks.append(found.remark)
        return Found(None, next(filter(None, remarks), ""))

    def _in_file(self, path: Path, reference: Reference) -> Found:
        file = _read(path)
        helper = (file.helpers or {}).get(reference.registry)
        helped = self._ask(helper, reference, path)
        if helped.credential:
            return helped
        auths = {_plain_key(key): auth for key, auth in (file.auths or {}).items()}
        for key in _keys(reference):
            if credential := _decode(auths.get(key), key, path):
                return Found(credential)
        return helped if helper else self._ask(file.store, reference, path)

    def _ask(self, helper: str | None, reference: Reference, path: Path) -> Found:
        """What a helper says of a registry, asked once."""
        if not helper:
            return Found()
        if (helper, reference.registry) not in self._helped:
            self._helped[helper, reference.registry] = _ask_helper(helper, reference, path)
        return self._helped[helper, reference.registry]


def from_environment(environ: Mapping[str, str] = os.environ) -> Credentials:
    """The credentials of this user."""
    home = Path(environ.get("HOME", "/"))
    docker = Path(environ.get("DOCKER_CONFIG") or home / ".docker") / "config.json"
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = [docker, config / "containers/auth.json"]
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        files.insert(1, Path(runtime) / "containers/auth.json")
    if named := environ.get("REGISTRY_AUTH_FILE"):
        files.insert(0, Path(named))
    return Credentials(tuple(files))


def _read(path: Path) -> _File:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_File)
    except (FileNotFoundError, NotADirectoryError):
        return _File()
    except OSError as error:
        raise BakeError(f"{path}: cannot read the credentials: {error.strerror}") from error
    except msgspec.DecodeError as error:
        hint = "correct it, or log in again with `docker login`"
        raise BakeError(f"{path}: not a file of credentials: {error}", hint=hint) from error


def _keys(reference: Reference) -> list[str]:
    """The keys that hold for this repository, the most exact first."""
    names = _HUB_KEYS if reference.registry == HUB else (reference.registry,)
    parts = reference.repository.split("/")
    deep = [f"{name}/{'/'.join(parts[:n])}" for n in range(len(parts), 0, -1) for name in names]
    return [*deep, *names]


def _plain_key(key: str) -> str:
    """A key without its scheme and the API version that docker puts after some."""
    key = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    return key.removesuffix("/v1").removesuffix("/v2")


def _decode(auth: _Auth | None, key: str, path: Path) -> Credential | None:
    if not auth:
        return None
    user, password = auth.username or "", auth.password or ""
    if auth.auth:
        try:
            user, _, password = base64.b64decode(auth.auth, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            hint = "log in again with `docker login`"
            raise BakeError(f"{path}: the entry of {key} is damaged", hint=hint) from error
    token = auth.identitytoken or ""
    if not token and not password:
        return None
    return Credential(user, password.rstrip("\0"), token, str(path))


class _Secret(msgspec.Struct):
    username: str = msgspec.field(default="", name="Username")
    secret: str = msgspec.field(default="", name="Secret")


def _ask_helper(helper: str, reference: Reference, path: Path) -> Found:
    """What a credential helper says: the server on stdin, JSON on stdout, "not found" with exit code 1."""
    program = f"docker-credential-{helper}"
    server = _HUB_SERVER if reference.registry == HUB else reference.registry
    try:
        done = subprocess.run(
            [program, "get"], input=server.encode(), capture_output=True, timeout=_HELPER_SECONDS
        )
    except OSError as error:
        return Found(None, f"{program}, which {path} names, could not be run: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Found(None, f"{program}, which {path} names, did not answer in {_HELPER_SECONDS} s")
    if done.returncode:
        said = clean((done.stdout or done.stderr).decode(errors="replace"))
        return Found(None, "" if "not found" in said else f"{program} failed: {said}")
    try:
        secret = msgspec.json.decode(done.stdout, type=_Secret)
    except msgspec.DecodeError:
        return Found(None, f"{program} did not answer in JSON")
    if secret.username == _TOKEN_USER:
        return Found(Credential(identity_token=secret.secret, source=program))
    return Found(Credential(secret.username, secret.secret, source=program))
