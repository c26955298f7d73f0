"""A base with files of several owners, and scripts of components that are built on it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from imgbake_sandbox.tests.sandboxes import BUSYBOX, GROUP, PASSWD
from imgbake_sandbox.tests.trees import CAPABILITY

SCRIPTS = {
    "new files": "echo new > /home/app/new; mkdir -p /opt/a/b; echo x > /opt/a/b/c; ln /opt/a/b/c /opt/d",
    "changed files": "echo more >> /home/app/notes; echo more >> /bin/ping; chmod 4755 /srv/a",
    "nothing": "touch /srv/a; chmod 700 /srv/b; chmod 644 /srv/b; cp /srv/a /x; mv /x /srv/a; rm -f /y",
    "rewritten": "sed -i s/old/new/ /home/app/notes; chmod 600 /home/app/notes",
    "removed": "rm /srv/a; rm -r /srv/inner; rm /bin/ping",
    "remade": "rm -r /srv/inner /srv/a; mkdir /srv/inner /srv/a; echo c > /srv/inner/c; mkfifo /srv/p",
    "moved": "mv /srv /moved",
    "left out": "echo x > /run/x; mkdir /srv/folder",
    "nothing readable": "mkdir /srv/secret; echo x > /srv/secret/x; chmod 0 /srv/secret/x /srv/secret",
    "deep": "i=0; while [ $i -lt 300 ]; do mkdir a; cd a; i=$((i + 1)); done; echo x > x",
}

_PROGRAMS = ("sh", "ls", "cat", "mkdir", "rm", "mv", "cp", "chmod", "chown", "touch", "ln", "mkfifo", "sed")


def write(path: Path) -> Path:
    """Writes the base as a layer."""
    with tarfile.open(path, "w") as tar:
        for name in ("bin", "dev", "etc", "home", "proc", "run", "sys"):
            _add(tar, name, mode=0o755)
        _add(tar, "tmp", mode=0o1777)
        _add(tar, "bin/busybox", Path(BUSYBOX).read_bytes(), mode=0o755)
        for name in _PROGRAMS:
            info = tarfile.TarInfo(f"bin/{name}")
            info.type, info.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(info)
        _add(tar, "bin/ping", b"\x7fping", mode=0o755, xattrs={"security.capability": CAPABILITY})
        _add(tar, "etc/passwd", PASSWD.encode())
        _add(tar, "etc/group", GROUP.encode())
        _add(tar, "home/app", mode=0o750, owner=(1000, 1000))
        _add(tar, "home/app/notes", b"old", owner=(1000, 1000), xattrs={"user.kept": b"\0yes"})
        _add(tar, "opt", mode=0o755, owner=(0, 3_000_000_000))
        _add(tar, "srv", mode=0o2775)
        _add(tar, "srv/a", b"a")
        _add(tar, "srv/b", b"b")
        _add(tar, "srv/inner", mode=0o755)
        _add(tar, "srv/inner/c", b"c")
    return path


def _add(
    tar: tarfile.TarFile,
    name: str,
    content: bytes | None = None,
    mode: int = 0o644,
    owner: tuple[int, int] = (0, 0),
    xattrs: dict[str, bytes] | None = None,
) -> None:
    info = tarfile.TarInfo(name)
    info.mode = mode
    info.uid, info.gid = owner
    if content is None:
        info.type = tarfile.DIRTYPE
    info.size = len(content or b"")
    info.pax_headers = {f"SCHILY.xattr.{key}": value.decode() for key, value in (xattrs or {}).items()}
    tar.addfile(info, io.BytesIO(content or b""))
