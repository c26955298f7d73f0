"""From a copy of the sandbox's first process to a program of the image: the last steps, in the child.

What goes wrong is told through a pipe that closes by itself when the program starts.
"""

from __future__ import annotations

import errno
import os
import stat

from imgbake_sandbox import kernel, privileges, records
from imgbake_sandbox.failure import NOT_EXECUTABLE, NOT_FOUND, Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from imgbake_sandbox.records import Records
    from imgbake_sandbox.users import User

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
UMASK = 0o022
_TRY_NEXT = (errno.ENOENT, errno.ENOTDIR, errno.EACCES)


def launch(spec: Records, user: User, argv: list[str], terminal: str, tell: int) -> NoReturn:
    """Becomes the program `argv`, or writes to `tell` why not. `terminal` is a path, or nothing."""
    try:
        _prepare(spec, user, terminal, tell)
        _execute(argv, _environment(spec, user))
    except Failure as failure:
        _tell(tell, failure)
    except OSError as error:
        _tell(tell, Failure("command", f"the command can't be started: {error}", error.errno))
    finally:
        os._exit(NOT_EXECUTABLE)


def problem(said: bytes) -> Failure | None:
    """What `launch` told, if anything."""
    for stage, number, code, message in records.decode(said):
        return Failure(stage, message, int(number), int(code))
    return None


def _prepare(spec: Records, user: User, terminal: str, tell: int) -> None:
    os.setsid()
    if terminal:
        file = os.open(terminal, os.O_RDWR)  # the first that a new session opens controls it
        for descriptor in (0, 1, 2):
            os.dup2(file, descriptor)
    else:
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        _give_output(user)
    privileges.become(
        user,
        shares_network=spec.one("network") == "host",
        may_set_groups=spec.one("identity") != "single",
        kept=tell,
    )
    os.umask(UMASK)
    folder = spec.one("cwd")
    try:
        os.chdir(folder)
    except OSError as error:
        raise Failure(
            "spec", f"user {user.uid} can't enter {folder}: {error.strerror}", error.errno
        ) from None
    kernel.reset_signals()


def _give_output(user: User) -> None:
    """Lets a user open /dev/stdout and /dev/stderr, which takes more than having them open."""
    for descriptor in (1, 2):
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            try:
                os.fchown(descriptor, user.uid, user.gid)
            except OSError:
                pass  # the pipe, or the command, is of a user who isn't in here


def _environment(spec: Records, user: User) -> dict[str, str]:
    return {"PATH": _PATH, "HOME": user.home} | spec.pairs("env")


def _execute(argv: list[str], environment: dict[str, str]) -> NoReturn:
    program = argv[0]
    if "/" in program:
        paths = [program]
    else:
        paths = [os.path.join(folder or ".", program) for folder in environment["PATH"].split(":")]
    found, number = "", errno.ENOENT
    for path in paths:
        try:
            os.execve(path, argv, environment)
        except OSError as error:
            reason = error.errno or 0
            if reason not in _TRY_NEXT:
                raise _not_started(path, reason) from None
            if reason == errno.EACCES or os.path.lexists(path):
                found, number = path, reason
    raise _not_started(found or program, number)


def _not_started(program: str, number: int) -> Failure:
    if number == errno.ENOEXEC:
        text = f"{program} is no program for this machine ({os.uname().machine})"
        return Failure("command", text, number, NOT_EXECUTABLE)
    if number not in (errno.ENOENT, errno.ENOTDIR):
        return Failure("command", f"{program} can't be run: {os.strerror(number)}", number, NOT_EXECUTABLE)
    if os.path.lexists(program):
        text = f"{program} is there, but not the interpreter or the loader that it needs"
    elif "/" in program:
        text = f"the image has no {program}"
    else:
        text = f"the image has no program '{program}' in its PATH"
    return Failure("command", text, number, NOT_FOUND)


def _tell(tell: int, failure: Failure) -> None:
    record = (failure.stage, str(failure.number), str(failure.code), failure.message)
    os.write(tell, records.encode([record]))
