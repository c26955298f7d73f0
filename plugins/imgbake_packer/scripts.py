"""The shell scripts that Packer runs on the machine, as root. Pure.

    build-app.sh      unpacks the files of the component app, adds its environment, runs its build commands
    validate-app.sh   runs its validate commands
    image.sh          adds the image's own environment

Each says what it is about to do by a line that begins with `MARK`, so that a failure can be placed.
A script is a file and not text of the template, where Packer would expand `{{`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence

from imgbake.api import BakeError, Blueprint, Layer, Setup

MARK = "imgbake: "
END = "end"  # what the mark says when a script has ended well
PROFILE = "/etc/profile.d/imgbake.sh"
IMAGE = "image.sh"
_HEAD = "#!/bin/sh\n# {}\nset -eu\numask 022\ncd /\nmark() {{ printf '" + MARK + '%s\\n\' "$1"; }}\n'
_END = f"mark {END}\n"
_UNPACK = """\
archive={archive}
if tar --version 2>/dev/null | grep -q GNU; then
    # what a folder of the machine says of itself stays, and a symlink to one stays a symlink
    tar -x -z -p --same-owner --numeric-owner --no-overwrite-dir --keep-directory-symlink -f "$archive" -C /
else
    tar -x -z -p -f "$archive" -C /
fi
rm -f "$archive"
"""
_CACHE = """\
mkdir -p {path}
hidden=$(mktemp -d)
chmod 0777 "$hidden"
mount --bind "$hidden" {path}
undo="umount "{quoted}"; rm -rf '$hidden'; $undo"
"""
_SECRET = """\
mkdir -p /run/secrets
install -m 0444 {uploaded} {place}
rm -f {uploaded}
undo="rm -f "{quoted}"; $undo"
"""
_USER = """\
user={user} group={group}
uid=$(id -u -- "$user" 2>/dev/null || echo "$user")
gid=$(id -g -- "$user" 2>/dev/null || echo 0)
if [ -n "$group" ]; then gid=$(getent group "$group" | cut -d: -f3); gid=${{gid:-$group}}; fi
home=$(getent passwd "$uid" | cut -d: -f6) || home=
groups=--clear-groups
if [ -n "$home" ]; then groups=--init-groups; fi
"""

Reveal = Callable[[str], str]


def script_name(phase: str, layer: Layer) -> str:
    """The script of a phase of a component, in the folder of the template."""
    return f"{phase}-{layer.component}.sh"


def archive_name(layer: Layer) -> str:
    """The archive of a component's files, in the folder of the template."""
    return f"files-{layer.component}.tar.gz"


def uploaded_archive(layer: Layer) -> str:
    """Where the archive stands on the machine until it is unpacked."""
    return f"/tmp/imgbake-{archive_name(layer)}"


def uploaded_secret(name: str) -> str:
    """Where a secret's file stands on the machine until the script takes it."""
    return f"/tmp/imgbake-secret-{name}"


def secret_name(name: str) -> str:
    """The private file of a secret, in the folder of the template."""
    return f"secret-{name}"


def scripts(blueprint: Blueprint, reveal: Reveal = str) -> dict[str, str]:
    """The scripts of an image by name, secrets put in by `reveal`. Raises BakeError."""
    found: dict[str, str] = {}
    env: dict[str, str] = {}
    for layer in blueprint.layers:
        _refuse(layer)
        env |= layer.env
        if layer.files or layer.env or layer.build:
            found[script_name("build", layer)] = _building(layer, env, reveal)
        if layer.validate:
            found[script_name("validate", layer)] = _phase(layer, "validate", layer.validate, env, reveal)
    if blueprint.config.env:
        found[IMAGE] = _image(blueprint, reveal)
    return found


def test_scripts(blueprint: Blueprint, reveal: Reveal) -> dict[str, str]:
    """The scripts of the test phase, by name, with the environment that the image has."""
    env = {name: value for layer in blueprint.layers for name, value in layer.env.items()}
    env |= blueprint.config.env
    return {
        script_name("test", layer): _phase(layer, "test", layer.test, env, reveal)
        for layer in blueprint.layers
        if layer.test
    }


