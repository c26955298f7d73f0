"""The names of images, and of what is made in the cluster for a bake.

An image without tags is named for its environment and its project. Two such pairs never share a name:

    prod, shop        prod__shop                          "__" is in neither name
    Prod, my__shop    prod__my-shop__50726f64.6d79…       what a repository can't say, or what holds "__",
                                                          is spelt out behind a second "__", in hexadecimal
"""

from __future__ import annotations

import re

from imgbake.api import BakeError
from imgbake_kaniko.options import Options
from imgbake_oci.reference import Reference, parse_tag

_PLAIN = re.compile(r"[a-z0-9]+(?:(?:[._]|-+)[a-z0-9]+)*")  # a repository's component without "__"
_NOT_PLAIN = re.compile(r"[^a-z0-9]+")
_LONGEST = 63  # of a label by RFC 1123
_RUN = 8  # characters that tell one run from another
_LONGEST_SUFFIX = 8  # what `object_name` is made longer by: "-" and a word


def joined(environment: str, project: str) -> str:
    """The repository of a project in an environment. No other pair has the same."""
    if _PLAIN.fullmatch(environment) and _PLAIN.fullmatch(project):
        return f"{environment}__{project}"
    spelt = f"{environment.encode().hex()}.{project.encode().hex()}"
    return f"{_slug(environment)}__{_slug(project)}__{spelt}"


def references(image: str, target: str, options: Options) -> tuple[Reference, ...]:
    """What an image is pushed to. Raises BakeError for what is no reference."""
    if options.tags:
        return tuple(parse_tag(tag) for tag in options.tags)
    environment = options.environment or target
    project = options.project or image
    if not environment or not project:
        raise BakeError("an image's environment and project must have names")
    return (parse_tag(f"{options.registry.rstrip('/')}/{joined(environment, project)}:latest"),)


def object_name(image: str, target: str, run: str) -> str:
    """The name of a Job and of all that belongs to it: a label by RFC 1123, and short enough to add to.

    `run` tells it from all others; of it the first 8 characters count, which must be a-z and 0-9.
    """
    room = _LONGEST - _LONGEST_SUFFIX - _RUN - len("imgbake--")
    slug = _slug(f"{image}-{target}")[:room].rstrip("-")
    return f"imgbake-{slug}-{run[:_RUN]}"


def _slug(name: str) -> str:
    return _NOT_PLAIN.sub("-", name.lower()).strip("-") or "x"
