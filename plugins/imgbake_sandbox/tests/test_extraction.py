"""Layers of others: what they say is done inside the folder, and nothing outside whatever they say."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import random
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgbake.api import BakeError
from imgbake_sandbox.extraction import Extracted
from imgbake_sandbox.tars import Damaged
from imgbake_sandbox.tests import trees
from imgbake_sandbox.tests.trees import CAPABILITY, needs_root

pytestmark = needs_root

Member = tuple[Any, ...]

_TYPES = {
    "file": tarfile.REGTYPE,
    "dir": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "link": tarfile.LNKTYPE,
    "device": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
    "pipe": tarfile.FIFOTYPE,
}


def tar(*members: Member, **changes: Any) -> bytes:
    """A tar file of (kind, path, content or link)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for kind, path, *rest in members:
            info = tarfile.TarInfo()
            info.name, info.type, info.mode = path, _TYPES[kind], 0o755 if kind == "dir" else 0o644
            content = rest[0] if rest else b""
            if isinstance(content, str):
                info.linkname, content = content, b""
            info.size = len(content)
            for name, value in changes.items():
                setattr(info, name, value)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where layers are extracted, beside something that they must not touch."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_bytes(b"secret")
    return tmp_path / "target"


def extract(layer: bytes, target: Path) -> Extracted:
    path = target.with_suffix(".tar")
    path.write_bytes(layer)
    return trees.extracted(path, target)


def test_everything_of_a_member_is_kept(target: Path) -> None:
    xattrs = {"SCHILY.xattr.user.x": "y\n=", "SCHILY.xattr.security.capability": CAPABILITY.decode()}
    layer = tar(("file", "a", b"x"), mode=0o6750, uid=33, gid=44, mtime=1.5, pax_headers=xattrs)
    extracted = extract(layer, target)
    found = (target / "a").stat()
    assert stat.S_IMODE(found.st_mode) == 0o6750
    assert (found.st_uid, found.st_gid, found.st_mtime_ns) == (33, 44, 1_500_000_000)
    assert os.getxattr(target / "a", "user.x") == b"y\n="
    assert os.getxattr(target / "a", "security.capability") == CAPABILITY
    assert extracted == Extracted(members=1, size=1, hides_all=False)


def test_folders_keep_what_is_theirs_although_they_are_filled_later(target: Path) -> None:
    members = [("dir", "a"), ("file", "a/b/c/d", b"x"), ("symlink", "a/l", "b"), ("pipe", "a/p")]
    extract(tar(*members, mode=0o2551, uid=33, mtime=7), target)
    assert stat.S_IMODE((target / "a").stat().st_mode) == 0o2551
    for name in ("a", "a/l", "a/p"):
        found = (target / name).lstat()
        assert (found.st_uid, found.st_mtime) == (33, 7)
    for name in ("a/b", "a/b/c"):  # of which the layer says nothing
        found = (target / name).stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_mtime) == (0o755, 0, 0)


def test_the_root_folder_has_attributes_like_any_other(target: Path) -> None:
    extract(tar(("dir", "./"), mode=0o700, uid=5), target)
    assert (stat.S_IMODE(target.stat().st_mode), target.stat().st_uid) == (0o700, 5)


@pytest.mark.parametrize("umask", [0o777, 0])
def test_the_umask_does_not_matter(target: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        extract(tar(("file", "a/b", b""), ("pipe", "p")), target)
    finally:
        os.umask(before)
    modes = {name: stat.S_IMODE((target / name).stat().st_mode) for name in ("a", "a/b", "p")}
    assert modes == {"a": 0o755, "a/b": 0o644, "p": 0o644}


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress, bz2.compress, bytes])
def test_every_compression(target: Path, compress: Any) -> None:
    content = random.Random(1).randbytes(3_000_000)
    extract(compress(tar(("file", "a", content))), target)
    assert (target / "a").read_bytes() == content


def test_whiteouts_are_those_of_overlayfs(target: Path) -> None:
    members = [("file", "a/.wh.b"), ("file", ".wh.c"), ("dir", "d"), ("file", "d/.wh..wh..opq")]
    extracted = extract(tar(*members), target)
    for name in ("a/b", "c"):
        found = (target / name).lstat()
        assert stat.S_ISCHR(found.st_mode)
        assert found.st_rdev == 0
    assert os.getxattr(target / "d", "user.overlay.opaque") == b"y"
    assert sorted(path.name for path in target.rglob("*")) == ["a", "b", "c", "d"]
    assert not extracted.hides_all


def test_a_root_that_hides_all_below_says_so(target: Path) -> None:
    assert extract(tar(("file", "./.wh..wh..opq"), ("file", "a")), target).hides_all


