"""Which instructions there are, and what each of them takes.

A Dockerfile with a `# syntax=` line is read by an image that may know more than is known here: in it,
unknown instructions and flags are no errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from imgbake.api import did_you_mean
from imgbake_dockerfile import mounts
from imgbake_dockerfile.heredocs import is_heredoc
from imgbake_dockerfile.located import DockerfileError
from imgbake_dockerfile.syntax import Dockerfile, Instruction

STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*")


class _Bad(ValueError):
    """What is wrong, with a hint, and the word that is meant."""

    def __init__(self, message: str, hint: str = "", word: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.word = word


class _Flag(NamedTuple):
    """A flag: is it a switch, can it be repeated, and which values are there, if they are few?"""

    is_switch: bool = False
    repeats: bool = False
    values: tuple[str, ...] = ()


_ONCE, _SWITCH, _MANY = _Flag(), _Flag(is_switch=True), _Flag(repeats=True)
_FLAGS: dict[str, dict[str, _Flag]] = {
    "ADD": {
        **dict.fromkeys(("chown", "chmod", "checksum"), _ONCE),
        **dict.fromkeys(("link", "keep-git-dir", "unpack"), _SWITCH),
        "exclude": _MANY,
    },
    "COPY": {
        **dict.fromkeys(("chown", "chmod", "from"), _ONCE),
        **dict.fromkeys(("link", "parents"), _SWITCH),
        "exclude": _MANY,
    },
    "FROM": {"platform": _ONCE},
    "HEALTHCHECK": dict.fromkeys(("interval", "timeout", "start-period", "start-interval", "retries"), _ONCE),
    "RUN": {
        "mount": _MANY,
        "device": _MANY,
        "network": _Flag(values=("default", "none", "host")),
        "security": _Flag(values=("insecure", "sandbox")),
    },
}
_UNCHECKED_FLAGS = ("ARG", "STOPSIGNAL")  # BuildKit reads over any flag of these


def check(dockerfile: Dockerfile) -> None:
    """Raises DockerfileError for the first instruction that no builder would take."""
    for instruction in dockerfile.instructions:
        check_instruction(dockerfile, instruction)


def check_instruction(dockerfile: Dockerfile, instruction: Instruction) -> None:
    """Raises DockerfileError if the instruction is wrong. What ONBUILD triggers is checked when it is."""
    try:
        _check(instruction, lenient=bool(dockerfile.syntax))
    except _Bad as error:
        where = dockerfile.where(instruction, error.word)
        raise DockerfileError(str(error), where=where, hint=error.hint) from None


def unknown_in(instruction: Instruction) -> str:
    """The instruction's name, or a flag of it, if nobody here knows what that does; otherwise nothing."""
    if instruction.name not in _ARGUMENTS:
        return instruction.name
    if instruction.name in _UNCHECKED_FLAGS:
        return ""
    names = (text.partition("=")[0] for text in instruction.flags)
    return next((name for name in names if name[2:] not in _FLAGS.get(instruction.name, {})), "")


def _check(instruction: Instruction, lenient: bool) -> None:
    arguments = _ARGUMENTS.get(instruction.name)
    if arguments is None:
        if lenient:
            return
        known = did_you_mean(instruction.name, _ARGUMENTS)
        raise _Bad(f"there is no instruction '{instruction.name}'", known, instruction.text.split(" ")[0])
    arguments(instruction)
    if instruction.name not in _UNCHECKED_FLAGS:
        _check_flags(instruction, lenient)


def _check_flags(instruction: Instruction, lenient: bool) -> None:
    known = _FLAGS.get(instruction.name, {})
    seen: set[str] = set()
    for text in instruction.flags:
        name, equals, value = text[2:].partition("=")
        flag = known.get(name)
        if flag is None:
            if lenient:
                continue
            hint = did_you_mean(name, known) or f"{instruction.name} has no flags"
            raise _Bad(f"{instruction.name} has no flag --{name}", hint, f"--{name}")
        if name in seen and not flag.repeats:
            raise _Bad(f"--{name} may be given once", "remove one of them", f"--{name}")
        seen.add(name)
        _check_value(f"--{name}", flag, bool(equals), value)
    for text in instruction.flag_values("mount"):
        try:
            mounts.origin(text)
        except mounts.BadMount as error:
            raise _Bad(str(error), "", "--mount") from None


