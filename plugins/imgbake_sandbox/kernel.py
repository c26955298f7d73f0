"""The calls to the kernel that Python has no names for. Each raises OSError.

Only what the C library exports or what has one number on every architecture is used, so that nothing
needs to be compiled. `signal`, `socket` and `json` would do some of it, but they import `enum` and `re`,
which takes longer than all that the sandbox does.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

CLONE_PARENT = 0x00008000
CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000

MOUNT_RDONLY = 1  # MOUNT_ATTR_*, which are not MS_*
MOUNT_NOSUID = 2
MOUNT_NODEV = 4
MOUNT_NOEXEC = 8

# The same on all architectures but alpha, mips, parisc and sparc.
SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGUSR1, SIGUSR2 = 1, 2, 3, 9, 10, 12
SIGPIPE, SIGTERM, SIGCHLD, SIGXFSZ, SIGWINCH = 13, 15, 17, 25, 28

TO_END = (SIGTERM, SIGINT, SIGHUP, SIGQUIT)
TO_FORWARD = (*TO_END, SIGUSR1, SIGUSR2)
"""The signals that a sandbox passes on to its command; after the first of them it runs no further one."""

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4

_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_CLONE3 = 435
_SYS_MOUNT_SETATTR = 442
_SYS_LANDLOCK_CREATE_RULESET = 444
_SYS_LANDLOCK_RESTRICT_SELF = 446
_SYS_KEYCTL = {
    "x86_64": 250,
    "aarch64": 219,
    "riscv64": 219,
    "loongarch64": 219,
    "ppc64le": 271,
    "s390x": 280,
}

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_MOVE_MOUNT_T_SYMLINKS = 0x10
_MNT_DETACH = 2
_KEYCTL_JOIN_SESSION_KEYRING = 1
_LANDLOCK_CREATE_RULESET_VERSION = 1
_LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET = 1
_LANDLOCK_WITH_SCOPES = 6  # the version of its interface
_CAPABILITY_VERSION_3 = 0x20080522

_SIGSET_SIZE = 128
_SIGNALFD_RECORD = 128
_SFD_CLOEXEC = os.O_CLOEXEC
_SIG_BLOCK, _SIG_SETMASK = 0, 2

_AF_INET, _SOCK_DGRAM, _SIOCSIFFLAGS, _IFF_UP_AND_RUNNING = 2, 2, 0x8914, 0x41
_IFREQ_SIZE = 40

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.signal.restype = ctypes.c_void_p
_libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
_libc.prctl.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)
_at_once = ctypes.PyDLL(None, use_errno=True)  # calls that Python's lock is kept in
_at_once.syscall.restype = ctypes.c_long


def unshare(flags: int) -> None:
    """Leaves the namespaces that CLONE_NEW* flags name for new ones."""
    _checked(_libc.unshare(ctypes.c_int(flags)))


def fork_for_parent() -> int:
    """Forks, as os.fork does, but the child is one of our parent's: who waits for us waits for it.

    For a process without threads.
    """
    # struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls
    arguments = (ctypes.c_uint64 * 8)(CLONE_PARENT)
    size = ctypes.c_size_t(ctypes.sizeof(arguments))
    return _checked(_at_once.syscall(ctypes.c_long(_SYS_CLONE3), arguments, size))


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    """mount(2)."""
    _checked(
        _libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            kind.encode(),
            ctypes.c_ulong(flags),
            os.fsencode(options) if options else None,
        ),
        target,
    )


def make_private(path: str) -> None:
    """No mount below this path is seen elsewhere from now on, nor any from elsewhere here."""
    _checked(_libc.mount(None, os.fsencode(path), None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None), path)


def make_dependent(path: str) -> None:
    """No mount below this path is seen elsewhere from now on, but those made elsewhere are seen here."""
    _checked(_libc.mount(None, os.fsencode(path), None, ctypes.c_ulong(MS_REC | MS_SLAVE), None), path)


def detach(target: str) -> None:
    """Unmounts, and lets whoever still uses the mount finish with it."""
    _checked(_libc.umount2(os.fsencode(target), ctypes.c_int(_MNT_DETACH)), target)


def pivot_root(new_root: str, old_root: str) -> None:
    """pivot_root(2)."""
    _checked(_libc.pivot_root(os.fsencode(new_root), os.fsencode(old_root)), new_root)


def clone_mount(path: str, attributes: int) -> int:
    """A mount of what is at a path, and of all mounts below it, that is nowhere yet.

    `attributes` are MOUNT_*, and hold for all of them. Returns a descriptor.
    """
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_RECURSIVE
    mounted = _syscall(_SYS_OPEN_TREE, _AT_FDCWD, path, flags, about=path)
    try:
        _set_attributes(mounted, attributes)
    except OSError:
        os.close(mounted)
        raise
    return mounted


def attach_mount(mounted: int, target: str) -> None:
    """Puts what `clone_mount` made at a path, following symlinks, and closes its descriptor."""
    flags = _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_SYMLINKS
    try:
        _syscall(_SYS_MOVE_MOUNT, mounted, "", _AT_FDCWD, target, flags, about=target)
    finally:
        os.close(mounted)


def set_hostname(name: str) -> None:
    """sethostname(2)."""
    data = name.encode()
    _checked(_libc.sethostname(data, ctypes.c_size_t(len(data))))


def raise_loopback() -> None:
    """Brings up the interface `lo`, which gives it 127.0.0.1 and ::1."""
    socket = _checked(_libc.socket(_AF_INET, _SOCK_DGRAM | os.O_CLOEXEC, 0))
    request = b"lo".ljust(16, b"\0") + _IFF_UP_AND_RUNNING.to_bytes(2, sys.byteorder)
    try:
        _checked(_libc.ioctl(socket, ctypes.c_ulong(_SIOCSIFFLAGS), request.ljust(_IFREQ_SIZE, b"\0")))
    finally:
        os.close(socket)


def die_with_parent() -> None:
    """Has the kernel kill this process when the thread that started it ends."""
    _prctl(_PR_SET_PDEATHSIG, SIGKILL)


def hide_from_others() -> None:
    """Lets nobody trace this process or follow the links of its /proc folder, whatever their user."""
    _prctl(_PR_SET_DUMPABLE, 0)


def name_process(name: str) -> None:
    """Gives this process a name of at most 15 letters that `ps` and `top` show."""
    text = ctypes.create_string_buffer(name.encode())
    _prctl(_PR_SET_NAME, ctypes.addressof(text))


def keep_capabilities(kept: int) -> None:
    """Gives up all capabilities but these (a set of bits), for good and for programs to come."""
    number = 0
    while _libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) >= 0:
        if not kept >> number & 1:
            _prctl(_PR_CAPBSET_DROP, number)
        number += 1
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)


def set_capabilities(held: int) -> None:
    """Makes these the capabilities of this process, none of them inheritable."""
    low, high = held & 0xFFFFFFFF, held >> 32
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # Of each half: effective, permitted, inheritable.
    _checked(_libc.capset(header, (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)))


def join_new_keyring() -> None:
    """Leaves the session's keys behind, unless commands can't get at keys here anyway."""
    number = _SYS_KEYCTL.get(os.uname().machine)
    if number is not None:
        try:
            _syscall(number, _KEYCTL_JOIN_SESSION_KEYRING, None)
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EPERM):  # a kernel without keys, a filter around us
                raise


def refuse_outer_abstract_sockets() -> bool:
    """Unix sockets without a file, made by processes outside, can't be reached from now on.

    The network namespace alone would let them through. Returns False where the kernel can't (before
    Linux 6.12, or without Landlock).
    """
    version = _libc.syscall(
        _SYS_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), _LANDLOCK_CREATE_RULESET_VERSION
    )
    if version < _LANDLOCK_WITH_SCOPES:
        return False
    attributes = (ctypes.c_uint64 * 3)(0, 0, _LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET)
    ruleset = _syscall(_SYS_LANDLOCK_CREATE_RULESET, attributes, ctypes.sizeof(attributes), 0)
    try:
        _syscall(_SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return True


def signal_descriptor(*signals: int) -> int:
    """Blocks signals, and returns a descriptor that they are read from, see `next_signal`.

    Blocked signals wait, also for the first process of a namespace, which would miss them otherwise.
    """
    blocked = block_signals(*signals)
    return _checked(_libc.signalfd(-1, blocked, _SFD_CLOEXEC))


def block_signals(*signals: int) -> ctypes.Array[ctypes.c_char]:
    """Blocks signals, for this process and the programs that it becomes. Returns them as a set."""
    blocked = _signal_set(signals)
    _checked(_libc.sigprocmask(_SIG_BLOCK, blocked, None))
    return blocked


def next_signal(descriptor: int) -> tuple[int, int]:
    """Waits for a signal. Returns its number, and the process that sent it.

    That is 0 for a process outside of our process namespace, and for the kernel.
    """
    words = memoryview(os.read(descriptor, _SIGNALFD_RECORD)).cast("I")
    return words[0], words[3]


def reset_signals() -> None:
    """Signals do what a new program expects of them: none is blocked or ignored."""
    for number in (SIGPIPE, SIGXFSZ):  # which Python ignores
        _libc.signal(number, None)
    _checked(_libc.sigprocmask(_SIG_SETMASK, _signal_set(()), None))


def _signal_set(signals: tuple[int, ...]) -> ctypes.Array[ctypes.c_char]:
    found = ctypes.create_string_buffer(_SIGSET_SIZE)
    _libc.sigemptyset(found)
    for number in signals:
        _libc.sigaddset(found, number)
    return found


def _set_attributes(mounted: int, attributes: int) -> None:
    """mount_setattr(2) on a mount and all below it: sets attributes, and makes them private."""
    values = (ctypes.c_uint64 * 4)(attributes, 0, MS_PRIVATE, 0)
    _syscall(_SYS_MOUNT_SETATTR, mounted, "", _AT_EMPTY_PATH | _AT_RECURSIVE, values, ctypes.sizeof(values))


def _prctl(option: int, value: int) -> None:
    _checked(_libc.prctl(option, value, 0, 0, 0))


def _syscall(number: int, *arguments: object, about: str = "") -> int:
    converted = [
        os.fsencode(value)
        if isinstance(value, str)
        else ctypes.c_long(value)
        if isinstance(value, int)
        else value
        for value in arguments
    ]
    return _checked(_libc.syscall(ctypes.c_long(number), *converted), about)


def _checked(result: int, about: str = "") -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), about or None)
    return result