@pytest.mark.parametrize("members", [[("file", ".wh.a"), ("dir", "a"), ("file", "a/b")], None])
def test_whiteouts_hide_other_layers_and_never_their_own(target: Path, members: list[Member] | None) -> None:
    members = members or [("dir", "a"), ("file", "a/b"), ("file", ".wh.a")]
    extract(tar(*members, ("file", "c", b"here"), ("file", ".wh.c")), target)
    assert (target / "a/b").is_file()
    assert os.getxattr(target / "a", "user.overlay.opaque") == b"y"
    assert (target / "c").read_bytes() == b"here"


def test_notes_of_aufs_are_nobodys_files(target: Path) -> None:
    extract(tar(("dir", ".wh..wh.plnk"), ("file", ".wh..wh.aufs"), ("file", "a")), target)
    assert [path.name for path in target.iterdir()] == ["a"]


def test_devices_are_left_out(target: Path) -> None:
    extract(tar(("device", "dev/null"), ("block", "dev/sda"), ("file", "dev/x")), target)
    assert [path.name for path in (target / "dev").iterdir()] == ["x"]


def test_the_last_word_on_a_path_counts(target: Path) -> None:
    members = [
        ("file", "a", b"first"), ("file", "a", b"last"),
        ("dir", "b"), ("file", "b/c", b"x"), ("file", "b", b"no folder"),
        ("file", "d", b"x"), ("dir", "d"), ("file", "d/e", b"x"),
        ("symlink", "f", "a"), ("file", "f", b"no link"),
        ("symlink", "g", "/"), ("dir", "g"), ("file", "g/h", b"x"),
    ]  # fmt: skip
    extract(tar(*members), target)
    assert (target / "a").read_bytes() == b"last"
    assert (target / "b").read_bytes() == b"no folder"
    assert (target / "d/e").read_bytes() == b"x"
    assert (target / "f").read_bytes() == b"no link"
    assert not (target / "f").is_symlink()
    assert (target / "g/h").read_bytes() == b"x"


def test_hard_links_share_a_file_also_when_it_is_a_symlink(target: Path) -> None:
    members = [("file", "a", b"x"), ("link", "b/c", "./a"), ("symlink", "l", "nowhere"), ("link", "m", "/l")]
    extract(tar(*members, ("link", "a", "a")), target)
    assert (target / "a").samefile(target / "b/c")
    assert (target / "m").readlink() == Path("nowhere")


def test_a_path_through_a_symlink_of_the_layer_goes_where_it_leads_in_the_image(target: Path) -> None:
    members = [
        ("dir", "usr/lib"), ("symlink", "lib", "usr/lib"), ("file", "lib/x", b"x"),
        ("symlink", "usr/up", "../../../../usr"), ("file", "usr/up/lib/y", b"y"),
        ("symlink", "abs", "/usr/new"), ("file", "abs/z", b"z"), ("link", "abs/again", "lib/x"),
    ]  # fmt: skip
    extract(tar(*members), target)
    assert (target / "usr/lib/x").read_bytes() == b"x"
    assert (target / "usr/lib/y").read_bytes() == b"y"
    assert (target / "usr/new/z").read_bytes() == b"z"
    assert (target / "usr/new/again").samefile(target / "usr/lib/x")


def test_an_owner_that_no_system_can_have_is_damage(target: Path) -> None:
    with pytest.raises(Damaged, match="owner"):
        extract(tar(("file", "a"), uid=1 << 40), target)


@pytest.mark.parametrize(
    "members",
    [
        [("file", "../outside/secret", b"bad")],
        [("file", "a/../../outside/secret", b"bad")],
        [("link", "a", "../outside/secret"), ("file", "a", b"bad")],
        [("link", "a", "/../outside/secret")],
        [("link", "a", "{outside}/secret")],
        [("symlink", "s", "{outside}"), ("link", "a", "s/secret")],
        [("symlink", "s", "../outside"), ("file", "s/secret", b"bad"), ("link", "a", "../outside/secret")],
        [("file", ".wh...", b"")],
        [("file", ".wh.", b"")],
        [("file", "a/.wh..", b"")],
        [("file", "f", b""), ("file", "f/x", b"")],
        [("dir", "d"), ("link", "l", "d")],
        [("symlink", "s", "")],
        [("symlink", "s", "s"), ("file", "s/x", b"")],
        [("file", "n" * 256, b"")],
        [("file", "", b"x")],
        [("file", "././", b"x")],
    ],
    ids=str,
)
def test_layers_that_mean_harm_are_refused(target: Path, members: list[Member]) -> None:
    outside = target.parent / "outside"
    said = [
        tuple(word.format(outside=outside) if isinstance(word, str) else word for word in member)
        for member in members
    ]
    with pytest.raises((Damaged, BakeError)):
        extract(tar(*said), target)
    assert (outside / "secret").read_bytes() == b"secret"
    assert (outside / "secret").stat().st_nlink == 1
    assert [path.name for path in outside.iterdir()] == ["secret"]


