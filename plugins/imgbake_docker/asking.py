"""Are images still on the engine? Asked without the docker SDK, where nothing else has moved.

Then this question is most of what a build does: so it goes to the engine's socket in a few lines of HTTP,
one request for all images, and this module imports nothing that is slow to import. What it can't tell, it
doesn't: the build then looks at everything, and says what is wrong.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from typing import Any

_SECONDS = 20
_PIECE = 1 << 16
_USUAL = "/var/run/docker.sock"
_ENVIRONMENT = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "HOME")


def usual_socket() -> str:
    """The path of the engine's socket, if it needs no reading of contexts to know it; else nothing."""
    host = os.environ.get("DOCKER_HOST", "")
    if host:
        return host.removeprefix("unix://") if host.startswith("unix://") else ""
    return _USUAL if context() == "default" else ""


def context() -> str:
    """The name of docker's context that is in use."""
    host, named, _, _, current = _world()
    return "default" if host else named or current or "default"


def question(path: str, image: str, tags: list[str]) -> str:
    """What `are_present` is to be asked: about the image of this id and these names, at this socket."""
    return json.dumps({"socket": path, "image": image, "tags": tags, "world": _world()})


def are_present(questions: Sequence[str]) -> list[bool]:
    """Of each image: has the engine it, by its id and all of its names, and is that engine meant now?"""
    try:
        asked = [json.loads(question) for question in questions]
        world = _world()
        wanted: dict[str, set[str]] = {}
        for each in asked:
            if each["world"] == world:
                wanted.setdefault(each["socket"], set()).add(each["image"])
        tags = {path: _tags(path, images) for path, images in wanted.items()}
        return [
            each["world"] == world and set(each["tags"]) <= tags[each["socket"]].get(each["image"], set())
            for each in asked
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return [False] * len(questions)


def settings() -> dict[str, Any]:
    """Docker's own, config.json; empty where there are none that can be read."""
    folder = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")  # noqa: PTH111  # pathlib is slow
    try:
        with open(f"{folder}/config.json", "rb") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _world() -> list[str]:
    """What says where the engine is: variables, and the context that docker's own settings name."""
    current = str(settings().get("currentContext") or "")
    return [*(os.environ.get(name, "") for name in _ENVIRONMENT), current]


def _tags(path: str, images: set[str]) -> dict[str, set[str]]:
    """The names of those of the images that the engine has. Raises OSError and ValueError."""
    if len(images) == 1:  # an engine may have thousands
        (image,) = images
        found = _got(path, f"/images/{image}/json")
        listed = [] if found is None else [found]
    else:
        listed = _got(path, "/images/json") or []
    return {each["Id"]: set(each.get("RepoTags") or ()) for each in listed if each["Id"] in images}


def _got(path: str, what: str) -> Any:
    """What the engine says, None when it has no such thing. Raises OSError and ValueError."""
    with socket.socket(socket.AF_UNIX) as engine:
        engine.settimeout(_SECONDS)
        engine.connect(path)
        engine.sendall(f"GET {what} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        answer = b""
        while piece := engine.recv(_PIECE):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.partition(b"\r\n")[0].split(b" ")[1:2]
    return json.loads(body) if status == [b"200"] else None
