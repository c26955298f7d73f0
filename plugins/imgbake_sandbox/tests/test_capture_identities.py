"""The same commands make the same layer, whoever runs them."""

from __future__ import annotations

import io
import pwd
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from imgbake_sandbox.tests.builds import Built, built
from imgbake_sandbox.tests.sandboxes import BUSYBOX, GROUP, PASSWD
from imgbake_sandbox.tests.trees import CAPABILITY, needs_root

KINDS = ["root", "subordinate", "single"]


@pytest.fixture(scope="module")
def base(places: Callable[[], Path]) -> Path:
    """A layer with busybox, and files of several owners."""
    if not BUSYBOX:
        pytest.skip("busybox is not installed")
    path = places() / "base.tar"
    with tarfile.open(path, "w") as tar:
        _add(tar, "bin", mode=0o755)
        _add(tar, "bin/busybox", Path(BUSYBOX).read_bytes(), mode=0o755)
        for name in ("sh", "ls", "cat", "mkdir", "rm", "mv", "cp", "chmod", "chown", "touch", "ln", "mkfifo"):
            info = tarfile.TarInfo(f"bin/{name}")
            info.type, info.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(info)
        _add(tar, "bin/ping", b"\x7fping", mode=0o755, xattrs={"security.capability": CAPABILITY})
        _add(tar, "etc", mode=0o755)
        _add(tar, "etc/passwd", PASSWD.encode())
        _add(tar, "etc/group", GROUP.encode())
        _add(tar, "home", mode=0o755)
        _add(tar, "home/app", mode=0o750, owner=(1000, 1000))
        _add(tar, "home/app/notes", b"old", owner=(1000, 1000), xattrs={"user.kept": b"\0yes"})
        _add(tar, "srv", mode=0o2775)
        _add(tar, "srv/a", b"a")
        _add(tar, "opt", mode=0o755, owner=(0, 3_000_000_000))
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


SCRIPTS = {
    "new files": "echo new > /home/app/new; mkdir -p /opt/a/b; echo x > /opt/a/b/c; ln /opt/a/b/c /opt/d",
    "changed files": "echo more >> /home/app/notes; echo more >> /bin/ping; chmod 4755 /srv/a",
    "nothing": "touch /srv/a; chmod 700 /srv/b; chmod 644 /srv/b; cp /srv/a /x; mv /x /srv/a; rm -f /y",
    "removed": "rm /srv/a; rm -r /srv/inner; rm /bin/ping",
    "remade": "rm -r /srv/inner /srv/a; mkdir /srv/inner /srv/a; echo c > /srv/inner/c; mkfifo /srv/p",
    "moved": "mv /srv /moved",
    "left out": "echo x > /tmp/x; echo x > /run/x; echo x > /etc/resolv.conf; mkdir /srv/socket",
    "nothing readable": "mkdir /srv/secret; echo x > /srv/secret/x; chmod 0 /srv/secret/x /srv/secret",
    "deep": "i=0; while [ $i -lt 300 ]; do mkdir a; cd a; i=$((i + 1)); done; echo x > x",
}


@needs_root
@pytest.mark.parametrize("name", SCRIPTS)
def test_layers_are_the_same_for_everybody(
    name: str, base: Path, places: Callable[[], Path], ordinary: pwd.struct_passwd
) -> None:
    made = {
        kind: built(kind, places(), SCRIPTS[name], [base], None if kind == "root" else ordinary)
        for kind in KINDS
    }
    assert {kind: each.code for kind, each in made.items()} == dict.fromkeys(KINDS, 0), made["single"].out
    assert len({each.layer.read_bytes() for each in made.values()}) == 1, _listings(made)


def _listings(made: dict[str, Built]) -> str:
    found = {}
    for kind, each in made.items():
        with tarfile.open(each.layer) as tar:
            found[kind] = [(m.name, m.type, m.mode, m.uid, m.gid, m.pax_headers) for m in tar]
    return "\n".join(f"{kind}: {listing}" for kind, listing in found.items())
