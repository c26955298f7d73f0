"""Images that are Dockerfiles: the same as docker's own, and rebuilt for what their build can see alone."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from imgbake_docker import choosing, engine
from imgbake_docker.tests import trees
from imgbake_docker.tests.private import account as account
from imgbake_docker.tests.private import amazon as amazon
from imgbake_docker.tests.private import private as private
from imgbake_docker.tests.projects import OnEngine, Put, outcome
from tests.services.amazon import EcrRegistry

DOCKERFILE = """\
# syntax is left to the builder
ARG BASE
FROM scratch AS files
COPY --chown=7:8 src /srv/
COPY link deep/*/x.txt /to/

FROM scratch AS unneeded
COPY src /

FROM $BASE AS main
ARG VERSION
ENV VERSION=$VERSION A="b c"
WORKDIR /work
# how it runs
COPY --from=files / /
ADD . /all/
RUN echo $VERSION > /version && \\
    # in between

    chmod 0600 /version
LABEL one=1
USER 7
EXPOSE 80
ENTRYPOINT ["/bin/busybox"]
CMD echo hi
"""
FILES = {
    "app/src/a.txt": "a",
    "app/src/b/c.txt": "c",
    "app/deep/1/x.txt": "x1",
    "app/é.txt": "e",
    "app/junk.log": "junk",
    "app/.dockerignore": "*.log\n",
}


@pytest.fixture
def local(engine: Any, project: OnEngine) -> Iterator[str]:
    """A base that only the engine has: busybox."""
    name = f"{project.name}-base:1"
    archive = project.root / "base.tar"
    subprocess.run(
        ["skopeo", "copy", "-q", f"oci:{project.base}", f"docker-archive:{archive}:{name}"], check=True
    )
    with archive.open("rb") as file:
        engine.load_image(file)
    archive.unlink()
    yield name
    with contextlib.suppress(Exception):
        engine.remove_image(name, force=True)


def write(project: OnEngine, dockerfile: str, keys: str = "", head: str = "") -> None:
    """A recipe with one image that is this Dockerfile."""
    project.write("app/Dockerfile", dockerfile)
    project.recipe(
        f'{head}\n[targets.docker]\nuses = "docker"\ntags = ["{project.name}:1"]\n{project.options}\n'
        f'[images.app]\ndockerfile = "app/Dockerfile"\ntargets = ["docker"]\nnetwork = "none"\n{keys}\n'
    )


def fill(project: OnEngine) -> None:
    for path, text in FILES.items():
        project.write(path, text)
    (project.root / "app/src/b").chmod(0o750)
    (project.root / "app/src/a.txt").chmod(0o4711)
    (project.root / "app/link").symlink_to("src/b/c.txt")
    (project.root / "app/src/dangling").symlink_to("nowhere")


def test_a_password_is_issued_where_nobody_has_logged_in(project: OnEngine, private: EcrRegistry) -> None:
    base = f"{private.host}/private:1"
    write(project, f"FROM {base}\nRUN echo hi > /hi\n")
    ran = project.build()
    assert private.passwords and not any(password in ran.stderr for password in private.passwords)
    with contextlib.suppress(Exception):
        project.client.remove_image(f"{private.host}/private", force=True)


def theirs(project: OnEngine, builder: str, *args: str) -> str:
    """The image that docker's own command builds of the same."""
    name = f"{project.name}-theirs:1"
    folder = str(project.root / "app")
    args = ("--network=none", *args)
    if builder == "classic":
        command: Sequence[str] = ["docker", "build"]
    else:
        command = [*choosing.buildx(), "build", f"--builder={engine.context()}", "--load"]
    env = {**os.environ, "DOCKER_BUILDKIT": "0"} if builder == "classic" else None
    for _ in range(5):  # it fails where another test removes an image at the same time
        done = subprocess.run([*command, "-t", name, *args, folder], env=env, capture_output=True, text=True)
        if "unable to find image" not in done.stderr:
            break
    assert done.returncode == 0, done.stderr
    return name


def image(project: OnEngine, name: str) -> Any:
    """The tree and the configuration of an image on the engine."""
    archive = project.root / "image.tar"
    with archive.open("wb") as file:
        for piece in project.client.get_image(name):
            file.write(piece)
    return trees.image(archive)


def test_the_image_is_the_one_that_docker_builds(project: OnEngine, builder: str, local: str) -> None:
    fill(project)
    write(project, DOCKERFILE, f'build_args = {{ BASE = "{local}", VERSION = 3 }}')
    project.build()
    name = theirs(project, builder, f"--build-arg=BASE={local}", "--build-arg=VERSION=3")
    try:
        (tree, config), (their_tree, their_config) = image(project, f"{project.name}:1"), image(project, name)
        assert tree == their_tree
        assert config == their_config
        assert "all/app/junk.log" not in tree and "all/.dockerignore" in tree
    finally:
        project.client.remove_image(name)


@pytest.mark.parametrize(
    "lines", ["# all of it\nCOPY . /all/", "COPY top/ /all/", "COPY src *p /all/", "COPY [d]eep /"]
)
def test_the_dockerfile_is_copied_where_docker_copies_it_and_nowhere_else(
    project: OnEngine, builder: str, lines: str
) -> None:
    fill(project)
    (project.root / "app/top").symlink_to(".")
    write(project, f"FROM scratch\n{lines}\n")
    project.build()
    name = theirs(project, builder)
    try:
        assert image(project, f"{project.name}:1")[0] == image(project, name)[0]
    finally:
        project.client.remove_image(name)


def test_only_what_the_build_can_see_rebuilds(project: OnEngine) -> None:
    fill(project)
    write(project, "FROM scratch AS a\nCOPY src /\nFROM scratch\nARG V=1\nLABEL v=$V\nCOPY --from=a / /\n")
    assert outcome(project.build()) == "ran"
    project.write("app/deep/1/x.txt", "other")
    project.write("app/Dockerfile", "# why\n" + project.read("app/Dockerfile"))
    assert outcome(project.build()) == "cached"
    project.write("app/src/new", "")
    assert "app/src/new" in explained(project)
    assert outcome(project.build()) == "ran"
    (project.root / "app/src/new").chmod(0o600)
    assert outcome(project.build()) == "ran"
    project.write("app/Dockerfile", project.read("app/Dockerfile") + "LABEL w=1\n")
    assert "+ LABEL w=1" in explained(project) or "LABEL w=1" in explained(project)
    assert outcome(project.build("--arg", "V=2")) == "ran"
    assert project.baked()["Config"]["Labels"] == {"v": "2", "w": "1"}


def explained(project: OnEngine) -> str:
    return project.run("explain", "app").stdout


def test_an_image_that_is_lost_is_baked_again(project: OnEngine) -> None:
    fill(project)
    write(project, "FROM scratch\nCOPY src /\n")
    project.build()
    project.clear()
    assert outcome(project.build()) == "ran"
    assert project.baked()


def test_a_base_of_a_registry_is_pinned(project: OnEngine, registry: Put) -> None:
    reference = registry(project.base, "busybox", project.name.rpartition("-")[2])
    write(project, f"FROM {reference}\nRUN echo hi > /hi\n")
    assert project.run("lock").code == 0
    assert reference in project.read("imgbake.lock")
    assert outcome(project.build()) == "ran"
    assert f"FROM {reference}@sha256:" in project.run("lower", "app").stdout
    assert (
        project.baked()["Config"]["Cmd"] == project.client.inspect_image(f"{project.name}:1")["Config"]["Cmd"]
    )


def test_triggers_and_environment_of_a_base_are_seen(project: OnEngine, builder: str, local: str) -> None:
    fill(project)
    parent = f"{project.name}-parent:1"
    text = f"FROM {local}\nENV WHERE=src\nONBUILD COPY deep /deep\n"
    subprocess.run(
        ["docker", "build", "-t", parent, "-"], input=text.encode(), check=True, capture_output=True,
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
    )  # fmt: skip
    try:
        write(project, f"FROM {parent}\nCOPY $WHERE/a.txt /\n")
        assert outcome(project.build()) == "ran"
        listed = project.run("lower", "app").stdout
        assert "deep/1/x.txt" in listed and "src/a.txt" in listed and "src/b" not in listed
        project.write("app/src/b/c.txt", "other")
        assert outcome(project.build()) == "cached"
        project.write("app/deep/1/x.txt", "other")
        assert outcome(project.build()) == "ran"
    finally:
        project.client.remove_image(f"{project.name}:1", force=True)
        project.client.remove_image(parent, force=True)


@pytest.mark.parametrize("first", ["ARG A", "COPY . /all/"])
def test_a_failure_is_placed_in_the_users_file(project: OnEngine, local: str, first: str) -> None:
    write(project, f'FROM {local}\n{first}\nARG CODE=3\n# a comment\n\nRUN echo "told"; exit $CODE\n')
    ran = project.run("build", "--progress", "plain")
    assert ran.code == 1
    assert 'app/Dockerfile:6: `RUN echo "told"; exit $CODE` exited with code 3' in ran.stderr
    assert "told" in ran.stderr


def test_secrets_are_mounted_and_stand_nowhere(project: OnEngine, builder: str, local: str) -> None:
    if builder == "classic":
        pytest.skip("has no secrets: it refuses them")
    run = "RUN --mount=type=secret,id=token,required=true wc -c < /run/secrets/token > /length\n"
    head = "[args]\ntoken = { secret = true }"
    write(project, f"FROM {local}\n{run}", 'secrets = ["token"]', head)
    ran = project.build("--arg", "token=s3cr3t-Value")
    assert outcome(ran) == "ran"
    tree, _ = image(project, f"{project.name}:1")
    assert "length" in tree and "run/secrets/token" not in tree
    assert outcome(project.build("--arg", "token=0ther-Value")) == "cached"
    assert "s3cr3t" not in ran.stderr + ran.stdout + str(project.client.history(f"{project.name}:1"))


def test_proxies_of_dockers_settings_are_for_builds_alone(
    project: OnEngine, local: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("config/config.json", '{"proxies": {"default": {"httpsProxy": "http://proxy.test:3128"}}}')
    monkeypatch.setenv("DOCKER_CONFIG", str(project.root / "config"))
    write(project, f"FROM {local}\nRUN echo {project.name} by $HTTPS_PROXY and $https_proxy\n")
    assert (
        "by http://proxy.test:3128 and http://proxy.test:3128" in project.build("--progress", "plain").stderr
    )
    made = project.baked()
    assert "proxy.test" not in str(made["Config"]) + str(project.client.history(f"{project.name}:1"))
    (project.root / "config/config.json").unlink()
    assert outcome(project.build()) == "cached"


def test_a_target_and_labels(project: OnEngine) -> None:
    write(
        project,
        "FROM scratch AS one\nLABEL a=1\nFROM scratch\nLABEL b=2\n",
        'target = "one"\nlabels = { c = "3" }',
    )
    project.build()
    assert project.baked()["Config"]["Labels"] == {"a": "1", "c": "3"}


def test_what_a_task_makes_is_copied(project: OnEngine) -> None:
    task = '[tasks.make]\nrun = "mkdir -p app/out && echo 1 > app/out/x"\noutputs = ["app/out/x"]\n'
    write(project, "FROM scratch\nCOPY out /\n", head=task)
    ran = project.build()
    assert ran.outcomes() == {"task:make": "ran", "image:app@docker": "ran"}
    tree, _ = image(project, f"{project.name}:1")
    assert "x" in tree


def test_a_dockerignore_that_is_copied_stays_as_it_is(project: OnEngine) -> None:
    project.write("app/.dockerignore", "*.log\n")
    project.write("app/a", "")
    write(project, "FROM scratch\nCOPY . /\n")
    project.build()
    tree, _ = image(project, f"{project.name}:1")
    assert sorted(tree) == [".dockerignore", "Dockerfile", "a"]


def test_with_nothing_to_do_the_engine_alone_is_asked(project: OnEngine) -> None:
    fill(project)
    write(project, "FROM scratch\nCOPY src /\n")
    time.sleep(0.1)  # what is younger than a tick of the file system's clock proves nothing
    for _ in range(3):
        last = project.run("build", "app")
    assert "nothing to do: 1 cached" in last.stderr
    project.clear()
    assert "nothing to do" not in project.run("build", "app").stderr
    assert project.baked()


def write_two(project: OnEngine) -> None:
    """A recipe with two images: `app`, and `other`, which is left alone."""
    fill(project)
    project.write("other/file", "other")
    project.write("other/Dockerfile", "FROM scratch\nCOPY file /\n")
    write(project, "FROM scratch\nCOPY src *.txt /\n", head=(
        f'[targets.beside]\nuses = "docker"\ntags = ["{project.name}:2"]\n{project.options}\n'
        '[images.other]\ndockerfile = "other/Dockerfile"\ntargets = ["beside"]\n'
    ))  # fmt: skip
    for _ in range(2):
        time.sleep(0.1)  # what is younger than a tick of the file system's clock proves nothing
        project.build()


CHANGES: dict[str, Callable[[OnEngine], object]] = {
    "a file that is copied": lambda project: project.write("app/src/a.txt", "other"),
    "a new file that is copied": lambda project: project.write("app/src/b/new", ""),
    "a new file that a wildcard reaches": lambda project: project.write("app/new.txt", ""),
    "the Dockerfile": lambda project: project.write("app/Dockerfile", "FROM scratch\nCOPY link /\n"),
    "the ignore file": lambda project: project.write("app/.dockerignore", "**/a.txt\n"),
    "an ignore file that comes first": lambda project: project.write("app/Dockerfile.dockerignore", "**/b\n"),
    "the image": lambda project: project.clear(),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_rebuilds_the_one_image_that_it_reaches(project: OnEngine, what: str) -> None:
    write_two(project)
    CHANGES[what](project)
    outcomes = project.build().outcomes()
    assert outcomes["image:other@beside"] == "cached"
    assert outcomes["image:app@docker"] in ("ran", "restored")  # by its id the engine may have it still
    project.client.remove_image(f"{project.name}:2")


