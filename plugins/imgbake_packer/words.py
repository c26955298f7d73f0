"""Values in Packer's words: HCL2 in its JSON form, where every string is a template.

${…} and %{…}     are HCL's own and taken literally, so they are doubled
{{ name }}        of a secret argument becomes the variable secret_name, which a private file fills
{{ timestamp }}   and other functions of Packer's are left to Packer
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_REFERENCE = re.compile(r"\{\{\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*\}\}")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_FUNCTIONS = {  # of Packer's templates, those that take no argument
    "build_name",
    "build_type",
    "clean_resource_name",
    "isotime",
    "packer_version",
    "pwd",
    "template_dir",
    "timestamp",
    "uuid",
}


def literal(value: Any) -> Any:
    """A value of the recipe as HCL's JSON says it."""
    if isinstance(value, str):
        escaped = value.replace("${", "$${").replace("%{", "%%{")
        return _REFERENCE.sub(_variable, escaped)
    if isinstance(value, Mapping):
        return {literal(name): literal(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [literal(each) for each in value]
    return value


def secrets(value: Any) -> Iterator[str]:
    """The names of the secret arguments in a value of the recipe."""
    if isinstance(value, str):
        yield from (name for name in _REFERENCE.findall(value) if name not in _FUNCTIONS)
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from secrets(name)
            yield from secrets(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from secrets(each)


def variable(secret: str) -> str:
    """The name of the variable that holds a secret."""
    return f"secret_{_NOT_IN_NAMES.sub('_', secret)}"


def identifier(name: str) -> str:
    """A name as HCL takes it."""
    clean = _NOT_IN_NAMES.sub("-", name)
    return clean if clean[0].isalpha() else f"image-{clean}"


def _variable(found: re.Match[str]) -> str:
    return found[0] if found[1] in _FUNCTIONS else f"${{var.{variable(found[1])}}}"
