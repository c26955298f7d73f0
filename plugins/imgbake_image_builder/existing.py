"""Components that are in Image Builder already, named by their ARN. Pure."""

from __future__ import annotations

import re

from imgbake.api import Layer

_ARN = re.compile(
    r"arn:aws[^:]*:imagebuilder:[^:]+:(?:\d{12}|aws(?:-[a-z-]+)?|third-party):component/"
    r"([a-z0-9-_]+)/((?:\d+|x)\.(?:\d+|x)\.(?:\d+|x))(?:/\d+)?"
)
_WILD = re.compile(r"\d+\.\d+\.\d+|\d+\.\d+\.x|\d+\.x\.x|x\.x\.x")
_SAME = re.compile(r"[\s_]+")


def reference(layer: Layer) -> str:
    """The ARN of a component that is in Image Builder already; empty for any other."""
    source = layer.document.source if layer.document else ""
    return source if ":" in source else ""


def reference_problem(reference: str) -> str:
    """What is wrong with the ARN of a component; empty when nothing is."""
    found = _ARN.fullmatch(reference)
    if found is None:
        return f"'{reference}' is neither a path nor the ARN of a component"
    if not _WILD.fullmatch(found[2]):
        return f"'{found[2]}' is no version: what follows an x is an x"
    return ""


def same_name(reference: str) -> str:
    """The name of a component as AWS compares it, without case, spaces, underscores and version."""
    found = _ARN.fullmatch(reference)
    return _SAME.sub("-", (found[1] if found else reference).lower())
