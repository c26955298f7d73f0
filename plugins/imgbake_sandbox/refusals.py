"""Can there be sandboxes here? If not: which setting refuses, and what to do.

It is tried, once for each folder, since no reading of settings would know all that may refuse: the kernel,
a security module, the container around us, the file system. What is read afterwards only finds the words.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import msgspec

from imgbake.api import BakeError
from imgbake_sandbox import places, removal, serving
from imgbake_sandbox.identity import Identity, candidates
from imgbake_sandbox.report import Failed, Report
from imgbake_sandbox.spec import Spec

_INSTEAD = 'or bake it with a target whose commands run elsewhere, such as uses = "docker"'
_DENIED = (errno.EPERM, errno.EACCES)
_DIED = Failed("unshare", 0, "the sandbox died")

_MOST_NAMESPACES = "user/max_user_namespaces"
_DEBIAN_SWITCH = "kernel/unprivileged_userns_clone"
_UBUNTU_SWITCH = "kernel/apparmor_restrict_unprivileged_userns"
_OLDEST_KERNEL = "Linux 5.12"


class Refusal(msgspec.Struct, frozen=True):
    """Why there can be no sandbox, and what to do, both in words for the user."""

    message: str
    hint: str


class Refused(BakeError):
    """There can be no sandbox here."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message, hint=refusal.hint)
        self.refusal = refusal


def check(folder: Path) -> Refusal | None:
    """Why there can be no sandbox whose changes lie in this folder, or None when there can be.

    The folder must exist. Takes as long as a command for the first time in this process, then nothing.
    """
    found = _tried(str(folder.absolute()))
    return found if isinstance(found, Refusal) else None


def identity(folder: Path) -> Identity:
    """The best identity that works for sandboxes whose changes lie in this folder. Raises Refused."""
    found = _tried(str(folder.absolute()))
    if isinstance(found, Refusal):
        raise Refused(found)
    return found


def advice(failed: Failed, used: Identity) -> str:
    """What the user can do about a sandbox that failed with this identity; may be nothing."""
    if failed.stage == "user" and failed.number in (errno.EINVAL, errno.EPERM) and used.why:
        return f"there is no user but root here: {used.why}"
    if failed.stage == "command" and failed.number == errno.ENOENT:
        return "choose a base that has it"
    return ""


def advice_on(printed: Sequence[str], used: Identity) -> str:
    """What the user can do about a command that failed with this identity, by the last lines it printed.

    May be nothing. A file can't be given to a user whom the map doesn't have (chown(2), EINVAL), nor can
    one become somebody else (setgroups(2), EPERM).
    """
    said = [os.strerror(number) for number in (errno.EINVAL, errno.EPERM)]
    if used.kind == "single" and any(text in line for text in said for line in printed):
        return f"if it wants a user besides root, there is none here: {used.why}"
    return ""


@functools.cache
def _tried(folder: str) -> Identity | Refusal:
    refusal = None
    for candidate in candidates():
        failed = _try(candidate, folder)
        if failed is None:
            return candidate if refusal is None else msgspec.structs.replace(candidate, why=refusal.message)
        refusal = refusal or _explained(failed, folder)
    assert refusal is not None  # there is always a candidate
    return refusal


def _try(candidate: Identity, folder: str) -> Failed | None:
    """Makes a sandbox in which nothing is run."""
    try:
        server = serving.server(candidate)
        if failed := server.failed():
            return failed
        with contextlib.ExitStack() as leaving:
            place = leaving.enter_context(places.claimed(Path(folder)))
            leaving.callback(removal.remove_path, place)
            for name in ("lower", "upper", "work"):
                (place / name).mkdir()
            report = place / "report"
            spec = Spec(
                identity=candidate,
                lowers=(place / "lower",),
                upper=place / "upper",
                work=place / "work",
                report=report,
            )
            code = server.run(spec.write(place / "spec"))
            return None if code == 0 else Report.read(report).failed or _DIED
    except OSError as error:
        return Failed("unshare", error.errno or 0, f"no process can be started: {error.strerror or error}")


def _explained(failed: Failed, folder: str) -> Refusal:
    """What is known of a failure: the setting that refuses, and what to do about it."""
    by_stage = {"unshare": _of_namespaces, "map": _of_maps, "mount": _of_mounts, "overlay": _of_overlay}
    explain = by_stage.get(failed.stage, _of_the_rest)
    message, hint = explain(failed, folder)
    return Refusal(f"no sandbox can be made: {message}", f"{hint}, {_INSTEAD}" if hint else _INSTEAD)