def test_images_that_were_left_alone_must_still_be_there(project: OnEngine, over_tcp: str) -> None:
    write_two(project)
    project.client.remove_image(f"{project.name}:2")
    project.write("app/src/a.txt", "second")
    assert outcome(project.build(), "image:other@beside") in ("ran", "restored")
    assert project.client.inspect_image(f"{project.name}:2")
    project.client.tag(f"{project.name}:1", project.name, "2")
    project.write("app/src/a.txt", "third")
    assert project.build().outcomes() == {"image:app@docker": "ran", "image:other@beside": "restored"}
    project.write("app/src/a.txt", "fourth")
    there = {"DOCKER_HOST": over_tcp}
    assert project.build(env=there).outcomes() == {"image:app@docker": "ran", "image:other@beside": "cached"}
    nowhere = {"DOCKER_HOST": "tcp://127.0.0.1:1"}
    failed = project.run("build", "-k", env=nowhere).stderr
    assert failed.count("can't be reached") >= 2, failed
    project.client.remove_image(f"{project.name}:2")


def test_platforms_are_said_by_the_image(project: OnEngine) -> None:
    project.options += '\nplatforms = ["linux/amd64"]'
    write(project, "FROM scratch\nLABEL a=1\n")
    ran = project.run("build")
    assert ran.code == 1 and "is a Dockerfile, and its target says `platforms`" in ran.stderr
    project.options = project.options.rpartition("\n")[0]
    write(project, "FROM scratch\nLABEL a=1\n", 'platforms = ["linux/amd64"]')
    assert outcome(project.build()) == "ran"


