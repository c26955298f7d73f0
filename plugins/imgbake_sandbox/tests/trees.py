"""File trees for tests: what is in one, overlays of them, and random commands that change them."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import struct
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from imgbake_sandbox import kernel, removal
from imgbake_sandbox.capture import NEVER_CAPTURED, Changes, changes
from imgbake_sandbox.extraction import Extracted, extract
from imgbake_sandbox.lowers import Lowers
from imgbake_sandbox.settling import settle
from imgbake_sandbox.tars import Format
from imgbake_sandbox.writing import write

CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)  # cap_net_bind_service=ep

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount and change owners")


def snapshot(root: Path) -> dict[str, tuple[Any, ...]]:
    """What is in a folder, by path: kind, permissions, owner, attributes, content."""
    found: dict[str, tuple[Any, ...]] = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = Path(folder, name)
            found[str(path.relative_to(root))] = _entry(path)
    return found


def _entry(path: Path) -> tuple[Any, ...]:
    found = path.lstat()
    owner = (found.st_uid, found.st_gid)
    mode = stat.S_IMODE(found.st_mode)
    if path.is_symlink():
        return ("symlink", owner, str(path.readlink()))
    names = [name for name in os.listxattr(path) if not name.startswith(("trusted.", "user.overlay."))]
    xattrs = {name: os.getxattr(path, name) for name in names}
    if stat.S_ISREG(found.st_mode):
        return ("file", mode, owner, xattrs, path.read_bytes())
    return (stat.filemode(found.st_mode)[0], mode, owner, xattrs)


def bare_snapshot(root: Path) -> dict[str, tuple[Any, ...]]:
    """What is in a folder of a layer, whiteouts, all attributes, times and links too."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in (root, *root.rglob("*")):
        status = path.lstat()
        is_whiteout = stat.S_ISCHR(status.st_mode)
        xattrs = {name: os.getxattr(path, name, follow_symlinks=False) for name in _all_xattrs(path)}
        found[str(path.relative_to(root))] = (
            status.st_mode,
            (status.st_uid, status.st_gid),
            xattrs,
            0 if is_whiteout else status.st_mtime_ns,
            1 if is_whiteout or path.is_dir() else status.st_nlink,
            path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else b"",
        )
    return found


def _all_xattrs(path: Path) -> list[str]:
    return os.listxattr(path, follow_symlinks=False)


@contextlib.contextmanager
def mounted(lowers: Sequence[Path], upper: Path | None = None) -> Iterator[Path]:
    """An overlay of folders, the bottom one first, as sandboxes mount it. Skips where it can't be."""
    with tempfile.TemporaryDirectory(dir=lowers[0].parent) as scratch:
        merged, work = Path(scratch, "merged"), Path(scratch, "work")
        merged.mkdir()
        work.mkdir()
        folders = [*map(str, reversed(lowers)), str(work)]  # two at least: it takes that without upper
        options = f"userxattr,index=off,lowerdir={':'.join(folders if upper is None else folders[:-1])}"
        if upper is not None:
            options += f",upperdir={upper},workdir={work}"
        try:
            kernel.mount("overlay", str(merged), "overlay", 0, options)
        except OSError as error:
            pytest.skip(f"no overlayfs here: {error}")
        try:
            yield merged
        finally:
            kernel.detach(str(merged))


@contextlib.contextmanager
def memory(folder: Path) -> Iterator[Path]:
    """A folder in memory, in which a thousand small trees cost nothing. For root."""
    folder.mkdir()
    kernel.mount("tmpfs", str(folder), "tmpfs")
    try:
        yield folder
    finally:
        kernel.detach(str(folder))


def captured(upper: Path, lowers: Sequence[Path], left_out: Sequence[str] = NEVER_CAPTURED) -> Changes:
    """The changes in an upper folder."""
    with contextlib.closing(Lowers(lowers)) as below, opened(upper) as folder:
        return changes(folder, below, left_out)


def layer(found: Changes, upper: Path, path: Path, epoch: int = 0) -> str:
    """Writes the layer, and returns its digest."""
    with opened(upper) as folder:
        return write(found, folder, path, Format("gzip", 1), epoch).digest


def settled(found: Changes, upper: Path, epoch: int = 0) -> Extracted:
    """Makes the upper folder what extracting its layer would give."""
    with opened(upper) as folder:
        return settle(found, folder, epoch)


