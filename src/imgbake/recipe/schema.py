"""The JSON Schema of imgbake.toml, made from the same structs that read it.

Draft 7, which Taplo (the TOML language server of editors) validates with. A table with `uses` is
checked by `if`/`then` for its kind, so that an error names the key; Taplo completes keys only from
`anyOf`, so the kinds stand there too, beside an empty schema that lets everything pass.
"""

from __future__ import annotations

from typing import Any

import msgspec

from imgbake.recipe import tables as tables
from imgbake.recipe.names import LONGEST
from imgbake.recipe.options import options_of
from imgbake.recipe.reading import Kinds
from imgbake.recipe.tasks import SCRIPT

Schema = dict[str, Any]

_NAME = f"^[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST - 1}}}$"
_EXPRESSION = r"\{\{.*\}\}"
_SCALARS = [{"type": name} for name in ("string", "integer", "number", "boolean")]


def json_schema(kinds: Kinds) -> Schema:
    """The schema with every kind that is installed. Imports all plugins."""
    tasks = {kind: options_of(step) for kind in kinds.step_kinds() if (step := kinds.step(kind))}
    targets = {kind: options_of(target) for kind in kinds.target_kinds() if (target := kinds.target(kind))}
    formats = {kind: options_of(each) for kind in kinds.format_kinds() if (each := kinds.format(kind))}
    places = {
        kind: options_of(place) for kind in kinds.destination_kinds() if (place := kinds.destination(kind))
    }
    triggers = {kind: options_of(found) for kind in kinds.trigger_kinds() if (found := kinds.trigger(kind))}
    core = (
        tables.ProjectTable,
        tables.ArgTable,
        tables.ComponentTable,
        tables.ImageTable,
        tables.DistributionTable,
        tables.StreamTable,
        tables.PlainTriggerTable,
    )
    with_uses: tuple[type[msgspec.Struct], ...] = (
        tables.TaskTable,
        tables.TargetTable,
        tables.DestinationTable,
        *tasks.values(),
        *targets.values(),
        *places.values(),
        tables.TriggerTable,
        *triggers.values(),
    )
    structs = _Structs([*core, *with_uses, tables.DescribedTable, *formats.values()])
    definitions = {
        "task": _by_kind("task", tables.TaskTable, tasks, structs),
        **{f"task.{kind}": structs.merged(tables.TaskTable, type_) for kind, type_ in tasks.items()},
        "target": _by_kind("target", tables.TargetTable, targets, structs),
        **{f"target.{kind}": structs.merged(tables.TargetTable, type_) for kind, type_ in targets.items()},
        "destination": _by_kind("destination", tables.DestinationTable, places, structs),
        **{
            f"destination.{kind}": structs.merged(tables.DestinationTable, type_)
            for kind, type_ in places.items()
        },
        "trigger": _by_kind("trigger", tables.TriggerTable, triggers, structs),
        **{f"trigger.{kind}": structs.merged(tables.TriggerTable, type_) for kind, type_ in triggers.items()},
        "image": _by_file(formats, structs),
        **{f"image.{kind}": structs.merged(tables.DescribedTable, type_) for kind, type_ in formats.items()},
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "imgbake.toml",
        "description": "What imgbake bakes, and of what.",
        "type": "object",
        "properties": {
            "include": {
                "description": "Globs of files with more tables, relative to the recipe.",
                "type": "array",
                "items": {"type": "string"},
            },
            "project": structs.reference(tables.ProjectTable),
            "args": _named(
                "Arguments, read as `{{ name }}`.", {"anyOf": [*_SCALARS, structs.reference(tables.ArgTable)]}
            ),
            "tasks": _named("Nodes that make files.", _reference("task")),
            "components": _named("What images are made of.", structs.reference(tables.ComponentTable)),
            "images": _named(
                "A base, and components in order; or a file that describes it.", _reference("image")
            ),
            "targets": _named("Named ways of baking.", _reference("target")),
            "destinations": _named("Where images go.", _reference("destination")),
            "distributions": _named(
                "Images, and their destinations.", structs.reference(tables.DistributionTable)
            ),
            "triggers": _named("What is done when a tag has moved.", _reference("trigger")),
            "streams": _named("Tags that remember.", structs.reference(tables.StreamTable)),
        },
        "additionalProperties": False,
        "definitions": {**definitions, **structs.definitions},
    }