def test_every_builder_has_the_arguments_of_platforms(project: OnEngine, builder: str, local: str) -> None:
    here = project.client.version()["Arch"]
    project.write(f"app/bin/{here}/app", "ours")
    project.write("app/bin/other/app", "theirs")
    write(
        project,
        f"# escape=`\nARG FOR=$TARGETOS\nFROM --platform=$BUILDPLATFORM {local} AS on-{here}\n"
        "FROM on-$TARGETARCH\nARG TARGETARCH\nARG FOR\nARG TARGETVARIANT=none\n"
        "COPY bin/$TARGETARCH /bin/\nRUN touch /$FOR-$TARGETARCH-$TARGETVARIANT\n",
    )
    project.build()
    tree = image(project, f"{project.name}:1")[0]
    assert {"bin/app", f"linux-{here}-none"} <= tree.keys() and not [name for name in tree if "other" in name]


GOLDEN = """
    [targets.oci]
    uses = "oci"

    [targets.engine]
    uses = "docker"
    tags = ["NAME:golden"]

    [components.golden]
    files = [{ from = "golden.txt", to = "/golden.txt" }]

    [images.golden]
    base = "oci:BASE"
    components = ["golden"]
    env = { FROM_GOLDEN = "yes" }
    targets = ["BELOW"]
"""
ON_GOLDEN = """
FROM base AS one
RUN echo $FROM_GOLDEN > /env
FROM scratch
COPY --from=one / /
COPY --from=base /golden.txt /copied
"""


