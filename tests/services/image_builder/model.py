"""The service's model, as botocore ships it: which request asks for which operation, and with what."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

import botocore.session

from .errors import UNMODELLED, Refused, invalid

Values = dict[str, Any]


@functools.cache
def model() -> Model:
    """The model, which takes long to read."""
    return Model()


class Model:
    """Reads requests and writes answers by the model of EC2 Image Builder."""

    def __init__(self) -> None:
        self._service = botocore.session.Session().get_service_model("imagebuilder")
        self._routes: list[tuple[str, re.Pattern[str], str]] = []
        for name in self._service.operation_names:
            http = self._service.operation_model(name).http
            path = re.sub(r"\{(\w+)\+?\}", r"(?P<\1>.+)", http["requestUri"])
            self._routes.append((http["method"], re.compile(path), name))
        self._statuses = {shape.name: _status(shape) for shape in self._service.error_shapes}

    @property
    def operations(self) -> list[str]:
        """The names of all operations."""
        return list(self._service.operation_names)

    def shape(self, operation: str) -> Any:
        """The shape of an operation's input."""
        return self._service.operation_model(operation).input_shape

    def operation(self, name: str) -> Any:
        """An operation of the model."""
        return self._service.operation_model(name)

    def problems(self, operation: str, values: Values) -> Iterator[Refused]:
        """Everything that an operation does not allow."""
        return problems(self.shape(operation), values)

    def output(self, operation: str) -> Any:
        """The shape of an operation's output."""
        return self._service.operation_model(operation).output_shape

    def route(self, method: str, path: str) -> tuple[str, dict[str, str]]:
        """The operation that a request asks for, and the parameters in its path."""
        for verb, pattern, name in self._routes:
            found = pattern.fullmatch(path)
            if found and verb == method:
                return name, {key: unquote(value) for key, value in found.groupdict().items()}
        raise Refused("UnknownOperationException", f"No operation is {method} {path}")

    def read(self, operation: str, path: Mapping[str, str], query: str, body: bytes) -> Values:
        """The parameters of a request, all checked."""
        shape = self.shape(operation)
        values = dict(_body(body))
        for name, member in shape.members.items():
            where = member.serialization.get("location")
            wire = member.serialization.get("name", name)
            if where == "uri":
                values[name] = path[wire]
            elif where == "querystring":
                values.pop(name, None)
                given = parse_qs(query, keep_blank_values=True).get(wire)
                if given is not None:
                    values[name] = given if member.type_name == "list" else given[0]
        values = {name: _without(value, None) for name, value in values.items() if value is not None}
        for problem in self.problems(operation, values):
            raise problem
        return values

    def write(self, operation: str, values: Values) -> Values:
        """An answer as the model describes it: of nested structures only the members that it knows."""
        shape = self.output(operation)
        unknown = set(values) - set(shape.members)
        assert not unknown, f"{operation} answers with {unknown}, which the model has not"
        answer: Values = _shaped(shape, values)
        for problem in problems(shape, _without(answer, {})):  # untagged is {}, whatever the model says
            raise AssertionError(f"{operation} answers against the model: {problem}")
        return answer

    def status(self, code: str) -> int:
        """The HTTP status of an error."""
        return self._statuses.get(code) or UNMODELLED.get(code, 400)


def problems(shape: Any, value: Any, where: str = "") -> Iterator[Refused]:
    """Everything in a value that its shape does not allow."""
    kind = shape.type_name
    if not _is_of_type(kind, value):
        yield Refused(
            "InvalidRequestException", f"{where or 'The body'} must be of type {kind}, not {_name(value)}"
        )
    elif kind == "structure":
        yield from _members(shape, value, where)
    elif kind == "list":
        yield from _within(shape, len(value), where, "length")
        for index, item in enumerate(value):
            yield from problems(shape.member, item, f"{where}[{index}]")
    elif kind == "map":
        yield from _within(shape, len(value), where, "length")
        for key, item in value.items():
            yield from problems(shape.key, key, f"{where}.key")
            yield from problems(shape.value, item, f"{where}.{key}")
    elif kind == "string":
        yield from _string(shape, value, where)
    elif kind in ("integer", "long", "double", "float"):
        yield from _within(shape, value, where, "value")


def _is_of_type(kind: str, value: object) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _members(shape: Any, value: Values, where: str) -> Iterator[Refused]:
    prefix = f"{where}." if where else ""
    for name in shape.required_members:
        if name not in value:
            yield invalid(f"{prefix}{name}", f"'{prefix}{name}' is required")
    for name, item in value.items():
        if name not in shape.members:
            yield Refused("InvalidRequestException", f"{prefix}{name} is not a parameter of {shape.name}")
        else:
            yield from problems(shape.members[name], item, prefix + name)


def _string(shape: Any, value: str, where: str) -> Iterator[Refused]:
    yield from _within(shape, len(value), where, "length")
    pattern, allowed = shape.metadata.get("pattern"), shape.metadata.get("enum")
    if pattern and not re.fullmatch(pattern, value):
        yield invalid(where, f"'{where}' must match pattern {pattern}")
    if allowed and value not in allowed:
        yield invalid(where, f"'{where}' must be one of {', '.join(allowed)}")


def _within(shape: Any, size: float, where: str, what: str) -> Iterator[Refused]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least:
        yield invalid(where, f"'{where}' must have a {what} of at least {least}")
    if most is not None and size > most:
        yield invalid(where, f"'{where}' must have a {what} of at most {most}")


_TYPES: dict[str, type | tuple[type, ...]] = {
    "structure": dict,
    "list": list,
    "map": dict,
    "string": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "double": (int, float),
    "float": (int, float),
    "timestamp": (int, float, str),
}


def _name(value: object) -> str:
    return {dict: "structure", list: "list", str: "string", bool: "boolean"}.get(type(value), "number")


def _body(body: bytes) -> Values:
    try:
        values = json.loads(body) if body.strip() else {}
    except ValueError as error:
        raise Refused("SerializationException", f"The body is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise Refused("SerializationException", "The body is not a JSON object")
    return values


def _without(value: Any, nothing: object) -> Any:
    """A value without the members that are nothing."""
    if isinstance(value, dict):
        return {key: _without(item, nothing) for key, item in value.items() if item != nothing}
    if isinstance(value, list):
        return [_without(item, nothing) for item in value]
    return value


def _shaped(shape: Any, value: Any) -> Any:
    if shape.type_name == "structure":
        return {
            name: _shaped(member, value[name])
            for name, member in shape.members.items()
            if value.get(name) is not None
        }
    if shape.type_name == "list":
        return [_shaped(shape.member, item) for item in value]
    return value


def _status(shape: Any) -> int:
    return int(shape.metadata.get("error", {}).get("httpStatusCode", 400))
