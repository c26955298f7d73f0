"""Images of components that run commands, beside what docker makes of the same Dockerfile.

Each is baked as a user does it, by root and by an ordinary user, loaded and started by a docker engine,
unpacked by umoci, and compared entry by entry; `peer_images` says what can't be compared.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from imgbake_oci.tests.baked import docker, write_layout
from imgbake_sandbox import removal
from imgbake_sandbox.tests import bases, debian, peer_images, people
from imgbake_sandbox.tests.peer_images import Component, Tree, differences
from imgbake_sandbox.tests.people import Baker

EXAMPLE = Path(__file__).parents[2] / "examples/debian-packages"
ON_BUSYBOX = (
    Component(
        "new",
        files={"conf": "/etc/app"},
        build=(
            "echo new > /home/app/new; ln /home/app/new /opt/linked; chown 1000:2000 /opt/linked",
            "ln -s ../nowhere /opt/dangling; ln -s /etc/passwd /opt/absolute; chown -h 33:33 /opt/dangling",
            "mkfifo -m 620 /srv/pipe; chmod 4711 /srv/a; mkdir -m 3770 /srv/shared; chmod 0 /etc/app/empty",
            "chmod 711 /run; chown 1000 /tmp; chmod 1777 /tmp; echo x > /tmp/x; mkdir /run/x",
        ),
    ),
    Component(
        "changed",
        build=(
            "sed -i s/old/new/ /home/app/notes; echo more >> /etc/group; touch /srv/b",
            "mv /bin/ping /srv/ping; cp /srv/ping /bin/ping; chmod 2755 /bin/ping; ln /bin/busybox /bin/box",
        ),
    ),
    Component(
        "by-app", user="app", workdir="/home/app", build=("busybox id > mine; mkdir -p a/b; chmod 700 a",)
    ),
    Component("groups", workdir="/opt/made", build=("busybox id > id; busybox id app > of-app",)),
    Component("by-number", user="4242:4243", build=("busybox id > /srv/shared/id || test $? = 1",)),
    Component(
        "removed",
        build=(
            "rm /srv/b /opt/absolute; rm -r /srv/inner; echo a file > /srv/inner",
            "rm /srv/pipe; mkdir /srv/pipe; rm -r /home/app/a; mkdir /home/app/a; echo c > /home/app/a/c",
            "mv /etc/app /etc/moved; ln -s moved /etc/app; echo through > /etc/app/through",
        ),
    ),
)

# What root alone can do: whose the app's files are can neither be seen nor changed, but is kept.
OF_ROOT_ALONE = (
    Component(
        "changed",
        files={"conf": "/etc/app"},
        build=(
            "echo more >> /home/app/notes; chmod 600 /home/app/notes; echo root > /home/app/root",
            "mv /home/app/notes /home/app/kept; rm -r /srv/inner",
            "mv /bin/ping /bin/pong; chmod 4755 /srv/a; ln -s x /srv/dangling; ln /srv/a /srv/linked",
            "mkfifo /srv/pipe; mkdir -m 1777 /srv/folder; rm /srv/b; mkdir /srv/b; chmod 0 /srv/b",
        ),
    ),
    Component("rewritten", build=("sed -i s/old/new/ /home/app/kept",)),
    Component("by-number", user="0:0", workdir="/opt/made", build=("busybox id -u > id",)),
)

# With users of their own, setuid bits, capabilities, conffiles, alternatives and services.
PACKAGES = ("cron", "hello", "iputils-ping", "libcap2-bin", "nano", "sudo", "tree", "uuid-runtime")
ON_DEBIAN = (
    Component(
        "packages",
        files={"debs": "/opt/debs"},
        build=(
            "dpkg --install /opt/debs/cron-daemon-common_*.deb",
            "dpkg --install /opt/debs/*.deb",
            "rm -r /opt/debs",
        ),
    ),
    Component(
        "users",
        build=(
            "groupadd --gid 2000 ops; useradd --create-home --uid 1000 --groups ops,adm app; userdel games",
            "install -d -o app -g ops -m 2770 /srv/shared",
            "install -o uuidd -m 640 /etc/debian_version /srv/shared/version",
            "chgrp -R crontab /etc/cron.daily",
        ),
    ),
    Component(
        "by-app", user="app", workdir="/home/app", build=("umask 077; mkdir .ssh; echo key > .ssh/id",)
    ),
    Component(
        "privileges",
        build=(
            "cp /bin/cat /usr/local/bin/see; setcap cap_dac_read_search,cap_net_raw=ep /usr/local/bin/see",
            "setcap -r /bin/ping; chmod u+s /bin/ping; chmod g+s /usr/bin/tree; chmod u-s /usr/bin/chsh",
            "cp -a /usr/local/bin/see /usr/local/sbin/; mv /usr/bin/hello /usr/games/hello",
            "chown app /usr/bin/chfn; chown app /usr/local/bin/see",  # which takes privileges away
        ),
    ),
    Component(
        "libraries",
        build=(
            "mkdir /opt/lib; cp -d /lib/x86_64-linux-gnu/libz.so.* /opt/lib; rm /opt/lib/libz.so.1",
            "echo /opt/lib > /etc/ld.so.conf.d/opt.conf; ldconfig; ldconfig -p | grep -q /opt/lib/libz.so.1",
        ),
    ),
    Component(
        "links",
        build=(
            "ln /bin/bash /usr/local/bin/shell; ln /etc/passwd /srv/one; ln /srv/one /srv/two",
            "chmod 700 /usr/bin/perl5*; ln -sf /nowhere /srv/dangling; ln -s ../../etc /srv/shared/etc",
            "echo more >> /srv/shared/etc/motd; mkfifo /srv/pipe; truncate -s 20M /srv/sparse",
            "perl -e 'use Socket; socket(S, PF_UNIX, SOCK_STREAM, 0); bind(S, sockaddr_un(\"/srv/socket\"))'",
            "cd /srv; name=$(printf ä%.0s $(seq 100)); mkdir -p $name/$name; echo x > $name/$name/$name",
        ),
    ),
    Component(
        "removed",
        build=(
            "rm -r /usr/share/doc /usr/share/locale/d*; rm -r /usr/share/man; mkdir -p /usr/share/man/man1",
            "rm -r /usr/share/locale; mkdir /usr/share/locale; echo C > /usr/share/locale/all",
            "rm -r /etc/skel; echo none > /etc/skel; rm /etc/issue; mkdir /etc/issue; echo x > /etc/issue/.x",
            "mv /usr/share/bug /usr/share/bugs; rm -r /var/cache/apt; ln -s /tmp /var/cache/apt",
            "rm -r /srv/shared; mkdir -m 0 /srv/shared; echo x > /srv/shared/x; chmod 0 /srv/shared/x",
            "dpkg --purge nano; touch /etc/debian_version; chmod 644 /etc/motd",
        ),
    ),
)
LOGS = (
    "var/cache/ldconfig/aux-cache",  # times and inodes of libraries
    "var/log/alternatives.log",
    "var/log/dpkg.log",
)

WHAT_IS_HOME = """\
/home:
app

