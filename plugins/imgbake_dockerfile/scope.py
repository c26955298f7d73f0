"""The variables that instructions see: values, and names whose value can't be told."""

from __future__ import annotations

from collections.abc import Mapping

from imgbake_dockerfile.expansion import Style, Unset, expand

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Scope:
    """Variables while a stage is gone through. `is_open` says that its base may have set others."""

    def __init__(self, values: Mapping[str, str], escape: str, *, is_open: bool = False) -> None:
        self.used: set[str] = set()  # what was asked for, set or not
        self._values = dict(values)
        self._style = Style(escape)
        self._is_open = is_open
        self._unknown: set[str] = set()
        self._from_env: dict[str, str | None] = {}

    def copy(self) -> Scope:
        """The same variables, for a stage that starts from this one."""
        other = Scope(self._values, self._style.escape, is_open=self._is_open)
        other._unknown = set(self._unknown)
        other._from_env = dict(self._from_env)
        return other

    def expand(self, word: str) -> str | None:
        """The word with its variables replaced; None if that can't be told. Raises BadExpansion."""
        try:
            found = expand(word, self._values, self._style)
        except Unset:
            if self._is_open or self._unknown:
                return None
            raise
        self.used |= found.used | found.unset
        if (found.used | found.unset) & self._unknown or (self._is_open and found.unset):
            return None
        return found.text

    def get(self, name: str) -> str | None:
        """The value of a variable; None when it is unset."""
        return self._values.get(name)

    def set_env(self, name: str, value: str | None) -> None:
        """Sets what ENV sets; None for a value that can't be told."""
        self._from_env[name] = value
        self._set(name, value)

    def set_arg(self, name: str, value: str | None) -> None:
        """Sets what ARG sets.

        BuildKit lets an ARG win over an ENV before it, the classic builder and Kaniko the ENV. So
        where they would differ, nobody can tell.
        """
        self._set(name, value if self._from_env.get(name, value) == value else None)

    def forget(self) -> None:
        """From now on no value can be told: something was set, and nobody knows what."""
        self._unknown |= self._values.keys()
        self._is_open = True

    def _set(self, name: str, value: str | None) -> None:
        if value is None:
            self._unknown.add(name)
            self._values.setdefault(name, "")
        else:
            self._unknown.discard(name)
            self._values[name] = value
