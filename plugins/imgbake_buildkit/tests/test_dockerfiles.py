"""Dockerfiles, built by a BuildKit of the user's own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from imgbake_buildkit.tests.conftest import OnBuildKit
from imgbake_buildkit.tests.test_baking import outcomes, platforms
from imgbake_docker import choosing
from imgbake_docker.tests import trees
from imgbake_docker.tests.private import account as account
from imgbake_docker.tests.private import amazon as amazon
from imgbake_docker.tests.private import private as private
from imgbake_docker.tests.projects import Put
from tests.services.amazon import EcrRegistry

IMAGE = """
    [images.app]
    dockerfile = "app/Dockerfile"
    targets = ["bk"]
    network = "none"
"""


@pytest.fixture
def busybox(registry: Put, base: Path) -> str:
    """Busybox in a registry."""
    return registry(base, "busybox", "1")


def test_a_password_is_issued_where_nobody_has_logged_in(project: OnBuildKit, private: EcrRegistry) -> None:
    write(project, f"FROM {private.host}/private:1\nRUN echo 1 > /one\n")
    ran = project.build()
    (password,) = private.passwords
    assert password not in ran.stderr
    left = [
        path for path in project.root.rglob("*") if path.is_file() and password.encode() in path.read_bytes()
    ]
    assert not left


def test_a_password_is_issued_for_caches(project: OnBuildKit, private: EcrRegistry) -> None:
    cache = f"{private.host}/private:cache"
    keys = f'cache_from = ["{cache}"]\ncache_to = ["type=registry,ref={cache},mode=max"]'
    write(project, "FROM scratch\nCOPY a /a\n", keys)
    project.write("app/a", "a")
    assert f"{cache}: not found" in project.build().stderr
    project.write("app/a", "b")
    ran = project.build()
    assert private.passwords and f"importing cache manifest from {cache}" in ran.stderr
    assert "not found" not in ran.stderr


def write(project: OnBuildKit, dockerfile: str, keys: str = "", options: str = "", head: str = "") -> None:
    project.write("app/Dockerfile", dockerfile)
    project.image(f"{head}{IMAGE}{keys}\n", options)


def tree(project: OnBuildKit, *args: str) -> dict[str, tuple[object, ...]]:
    """The files of the image."""
    to = project.root / "image.tar"
    ran = project.run("export", "app", "-o", str(to), "--format", "docker-archive", *args)
    assert ran.code == 0, ran.stderr
    return trees.image(to)[0]


def test_it_is_rebuilt_for_what_it_sees_and_pushed(project: OnBuildKit, busybox: str) -> None:
    host = busybox.partition("/")[0]
    write(project, f"FROM {busybox}\nCOPY src /srv\nRUN echo 1 > /one\n", options=f'tags = ["{host}/app:2"]')
    project.write("app/src/a", "a")
    project.write("app/other", "a")
    assert outcomes(project) == {"image:app@bk": "ran"}
    project.write("app/other", "b")
    assert outcomes(project) == {"image:app@bk": "cached"}
    assert {"srv/a", "one"} <= set(tree(project))
    ran = project.run("build", "--push")
    assert ran.code == 0, ran.stderr
    pushed = subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", f"docker://{host}/app:2"], capture_output=True, text=True
    )
    assert pushed.returncode == 0 and "sha256:" in pushed.stdout


def test_each_platform_sees_its_own_files(project: OnBuildKit) -> None:
    write(
        project,
        "FROM scratch\nARG TARGETARCH\nCOPY bin/$TARGETARCH /bin/app\n",
        'platforms = ["linux/amd64", "linux/arm64"]',
    )
    for name in ("amd64", "arm64", "s390x"):
        project.write(f"app/bin/{name}", name)
    assert outcomes(project) == {"image:app@bk": "ran"}
    assert platforms(project, "app") == ["linux/amd64", "linux/arm64"]
    project.write("app/bin/s390x", "other")
    assert outcomes(project) == {"image:app@bk": "cached"}
    project.write("app/bin/arm64", "other")
    assert outcomes(project) == {"image:app@bk": "ran"}


def test_secrets_and_caches_work(project: OnBuildKit, busybox: str, tmp_path: Path) -> None:
    run = "RUN --mount=type=secret,id=token,required=true wc -c < /run/secrets/token > /length\n"
    cache = tmp_path / "cache"
    keys = f'cache_to = ["type=local,dest={cache}"]\ncache_from = ["type=local,src={cache}"]'
    keys += '\nsecrets = ["token"]'
    write(project, f"FROM {busybox}\n{run}", keys, head="[args]\ntoken = { secret = true }\n")
    ran = project.run("build", "--progress", "plain", "--arg", "token=s3cr3t-Value")
    assert ran.code == 0, ran.stderr
    assert (cache / "index.json").is_file()
    assert (
        "length" in tree(project, "--arg", "token=s3cr3t-Value") and "s3cr3t" not in ran.stderr + ran.stdout
    )


def test_keys_of_ssh_are_mounted(project: OnBuildKit, busybox: str, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    run = 'RUN --mount=type=ssh,id=mine,required=true test -S "$SSH_AUTH_SOCK" && echo 1 > /agent\n'
    write(project, f"FROM {busybox}\n{run}", f'ssh = ["mine={key}"]')
    assert outcomes(project) == {"image:app@bk": "ran"}
    assert "agent" in tree(project)


def test_a_failure_is_placed_in_the_users_file(project: OnBuildKit, busybox: str) -> None:
    write(project, f"FROM {busybox}\n# a comment\n\nRUN echo told; exit 3\n")
    assert "app/Dockerfile:4: `RUN echo told; exit 3` exited with code 3" in project.fail()


def test_a_builder_of_buildx_is_used_by_name_or_because_it_is_in_use(
    project: OnBuildKit, tmp_path: Path
) -> None:
    env = {"BUILDX_CONFIG": str(tmp_path / "buildx")}
    create = [*choosing.buildx(), "create", "--name", "ours", "--driver", "remote", project.address]
    subprocess.run(create, env={**os.environ, **env}, check=True, capture_output=True)
    project.write("app/a", "a")
    write(project, "FROM scratch\nCOPY a /\n")
    text = project.read("imgbake.toml")
    project.recipe(text.replace(project.address, "ours"))
    assert project.build(env=env).outcomes() == {"image:app@bk": "ran"}
    project.recipe(text.replace(f'builder = "{project.address}"', ""))
    assert project.build(env=env).outcomes() == {"image:app@bk": "cached"}
    assert project.build("--force", env={**env, "BUILDX_BUILDER": "ours"}).outcomes() == {
        "image:app@bk": "ran"
    }


@pytest.mark.parametrize(
    ("builder", "said", "hint"),
    [
        ("nobodys", "the builder 'nobodys' can't be used: no builder", "`docker buildx ls` lists"),
        ("unix:///nowhere/socket", "BuildKit at unix:///nowhere/socket can't be used: No", "is it running?"),
        ("tcp://127.0.0.1:1", "BuildKit at tcp://127.0.0.1:1 can't be used: Conn", "is it running?"),
    ],
)
def test_a_builder_that_is_not_there_is_one_line(
    project: OnBuildKit, builder: str, said: str, hint: str
) -> None:
    write(project, "FROM scratch\nLABEL a=1\n")
    project.recipe(project.read("imgbake.toml").replace(project.address, builder))
    text = project.fail()
    assert said in text and hint in text


def test_a_builders_name_is_checked_with_the_recipe(project: OnBuildKit) -> None:
    write(project, "FROM scratch\nLABEL a=1\n")
    project.recipe(project.read("imgbake.toml").replace(project.address, "ftp://x"))
    ran = project.run("check")
    assert ran.code == 2 and "'ftp://x' is neither a builder's name nor tcp://HOST:PORT" in ran.stderr


def test_a_name_can_be_another_image_of_the_recipe_or_of_a_registry(
    project: OnBuildKit, busybox: str
) -> None:
    project.write("golden.txt", "1")
    golden = """
        [components.golden]
        files = [{ from = "golden.txt", to = "/golden.txt" }]
        [images.golden]
        base = "scratch"
        components = ["golden"]
        targets = ["bk"]
    """
    contexts = f'contexts = {{ base = "docker-image://{busybox}", files = "image:golden" }}'
    write(project, "FROM base\nCOPY --from=files / /\nRUN cat /golden.txt > /made\n", contexts, head=golden)
    assert outcomes(project) == {"image:golden@bk": "ran", "image:app@bk": "ran"}
    assert {"golden.txt", "made", "bin"} <= set(tree(project))
    assert project.run("lock").code == 0
    assert busybox in project.read("imgbake.lock")
    project.write("golden.txt", "2")
    assert outcomes(project) == {"image:golden@bk": "ran", "image:app@bk": "ran"}


ON_FOLDERS = """FROM BUSYBOX
COPY src /src
COPY --from=lib . /lib/
RUN --mount=from=more,source=a,target=/more cat /more/one > /made
"""


def test_names_can_be_folders_of_which_what_is_seen_decides(project: OnBuildKit, busybox: str) -> None:
    contexts = 'contexts = { lib = "vendor/lib", more = "more" }'
    write(project, ON_FOLDERS.replace("BUSYBOX", busybox), contexts)
    for name in ("app/src/own", "vendor/lib/code", "vendor/lib/kept.log", "more/a/one", "more/b"):
        project.write(name, "1")
    project.write("app/.dockerignore", "code\nown.*\n")  # of the build's own context alone
    project.write("vendor/lib/.dockerignore", "*.log\n!kept.log\n")
    project.write("vendor/lib/a.log", "1")
    assert outcomes(project) == {"image:app@bk": "ran"}
    found = tree(project)
    assert {"src/own", "lib/code", "lib/kept.log", "lib/.dockerignore", "made"} <= set(found)
    assert "lib/a.log" not in found
    for name in ("vendor/lib/a.log", "more/b", "vendor/other"):
        project.write(name, "2")
    assert outcomes(project) == {"image:app@bk": "cached"}
    for name in ("vendor/lib/code", "vendor/lib/.dockerignore", "more/a/one", "app/src/own"):
        project.write(name, "!*\n")
        assert outcomes(project) == {"image:app@bk": "ran"}, name
    assert "lib/a.log" in tree(project)


def test_what_a_folder_is_called_decides(project: OnBuildKit) -> None:
    write(project, "FROM scratch\nCOPY --from=one a /1\nCOPY --from=two a /2\n")
    project.write("x/a", "x")
    project.write("y/a", "y")
    text, found = project.read("imgbake.toml"), []
    for keys in ('one = "x", two = "y"', 'one = "y", two = "x"'):
        project.recipe(f"{text}contexts = {{ {keys} }}\n")
        assert outcomes(project) == {"image:app@bk": "ran"}
        copied = tree(project)
        found.append([copied[path][:4] for path in ("1", "2")])
    assert found[0] == found[1][::-1] != found[1]


def test_it_can_be_looked_at_from_inside(
    project: OnBuildKit, busybox: str, capfd: pytest.CaptureFixture[str]
) -> None:
    write(project, f"FROM {busybox}\nWORKDIR /srv\nENV WHO=me\nRUN echo 1 > one\n")
    ran = project.run("shell", "app", "--", "sh", "-c", "echo $WHO; cat one")
    assert (ran.code, capfd.readouterr().out) == (0, "me\n1\n"), ran.stderr
