"""An image baked by docker has the tree and the configuration that `oci` gives it."""

from __future__ import annotations

import io
import tarfile

import pytest

from imgbake_docker.tests import trees
from imgbake_docker.tests.projects import OnEngine

FILES = """
    [components.app]
    files = [
      { from = "app", to = "/opt/app/", owner = "1000:1000" },
      { from = "conf.toml", to = "/etc/app/conf.toml", mode = "0640", owner = "0:1000" },
      { from = "tool", to = "/usr/local/bin/tool", mode = "4755" },
      { from = "files.tar", to = "/srv/", unpack = true },
      { from = "conf.toml", to = "/tmp/" },
    ]
    env = { APP_HOME = "/opt/app", PRICE = '5$ "or" \\ more', EMPTY = "" }

    [components.overlay]
    files = [
      { from = "overlay", to = "/" },
      { from = "conf.toml", to = "/home/app/", owner = "7:8" },
      { from = "conf.toml", to = "/srv/current/" },
    ]
"""
COMMANDS = """
    [components.system]
    files = [{ from = "system", to = "/" }]

    [components.users]
    build = ["mkdir -p /data/sub && chmod 1777 /data && chown 1000:1000 /data/sub", "ln -s data /store"]
    network = "none"

    [components.app]
    files = [
      { from = "conf.toml", to = "/store/sub/" },
      { from = "app", to = "/data/app/" },
    ]
    env = { MODE = "two words" }
    build = [
      "whoami > /data/who; pwd >> /data/who; echo $MODE >> /data/who; ln /data/who /data/hard",
      "id -gn > /data/group",
    ]
    user = "app"
    workdir = "/home/app"
    network = "none"

    [components.cleaner]
    build = '''
        rm -r /data/app/lib
        rm /home/app/notes
        set -e
        id -un > /data/last; pwd >> /data/last
    '''
    validate = "touch /nothing-of-this-stays; test -e /data/hard"
    network = "none"
"""
CONFIG = """
    [components.app]
    files = [{ from = "conf.toml", to = "/conf.toml" }]
"""
CONFIG_KEYS = """
    entrypoint = ["/bin/sh", "-c", "echo \\"$HOME\\" '$0'"]
    cmd = ["a b", "c\\\\d"]
    env = { PATH = "/opt/bin:/bin", ONE = "1" }
    user = "app"
    workdir = "/home/app"
    ports = [8080, "53/udp"]
    volumes = ["/data", "/with space"]
    labels = { "org.example.title" = 'A "title" of $5', empty = "" }
    stop_signal = "SIGINT"
    healthcheck = { test = "wget -q localhost || exit 1", interval = "90s", timeout = "1.5s", retries = 3 }
"""


@pytest.mark.parametrize(
    ("components", "keys"),
    [(FILES, ""), (COMMANDS, ""), (CONFIG, CONFIG_KEYS)],
    ids=["files", "commands", "config"],
)
def test_docker_and_oci_bake_the_same(project: OnEngine, components: str, keys: str) -> None:
    furnish(project)
    project.image(components, keys, '["docker", "oci"]')
    project.build()
    found = {}
    for target in ("docker", "oci"):
        to = project.root / f"{target}.tar"
        ran = project.run("export", f"app@{target}", "-o", str(to), "--format", "docker-archive")
        assert ran.code == 0, ran.stderr
        found[target] = trees.image(to)
    assert found["docker"][0] == found["oci"][0]
    assert found["docker"][1] == found["oci"][1]


def furnish(project: OnEngine) -> None:
    project.write("app/bin/run", "#!/bin/sh\n").chmod(0o755)
    project.write("app/lib/a.txt", "a")
    (project.root / "app/lib/b.txt").hardlink_to(project.root / "app/lib/a.txt")
    (project.root / "app/link").symlink_to("lib/a.txt")
    (project.root / "app/empty").mkdir()
    for name in ("dev", "proc", "sys"):  # as all bases have them; BuildKit makes them where they are missing
        (project.root / "system" / name).mkdir(parents=True)
    project.write("conf.toml", "a = 1\n")
    project.write("tool", "#!/bin/sh\n").chmod(0o755)
    project.write("overlay/etc/motd", "hi\n")
    project.write("overlay/srv/v1/x", "x")
    project.write("files.tar", _tar())


def _tar() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, kind, link in (("v1", tarfile.DIRTYPE, ""), ("current", tarfile.SYMTYPE, "v1")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mode = kind, link, 0o2775
            tar.addfile(member)
        member = tarfile.TarInfo("v1/" + "long-name-" * 20)
        member.size, member.mode = 3, 0o600
        tar.addfile(member, io.BytesIO(b"abc"))
    return data.getvalue()
