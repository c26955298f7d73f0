"""[args]: what the recipe asks for, and what gave it: `--arg`, environment, `--save` before, or a default."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from imgbake.errors import did_you_mean
from imgbake.model import Arg, At, Scalar
from imgbake.recipe import options
from imgbake.recipe.expand import is_text, unevaluated
from imgbake.recipe.faults import Fault
from imgbake.recipe.files import Section
from imgbake.recipe.tables import ArgTable

_RESERVED = ("params.", "env.")


class Args(msgspec.Struct, frozen=True):
    """The arguments of a recipe, and apart from them the values of the secret ones."""

    args: dict[str, Arg]
    secrets: dict[str, str]
    missing: frozenset[str]  # names of arguments that nobody gave
    env_read: dict[str, str | None]  # variables that gave a value, or could have; none of a secret
    said: dict[str, str]  # what was given or saved under names that the recipe doesn't have


def read_args(
    section: Section,
    given: Mapping[str, str],
    environ: Mapping[str, str],
    saved: Mapping[str, str],
    sources: Mapping[str, str],
    faults: list[Fault],
) -> Args:
    """The arguments with their values. `given` is what `--arg` says, `saved` what it said with `--save`."""
    said = {name: value for name, value in {**saved, **given}.items() if name not in section.tables}
    found = Args({}, {}, frozenset(), {}, said)
    reader = _Reader(given, environ, saved, sources, faults)
    for name, raw in section.tables.items():
        written = reader.written(name, raw, section.at(name))
        if written is not None:
            reader.add(written, found)
    missing = frozenset(
        name for name, arg in found.args.items() if arg.value is None and name not in found.secrets
    )
    return msgspec.structs.replace(found, missing=missing)


def unknown(given: Iterable[str], known: Collection[str]) -> list[Fault]:
    """A fault for each argument of the command line that is none."""
    return [
        Fault(None, f"--arg {name}: the recipe has no such argument", did_you_mean(name, known), unknown=True)
        for name in given
        if name not in known
    ]


def text_of(value: Scalar, at: At, sources: Mapping[str, str]) -> str:
    """A value of TOML as the text that it is put in as. A number is put in as it is written."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):  # 3.10 is not 3.1 to whoever wrote it
        from imgbake.recipe.location import literal

        written = literal(sources.get(at.file, ""), at.path)
        return written.replace("_", "") if written else str(value)
    return str(value)


class _Written(msgspec.Struct, frozen=True):
    """An argument as the recipe has it."""

    name: str
    at: At
    default_at: At
    table: ArgTable


class _Reader:
    def __init__(
        self,
        given: Mapping[str, str],
        environ: Mapping[str, str],
        saved: Mapping[str, str],
        sources: Mapping[str, str],
        faults: list[Fault],
    ) -> None:
        self.given = given
        self.environ = environ
        self.saved = saved
        self.sources = sources
        self.faults = faults

    def written(self, name: str, raw: object, at: At) -> _Written | None:
        """The argument's table; a bare value is its default."""
        if name.startswith(_RESERVED):
            self._fault(at, f"an argument's name cannot begin with '{name.partition('.')[0]}.'")
        if isinstance(raw, str | int | float):
            return _Written(name, at, at, ArgTable(default=raw))
        if isinstance(raw, dict):
            table = options.read(raw, ArgTable, at, self.faults)
            return _Written(name, at, at / "default", table) if table else None
        from imgbake.recipe.toml_words import found

        hint = f'write {name} = "default", or a table with default, help, choices, secret and env'
        message = f"'{name}' must be a string, a number, a boolean or a table, not {found(raw)}"
        self._fault(at, message, hint)
        return None

    def add(self, written: _Written, to: Args) -> None:
        """Adds the argument and its value, and the value of a secret where nobody sees it."""
        name, table = written.name, written.table
        choices = self._choices(written)
        default = self._default(written)
        value, origin = self._value(written, default)
        told, place = self._place(written, origin)
        if value is not None and not is_text(value):
            self._fault(place, f"{told} is not valid UTF-8")
        elif value is not None and choices and value not in choices:
            shown = "this" if table.secret else f"'{value}'"
            self._fault(place, f"{told} cannot be {shown}", _choose("" if table.secret else value, choices))
        if table.env and not table.secret:
            to.env_read[table.env] = self.environ.get(table.env)
        if table.secret and value:  # an empty one is none: that is how CI systems hand on what is not set
            to.secrets[name] = value
        shown_value = None if table.secret else value
        to.args[name] = Arg(
            name, written.at, shown_value, default, origin, table.help, choices, table.secret, table.env
        )

    def _choices(self, written: _Written) -> tuple[str, ...]:
        at = written.at / "choices"
        return tuple(
            text_of(choice, at / index, self.sources) for index, choice in enumerate(written.table.choices)
        )

    def _value(self, written: _Written, default: str | None) -> tuple[str | None, str]:
        """The value, and what gave it."""
        name, env = written.name, written.table.env
        if name in self.given:
            return self.given[name], "--arg"
        if env and env in self.environ:
            return self.environ[env], "environment"
        if name in self.saved and not written.table.secret:
            return self.saved[name], "saved"
        return default, "" if default is None else "default"

    def _place(self, written: _Written, origin: str) -> tuple[str, At | None]:
        """How a message names a value, and where that stands in the recipe."""
        name, env = written.name, written.table.env
        if origin == "--arg":
            return f"--arg {name}", None
        if origin == "environment":
            return f"'{name}', taken from the environment variable {env},", written.at / "env"
        if origin == "saved":
            return f"'{name}', which was saved by --save,", None
        return f"'{name}'", written.default_at

    def _default(self, written: _Written) -> str | None:
        table, at = written.table, written.default_at
        if table.default is None:
            return None
        if table.secret:
            hint = "leave it out; --arg, or an environment variable that 'env' names, gives the value"
            self._fault(at, "a secret cannot have a default: everybody could read it here", hint)
            return None
        plain = unevaluated(text_of(table.default, at, self.sources))
        if plain is None:
            self._fault(at, "'{{ }}' is not evaluated in [args]", "put values together where they are used")
        return plain

    def _fault(self, at: At | None, message: str, hint: str = "") -> None:
        self.faults.append(Fault(at, message, hint, value=True))


def _choose(value: str, choices: tuple[str, ...]) -> str:
    near = did_you_mean(value, choices)
    offered = "choose from " + ", ".join(choices)
    return f"{near} {offered}" if near.startswith("did you mean") else offered
