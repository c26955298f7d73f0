"""The docker engine: where it is, and what it says when it refuses.

Found as docker's own command line finds it: DOCKER_HOST, else DOCKER_CONTEXT or the context that is in
use, else the socket in its usual place.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from imgbake.api import BakeError
from imgbake_docker import asking
from imgbake_docker.local import Local, Refused, Silent

if TYPE_CHECKING:
    from imgbake_docker.tunnel import Tunnel

Client = Any
"""The docker SDK's low-level client, which comes without types."""

_ADVICE = {
    "Permission denied": "you may not use it: become a member of the group that owns its socket",
    "bind address": "DOCKER_HOST is unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST",
    "TLS": "DOCKER_TLS_VERIFY asks for ca.pem, cert.pem and key.pem in the folder DOCKER_CERT_PATH",
    "SSL": "does it speak TLS? DOCKER_TLS_VERIFY asks for it, and DOCKER_CERT_PATH has the certificates",
    "certificate": "DOCKER_CERT_PATH names the folder of ca.pem, by which the engine is known",
}
_SECONDS = 60  # to answer at all
_WORKING_SECONDS = 3600  # without a word while it saves, loads or pushes, which may be much to do


@contextlib.contextmanager
def connected() -> Iterator[Client]:
    """A client of the engine. What the engine refuses inside of the block becomes a BakeError."""
    client = _Late()
    try:
        if path := asking.usual_socket():
            client.where = f"the docker engine at unix://{path}"
            client.local = Local(path)
            client.local.knock()
        else:
            client.connect()
        yield client
    except Exception as error:
        told = _told(error, client.where, client.said())
        if told is None:
            raise
        raise told from None
    finally:
        client.close()


class _Late:
    """The SDK's client, connected when it is first used; and what needs none where the engine is `local`."""

    def __init__(self) -> None:
        self.where = "the docker engine"
        self.local: Local | None = None
        self._client: Any = None
        self._way: Tunnel | None = None
        self._opened = contextlib.ExitStack()

    def connect(self) -> None:
        """Connects. Raises what the SDK raises."""
        docker = _sdk()
        with warnings_off():
            settings = _settings(docker)
            host = str(settings.get("base_url") or "")
            self.where = f"the docker engine at {_shown(host)}"
            if host.startswith("unix://"):
                Local(host.removeprefix("unix://")).knock()
            if host.startswith("ssh://"):
                from imgbake_docker import tunnel

                self._way = self._opened.enter_context(tunnel.opened(host))
                settings["base_url"] = self._way.address
            self._client = docker.APIClient(version="auto", timeout=_SECONDS, **settings)
            if self._way:
                _share_connections(self._client)
            self._opened.callback(self._client.close)
            self._client.timeout = _WORKING_SECONDS

    def image(self, name: str) -> dict[str, Any] | None:
        """What the engine says of an image, None when it has none of this name or id."""
        if self.local is not None:
            return self.local.image(name)
        from docker.errors import NotFound

        try:
            found: dict[str, Any] = self.inspect_image(name)
        except NotFound:
            return None
        return found

    def platform(self) -> str:
        """That for which it pulls and builds when nothing is said, such as "linux/amd64"."""
        said = self._api().version() if self.local is None else self.local.version()
        return f"{said['Os']}/{said['Arch']}"

    def tag(self, image: str, repository: str, tag: str) -> None:
        """Gives an image a name."""
        if self.local is not None:
            self.local.tag(image, repository, tag)
        else:
            self._api().tag(image, repository, tag)

    def untag(self, name: str) -> None:
        """Takes back a name that an image had for a while. It stays where that fails: what it was for may
        have failed before, and is what the user is to be told."""
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        with contextlib.suppress(DockerException, RequestException):
            self._api().remove_image(name, noprune=True)

    def said(self) -> str:
        """What ssh said of the way there, if the engine is behind ssh."""
        return self._way.said() if self._way else ""

    def close(self) -> None:
        """Hangs up."""
        self._opened.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api(), name)

    def _api(self) -> Any:
        if self._client is None:
            self.connect()
        return self._client


def _share_connections(client: Client) -> None:
    """Lets requests of all kinds share connections, each of which is an ssh that takes long to start.

    The SDK keeps the connections to a socket by what they were asked for; it has asked for the version.
    """
    adapter = client.get_adapter(client.base_url)
    pool = adapter.get_connection(f"{client.base_url}/version")
    adapter.get_connection = lambda *_, **__: pool


def _told(error: Exception, where: str, said: str) -> BakeError | None:
    """What the user is told of an error of the SDK, or of what `said` ssh; None for any other."""
    if isinstance(error, Silent):
        return _unreached(error, where, said)
    if isinstance(error, Refused):
        return BakeError(f"{where} refused: {_first_line(error)}")
    if isinstance(error, BakeError) or "docker.errors" not in sys.modules:
        return None
    import docker.errors
    import requests

    if isinstance(error, docker.errors.APIError):
        return BakeError(f"{where} refused: {_first_line(error.explanation or error)}")
    if isinstance(error, docker.errors.DockerException | requests.exceptions.RequestException):
        return _unreached(error, where, said)
    return None


def _unreached(error: Exception, where: str, said: str) -> BakeError:
    reason = said or _reason(error)
    return BakeError(f"{where} can't be reached: {reason}", hint=_advice(reason, said))


@contextlib.contextmanager
def warnings_off() -> Iterator[None]:
    """What the SDK deprecates is no business of those who bake."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def context() -> str:
    """The name of docker's context for the engine."""
    return asking.context()


def unix_socket() -> str:
    """The path of the engine's socket; empty when it isn't on this machine."""
    with warnings_off():
        host = str(_settings(_sdk()).get("base_url") or "unix:///var/run/docker.sock")
    return host.removeprefix("unix://") if host.startswith("unix://") else ""


def _sdk() -> Any:
    try:
        import docker
        import docker.errors
    except ImportError:
        hint = "`pip install docker`, beside imgbake"
        raise BakeError("the target 'docker' needs the docker SDK for Python", hint=hint) from None
    return docker


def _settings(docker: Any) -> dict[str, Any]:
    """Arguments for a client."""
    if os.environ.get("DOCKER_HOST"):
        found: dict[str, Any] = docker.utils.kwargs_from_env()
    else:
        name = context()
        there = docker.ContextAPI.get_context(name)
        if there is None:
            raise BakeError(f"there is no docker context '{name}'", hint="`docker context ls` lists them")
        found = {"base_url": there.Host, "tls": there.TLSConfig or False}
    return found


def _shown(host: Any) -> str:
    return str(host or "its usual place").replace("http+docker", "unix")


def _first_line(error: object) -> str:
    return (str(error).strip().splitlines() or ["it says nothing"])[0]


def _reason(error: BaseException) -> str:
    """The innermost reason, which is the one that tells something."""
    if type(error).__name__ == "TLSParameterError":
        return f"its TLS is set up wrongly: {error.args[0].rstrip('.')}"
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        inner = inner.__cause__ or inner.__context__
    text = _first_line(error)
    return text if len(text) < 200 else text[:200] + "…"


def _advice(reason: str, said_by_ssh: str) -> str:
    if said_by_ssh:
        return "`ssh HOST docker version` must work there: imgbake goes the same way"
    for word, advice in _ADVICE.items():
        if word in reason:
            return advice
    return "is it running? DOCKER_HOST, or `docker context use`, says where it is"
