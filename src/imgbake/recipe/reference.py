"""The reference of imgbake.toml as a page of markdown, from the structs that read it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import msgspec
from msgspec import inspect as types

from imgbake.recipe import tables as tables
from imgbake.recipe.options import options_of
from imgbake.recipe.reading import Kinds
from imgbake.recipe.toml_words import wanted, written

_INTRODUCTION = r"""# The recipe

`imgbake.toml` says what is made and of what. This page is made from the types that read it.

**Values in text.** `{{ version }}` reads an argument, `{{ params.version }}` a component's parameter
(inside that component), `{{ env.HOME }}` an environment variable. Nothing else is evaluated. Keys,
`[project]`, `[args]` and `include` are taken as they are. What is put in is text: it cannot make a number
or a boolean. `\{{` is a literal `{{`; in TOML write it in single quotes, `'\{{'`, or as `"\\{{"`.

**Secrets.** The value of a secret argument is put in when it is used. It can stand in the commands of
a component and in the options of tasks and targets, and nowhere where it could be read later.
It never decides, so it need not be given where all that needs it is up to date.

**Paths** are relative to the recipe's folder, with forward slashes, and stay in it. In globs `*` and `?`
match inside one name, `**` any number of folders.

**Names** begin with a letter or digit and go on with these, `.`, `_` or `-`; 100 characters at most. Two
names of one table must differ in more than case, `-` and `_`.

**`include`** is an array of globs of further files, relative to the recipe. They may hold `[args]`,
`[tasks]`, `[components]`, `[images]`, `[targets]`, `[destinations]`, `[distributions]`, `[streams]`
and `[triggers]`;
paths in them are still relative to the recipe.
"""


def reference(kinds: Kinds) -> str:
    """The page, with the options of every kind that is installed. Imports all plugins."""
    parts = [
        _INTRODUCTION,
        *_section("## `[project]`", tables.ProjectTable),
        *_section("## `[args]`", tables.ArgTable),
        *_section("## `[tasks.NAME]`", tables.TaskTable),
    ]
    for kind in kinds.step_kinds():
        if step := kinds.step(kind):
            parts += _section(f'### `uses = "{kind}"` in a task', options_of(step), step.__doc__)
    parts += _section("## `[components.NAME]`", tables.ComponentTable)
    parts += _section("### `files` of a component", tables.FileTable)
    parts += _section("### `caches` of a component", tables.CacheTable)
    parts += _section("### `limits` of a component", tables.LimitsTable)
    parts += _section("## `[images.NAME]`", tables.ImageTable)
    parts += _section("### `healthcheck` of an image", tables.HealthcheckTable)
    for kind in kinds.format_kinds():
        if each := kinds.format(kind):
            own = options_of(each)
            parts += _section(f"### An image with `{kind}`", own, each.__doc__, beside=tables.DescribedTable)
    parts += _section("## `[targets.NAME]`", tables.TargetTable)
    for kind in kinds.target_kinds():
        if target := kinds.target(kind):
            parts += _section(f'### `uses = "{kind}"` in a target', options_of(target), target.__doc__)
    parts += _section("## `[destinations.NAME]`", tables.DestinationTable)
    for kind in kinds.destination_kinds():
        if place := kinds.destination(kind):
            parts += _section(f'### `uses = "{kind}"` in a destination', options_of(place), place.__doc__)
    parts += _section("## `[distributions.NAME]`", tables.DistributionTable)
    parts += _section("## `[streams.NAME]`", tables.StreamTable)
    parts += _section("### `[streams.NAME.tags.TAG]`", tables.StreamTagTable)
    parts += _section("## `[triggers.NAME]`", tables.TriggerTable)
    for kind in kinds.trigger_kinds():
        if trigger := kinds.trigger(kind):
            parts += _section(f'### `uses = "{kind}"` in a trigger', options_of(trigger), trigger.__doc__)
    return "\n".join(parts)


def _section(
    title: str,
    type_: type[msgspec.Struct],
    about: str | None = None,
    beside: type[msgspec.Struct] | None = None,
) -> Iterator[str]:
    """A table's keys; with `beside`, also those of another type that stand in the same table."""
    found = [types.type_info(each) for each in (type_, beside) if each is not None]
    fields = [field for info in found if isinstance(info, types.StructType) for field in info.fields]
    yield f"{title}\n"
    yield f"{inspect.cleandoc(about or type_.__doc__ or '')}\n"
    if fields:
        yield "| key | value | default | what it says |\n|---|---|---|---|"
        for field in fields:
            yield _row(field)
        yield ""


def _row(field: types.Field) -> str:
    cells = [f"`{field.encode_name}`", wanted(field.type), _default(field), _description(field.type)]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(field: types.Field) -> str:
    if field.required:
        return "required"
    default = field.default
    if default is msgspec.NODEFAULT or default is None or default in ((), ""):
        return ""
    items = ", ".join(map(written, default)) if isinstance(default, tuple) else written(default)
    return f"`[{items}]`" if isinstance(default, tuple) else f"`{items}`"


def _description(type_: types.Type) -> str:
    while isinstance(type_, types.Metadata):
        if type_.extra_json_schema and "description" in type_.extra_json_schema:
            return str(type_.extra_json_schema["description"])
        type_ = type_.type
    return ""