def _refuse(layer: Layer) -> None:
    setup = layer.setup
    limits = {"memory": setup.memory, "cpus": setup.cpus, "processes": setup.processes}
    for name, value in limits.items():
        if value is not None:
            message = f"component '{layer.component}' asks for `limits.{name}`, which Packer has not"
            raise BakeError(message, hint="the machine is its own: `instance_type` says how large it is")


def _building(layer: Layer, env: Mapping[str, str], reveal: Reveal) -> str:
    lines = [_HEAD.format(f"component {layer.component}: files, environment, build")]
    if layer.files:
        lines.append(_mark(layer, "files"))
        lines.append(unpacking(uploaded_archive(layer)))
    if layer.env:
        lines.append(_mark(layer, "environment"))
        lines += profile(layer.env, reveal)
    if layer.build:
        lines += _commands(layer, "build", layer.build, env, reveal)
    return "".join([*lines, _END])


def _phase(layer: Layer, phase: str, commands: Sequence[str], env: Mapping[str, str], reveal: Reveal) -> str:
    head = _HEAD.format(f"component {layer.component}: {phase}")
    return "".join([head, *_commands(layer, phase, commands, env, reveal), _END])


def _image(blueprint: Blueprint, reveal: Reveal) -> str:
    head = _HEAD.format(f"image {blueprint.image}: environment")
    return "".join([head, *profile(blueprint.config.env, reveal)])


def unpacking(archive: str) -> str:
    """Unpacks an archive of files at the root of the machine, and removes it."""
    return _UNPACK.format(archive=shlex.quote(archive))


def profile(env: Mapping[str, str], reveal: Reveal) -> Iterator[str]:
    """Adds to a file that login shells read; what comes later wins."""
    yield f"mkdir -p {PROFILE.rpartition('/')[0]}\n"
    for name, value in env.items():
        line = f"export {name}={shlex.quote(reveal(value))}"
        yield f"printf '%s\\n' {shlex.quote(line)} >>{PROFILE}\n"
    yield f"chmod 0644 {PROFILE}\n"


def _commands(
    layer: Layer, phase: str, commands: Sequence[str], env: Mapping[str, str], reveal: Reveal
) -> Iterator[str]:
    for name, value in env.items():
        yield f"export {name}={shlex.quote(reveal(value))}\n"
    yield from surroundings(layer.setup)
    wrapped = prefix(layer.setup)
    for number, command in enumerate(commands, 1):
        yield _mark(layer, f"{phase} {number}")
        words = " ".join(shlex.quote(word) for word in [*layer.setup.shell, reveal(command)])
        yield f"{wrapped}{words} </dev/null\n"


def surroundings(setup: Setup) -> Iterator[str]:
    """What the commands find, and how it is taken away again when they end."""
    if setup.caches or setup.secrets:
        yield "undo=\ntrap 'eval \"$undo\"' EXIT\n"
    for cache in setup.caches:
        path = shlex.quote(cache.path)
        yield _CACHE.format(path=path, quoted=shlex.quote(path))
    for name in setup.secrets:
        place = shlex.quote(f"/run/secrets/{name}")
        uploaded = shlex.quote(uploaded_secret(name))
        yield _SECRET.format(uploaded=uploaded, place=place, quoted=shlex.quote(place))
    if setup.user is not None:
        user, _, group = setup.user.partition(":")
        yield _USER.format(user=shlex.quote(user), group=shlex.quote(group))
    if setup.workdir is not None:
        yield f"mkdir -p {shlex.quote(setup.workdir)}\ncd {shlex.quote(setup.workdir)}\n"


def prefix(setup: Setup) -> str:
    """What stands before a command so that it runs without a network, or as another user."""
    words = ""
    if setup.network == "none":
        words += "unshare --net -- "
    if setup.user is not None:
        words += 'env HOME="${home:-/}" setpriv --reuid "$uid" --regid "$gid" "$groups" -- '
    return words


def _mark(layer: Layer, what: str) -> str:
    return f"mark {shlex.quote(f'{layer.component} {what}')}\n"