@pytest.mark.parametrize(
    "members",
    [
        [("symlink", "s", "{outside}"), ("file", "s/secret", b"bad")],
        [("symlink", "s", "{outside}"), ("file", "s/.wh.secret", b"")],
        [("symlink", "s", "{outside}"), ("file", "s/.wh..wh..opq", b"")],
        [("symlink", "s", "{outside}/secret"), ("file", "s", b"bad")],
        [("symlink", "s", "{outside}"), ("dir", "s"), ("file", "s/secret", b"bad")],
        [("symlink", "s", "../outside"), ("symlink", "t", "s/secret"), ("file", "t", b"bad")],
        [("symlink", "s", "../outside"), ("symlink", "t", "s"), ("file", "t/u/v", b"bad")],
        [("symlink", "s", "{outside}/secret"), ("link", "a", "s"), ("file", "a", b"bad")],
        [("dir", "d"), ("symlink", "d", "{outside}"), ("dir", "d/e"), ("file", "d/e/f", b"")],
        [("file", "/absolute", b"x"), ("file", "//more/absolute", b"x")],
    ],
    ids=str,
)
def test_what_leads_outside_stays_inside(target: Path, members: list[Member]) -> None:
    outside = target.parent / "outside"
    before = outside.stat().st_mtime_ns
    said = [
        tuple(word.format(outside=outside) if isinstance(word, str) else word for word in member)
        for member in members
    ]
    extract(tar(*said, mode=0o777, uid=77), target)
    assert (outside / "secret").read_bytes() == b"secret"
    assert stat.S_IMODE((outside / "secret").stat().st_mode) != 0o777
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside.stat().st_uid, outside.stat().st_mtime_ns) == (0, before)
    assert os.listxattr(outside) == []


def test_marks_of_overlayfs_and_labels_of_machines_are_not_taken_over(target: Path) -> None:
    names = ["trusted.overlay.redirect", "user.overlay.opaque", "user.overlay.whiteout", "user.imgbake.owner",
             "security.selinux", "system.posix_acl_access", "user.kept"]  # fmt: skip
    extract(tar(("dir", "a"), pax_headers={f"SCHILY.xattr.{name}": "y" for name in names}), target)
    assert os.listxattr(target / "a") == ["user.kept"]


def test_capabilities_that_are_none_are_damage(target: Path) -> None:
    with pytest.raises(Damaged, match=r"security\.capability"):
        extract(tar(("file", "a"), pax_headers={"SCHILY.xattr.security.capability": "none"}), target)


def test_sparse_files_are_refused_by_name(target: Path) -> None:
    header = tarfile.TarInfo("thin")
    header.type = tarfile.GNUTYPE_SPARSE
    with pytest.raises(Damaged, match="'thin' is a sparse file"):
        extract(header.tobuf(tarfile.GNU_FORMAT) + bytes(1024), target)


@pytest.mark.parametrize("compress", [gzip.compress, bytes])
@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_half_a_layer_is_damage(target: Path, compress: Any, keep: float) -> None:
    layer = compress(tar(("file", "a", random.Random(1).randbytes(100_000))))
    with pytest.raises(Damaged):
        extract(layer[: int(len(layer) * keep)], target)


def test_other_bytes_are_damage(target: Path) -> None:
    with pytest.raises(Damaged):
        extract(b"<html>not found</html>" * 100, target)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 4095), st.integers(0, 255), st.booleans())
def test_a_byte_that_changed_is_never_more_than_damage(
    tmp_path: Path, place: int, value: int, compressed: bool
) -> None:
    members = [("dir", "a"), ("file", "a/b", b"x" * 700), ("symlink", "l", "a"), ("link", "c", "a/b")]
    layer = bytearray(tar(*members, pax_headers={"SCHILY.xattr.user.x": "y"}))
    if compressed:
        layer = bytearray(gzip.compress(bytes(layer)))
    layer[place % len(layer)] = value
    with trees.scratch(tmp_path) as folder:
        (folder / "outside").mkdir()
        try:
            extract(bytes(layer), folder / "target")
        except Damaged:
            return


def test_nothing_is_left_open(target: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    layer = tar(*[("file", f"{number}/a/b", b"x") for number in range(50)], ("file", "../x"))
    with pytest.raises(Damaged):
        extract(layer, target)
    assert len(os.listdir("/proc/self/fd")) == before