class _Structs:
    """The schemas of structs, as msgspec makes them, in the words of TOML."""

    def __init__(self, types: list[type[msgspec.Struct]]) -> None:
        distinct = list(dict.fromkeys(types))
        references, found = msgspec.json.schema_components(distinct, ref_template="#/definitions/{name}")
        self._references = dict(zip(distinct, references, strict=True))
        self.definitions: dict[str, Schema] = {name: _tidy(schema) for name, schema in found.items()}

    def reference(self, type_: type[msgspec.Struct]) -> Schema:
        """What points to a struct's schema."""
        return self._references[type_]

    def merged(self, core: type[msgspec.Struct], options: type[msgspec.Struct]) -> Schema:
        """A table that has the keys of the core and those of a plugin, and no others."""
        first, second = self._schema(core), self._schema(options)
        return {
            "type": "object",
            "description": second.get("description", ""),
            "properties": {**first["properties"], **second["properties"]},
            "required": [*first.get("required", ()), *second.get("required", ())],
            "additionalProperties": False,
        }

    def _schema(self, type_: type[msgspec.Struct]) -> Schema:
        return self.definitions[self._references[type_]["$ref"].rpartition("/")[2]]


def _by_kind(
    name: str, core: type[msgspec.Struct], kinds: dict[str, type[msgspec.Struct]], structs: _Structs
) -> Schema:
    conditions = [
        {
            "if": {"properties": {"uses": {"const": kind}}, "required": ["uses"]},
            "then": _reference(f"{name}.{kind}"),
        }
        for kind in kinds
    ]
    without: Schema = {"if": {"not": {"required": ["uses"]}}, "then": {"required": ["uses"]}}
    if core is tables.TaskTable and SCRIPT in kinds:
        without["then"] = _reference(f"{name}.{SCRIPT}")
    if core is tables.TriggerTable:
        without["then"] = structs.reference(tables.PlainTriggerTable)
    uses = {"description": f"The kind of {name}.", "type": "string", "enum": sorted(kinds)}
    return {
        "type": "object",
        "properties": {"uses": uses},
        "allOf": [*conditions, without],
        "anyOf": [*(_reference(f"{name}.{kind}") for kind in kinds), {}],
    }


def _by_file(formats: dict[str, type[msgspec.Struct]], structs: _Structs) -> Schema:
    """An image: its table depends on whether one of the keys names a file that describes it."""
    ordinary = structs.reference(tables.ImageTable)
    named = [{"required": [kind]} for kind in formats]
    conditions = [{"if": {"required": [kind]}, "then": _reference(f"image.{kind}")} for kind in formats]
    otherwise = {"if": {"not": {"anyOf": named}}, "then": ordinary} if named else ordinary
    return {
        "type": "object",
        "allOf": [*conditions, otherwise],
        "anyOf": [ordinary, *(_reference(f"image.{kind}") for kind in formats), {}],
    }


def _named(description: str, schema: Schema) -> Schema:
    return {
        "description": description,
        "type": "object",
        "patternProperties": {_NAME: schema},
        "additionalProperties": False,
    }


def _reference(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _tidy(schema: Any) -> Any:
    """The schema without null, which TOML has not, and with `{{ name }}` allowed where text is limited."""
    if isinstance(schema, list):
        return [_tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    tidy = {key: _tidy_keyword(key, value) for key, value in schema.items()}
    tidy.pop("title", None)  # the name of a struct of ours
    if "default" in tidy and tidy["default"] is None:
        del tidy["default"]
    return _expandable(_not_null(tidy))


def _tidy_keyword(keyword: str, value: Any) -> Any:
    if keyword == "properties":  # whose keys are no keywords, even if one is called "default"
        return {name: _tidy(schema) for name, schema in value.items()}
    return value if keyword in ("default", "enum", "examples") else _tidy(value)


def _not_null(schema: Schema) -> Schema:
    options = schema.get("anyOf")
    if not isinstance(options, list) or {"type": "null"} not in options:
        return schema
    rest = [option for option in options if option != {"type": "null"}]
    outer = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**rest[0], **outer} if len(rest) == 1 else {**outer, "anyOf": rest}


def _expandable(schema: Schema) -> Schema:
    if schema.get("type") == "string" and "pattern" in schema:
        return {**schema, "pattern": f"{schema['pattern']}|{_EXPRESSION}"}
    if "enum" not in schema or not all(isinstance(choice, str) for choice in schema["enum"]):
        return schema
    outer = {key: value for key, value in schema.items() if key != "enum"}
    return {**outer, "anyOf": [{"enum": schema["enum"]}, {"type": "string", "pattern": _EXPRESSION}]}
