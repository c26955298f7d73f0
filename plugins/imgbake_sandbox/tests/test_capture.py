"""What is in the layer of a command, and what isn't."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgbake.api import BakeError, StepError
from imgbake_sandbox.capture import Changes
from imgbake_sandbox.chores import Chores
from imgbake_sandbox.identity import candidates
from imgbake_sandbox.tars import Format
from imgbake_sandbox.tests import trees
from imgbake_sandbox.tests.trees import needs_root

pytestmark = needs_root


class Component:
    """A base, and an overlay on it for commands."""

    def __init__(self, folder: Path) -> None:
        self.base, self.upper, self._folder = folder / "base", folder / "upper", folder
        self.base.mkdir()
        self.upper.mkdir()

    @contextlib.contextmanager
    def root(self) -> Iterator[Path]:
        with trees.mounted([self.base], self.upper) as root:
            yield root

    def changes(self, *left_out: str) -> Changes:
        return trees.captured(self.upper, [self.base], *([left_out] if left_out else []))

    def listing(self, *left_out: str) -> list[tuple[str, ...]]:
        """Kind and path of each change, and the link of those that have one."""
        members = self.changes(*left_out).members
        return [
            (each.kind, each.path, each.link) if each.link else (each.kind, each.path) for each in members
        ]

    def layer(self) -> Path:
        path = self._folder / "layer.tar.gz"
        trees.layer(self.changes(), self.upper, path, epoch=1_000_000_000)
        return path


@pytest.fixture
def component(tmp_path: Path) -> Component:
    return Component(tmp_path)


def test_nothing_was_done(component: Component) -> None:
    (component.base / "a").write_bytes(b"a")
    with component.root():
        pass
    assert component.changes() == Changes(())


def test_a_folder_is_a_member_where_something_in_it_is(component: Component) -> None:
    (component.base / "tmp-like").mkdir(mode=0o777)
    (component.base / "tmp-like").chmod(0o1777)
    (component.base / "untouched/a").mkdir(parents=True)
    with component.root() as root:
        (root / "tmp-like/file").write_bytes(b"")
        (root / "untouched/a/b").write_bytes(b"")
        (root / "untouched/a/b").unlink()
    (folder, file) = component.changes().members
    assert (folder.path, folder.mode, file.path) == ("tmp-like", 0o1777, "tmp-like/file")


def test_what_equals_what_was_there_is_no_change(component: Component) -> None:
    for name in "abcd":
        (component.base / name).write_bytes(b"same")
    (component.base / "folder").mkdir()
    (component.base / "link").symlink_to("a")
    os.link(component.base / "a", component.base / "again")
    with component.root() as root:
        (root / "a").touch()
        (root / "b").write_bytes(b"same")
        (root / "c").unlink()
        (root / "c").write_bytes(b"same")
        (root / "d").chmod(0o600)
        (root / "d").chmod(0o644)
        (root / "folder").rmdir()
        (root / "folder").mkdir()
        (root / "link").unlink()
        (root / "link").symlink_to("a")
        (root / "gone").write_bytes(b"")
        (root / "gone").unlink()
    assert any(component.upper.iterdir())
    assert component.listing() == []


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"SAME"),
        lambda path: path.write_bytes(b"same and more"),
        lambda path: path.chmod(0o4755),
        lambda path: os.chown(path, 0, 5),
        lambda path: os.chown(path, 5, 0),
        lambda path: os.setxattr(path, "user.a", b""),
        lambda path: os.setxattr(path, "security.capability", trees.CAPABILITY),
    ],
)
def test_content_permissions_owner_and_attributes_are_changes(component: Component, change: object) -> None:
    (component.base / "a").write_bytes(b"same")
    assert callable(change)
    with component.root() as root:
        change(root / "a")
    assert component.listing() == [("file", "a")]


def test_a_folder_that_was_made_again_says_what_it_lost(component: Component) -> None:
    (component.base / "a/gone").mkdir(parents=True)
    (component.base / "a/gone/inner").write_bytes(b"")
    (component.base / "a/kept").write_bytes(b"kept")
    (component.base / "a/other").write_bytes(b"old")
    with component.root() as root:
        shutil.rmtree(root / "a")
        (root / "a").mkdir()
        (root / "a/kept").write_bytes(b"kept")
        (root / "a/other").write_bytes(b"new")
    assert component.listing() == [("dir", "a"), ("gone", "a/gone"), ("file", "a/other")]


def test_a_renamed_folder_is_a_copy_and_a_whiteout(component: Component) -> None:
    (component.base / "a/b").mkdir(parents=True)
    (component.base / "a/b/c").write_bytes(b"c")
    with component.root() as root:
        shutil.move(root / "a", root / "z")
    assert component.listing() == [("gone", "a"), ("dir", "z"), ("dir", "z/b"), ("file", "z/b/c")]


def test_one_kind_in_the_place_of_another_needs_no_whiteout(component: Component) -> None:
    (component.base / "folder/inner").mkdir(parents=True)
    (component.base / "file").write_bytes(b"")
    (component.base / "link").symlink_to("folder")
    with component.root() as root:
        shutil.rmtree(root / "folder")
        (root / "folder").write_bytes(b"")
        (root / "file").unlink()
        (root / "file").mkdir()
        (root / "link").unlink()
        (root / "link").mkdir()
    assert component.listing() == [("dir", "file"), ("file", "folder"), ("dir", "link")]


def test_names_of_one_file_are_hard_links(component: Component) -> None:
    (component.base / "old").write_bytes(b"old")
    (component.base / "first").write_bytes(b"both")
    (component.base / "second").hardlink_to(component.base / "first")
    with component.root() as root:
        (root / "b").write_bytes(b"new")
        (root / "a").hardlink_to(root / "b")
        (root / "new-name").hardlink_to(root / "old")
        (root / "s").symlink_to("t")
        os.link(root / "s", root / "r", follow_symlinks=False)
        (root / "first").chmod(0o600)
    assert component.listing() == [
        ("file", "a"),
        ("hardlink", "b", "a"),
        ("file", "first"),
        ("file", "new-name"),
        ("hardlink", "old", "new-name"),
        ("symlink", "r", "t"),
        ("hardlink", "s", "r"),
    ]


def test_names_that_were_one_file_before_are_no_change(component: Component) -> None:
    (component.base / "a").write_bytes(b"x")
    (component.base / "b").hardlink_to(component.base / "a")
    with component.root() as root:
        for name in "ab":
            (root / name).unlink()
        (root / "a").write_bytes(b"x")
        (root / "b").hardlink_to(root / "a")
    assert component.listing() == []


def test_equal_files_that_became_one_are_a_change(component: Component) -> None:
    for name in "ab":
        (component.base / name).write_bytes(b"x")
    with component.root() as root:
        (root / "b").unlink()
        (root / "b").hardlink_to(root / "a")
    assert component.listing() == [("file", "a"), ("hardlink", "b", "a")]


def test_what_belongs_to_a_running_system_is_left_out(component: Component) -> None:
    for name in ("run", "tmp", "etc"):
        (component.base / name).mkdir()
    (component.base / "etc/hosts").write_bytes(b"image's")
    with component.root() as root:
        for name in ("dev", "proc/self", "run/x", "tmp/y", "srv/cache/apt", "mnt"):
            (root / name).mkdir(parents=True)
        (root / "etc/hosts").write_bytes(b"ours")
        (root / "mnt/tmp").write_bytes(b"")
    left_out = ("dev", "proc", "run", "tmp", "srv/cache", "etc/hosts")
    assert component.listing(*left_out) == [
        ("dir", "dev"), ("dir", "mnt"), ("file", "mnt/tmp"), ("dir", "proc"),
        ("dir", "srv"), ("dir", "srv/cache"),
    ]  # fmt: skip


def test_what_is_left_out_is_not_gone_either(component: Component) -> None:
    (component.base / "tmp").mkdir()
    (component.base / "srv").mkdir()
    (component.base / "srv/mounted").write_bytes(b"")
    with component.root() as root:
        (root / "tmp").rmdir()
        shutil.rmtree(root / "srv")
        (root / "srv").mkdir()
    assert component.listing("tmp", "srv/mounted") == []


def test_sockets_and_devices_are_no_files_of_an_image(component: Component) -> None:
    (component.base / "was-file").write_bytes(b"")
    with component.root() as root:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(root / "socket"))
        os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        (root / "was-file").unlink()
        os.mknod(root / "was-file", stat.S_IFBLK | 0o600, os.makedev(7, 0))
    assert component.listing() == [("gone", "was-file")]
    assert component.changes().devices == ("null", "was-file")


def test_a_name_that_means_deletion_is_refused(component: Component) -> None:
    with component.root() as root:
        (root / "a").mkdir()
        (root / "a/.wh.b").write_bytes(b"")
    with pytest.raises(StepError, match=r"/a/\.wh\.b can't be in an image"):
        component.changes()


def test_an_upper_folder_of_another_mount_is_refused(component: Component) -> None:
    (component.upper / "a").mkdir()
    os.setxattr(component.upper / "a", "user.overlay.redirect", b"/b")
    with pytest.raises(BakeError, match=r"/a has the mark user\.overlay\.redirect"):
        component.changes()


def test_only_attributes_of_an_image_are_kept(component: Component) -> None:
    with component.root() as root:
        (root / "a").write_bytes(b"")
        for name in ("user.a", "user.=", "trusted.a", "user.imgbake.owner"):
            os.setxattr(root / "a", name, b"0:0")
    (member,) = component.changes().members
    assert member.xattrs == {"user.a": b"0:0"}


def test_layers_below_are_seen_as_one(component: Component, tmp_path: Path) -> None:
    second, third = tmp_path / "second", tmp_path / "third"
    for folder, names in ((component.base, "ab"), (second, "bc"), (third, "d")):
        (folder / "x").mkdir(parents=True)
        for name in names:
            (folder / "x" / name).write_bytes(folder.name.encode())
    os.mknod(third / "x/a", stat.S_IFCHR, 0)
    lowers = [component.base, second, third]
    with trees.mounted(lowers, component.upper) as root:
        assert sorted(os.listdir(root / "x")) == ["b", "c", "d"]
        (root / "x/a").write_bytes(b"base")  # as it was before it was gone
        (root / "x/b").touch()
        (root / "x/c").unlink()
    members = trees.captured(component.upper, lowers).members
    assert [(each.kind, each.path) for each in members] == [("dir", "x"), ("file", "x/a"), ("gone", "x/c")]


def test_all_members_have_the_time_they_are_given(component: Component) -> None:
    with component.root() as root:
        (root / "a").mkdir()
        (root / "a/b").write_bytes(b"x" * 3_000_000)
        (root / "a" / ("n" * 200)).symlink_to("b")
    with tarfile.open(component.layer()) as tar:
        members = tar.getmembers()
    assert [(each.name, each.mtime) for each in members] == [
        ("a", 1_000_000_000),
        ("a/b", 1_000_000_000),
        ("a/" + "n" * 200, 1_000_000_000),
    ]


def test_the_layer_depends_on_nothing_but_what_changed(component: Component, tmp_path: Path) -> None:
    made = []
    for number in range(2):
        other = tmp_path / str(number)
        other.mkdir()
        again = Component(other)
        (again.base / "x").mkdir()
        names = ["a", "b", "c", "é"]
        with again.root() as root:
            for name in names if number else reversed(names):
                (root / "x" / name).write_bytes(name.encode())
                os.utime(root / "x" / name, (number, number))
        made.append(again.layer().read_bytes())
    assert made[0] == made[1]


def test_names_of_any_bytes_and_depth(component: Component, tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\n\\'\"")
    deep = "/".join(["d" * 200] * 15)
    with component.root() as root:
        (root / deep).mkdir(parents=True)
        (root / deep / name).write_bytes(b"x")
        (root / name).symlink_to(name)
    layer = component.layer()
    trees.extracted(layer, tmp_path / "extracted")
    with trees.mounted([component.base, tmp_path / "extracted"]) as root:
        assert (root / name).readlink() == Path(name)
        assert (root / deep / name).read_bytes() == b"x"


def test_a_path_that_the_kernel_has_no_room_for_is_an_error(component: Component, tmp_path: Path) -> None:
    with component.root() as root:
        at = os.open(root, os.O_RDONLY)
        for _ in range(30):
            os.mkdir("d" * 200, dir_fd=at)
            inner = os.open("d" * 200, os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = inner
        os.close(at)
    with pytest.raises(StepError, match="File name too long"):
        Chores(next(candidates())).capture(
            component.upper, [component.base], tmp_path / "layer", Format("gzip", 1), 0
        )


def test_a_file_that_changes_meanwhile_is_noticed(component: Component, tmp_path: Path) -> None:
    with component.root() as root:
        (root / "a").write_bytes(b"x" * 100)
    found = component.changes()
    (component.upper / "a").write_bytes(b"x" * 99)
    with pytest.raises(StepError, match="/a changed while it was read"):
        trees.layer(found, component.upper, tmp_path / "layer")


def test_gnu_tar_unpacks_what_was_captured(component: Component, tmp_path: Path) -> None:
    with component.root() as root:
        (root / "a").mkdir(mode=0o2750)
        (root / "a/file").write_bytes(b"x")
        (root / "a/file").chmod(0o4711)
        os.chown(root / "a/file", 33, 44)
        os.setxattr(root / "a/file", "user.kept", bytes(range(256)))
        os.setxattr(root / "a/file", "security.capability", trees.CAPABILITY)
        (root / "a/link").hardlink_to(root / "a/file")
        os.mkfifo(root / "a/pipe")
        seen = trees.snapshot(root)
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    command = ["tar", "-xpzf", str(component.layer()), "-C", str(unpacked), "--xattrs", "--xattrs-include=*"]
    done = subprocess.run([*command, "--numeric-owner"], capture_output=True, check=True)
    assert done.stderr == b""
    assert trees.snapshot(unpacked) == seen
