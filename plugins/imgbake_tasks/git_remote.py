"""Talking to a git repository elsewhere: how git is called, and what a ref's newest commit is."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from imgbake.api import StepError, did_you_mean
from imgbake_tasks.address import Address

_TIMEOUT = 60  # seconds
_HEX = re.compile(r"[0-9a-f]{7,}")

# What ties git to another repository than the one that it is given. It is set where imgbake runs
# inside a hook of git.
_MISLEADING = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIR", "GIT_GLOB_PATHSPECS", "GIT_GRAFT_FILE",
    "GIT_ICASE_PATHSPECS", "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE", "GIT_NOGLOB_PATHSPECS", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_QUARANTINE_PATH",
    "GIT_SHALLOW_FILE", "GIT_WORK_TREE",
)  # fmt: skip

# Answers git's question for a password, which so stands in no list of processes (git-credential(1)).
_HELPER = (
    """!f() { test "$1" = get && """
    r"""printf 'username=%s\npassword=%s\n' "$IMGBAKE_USER" "$IMGBAKE_PASSWORD"; }; f"""
)

# What git or ssh says, and what to do. Neither can ask here: there is no terminal.
_HINTS = {
    r"Host key verification failed": (
        "ssh doesn't know the host by this key, and can't ask here: connect once by hand, "
        "or add the host to ~/.ssh/known_hosts"
    ),
    r"Permission denied \(": (
        "ssh had no key that the server takes, and can't ask here: check the user in `url`, "
        "add the key to the agent (`ssh-add`), or name it in ~/.ssh/config"
    ),
    r"could not read (Username|Password)|Authentication failed": (
        "it wants a password: https://USER:{{ token }}@HOST/…, with a secret argument"
    ),
}
_HINT = "check `url` and the network; what `imgbake lock` has pinned is not asked for"

_newest: dict[tuple[Address, str], str] = {}  # what was asked once holds while this process lasts
_asking = threading.Lock()


def command(address: Address, *words: str) -> list[str]:
    """The command line of git with these words: no hooks, and this address's password when it is asked."""
    set_wrongly = [name for name in _MISLEADING if name in os.environ]
    clean = ["env", *(f"--unset={name}" for name in set_wrongly)] if set_wrongly else []
    return [*clean, "git", "-c", "core.hooksPath=/dev/null", *_credentials(address), *words]


def environment(address: Address) -> dict[str, str]:
    """What the command's environment must hold. Secrets are still named in it, not put in."""
    added = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    if _has_password(address):
        added |= {"IMGBAKE_USER": address.user or "", "IMGBAKE_PASSWORD": address.password or ""}
    return added


def location(address: Address) -> str:
    """The url to give to git: with the user where git won't ask for it."""
    if address.user is None or _has_password(address):
        return address.plain
    scheme, _, rest = address.plain.partition("://")
    return f"{scheme}://{address.user}@{rest}"


def newest(address: Address, ref: str, root: Path, reveal: Callable[[str], str]) -> str:
    """The commit that a branch or tag is at now; a branch goes before a tag of the same name.

    Raises StepError when the repository can't be asked or has no such ref.
    """
    with _asking:
        known = _newest.get((address, ref))
    if known is None:
        known = _pick(listed(address, [ref, f"{ref}^{{}}"], root, reveal), ref)
        if known is None:
            raise _no_such_ref(address, ref, root, reveal)
        with _asking:
            _newest[address, ref] = known
    return known


def forget() -> None:
    """Lets everything be asked again, as a process that outlives one build must."""
    with _asking:
        _newest.clear()


def is_local(address: Address) -> bool:
    """Is the repository on this machine?"""
    return address.plain.startswith(("file://", "/", "."))


def _has_password(address: Address) -> bool:
    return address.user is not None and address.plain.startswith(("https://", "http://"))


def _credentials(address: Address) -> list[str]:
    """Options that answer for this address's host with its password, and ask no other helper."""
    if not _has_password(address):
        return []
    key = f"credential.{_origin(address)}.helper"
    return ["-c", f"{key}=", "-c", f"{key}={_HELPER}"]


def _origin(address: Address) -> str:
    return "/".join(address.plain.split("/")[:3])


def _pick(refs: dict[str, str], ref: str) -> str | None:
    for name in (ref, f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/{ref}"):
        if name in refs:
            return refs.get(f"{name}^{{}}", refs[name])  # a tag with a message: what it points to
    return None


def listed(
    address: Address, patterns: Sequence[str], root: Path, reveal: Callable[[str], str]
) -> dict[str, str]:
    """The refs that match, by name. Raises StepError when the repository can't be asked."""
    argv = command(address, "ls-remote", "--quiet", "--", reveal(location(address)), *patterns)
    env = {name: reveal(value) for name, value in environment(address).items()}
    try:
        # Apart from our terminal, so that nothing (ssh, say) can ask for a password there.
        process = subprocess.Popen(
            argv,
            env={**os.environ, **env},
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
            errors="replace",
        )
    except FileNotFoundError:
        raise StepError("git is not installed, or not on PATH", hint="install git") from None
    try:
        out, err = process.communicate(timeout=_TIMEOUT)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        out, err = "", f"no answer within {_TIMEOUT} s"
    if process.returncode:
        raise unreachable(address, err.splitlines())
    pairs = [line.split("\t", 1) for line in out.splitlines() if "\t" in line]
    return {name: commit for commit, name in pairs}


def unreachable(address: Address, said: Sequence[str]) -> StepError:
    """The error for a repository that can't be read, with what git said of it."""
    text = "\n".join(said)
    message = f"the git repository {address.plain} can't be read"
    hint = next((hint for pattern, hint in _HINTS.items() if re.search(pattern, text)), _HINT)
    return StepError(message, hint=hint, tail=[line for line in said if line.strip()][-10:])


def _no_such_ref(address: Address, ref: str, root: Path, reveal: Callable[[str], str]) -> StepError:
    message = f"{address.plain} has no branch or tag '{ref}'"
    if _HEX.fullmatch(ref):
        return StepError(message, hint="a commit must be named in full, by its 40 hex digits")
    names = listed(address, ["refs/heads/*", "refs/tags/*"], root, reveal)
    plain = [name.split("/", 2)[2] for name in names if not name.endswith("^{}")]
    return StepError(message, hint=did_you_mean(ref, plain) or "check `ref`")


def same_host(one: Address, other: Address) -> bool:
    """Do both addresses lead to the same scheme, host and port?"""
    return _origin(one) == _origin(other)