/home/app:
a
mine
new
notes

/home/app/a:
c
through
"""

WHAT_IS_THERE = """\
Hello, world!
/usr/local/sbin/see cap_dac_read_search,cap_net_raw=ep
uid=1000(app) gid=1000(app) groups=1000(app),4(adm),2000(ops)
"""


class Subject(NamedTuple):
    """Components, what they stand on, and what docker makes of them."""

    base: Path  # a docker archive
    components: Sequence[Component]
    sources: Path
    image: str  # of the engine
    tree: Tree


class Baked(NamedTuple):
    """What we make of them, as a docker engine and umoci have it."""

    image: str  # of the engine
    loaded: Tree
    unpacked: Tree


@pytest.fixture(scope="session")
def folders() -> Iterator[Callable[[], Path]]:
    """Makes folders that every user may enter; pytest's are the own user's alone. For root, as all of it."""
    if os.geteuid() != 0:
        debian.lacking("needs root, to compare owners")
    made: list[Path] = []

    def folder() -> Path:
        made.append(Path(tempfile.mkdtemp(prefix="imgbake-peers-")))
        made[-1].chmod(0o755)
        return made[-1]

    yield folder
    for path in made:
        removal.remove_path(path)


@pytest.fixture(scope="session")
def ordinary() -> Iterator[pwd.struct_passwd]:
    """An ordinary user with subordinate ids."""
    with people.with_subordinate_ids() as user:
        yield user


@pytest.fixture(params=["root", pytest.param("ordinary", marks=pytest.mark.slow)])
def baker(request: pytest.FixtureRequest, folders: Callable[[], Path]) -> Baker:
    """Root, and an ordinary user."""
    return Baker(folders(), request.getfixturevalue("ordinary") if request.param == "ordinary" else None)


@pytest.fixture
def nobody(folders: Callable[[], Path]) -> Baker:
    """An ordinary user without subordinate ids."""
    return Baker(folders(), pwd.getpwnam("nobody"))


@pytest.fixture(scope="session")
def sources(folders: Callable[[], Path]) -> Path:
    """Files to copy."""
    folder = folders()
    (folder / "conf").mkdir()
    (folder / "conf/app.conf").write_text("answer = 42\n")
    (folder / "conf/empty").touch()
    return folder


@pytest.fixture(scope="session")
def with_users(folders: Callable[[], Path]) -> Path:
    """A tree with busybox, users, permissions of all kinds, and a program with capabilities."""
    return bases.write(folders() / "root.tar")


@pytest.fixture(scope="session")
def on_busybox(with_users: Path, sources: Path) -> Iterator[Subject]:
    """What docker builds on it."""
    with built_by_docker(with_users, ON_BUSYBOX, sources) as subject:
        yield subject


def test_on_a_base_with_users_and_capabilities(on_busybox: Subject, baker: Baker) -> None:
    with baked(on_busybox, baker) as ours:
        assert differences(ours.loaded, on_busybox.tree) == {}
        assert differences(ours.unpacked, on_busybox.tree) == {}
        assert printed(ours.image, "ls -R /home; cat /etc/app/through") == WHAT_IS_HOME


@pytest.mark.slow
def test_without_subordinate_ids_root_alone_does_what_docker_does(
    with_users: Path, sources: Path, nobody: Baker
) -> None:
    with built_by_docker(with_users, OF_ROOT_ALONE, sources) as subject, baked(subject, nobody) as ours:
        assert differences(ours.loaded, subject.tree) == {}
        assert differences(ours.unpacked, subject.tree) == {}
        assert subject.tree["home/app/kept"].owner == (1000, 1000)


@pytest.mark.parametrize(
    ("component", "message"),
    [
        (Component("chown", ("chown 1000 /srv/a",)), "`chown 1000 /srv/a` exited with code 1"),
        (Component("user", ("id",), user="app"), "1000:1000 can't be a user here: Invalid argument"),
    ],
)
def test_without_subordinate_ids_there_is_no_third_user(
    component: Component, message: str, with_users: Path, nobody: Baker
) -> None:
    write_layout(nobody.folder / "base", {"latest": [with_users.read_bytes()]})
    nobody.recipe(peer_images.recipe("app", "oci:base", [component], "."))
    ran = nobody.run("build")
    assert ran.returncode == 1
    assert f"component '{component.name}': {message}" in ran.stderr
    assert "/etc/subuid sets aside no ids for nobody (usermod --add-subuids" in ran.stderr


@pytest.fixture(scope="session")
def on_debian(folders: Callable[[], Path]) -> Iterator[Subject]:
    """On Debian, with packages."""
    folder = folders()
    root, archive = folder / "root", folder / "root.tar"
    debian.bootstrap(debian.archive(), root, folder / "packages")
    debian.download(PACKAGES, root / "var/lib/dpkg/status", folder / "sources/debs")
    subprocess.run(["tar", "-C", str(root), "--numeric-owner", "-cf", str(archive), "."], check=True)
    with built_by_docker(archive, ON_DEBIAN, folder / "sources") as subject:
        yield subject


@pytest.mark.slow
def test_on_debian(on_debian: Subject, baker: Baker) -> None:
    with baked(on_debian, baker) as ours:
        assert differences(ours.loaded, on_debian.tree, LOGS) == {}
        assert differences(ours.unpacked, on_debian.tree, LOGS) == {}
        assert printed(ours.image, "/usr/games/hello; getcap -r /usr; id app") == WHAT_IS_THERE


@pytest.mark.slow
def test_a_debian_of_packages_comes_out_the_same_for_everybody(
    folders: Callable[[], Path], ordinary: pwd.struct_passwd
) -> None:
    debian.archive()
    digests = []
    for user in (None, ordinary):
        baker = Baker(folders() / "project", user)
        shutil.copytree(EXAMPLE, baker.folder, ignore=shutil.ignore_patterns("build", ".imgbake"))
        baker.recipe((EXAMPLE / "imgbake.toml").read_text())
        digests.append(baker.good("build"))
    assert digests[0] == digests[1]
    assert digests[0].count("sha256:") == 2


@contextlib.contextmanager
def built_by_docker(root: Path, components: Sequence[Component], sources: Path) -> Iterator[Subject]:
    """Has docker build components on a file tree, which is a tar archive."""
    name = f"imgbake-peers-{secrets.token_hex(4)}"
    docker("import", "--change", 'CMD ["/bin/sh"]', str(root), name)
    built = ""
    try:
        base = root.with_name("base.tar")
        docker("save", "--output", str(base), name)
        base.chmod(0o644)
        built = peer_images.built(peer_images.dockerfile(name, components), sources)
        yield Subject(base, components, sources, built, peer_images.exported(built, root.parent))
    finally:
        docker("image", "rm", "--force", *filter(None, (built, name)))


@contextlib.contextmanager
def baked(subject: Subject, baker: Baker) -> Iterator[Baked]:
    """Bakes the same components on the same base."""
    name = f"imgbake-peers-{secrets.token_hex(4)}"
    shutil.copytree(subject.sources, baker.folder / "sources", symlinks=True)
    baker.recipe(peer_images.recipe(name, f"docker-archive:{subject.base}", subject.components, "sources"))
    baker.good("build")
    image = peer_images.loaded(baker.export(name, "docker-archive"))
    try:
        unpacked = peer_images.unpacked(baker.export(name, "oci"), baker.folder / "unpacked")
        yield Baked(image, peer_images.exported(image, baker.folder), unpacked)
    finally:
        docker("image", "rm", "--force", image)


def printed(image: str, script: str) -> str:
    """What a shell script prints in a container."""
    return docker("run", "--rm", "--network=none", "--entrypoint=/bin/sh", image, "-c", script)