def _of_namespaces(failed: Failed, folder: str) -> tuple[str, str]:
    if failed.number == errno.ENOSPC:
        if _setting(_MOST_NAMESPACES) == "0":
            return "user namespaces are forbidden by user.max_user_namespaces = 0", _sysctl(
                _MOST_NAMESPACES, 10000
            )
        return (
            "there are as many user namespaces as user.max_user_namespaces allows",
            "wait until some have ended",
        )
    if failed.number in (errno.EINVAL, errno.ENOSYS):
        return f"this kernel ({platform.release()}) has no user namespaces", f"use {_OLDEST_KERNEL} or later"
    if failed.number in _DENIED:
        return _of_denial(failed)
    return _of_the_rest(failed, folder)


def _of_maps(failed: Failed, folder: str) -> tuple[str, str]:
    return _of_denial(failed) if failed.number in _DENIED else _of_the_rest(failed, folder)


def _of_mounts(failed: Failed, folder: str) -> tuple[str, str]:
    if failed.number == errno.ENOSYS:
        return f"this kernel ({platform.release()}) is too old", f"use {_OLDEST_KERNEL} or later"
    return _of_denial(failed) if failed.number in _DENIED else _of_the_rest(failed, folder)


def _of_overlay(failed: Failed, folder: str) -> tuple[str, str]:
    if failed.number == errno.ENODEV:
        return "this kernel has no overlayfs", "load it with 'sudo modprobe overlay'"
    if failed.number in _DENIED:
        message, hint = _of_denial(failed)
        return (message, hint) if hint else (failed.message, f"use {_OLDEST_KERNEL} or later")
    kind = _file_system(folder)
    return (
        f"{failed.message}; its changes would lie in {folder}, which is on {kind}",
        "set XDG_CACHE_HOME to a folder on ext4, xfs or btrfs (in a container: on a volume)",
    )


def _of_denial(failed: Failed) -> tuple[str, str]:
    """Who has forbidden it: the settings that are known to, then what surrounds us."""
    if _setting(_DEBIAN_SWITCH) == "0":
        return "user namespaces are for root only: kernel.unprivileged_userns_clone = 0", _sysctl(
            _DEBIAN_SWITCH, 1
        )
    if os.geteuid() and _setting(_UBUNTU_SWITCH) == "1":
        return (
            "AppArmor restricts user namespaces: kernel.apparmor_restrict_unprivileged_userns = 1",
            _sysctl(_UBUNTU_SWITCH, 0),
        )
    if _status("Seccomp") == "2":
        return (
            f"a seccomp filter of the container around us refuses ({failed.message})",
            "start it with --security-opt seccomp=unconfined (in a pod: seccompProfile Unconfined)",
        )
    profile = _profile()
    if profile:
        return (
            f"the AppArmor profile of the container around us refuses, '{profile}' ({failed.message})",
            "start it with --security-opt apparmor=unconfined (in a pod: appArmorProfile Unconfined)",
        )
    return _of_the_rest(failed, "")


def _of_the_rest(failed: Failed, folder: str) -> tuple[str, str]:
    return failed.message, ""


def _sysctl(name: str, value: int) -> str:
    return f"allow it with 'sudo sysctl -w {name.replace('/', '.')}={value}'"


def _setting(name: str) -> str:
    try:
        return Path("/proc/sys", name).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _status(name: str) -> str:
    lines = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.split()[1] for line in lines if line.startswith(f"{name}:")), "")


def _profile() -> str:
    """The AppArmor profile that confines us, if one does."""
    try:
        text = Path("/proc/self/attr/apparmor/current").read_text(encoding="ascii").strip()
    except OSError:
        return ""
    return "" if text == "unconfined" else text


def _file_system(folder: str) -> str:
    """The kind of the file system that a folder lies on (proc(5), mountinfo)."""
    path = os.path.realpath(folder)
    kind, longest = "an unknown file system", -1
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        before, _, after = line.partition(" - ")
        point = before.split()[4]
        if longest <= len(point) and (path == point or path.startswith(point.rstrip("/") + "/")):
            kind, longest = after.split()[0], len(point)
    return kind
