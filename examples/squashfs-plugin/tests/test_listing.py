from __future__ import annotations

import pytest
from blueprints import file, layer
from imgbake_squashfs.listing import Node, listing

from imgbake.api import BakeError, Entry


def paths(*layers):
    return [node.path for node in listing(layers)]


def test_folders_come_before_what_is_in_them():
    assert paths(layer("/usr/bin/", file("b"), file("a"))) == ["usr", "usr/bin", "usr/bin/a", "usr/bin/b"]


def test_a_file_can_be_copied_to_a_name_of_its_own():
    assert paths(layer("/etc/app.conf", file(""))) == ["etc", "etc/app.conf"]


def test_a_later_component_replaces_a_file():
    first, second = layer("/", file("app", 0o644)), layer("/", file("app", 0o755))
    assert [node.mode for node in listing([first, second])] == [0o755]


def test_a_folder_keeps_its_permissions_when_something_is_copied_into_it():
    shared = layer("/", Entry("tmp", "dir", 0o1777))
    assert listing([shared, layer("/tmp/", file("a"))])[0] == Node("tmp", "dir", 0o1777)


def test_a_mode_for_files_lets_readers_into_folders():
    copied = layer("/", Entry("d", "dir", 0o755), file("d/a"), mode=0o640, owner=(7, 8))
    assert [(node.path, oct(node.mode), node.owner) for node in listing([copied])] == [
        ("d", "0o750", (7, 8)),
        ("d/a", "0o640", (7, 8)),
    ]


def test_a_hard_link_becomes_a_file_of_the_same_content():
    link = Entry("b", "hardlink", 0o644, "a", source="src/b")
    first, second = listing([layer("/", file("a"), link)])
    assert (second.kind, second.digest, second.source) == ("file", first.digest, "src/a")


def test_a_hard_link_to_what_is_not_copied_is_refused():
    with pytest.raises(BakeError, match="hard link to 'a', which is not copied"):
        listing([layer("/", Entry("b", "hardlink", 0o644, "a", source="src/b"))])


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (file("a"), file("a/b"), "makes /a a folder, and it is a file"),
        (Entry("a", "symlink", 0o777, "c"), file("a/b"), "makes /a a folder, and it is a symlink"),
        (file("a/b"), file("a"), "makes /a a file, and it is a folder"),
    ],
)
def test_what_cannot_stand_beside_each_other_is_refused(first, second, message):
    with pytest.raises(BakeError, match=f"component 'two' {message} already"):
        listing([layer("/", first, component="one"), layer("/", second, component="two")])
