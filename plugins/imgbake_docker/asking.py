"""Is an image still on the engine? Asked without the docker SDK, when nothing else has moved.

Then this question is most of what a build does: so it goes to the engine's socket in a few lines of HTTP,
and this module imports nothing that is slow to import. What it can't tell, it doesn't: the build then
looks at everything, and says what is wrong.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any

_SECONDS = 20
_PIECE = 1 << 16
_USUAL = "/var/run/docker.sock"
_ENVIRONMENT = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "HOME")


def usual_socket() -> str:
    """The path of the engine's socket, if it needs no reading of contexts to know it; else nothing."""
    host, context, _, _, current = _world()
    if host:
        return host.removeprefix("unix://") if host.startswith("unix://") else ""
    return _USUAL if (context or current) in ("", "default") else ""


def question(path: str, image: str, tags: list[str]) -> str:
    """What `is_present` is to be asked: about the image of this id and these names, at this socket."""
    return json.dumps({"socket": path, "image": image, "tags": tags, "world": _world()})


def is_present(question: str) -> bool:
    """Has the engine the image, by its id and all of its names, and is it the engine that is meant now?"""
    try:
        asked = json.loads(question)
        if asked["world"] != _world():
            return False
        found = _image(asked["socket"], asked["image"])
        return found["Id"] == asked["image"] and set(asked["tags"]) <= set(found.get("RepoTags") or ())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _world() -> list[str]:
    """What says where the engine is: variables, and the context that docker's own settings name."""
    folder = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")  # noqa: PTH111  # pathlib is slow
    try:
        with open(f"{folder}/config.json", "rb") as file:
            context = str(json.load(file).get("currentContext", ""))
    except (OSError, ValueError, AttributeError):
        context = ""
    return [*(os.environ.get(name, "") for name in _ENVIRONMENT), context]


def _image(path: str, image: str) -> dict[str, Any]:
    """What the engine says of the image. Raises OSError and ValueError."""
    with socket.socket(socket.AF_UNIX) as engine:
        engine.settimeout(_SECONDS)
        engine.connect(path)
        engine.sendall(f"GET /images/{image}/json HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        answer = b""
        while piece := engine.recv(_PIECE):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0] + b" ":
        raise ValueError("there is no such image")
    found: dict[str, Any] = json.loads(body)
    return found