def _check_value(name: str, flag: _Flag, has_value: bool, value: str) -> None:
    if flag.is_switch:
        if has_value and value.lower() not in ("true", "false"):
            raise _Bad(f"{name} is true or false, not '{value}'", f"write {name} or {name}=false", name)
    elif not has_value:
        raise _Bad(f"{name} needs a value", f"write {name}=…", name)
    elif flag.values and value not in flag.values:
        raise _Bad(f"{name} can't be '{value}'", did_you_mean(value, flag.values), name)


def _one(instruction: Instruction) -> None:
    if len(instruction.words) != 1:
        raise _Bad(f"{instruction.name} takes one argument", f"write {instruction.name} …")


def _some(instruction: Instruction) -> None:
    if not (instruction.words or instruction.pairs or instruction.trigger):
        raise _Bad(f"{instruction.name} needs an argument", f"write {instruction.name} …")


def _any(instruction: Instruction) -> None:
    pass


def _pairs(instruction: Instruction) -> None:
    _some(instruction)
    if not all(key for key, _ in instruction.pairs):
        raise _Bad(f"{instruction.name} has a value without a name", "write name=value")


def _argument(instruction: Instruction) -> None:
    _some(instruction)
    if any(word.startswith("=") for word in instruction.words):
        raise _Bad("ARG has a value without a name", "write ARG name=value", "=")


def _trigger(instruction: Instruction) -> None:
    _some(instruction)
    if instruction.trigger and instruction.trigger.name in ("ONBUILD", "FROM", "MAINTAINER"):
        raise _Bad(f"{instruction.trigger.name} can't stand after ONBUILD", "", instruction.trigger.name)


def _base(instruction: Instruction) -> None:
    found = instruction.words
    is_named = len(found) == 3 and found[1].lower() == "as"
    if len(found) != 1 and not is_named:
        raise _Bad("FROM takes an image, and a name after AS", "write FROM image, or FROM image AS name")
    if is_named and not STAGE_NAME.fullmatch(found[2].lower()):
        hint = "a name starts with a letter and has letters, digits, '-', '_' and '.'"
        raise _Bad(f"'{found[2]}' can't be a stage's name", hint, found[2])


def _sources(instruction: Instruction) -> None:
    if len(instruction.words) < 2:
        hint = f"write {instruction.name} source… destination"
        raise _Bad(f"{instruction.name} needs sources and a destination", hint)
    if is_heredoc(instruction.words[-1]):
        hint = "the last argument is the destination, a path in the image"
        raise _Bad(f"{instruction.name} can't copy into a heredoc", hint, instruction.words[-1])


def _health(instruction: Instruction) -> None:
    kind, *command = instruction.words or ("",)
    if kind.upper() not in ("CMD", "NONE") or bool(command) != (kind.upper() == "CMD"):
        raise _Bad("HEALTHCHECK takes CMD and a command, or NONE", "write HEALTHCHECK CMD command", kind)


def _shell(instruction: Instruction) -> None:
    if not instruction.words or not instruction.is_json:
        raise _Bad("SHELL takes a JSON array", 'write SHELL ["/bin/bash", "-c"]')


def _volumes(instruction: Instruction) -> None:
    _some(instruction)
    if not all(map(str.strip, instruction.words)):
        raise _Bad("a volume needs a path", "write VOLUME /path")


_ARGUMENTS: dict[str, Callable[[Instruction], None]] = {
    "ADD": _sources,
    "ARG": _argument,
    "CMD": _any,
    "COPY": _sources,
    "ENTRYPOINT": _any,
    "ENV": _pairs,
    "EXPOSE": _some,
    "FROM": _base,
    "HEALTHCHECK": _health,
    "LABEL": _pairs,
    "MAINTAINER": _one,
    "ONBUILD": _trigger,
    "RUN": _any,
    "SHELL": _shell,
    "STOPSIGNAL": _one,
    "USER": _one,
    "VOLUME": _volumes,
    "WORKDIR": _one,
}
