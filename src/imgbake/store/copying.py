"""Copies of files without moving bytes through Python where the system can do without."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os

_FICLONE = 0x40049409  # ioctl_ficlone(2): share the blocks until one of the files is written
_CHUNK = 1 << 20
_ELSEWHERE = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ETXTBSY, errno.EBADF}


def copy(source: int, target: int) -> None:
    """Copies an open file into an empty one: by sharing its blocks, in the kernel, or by hand."""
    if clone(source, target):
        return
    try:
        while os.copy_file_range(source, target, 1 << 30):
            pass
    except OSError as error:
        if error.errno not in _ELSEWHERE:
            raise
        while data := os.read(source, _CHUNK):
            write_all(target, data)


def copy_hashed(source: int, target: int) -> str:
    """Copies an open file into an empty one, and returns the digest of what was written."""
    cloned = clone(source, target)
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_CHUNK))
    while count := os.readv(target if cloned else source, [buffer]):
        digest.update(buffer[:count])
        if not cloned:
            write_all(target, buffer[:count])
    return "sha256:" + digest.hexdigest()


def clone(source: int, target: int) -> bool:
    """Makes one open file share all blocks of another, where the file system can."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def copy_path(source: str, target: str, mode: int) -> None:
    """Copies a file to a path where there is nothing yet, with exactly these permissions."""
    reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            copy(reading, writing)
            os.fchmod(writing, mode)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def write_all(file: int, data: bytes | memoryview) -> None:
    """Writes all of it to an open file, in as many calls as it takes."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
