"""Is all there still, and do names mean it? Asked of a settled distribution, where no file has moved here.

Then this is most of what a distribution does: so a registry of this machine is asked in a few lines of
HTTP, all of it in one go, and this module imports nothing that is slow to import. Registries elsewhere are
asked by the client, which has certificates, passwords and patience. What can't be told isn't: the
distribution then looks at everything, and says what is wrong.
"""

from __future__ import annotations

import _socket
import os

TYPE_CHECKING = False  # `typing` and `collections.abc` are slow to import; so is `socket`, whose core does
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from imgbake_oci.registry import Client

    Meanings = Mapping[str, str]  # what tags and digests of a repository should mean: digests

_SECONDS = 20
_PIECE = 1 << 16
_LONGEST = 1 << 16  # of the head of an answer
_AT_ONCE = 16
_HERE = ("127.0.0.1", "localhost")  # where plain HTTP is asked first, see `origins`
_ACCEPT = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, */*"
)


def registry(repository: str, means: Meanings) -> str:
    """What `are_in_registries` is to be asked: do these names of a repository, HOST/PATH, mean this?"""
    return "\n".join([repository, *(f"{name} {digest}" for name, digest in means.items())])


def are_in_registries(questions: Sequence[str]) -> list[bool]:
    """Of each question: do all names mean what they should? One request for each name."""
    try:
        asked: list[tuple[str, dict[str, str]]] = []
        wanted: dict[str, dict[str, str]] = {}
        for question in questions:
            repository, *lines = question.split("\n")
            means = dict(line.split(" ") for line in lines)
            asked.append((repository, means))
            wanted.setdefault(repository, {}).update(means)
        found = _found(wanted)
        return [means.items() <= found[repository].items() for repository, means in asked]
    except (OSError, ValueError, KeyError, TypeError):
        return [False] * len(questions)


def layout(folder: str, sizes: Mapping[str, int], listed: Sequence[tuple[str, str]]) -> str:
    """What `are_in_layouts` is to be asked: has a folder these blobs, and does it list these digests under
    these names (without one, when it is empty)?"""
    import json

    return json.dumps({"folder": folder, "sizes": dict(sizes), "listed": list(listed)})


def are_in_layouts(questions: Sequence[str]) -> list[bool]:
    """Of each question: is all of it in the folder?"""
    import json

    return [_is_in_layout(json.loads(question)) for question in questions]


def _is_in_layout(asked: dict[str, Any]) -> bool:
    import json

    blobs = f"{asked['folder']}/blobs/sha256/"
    try:
        os.stat(f"{asked['folder']}/oci-layout")  # noqa: PTH116  # pathlib is slow
        with open(f"{asked['folder']}/index.json", "rb") as file:
            index = json.load(file)["manifests"]
        name = "org.opencontainers.image.ref.name"
        listed = [[(each.get("annotations") or {}).get(name, ""), each["digest"]] for each in index]
        return all(each in listed for each in asked["listed"]) and all(
            os.stat(blobs + digest.removeprefix("sha256:")).st_size == size  # noqa: PTH116
            for digest, size in asked["sizes"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _found(wanted: Mapping[str, Meanings]) -> dict[str, dict[str, str]]:
    """What names mean in repositories."""
    found = _asked_here({name: means for name, means in wanted.items() if _is_here(name)})
    far = {name: means for name, means in wanted.items() if name not in found}
    return found | (_asked_by_client(far) if far else {})


def _is_here(repository: str) -> bool:
    return repository.partition("/")[0].partition(":")[0] in _HERE


def _asked_here(wanted: Mapping[str, Meanings]) -> dict[str, dict[str, str]]:
    """The same of registries on this machine, all at once, as far as these answer plainly."""
    opened: dict[str, _socket.socket] = {}
    found: dict[str, dict[str, str]] = {}
    for name, means in wanted.items():
        host, _, path = name.partition("/")
        try:
            opened[name] = _sent(host, path, means)
        except OSError:
            continue
    for name, connection in opened.items():
        answers = _answers(connection)
        try:
            found[name] = dict(zip(wanted[name], (next(answers) for _ in wanted[name]), strict=True))
        except (OSError, ValueError, RuntimeError):
            continue
        finally:
            connection.close()
    return found


def _sent(host: str, path: str, means: Meanings) -> _socket.socket:
    """A connection on which a question for each name is under way."""
    connection = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    connection.settimeout(_SECONDS)
    connection.connect(("127.0.0.1", int(host.partition(":")[2] or 80)))
    head = f"Host: {host}\r\nAccept: {_ACCEPT}\r\nUser-Agent: imgbake\r\n"
    last = len(means) - 1
    for number, reference in enumerate(means):
        end = "Connection: close\r\n" if number == last else ""
        connection.sendall(f"HEAD /v2/{path}/manifests/{reference} HTTP/1.1\r\n{head}{end}\r\n".encode())
    return connection


def _answers(connection: _socket.socket) -> Iterator[str]:
    """What each name means, in their order; empty for nothing. Raises ValueError for any other answer."""
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            piece = connection.recv(_PIECE)
            if not piece or len(data) > _LONGEST:
                raise ValueError("no answer")
            data += piece
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        status = first.split(" ")[1:2]
        headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
        if status == ["200"]:
            yield headers.get("docker-content-digest", "")
        elif status == ["404"]:
            yield ""
        else:
            raise ValueError(first)


def _asked_by_client(wanted: Mapping[str, Meanings]) -> dict[str, dict[str, str]]:
    from imgbake_oci.registry import Client, Retries

    with Client(retries=Retries(attempts=1)) as client:
        return found_by(client, wanted)


def found_by(client: Client, wanted: Mapping[str, Meanings]) -> dict[str, dict[str, str]]:
    """What names mean in repositories anywhere; nothing of one that refuses."""
    from concurrent.futures import ThreadPoolExecutor

    from imgbake.api import BakeError
    from imgbake_oci.reference import parse

    def meaning(each: tuple[str, str]) -> str:
        reference = parse(each[0])
        name = each[1]
        reference = reference.pinned(name) if ":" in name else reference.tagged(name)
        try:
            found = client.current(reference, pushes=True)
        except BakeError:
            return ""
        return found.digest if found else ""

    pairs = [(repository, name) for repository, means in wanted.items() for name in means]
    answered: dict[str, dict[str, str]] = {repository: {} for repository in wanted}
    with ThreadPoolExecutor(min(_AT_ONCE, len(pairs))) as pool:
        for (repository, name), digest in zip(pairs, pool.map(meaning, pairs), strict=True):
            answered[repository][name] = digest
    return answered