@pytest.mark.parametrize("below", ["engine", "oci"])
def test_a_name_can_be_another_image_of_the_recipe(project: OnEngine, below: str) -> None:
    golden = GOLDEN.replace("NAME", project.name).replace("BASE", str(project.base)).replace("BELOW", below)
    project.write("golden.txt", "1")
    write(project, ON_GOLDEN, 'contexts = { base = "image:golden" }', golden)
    try:
        assert project.build().outcomes()[f"image:golden@{below}"] == "ran"
        tree, _ = image(project, f"{project.name}:1")
        assert {"env", "golden.txt", "copied"} <= set(tree)
        assert outcome(project.build()) == "cached"
        project.write("golden.txt", "2")
        assert outcome(project.build()) == "ran"
        names = {name for each in project.client.images() for name in each["RepoTags"] or ()}
        assert not [name for name in names if name.startswith("imgbake-context/app-docker-base")]
    finally:
        if below == "engine":
            project.client.remove_image(f"{project.name}:golden", force=True)


def test_a_name_that_nothing_takes_or_whose_image_is_missing_is_refused(project: OnEngine) -> None:
    write(project, "FROM scratch\nLABEL a=1\n", 'contexts = { base = "docker-image://busybox" }')
    ran = project.run("build")
    assert ran.code == 1 and "`contexts`: no FROM, --from or mount" in ran.stderr
    write(project, "FROM base\n", 'contexts = { base = "image:goldn" }')
    ran = project.run("build")
    assert ran.code == 2 and "image 'app' stands on 'goldn', which is not there" in ran.stderr
