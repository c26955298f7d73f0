r"""`{{ name }}` in the text of a recipe: what it may read, and what is left for later.

    {{ version }}         an argument of the recipe
    {{ params.version }}  a parameter, inside its component
    {{ env.HOME }}        an environment variable

Nothing else is evaluated. `\{{` is a literal `{{`. An argument without a value stays as it is
written, and so does a secret, in the form `{{ name }}`: its value is put in when it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from imgbake.errors import did_you_mean
from imgbake.model import Arg, At
from imgbake.recipe.faults import Fault

_EXPRESSION = re.compile(r"\\\{\{|\{\{([^{}]*)\}\}|\{\{")
_MARKER = re.compile(r"\{\{\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*\}\}")
_PARAMS = "params."
_ENV = "env."
_LITERAL = r"write '\{{' for a literal '{{'"


T = TypeVar("T")


class Expander:
    """Puts values into text, and remembers which environment variables it read."""

    def __init__(
        self,
        args: Mapping[str, Arg],
        environ: Mapping[str, str],
        faults: list[Fault],
    ) -> None:
        self.env_read: dict[str, str | None] = {}
        self._args = args
        self._environ = environ
        self._faults = faults
        self.secrets = frozenset(arg.name for arg in args.values() if arg.secret)
        self.has_secrets = bool(self.secrets)

    def expand(self, value: T, at: At, params: Mapping[str, str] | None = None) -> tuple[T, tuple[str, ...]]:
        """The value with all text in it expanded, and the names of the arguments that it reads.

        `params` are the parameters of the component that the value belongs to, already expanded.
        """
        if _is_plain(value):
            return value, ()
        read: dict[str, None] = {}
        return self._value(value, at, params, read), tuple(read)

    def refuse_secrets(self, value: object, at: At, what: str) -> None:
        """Adds a fault for every secret in the expanded text of a value that everybody can read."""
        for place, text in texts(value, at) if self.has_secrets else ():
            for name in self._secrets_in(text):
                message = f"the secret argument '{name}' cannot be used in {what}: it could be read there"
                hint = "secrets can be used in commands, and in the options of tasks and targets"
                self._faults.append(Fault(place, message, hint, value=True, piece=f"{{{{ {name} }}}}"))

    def _value(self, value: Any, at: At, params: Mapping[str, str] | None, read: dict[str, None]) -> Any:
        if _is_plain(value):
            return value
        if isinstance(value, str):
            return self._text(value, at, params, read)
        if isinstance(value, dict):
            return {
                key: item if _is_plain(item) else self._value(item, at / key, params, read)
                for key, item in value.items()
            }
        return [self._value(item, at / index, params, read) for index, item in enumerate(value)]

    def _text(self, text: str, at: At, params: Mapping[str, str] | None, read: dict[str, None]) -> str:
        kept: list[str] = []  # what may hold `{{ name }}` of a secret, or of an argument that nobody gave

        def value_of(match: re.Match[str]) -> str:
            if match[0].startswith("\\"):
                return "{{"
            name = match[1] if match[1] is None else match[1].strip()
            if name is not None and name.startswith(_PARAMS):
                kept.append(self._param(match[0], name.removeprefix(_PARAMS), at, params))
                return kept[-1]
            if name is not None and name.startswith(_ENV):
                return self._env(match[0], name.removeprefix(_ENV), at)
            value = self._arg(match[0], name, at, read)
            if value is None:
                kept.append(f"{{{{ {name} }}}}")
            return kept[-1] if value is None else value

        expanded = _EXPRESSION.sub(value_of, text)
        self._refuse_forged(expanded, [name for piece in kept for name in _MARKER.findall(piece)], at)
        return expanded

    def _param(self, written: str, name: str, at: At, params: Mapping[str, str] | None) -> str:
        if params is None:
            hint = "parameters can be read in the files, env and commands of a component"
            self._fault(at, written, f"'{written}' cannot be read here", hint)
        elif name in params:
            return params[name]
        else:
            self._fault(at, written, f"the component has no parameter '{name}'", did_you_mean(name, params))
        return written

    def _env(self, written: str, name: str, at: At) -> str:
        value = self.env_read[name] = self._environ.get(name)
        if value is None:
            hint = f'set it, or read an argument with env = "{name}" and a default instead'
            self._fault(at, written, f"the environment variable '{name}' is not set", hint)
        elif not is_text(value):
            self._fault(at, written, f"the environment variable '{name}' is not valid UTF-8")
        else:
            return value
        return written

    def _arg(self, written: str, name: str | None, at: At, read: dict[str, None]) -> str | None:
        """The argument's value; None when its name is to stay."""
        if name is not None and name in self._args:
            read[name] = None
            return self._args[name].value
        if name is None:
            self._fault(at, "", "'{{' is not followed by a name and '}}'", _LITERAL)
        elif not name:
            self._fault(at, written, "there is no name between '{{' and '}}'", _LITERAL)
        else:
            near = did_you_mean(name, self._args)
            hint = near if near.startswith("did you mean") else "; ".join(filter(None, [near, _LITERAL]))
            message = f"there is no argument '{name}'"
            self._faults.append(Fault(at, message, hint, value=True, piece=written, unknown=True))
        return written

    def _refuse_forged(self, expanded: str, names: list[str], at: At) -> None:
        """A value must not smuggle in the name of a secret: it would be read as one later."""
        found = self._secrets_in(expanded)
        if sorted(found) != sorted(name for name in names if name in self.secrets):
            name = (found or names)[0]
            message = f"the text comes to hold '{{{{ {name} }}}}', which would be read as a secret argument"
            hint = f"rename the argument '{name}', or keep this out of the value that is put in"
            self._faults.append(Fault(at, message, hint, value=True))

    def _secrets_in(self, text: str) -> list[str]:
        if not self.has_secrets:
            return []
        return [name for name in _MARKER.findall(text) if name in self.secrets]

    def _fault(self, at: At, piece: str, message: str, hint: str = "") -> None:
        self._faults.append(Fault(at, message, hint, value=True, piece=piece))


def _is_plain(value: object) -> bool:
    """Is there nothing to expand?"""
    if isinstance(value, str):
        return is_given(value)
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return not isinstance(value, dict) or all(map(_is_plain, value.values()))


def is_given(text: str) -> bool:
    """Does the text of an option hold no argument that is still missing? Else it can't be judged yet."""
    return "{{" not in text


def unevaluated(text: str) -> str | None:
    r"""Text from where nothing is evaluated, with `\{{` made `{{`; None when it holds an expression."""
    if "{{" in text.replace(r"\{{", ""):
        return None
    return text.replace(r"\{{", "{{")


def is_text(value: str) -> bool:
    """Can the value be written to a file? What the system hands us may hold bytes that are no text."""
    return value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)


def texts(value: object, at: At) -> Iterator[tuple[At, str]]:
    """All text in a value, keys included, and where it stands."""
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield at / key, key
            yield from texts(item, at / key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts(item, at / index)
