"""Users by the image's own files, as docker understands them."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgbake_sandbox import users
from imgbake_sandbox.failure import Failure
from imgbake_sandbox.tests.sandboxes import Sandbox

PASSWD = (
    "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/srv/web:/bin/false\n1234:x:55:56::/odd:/bin/sh\nshort:x\n"
)
GROUP = "root:x:0:\nweb:x:34:\nstaff:x:50:web,other\nssl:x:60:other,web\nbroken:x:no:web\n"


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "passwd").write_text(PASSWD)
    (tmp_path / "group").write_text(GROUP)
    return str(tmp_path / "passwd"), str(tmp_path / "group")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (0, 0, [], "/root")),
        ("root", (0, 0, [], "/root")),
        ("web", (33, 34, [50, 60], "/srv/web")),
        ("33", (33, 34, [50, 60], "/srv/web")),
        ("web:root", (33, 0, [], "/srv/web")),
        ("web:77", (33, 77, [], "/srv/web")),
        ("33:staff", (33, 50, [], "/srv/web")),
        ("web:", (33, 34, [50, 60], "/srv/web")),
        (":staff", (0, 50, [], "/root")),
        ("4711", (4711, 0, [], "/")),
        ("4711:4712", (4711, 4712, [], "/")),
        ("1234", (55, 56, [], "/odd")),  # a name comes before a number
    ],
)
def test_users_are_found(
    files: tuple[str, str], text: str, expected: tuple[int, int, list[int], str]
) -> None:
    user = users.find(text, *files)
    assert (user.uid, user.gid, user.groups, user.home) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nobody", "the image has no user 'nobody' in {passwd}"),
        ("web:nobody", "the image has no group 'nobody' in {group}"),
        ("-1", "the image has no user '-1' in {passwd}"),
        ("99999999999", "99999999999 is larger than any id"),
    ],
)
def test_who_is_not_there_is_named(files: tuple[str, str], text: str, message: str) -> None:
    with pytest.raises(Failure) as caught:
        users.find(text, *files)
    assert caught.value.message == message.format(passwd=files[0], group=files[1])


def test_a_base_without_files_has_numbers_and_root(tmp_path: Path) -> None:
    nothing = str(tmp_path / "nothing")
    assert users.find("", nothing, nothing).uid == 0
    assert users.find("12:13", nothing, nothing).gid == 13
    with pytest.raises(Failure):
        users.find("root", nothing, nothing)


def test_files_that_are_none_do_no_harm(tmp_path: Path) -> None:
    assert users.find("5", "/dev/zero", str(tmp_path)).uid == 5


def test_a_command_runs_as_the_user(sandbox: Sandbox) -> None:
    if not sandbox.has_users:
        pytest.skip("there is only root")
    outcome = sandbox.run(
        "id -u; id -g; id -G; echo $HOME; touch /tmp/mine && stat -c %u /tmp/mine", user="app"
    )
    assert outcome.out.splitlines() == ["1000", "1000", "1000 2000", "/home/app", "1000"]
    assert sandbox.run("id -u; id -G", user="4711:4712").out.splitlines() == ["4711", "4712"]


def test_owners_are_what_they_are_outside(sandbox: Sandbox) -> None:
    if not sandbox.has_users:
        pytest.skip("there is only root")
    outcome = sandbox.run(
        "touch /root-s /app-s /nobody-s; chown 1000:2000 /app-s; chown 65534:65534 /nobody-s"
    )
    assert outcome.code == 0, outcome.out
    for name, uid, gid in (("root-s", 0, 0), ("app-s", 1000, 2000), ("nobody-s", 65534, 65534)):
        found = (sandbox.upper / name).stat()
        assert (found.st_uid, found.st_gid) == (
            _outside(sandbox.identity.uids, uid),
            _outside(sandbox.identity.gids, gid),
        )


def _outside(lines: tuple[tuple[int, int, int], ...], number: int) -> int:
    return next(
        outside + number - inside for inside, outside, count in lines if inside <= number < inside + count
    )


def test_a_single_id_cannot_be_another_user(sandbox: Sandbox) -> None:
    if sandbox.has_users:
        pytest.skip("there are other users")
    outcome = sandbox.run("true", user="app")
    assert outcome.code == 125
    assert outcome.report.failed
    assert outcome.report.failed.stage == "user"
    assert "1000:1000 can't be a user here" in outcome.out
    outcome = sandbox.run("touch /x; chown app /x")
    assert outcome.code != 0
    assert "Invalid argument" in outcome.out
