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
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from imgbake_oci.tests.baked import docker
from imgbake_sandbox import removal
from imgbake_sandbox.tests import bases, debian, peer_images, people
from imgbake_sandbox.tests.peer_images import Component, Tree, differences
from imgbake_sandbox.tests.people import Baker

ON_BUSYBOX = (
    Component(
        "new",
        files={"conf": "/etc/app"},
        build=(
            "echo new > /home/app/new; ln /home/app/new /opt/linked; chown 1000:2000 /opt/linked",
            "ln -s ../nowhere /opt/dangling; ln -s /etc/passwd /opt/absolute; chown -h 33:33 /opt/dangling",
            "mkfifo -m 620 /srv/pipe; chmod 4711 /srv/a; mkdir -m 3770 /srv/shared; chmod 0 /etc/app/empty",
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
        "by-app", user="app", workdir="/home/app", build=("echo mine > mine; mkdir -p a/b; chmod 700 a",)
    ),
    Component("by-number", user="4242:4243", workdir="/opt/made", build=("ls -d . > /dev/null",)),
    Component(
        "removed",
        build=(
            "rm /srv/b /opt/absolute; rm -r /srv/inner; echo a file > /srv/inner",
            "rm /srv/pipe; mkdir /srv/pipe; rm -r /home/app/a; mkdir /home/app/a; echo c > /home/app/a/c",
            "mv /etc/app /etc/moved; ln -s moved /etc/app; echo through > /etc/app/through",
        ),
    ),
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


@pytest.fixture(scope="session")
def on_busybox(folders: Callable[[], Path]) -> Iterator[Subject]:
    """On a base with busybox, users, permissions of all kinds, and a program with capabilities."""
    folder = folders()
    conf = folder / "sources/conf"
    conf.mkdir(parents=True)
    (conf / "app.conf").write_text("answer = 42\n")
    (conf / "empty").touch()
    with built_by_docker(bases.write(folder / "root.tar"), ON_BUSYBOX, folder / "sources") as subject:
        yield subject


def test_on_a_base_with_users_and_capabilities(on_busybox: Subject, baker: Baker) -> None:
    with baked(on_busybox, baker) as ours:
        assert differences(ours.loaded, on_busybox.tree) == {}
        assert differences(ours.unpacked, on_busybox.tree) == {}
        assert printed(ours.image, "ls -R /home; cat /etc/app/through") == WHAT_IS_HOME


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
    baker.recipe(peer_images.recipe(name, subject.base, subject.components, "sources"))
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
