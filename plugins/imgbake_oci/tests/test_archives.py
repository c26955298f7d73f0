"""What a component unpacks: archives of every kind, sound, hostile and broken."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgbake.api import Copied, StepError, Tree
from imgbake.testing.project import Project
from imgbake_oci import archives
from imgbake_oci.compression import Damaged
from imgbake_oci.tests.baked import Member, baked, folder, hard_link, layer_of, symlink, tar_of

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "tar": lambda data: data,
    "tar.gz": lambda data: gzip.compress(data, mtime=0),
    "tar.zst": lambda data: zstandard.ZstdCompressor().compress(data),
    "tar.bz2": bz2.compress,
    "tar.xz": lzma.compress,
}


def _zip(
    *members: tuple[str, str | bytes, int], method: int = zipfile.ZIP_DEFLATED, system: int = 3
) -> bytes:
    """A zip of members given as name, content and Unix mode (0 for none)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data, mode in members:
            info = zipfile.ZipInfo(name)
            info.filename = name  # as it is, backslashes too
            info.create_system, info.external_attr = system, mode << 16
            info.compress_type = method
            archive.writestr(info, data)
    return out.getvalue()


def _unpack(
    data: bytes, tmp_path: Path, to: str = "/opt/app/", exclude: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The entries of an archive; contents for files, else kind and target."""
    path = tmp_path / "archive"
    path.write_bytes(data)
    copied = Copied(to, Tree(), unpack=True, exclude=exclude)
    found: dict[str, Any] = {}
    with archives.opened(path, "'archive'", copied, tmp_path, lambda: None) as unpacked:
        for entry in unpacked.entries:
            if entry.kind == "file":
                with unpacked.contents[entry.path]() as content:
                    found[entry.path] = b"".join(iter(lambda: content.read(1000), b""))
                if len(found[entry.path]) != entry.size:
                    raise Damaged("its content has another size")  # as whoever writes the layer does
            else:
                found[entry.path] = (entry.kind, entry.digest) if entry.digest else entry.kind
    return found


def _refusal(data: bytes, tmp_path: Path, **how: Any) -> str:
    with pytest.raises(StepError) as caught:
        _unpack(data, tmp_path, **how)
    assert "'archive'" in caught.value.message
    return caught.value.message


@pytest.mark.parametrize("form", sorted(PACKERS))
def test_a_tar_is_unpacked_whatever_its_compression(project: Project, form: str) -> None:
    tar = tar_of(
        folder("bin", 0o750),
        Member("bin/tool", "#!", mode=0o4755),
        symlink("bin/alias", "tool"),
        hard_link("bin/second", "bin/tool"),
        Member("share/doc/read me.txt", "text"),
        folder("empty"),
    )
    project.write(f"app.{form}", PACKERS[form](tar))
    image = layer_of(project, f'{{ from = "app.{form}", to = "/opt/app/", unpack = true, owner = "7:8" }}')
    members = image.members()
    assert image.files() == {
        "opt/app/bin/tool": "#!", "opt/app/bin/second": "#!", "opt/app/share/doc/read me.txt": "text"
    }  # fmt: skip
    assert members["opt/app/bin/second"].islnk() or members["opt/app/bin/tool"].islnk()
    assert members["opt/app/bin/tool"].mode == 0o4755
    assert members["opt/app/bin"].mode == 0o750
    assert members["opt/app/bin/alias"].linkname == "tool"
    assert members["opt/app/empty"].isdir()
    assert {(each.uid, each.gid) for name, each in members.items() if name.startswith("opt/app/bin/")} == {
        (7, 8)
    }


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_a_zip_is_unpacked_with_its_permissions_and_symlinks(project: Project, method: int) -> None:
    data = _zip(
        ("bin/", "", 0o40750),
        ("bin/tool", "#!" * 5000, 0o100755),
        ("bin/alias", "tool", stat.S_IFLNK | 0o777),
        ("plain.txt", "text", 0o100644),
        method=method,
    )
    project.write("app.zip", data)
    image = layer_of(project, '{ from = "app.zip", to = "/opt/", unpack = true }')
    members = image.members()
    assert image.files() == {"opt/bin/tool": "#!" * 5000, "opt/plain.txt": "text"}
    assert (members["opt/bin/tool"].mode, members["opt/plain.txt"].mode) == (0o755, 0o644)
    assert members["opt/bin"].mode == 0o750
    assert (members["opt/bin/alias"].type, members["opt/bin/alias"].linkname) == (tarfile.SYMTYPE, "tool")


def test_the_same_tree_as_zip_and_as_tar_gives_the_same_layer(project: Project) -> None:
    project.write("a.zip", _zip(("x", "1", 0o100644), ("y/z", "2", 0o100755)))
    zipped = layer_of(project, '{ from = "a.zip", to = "/opt", unpack = true }').layers()
    project.write("a.tar", tar_of(Member("y/z", "2", mode=0o755), Member("x", "1")))
    assert layer_of(project, '{ from = "a.tar", to = "/opt", unpack = true }').layers() == zipped


def test_a_zip_of_windows_may_have_backslashes(tmp_path: Path) -> None:
    assert _unpack(_zip(("lib\\a\\b.dll", "x", 0), system=0), tmp_path) == {"lib/a/b.dll": b"x"}
    assert _unpack(_zip(("lib\\b.dll", "x", 0o100644)), tmp_path) == {"lib\\b.dll": b"x"}  # a Unix name


def test_names_in_a_zip_may_be_older_than_unicode(tmp_path: Path) -> None:
    data = _zip(("a.txt", "1", 0), ("o.txt", "2", 0), system=0)
    data = data.replace(b"a.txt", b"\x84.txt").replace(b"o.txt", b"\x94.txt")
    assert _unpack(data, tmp_path) == {"ä.txt": b"1", "ö.txt": b"2"}


def test_what_is_excluded_is_left_out_and_needs_no_sense(tmp_path: Path) -> None:
    data = tar_of(
        Member("a.py", "a"),
        Member("a.pyc", "c"),
        Member("cache/x", "x"),
        Member("dev/null", type=tarfile.CHRTYPE),
        symlink("up", "../../.."),
    )
    exclude = ("**/*.pyc", "cache", "dev/null", "up")
    assert _unpack(data, tmp_path, exclude=exclude) == {"a.py": b"a"}


def test_a_hard_link_to_what_is_excluded_is_the_file_itself(tmp_path: Path) -> None:
    data = tar_of(Member("cache/x", "content"), hard_link("x", "cache/x"), hard_link("y", "x"))
    assert _unpack(data, tmp_path, exclude=("cache",)) == {"x": b"content", "y": ("hardlink", "x")}


def test_exclude_of_an_archive_means_its_members_and_not_itself(project: Project) -> None:
    inner = _zip(("x", "1", 0))
    project.write("all.zip", _zip(("inner.zip", inner, 0), ("keep", "2", 0)))
    image = layer_of(project, '{ from = "all.zip", to = "/opt", unpack = true, exclude = ["**/*.zip"] }')
    assert image.files() == {"opt/keep": "2"}


def test_a_symlink_to_an_archive_is_followed(project: Project) -> None:
    project.write("app-1.tar", tar_of(Member("version", "1")))
    (project.root / "latest.tar").symlink_to("app-1.tar")
    assert layer_of(project, '{ from = "latest.tar", to = "/opt", unpack = true }').files() == {
        "opt/version": "1"
    }
    project.write("app-1.tar", tar_of(Member("version", "2")))
    project.build()
    assert baked(project).files() == {"opt/version": "2"}


def test_every_archive_that_a_pattern_matches_is_unpacked(project: Project) -> None:
    project.write("parts/a.tar", tar_of(Member("a", "1"), Member("both", "a")))
    project.write("parts/b.zip", _zip(("b", "2", 0), ("both", "b", 0)))
    (project.root / "parts/c.zip").hardlink_to(project.root / "parts/b.zip")
    image = layer_of(project, '{ from = "parts/*", to = "/opt", unpack = true }')
    assert image.files() == {"opt/a": "1", "opt/b": "2", "opt/both": "b"}


TRAVERSALS = {
    "parent": Member("../evil"),
    "parent inside": Member("a/../../evil"),
    "absolute": Member("/etc/passwd"),
    "symlink out": symlink("out", "../../../etc"),
    "absolute symlink": symlink("out", "/etc"),
    "symlink to nothing": symlink("out", ""),
    "hard link out": hard_link("out", "../../etc/passwd"),
    "hard link to nothing": hard_link("out", "not/there"),
    "device": Member("null", type=tarfile.CHRTYPE),
    "disk": Member("sda", type=tarfile.BLKTYPE),
    "pipe": Member("pipe", type=tarfile.FIFOTYPE),
}


@pytest.mark.parametrize("name", sorted(TRAVERSALS))
def test_what_leaves_its_folder_or_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    message = _refusal(tar_of(Member("good", "x"), TRAVERSALS[name]), tmp_path)
    assert repr(TRAVERSALS[name].link if name == "hard link out" else TRAVERSALS[name].name) in message


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/../../evil", "C:\\evil", "..\\evil"])
def test_zip_members_that_leave_are_refused(tmp_path: Path, name: str) -> None:
    assert "leaves the archive" in _refusal(_zip((name, "x", 0), system=0), tmp_path)


def test_a_zip_whose_symlink_leads_out_is_refused(tmp_path: Path) -> None:
    message = _refusal(_zip(("out", "/etc/shadow", stat.S_IFLNK | 0o777)), tmp_path)
    assert "'out'" in message and "'/etc/shadow'" in message


def test_a_link_within_the_folder_may_be_absolute(tmp_path: Path) -> None:
    data = tar_of(Member("a/b", "x"), symlink("c", "/opt/app/a/b"), symlink("a/d", "../a/./b"))
    assert _unpack(data, tmp_path)["c"] == ("symlink", "/opt/app/a/b")


def test_nothing_is_written_through_a_symlink_of_the_archive(project: Project) -> None:
    project.write("a.tar", tar_of(folder("d"), symlink("l", "d"), Member("l/x", "1")))
    project.recipe(
        '[components.c]\nfiles = [{ from = "a.tar", to = "/opt", unpack = true }]\n'
        '[images.app]\nbase = "scratch"\ncomponents = ["c"]\n'
    )
    ran = project.run("build")
    assert ran.code == 1 and "/opt/l is a symlink" in ran.stderr and "a folder" in ran.stderr


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """As in David Fifield's zip bomb: many names in the directory, one content."""
    data = bytearray(_zip(("a", "0" * 1000, 0), ("b", "0" * 1000, 0)))
    second = data.rindex(b"PK\x01\x02")
    data[second + 42 : second + 46] = struct.pack("<I", 0)
    data[second + 46 : second + 47] = b"a"
    assert "overlaps" in _refusal(bytes(data), tmp_path)


def _spoilt_zip(field: int, value: bytes) -> bytes:
    data = bytearray(_zip(("a.txt", "0123456789" * 100, 0o100644)))
    start = data.rindex(b"PK\x01\x02") + field
    data[start : start + len(value)] = value
    return bytes(data)


DAMAGES = {
    "empty": b"",
    "text": b"this is no archive\n" * 100,
    "half a tar": tar_of(Member("a", "x" * 5000))[:2000],
    "half a tar.gz": gzip.compress(tar_of(Member("a", bytes(range(256)) * 100)))[:200],
    "half a tar.xz": lzma.compress(tar_of(Member("a", bytes(range(256)) * 100)))[:200],
    "half a tar.zst": zstandard.ZstdCompressor().compress(tar_of(Member("a", bytes(range(256)) * 100)))[:200],
    "half a zip": _zip(("a", "x" * 5000, 0))[:60],
    "html": b"<html><body>404</body></html>",
    "zip with a wrong checksum": _spoilt_zip(16, b"\0\0\0\0"),
    "zip that says too little": _spoilt_zip(24, struct.pack("<I", 10)),
    "zip that says too much": _spoilt_zip(24, struct.pack("<I", 100_000)),
    "zip that says gigabytes": _spoilt_zip(24, struct.pack("<I", 4_000_000_000)),
    "zip of an unknown method": _spoilt_zip(10, struct.pack("<H", 97)),
    "encrypted zip": _spoilt_zip(8, struct.pack("<H", 1)),
    "zip of a later version": _spoilt_zip(6, struct.pack("<H", 99)),
}


@pytest.mark.parametrize("name", sorted(DAMAGES))
def test_a_damaged_archive_is_an_error_that_names_it(project: Project, name: str) -> None:
    project.write("vendor/app.bin", DAMAGES[name])
    project.recipe(
        '[components.vendored]\nfiles = [{ from = "vendor/app.bin", to = "/opt", unpack = true }]\n'
        '[images.app]\nbase = "scratch"\ncomponents = ["vendored"]\n'
    )
    ran = project.run("build", "--progress", "plain")
    assert ran.code == 1, ran.stderr
    assert "component 'vendored': 'vendor/app.bin'" in ran.stderr
    assert "Traceback" not in ran.stderr and "bug" not in ran.stderr
    assert not (project.root / ".imgbake/images/app").exists()


@pytest.mark.parametrize("form", [*sorted(PACKERS), "zip"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_is_noticed_or_harmless(tmp_path: Path, form: str, data: Any) -> None:
    whole = (
        _zip(("a/b", "0123456789" * 20, 0o100644), ("link", "a/b", stat.S_IFLNK | 0o777))
        if form == "zip"
        else PACKERS[form](tar_of(folder("a"), Member("a/b", "0123456789" * 20), symlink("link", "a/b")))
    )
    spoilt = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        spoilt[data.draw(st.integers(0, len(spoilt) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(spoilt)), st.integers(0, len(spoilt))))
    try:
        _unpack(bytes(spoilt[:cut]), tmp_path)
    except (StepError, Damaged):
        return


@pytest.mark.parametrize("form", sorted(PACKERS))
def test_half_a_tar_that_was_cut_between_two_members_is_damaged(tmp_path: Path, form: str) -> None:
    half = tar_of(Member("a", "x" * 512), Member("b", "y"))[: 2 * 512]
    assert "ends too early" in _refusal(PACKERS[form](half), tmp_path)


def test_an_archive_that_changes_between_plan_and_bake_is_noticed(project: Project) -> None:
    project.write("a.tar", tar_of(Member("x", "1")))
    layer_of(project, '{ from = "a.tar", to = "/opt", unpack = true }')
    project.write("a.tar", tar_of(Member("x", "2")))
    project.build()
    assert baked(project).files() == {"opt/x": "2"}
