"""Which certificates are trusted and shown, by registry, where docker and the containers tools look.

System authorities come from OpenSSL, which honours SSL_CERT_FILE and SSL_CERT_DIR. For one registry,
`certs.d/HOST[:PORT]/` may hold `*.crt` (authorities) and `NAME.cert` with `NAME.key` (a certificate of
ours).
"""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path

import msgspec

from imgbake.api import BakeError


class Tls(msgspec.Struct, frozen=True):
    """Where certificates are looked for. `ca` is a file of authorities trusted beside the system's.

    `insecure` names registries (host or host:port) whose certificates are not checked, and which may
    speak plain HTTP.
    """

    folders: tuple[Path, ...] = ()
    ca: Path | None = None
    insecure: frozenset[str] = frozenset()


def from_environment(environ: Mapping[str, str] = os.environ) -> Tls:
    """The settings of this machine and user.

    IMGBAKE_INSECURE_REGISTRIES names registries, with commas in between.
    """
    home = Path(environ.get("HOME", "/"))
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    folders = (config / "containers", config / "docker", Path("/etc/containers"), Path("/etc/docker"))
    names = environ.get("IMGBAKE_INSECURE_REGISTRIES", "").replace(",", " ").split()
    return Tls(tuple(folder / "certs.d" for folder in folders), insecure=frozenset(names))


class Contexts:
    """TLS contexts by host, made once each; hosts without files of their own share one."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._lock = threading.Lock()
        self._made: dict[tuple[tuple[Path, ...], bool], ssl.SSLContext] = {}

    def context(self, host: str) -> ssl.SSLContext:
        """The context for this host[:port]. Raises BakeError for a certificate that can't be used."""
        files = tuple(_files(self._tls.folders, host))
        checked = host not in self._tls.insecure
        with self._lock:
            if (files, checked) not in self._made:
                self._made[files, checked] = _make(files, self._tls.ca, checked)
            return self._made[files, checked]


def _files(folders: tuple[Path, ...], host: str) -> list[Path]:
    found = next((folder / host for folder in folders if (folder / host).is_dir()), None)
    return sorted(found.iterdir()) if found else []


def _make(files: tuple[Path, ...], ca: Path | None, checked: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not checked:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for file in (*files, *((ca,) if ca else ())):
        try:
            if file.suffix == ".cert":
                context.load_cert_chain(file, file.with_suffix(".key"))
            elif file.suffix == ".crt" or file == ca:
                context.load_verify_locations(file)
        except OSError as error:  # SSLError is one
            hint = "certs.d holds authorities as *.crt, and NAME.cert with its NAME.key, in PEM"
            raise BakeError(f"{file}: not a usable certificate: {error}", hint=hint) from error
    return context
