"""The words of a Dockerfile, quoted so that every builder reads back what was meant.

Commands are in the JSON form, which no builder expands and which runs the component's own shell, also
on a base that has set another with SHELL. In all other instructions `$` would be expanded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from imgbake.api import BakeError, Healthcheck, Setup

_LEAST_TIME = 0.001  # seconds; docker takes none that is shorter


def quoted(text: str, of: str) -> str:
    """A word in double quotes. Raises BakeError for one that a Dockerfile can't hold; `of` says whose."""
    if "\n" in text or "\r" in text:
        raise BakeError(f"{of} holds a line break, which no Dockerfile can say", hint="put it into a file")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'


def assigned(instruction: str, values: Mapping[str, str], of: str) -> list[str]:
    """ENV or LABEL, a line for each name."""
    return [
        f"{instruction} {name if instruction == 'ENV' else quoted(name, of)}={quoted(value, f'{of} {name}')}"
        for name, value in values.items()
    ]


def listed(words: Sequence[str]) -> str:
    """A JSON array."""
    return msgspec.json.encode(list(words)).decode()


def run(command: str, setup: Setup) -> str:
    """RUN, with the mounts of caches and secrets."""
    mounts = [
        f"--mount=type=cache,target={cache.path},mode=0777,sharing={'shared' if cache.shared else 'locked'}"
        for cache in setup.caches
    ]
    mounts += [f"--mount=type=secret,id={name},required=true,mode=0444" for name in setup.secrets]
    return " ".join(["RUN", *mounts, listed([*setup.shell, command])])


def volumes(paths: Sequence[str]) -> str:
    """VOLUME, whose words are expanded although they are a JSON array."""
    return (
        f"VOLUME {listed([path.replace(chr(92), chr(92) * 2).replace('$', chr(92) + '$') for path in paths])}"
    )


def healthcheck(said: Healthcheck) -> str:
    """HEALTHCHECK. Raises BakeError for a shell command that no Dockerfile can say."""
    form, *words = said.test
    if form == "NONE":
        return "HEALTHCHECK NONE"
    times = {"interval": said.interval, "timeout": said.timeout, "start-period": said.start_period}
    flags = [f"--{name}={_duration(value, name)}" for name, value in times.items() if value]
    if said.retries:
        flags.append(f"--retries={said.retries}")
    command = listed(words) if form == "CMD" else " ".join(words)
    if "\n" in command or command.endswith("\\"):
        raise BakeError("`healthcheck` holds a line break, which no Dockerfile can say", hint="use a script")
    return " ".join(["HEALTHCHECK", *flags, "CMD", command])


def _duration(seconds: float, name: str) -> str:
    if seconds < _LEAST_TIME:
        raise BakeError(f"`healthcheck`: docker takes no {name} below 1 ms")
    return f"{round(seconds * 1000)}ms"