def extracted(archive: Path, folder: Path) -> Extracted:
    """Extracts a layer into a new folder."""
    folder.mkdir()
    with opened(folder) as target, archive.open("rb") as file:
        return extract(file, target)


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[int]:
    """An open folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """A folder for one example of a property."""
    folder = Path(tempfile.mkdtemp(dir=parent))
    try:
        yield folder
    finally:
        removal.remove_path(folder)


def some_of_everything(folder: Path) -> Path:
    """Fills a new folder."""
    for name in ("a/a/a", "a/b", "b", "-"):
        (folder / name).mkdir(parents=True)
    for number, name in enumerate(["a/a/a/c", "a/a/c", "a/b/a", "a/b/c", "b/a", "b/b", "c"]):
        (folder / name).write_bytes(b"x" * number * 1000)
    (folder / "b/-").symlink_to("../a")
    (folder / "b/c").hardlink_to(folder / "a/b/a")
    (folder / "a/c").hardlink_to(folder / "a/b/a")
    (folder / "b/a").chmod(0o4755)
    os.chown(folder / "a/b", 33, 33)
    os.setxattr(folder / "b/b", "security.capability", CAPABILITY)
    os.setxattr(folder / "a/a", "user.a", b"x")
    os.mkfifo(folder / "-/b")
    return folder


names = st.sampled_from(["a", "b", "c", "-", "é", "n" * 120])
contents = st.sampled_from([b"", b"x", b"y", b"x" * 5000, bytes(range(256)) * 300])
values = st.sampled_from([b"", b"x", bytes(range(256))])
ids = st.sampled_from([0, 33, 1000])
modes = st.sampled_from([0o644, 0o755, 0o600, 0o4755, 0o2755, 0o1777, 0o0])
xattr_names = st.sampled_from(["user.a", "user.b.ü"])
picks = st.integers(0, 30)

old = st.tuples(st.just("old"), picks)
"""A path where something is."""
new = st.tuples(st.just("new"), picks, names)
"""A name in a folder that is there."""
places = st.one_of(old, new)

operations = st.one_of(
    st.tuples(st.just("write"), places, contents),
    st.tuples(st.just("append"), old, contents),
    st.tuples(st.just("mkdir"), new),
    st.tuples(st.just("symlink"), new, names),
    st.tuples(st.just("link"), new, old),
    st.tuples(st.just("pipe"), new),
    st.tuples(st.just("remove"), old),
    st.tuples(st.just("remake"), old),
    st.tuples(st.just("rewrite"), old),
    st.tuples(st.just("rename"), new, old),
    st.tuples(st.just("touch"), old),
    st.tuples(st.just("chmod"), old, modes),
    st.tuples(st.just("chown"), old, ids, ids),
    st.tuples(st.just("setxattr"), old, xattr_names, values),
    st.tuples(st.just("capability"), old),
)


def run(root: Path, operation: tuple[Any, ...]) -> None:
    """Does one thing in a folder, as a command would; nothing where it can't be done."""
    name, *arguments = operation
    with contextlib.suppress(OSError, shutil.Error):
        _OPERATIONS[name](*(_meant(root, argument) for argument in arguments))


def _meant(root: Path, argument: Any) -> Any:
    """The path that `old` or `new` means in this tree, or what the argument is."""
    if not isinstance(argument, tuple):
        return argument
    kind, pick, *name = argument
    there = sorted(Path(folder, each) for folder, folders, files in os.walk(root) for each in folders + files)
    if kind == "old":
        return there[pick % len(there)] if there else root / "nothing"
    folders = [root, *(path for path in there if path.is_dir() and not path.is_symlink())]
    return folders[pick % len(folders)] / name[0]


def _write(path: Path, content: bytes) -> None:
    _open_and_write(path, os.O_TRUNC, content)


def _append(path: Path, content: bytes) -> None:
    _open_and_write(path, os.O_APPEND, content)


def _open_and_write(path: Path, flags: int, content: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | flags, 0o644)  # not waiting at a pipe
    try:
        os.write(file, content)
    finally:
        os.close(file)


def _link(path: Path, other: Path) -> None:
    os.link(other, path, follow_symlinks=False)


def _remake(path: Path) -> None:
    """Removes a folder and makes it again with some of what was in it."""
    aside = path.with_name("aside")
    shutil.copytree(path, aside, symlinks=True)
    shutil.rmtree(path)
    path.mkdir()
    for inner in sorted(aside.iterdir())[::2]:
        inner.rename(path / inner.name)
    shutil.rmtree(aside)


def _rewrite(path: Path) -> None:
    """Writes the same again as another file, as sed -i would."""
    found = path.lstat()
    if stat.S_ISREG(found.st_mode):
        copy = path.with_name("rewritten")
        copy.write_bytes(path.read_bytes())
        os.chown(copy, found.st_uid, found.st_gid)
        copy.chmod(stat.S_IMODE(found.st_mode))
        copy.rename(path)


def _capability(path: Path) -> None:
    if path.is_file() and not path.is_symlink():
        os.setxattr(path, "security.capability", CAPABILITY)


def _setxattr(path: Path, name: str, value: bytes) -> None:
    os.setxattr(path, name, value, follow_symlinks=False)


def _chown(path: Path, user: int, group: int) -> None:
    os.chown(path, user, group, follow_symlinks=False)


_OPERATIONS: dict[str, Callable[..., object]] = {
    "write": _write,
    "append": _append,
    "mkdir": Path.mkdir,
    "symlink": Path.symlink_to,
    "link": _link,
    "pipe": os.mkfifo,
    "remove": removal.remove_path,
    "remake": _remake,
    "rewrite": _rewrite,
    "rename": lambda new, old: shutil.move(old, new),
    "touch": lambda path: os.utime(path, (1, 1)),
    "chmod": os.chmod,
    "chown": _chown,
    "setxattr": _setxattr,
    "capability": _capability,
}
