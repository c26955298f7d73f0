"""Images baked by the real Kaniko, as Jobs of a real Kubernetes API, and pushed to a real registry."""

from __future__ import annotations

import base64
import json
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgbake.testing.project import Project
from imgbake_docker.tests import trees
from imgbake_dockerfile import platforms
from imgbake_kaniko.tests.in_cluster import OURS, InCluster

HELLO = """
    [components.hello]
    files = [{ from = "motd", to = "/etc/motd" }]
    build = "cat /etc/motd > /copied"
"""


def test_an_image_is_baked_pushed_and_nothing_stays_behind(project: InCluster) -> None:
    project.write("motd", "hi\n")
    project.image(HELLO)
    ran = project.build()
    assert ran.outcomes()["image:app@kaniko"] == "ran"
    assert "copied" in ran.stderr or "cat /etc/motd" in ran.stderr
    assert project.left() == []
    assert project.left_on_node() == set()
    again = project.build("--push")
    assert again.outcomes()["image:app@kaniko"] == "cached"
    (pushed,) = again.json["pushed"]
    assert project.run("export", "app", "-o", "app.tar", "--format", "oci-archive").code == 0
    inspect = ["skopeo", "inspect", "--format", "{{.Digest}}", f"oci-archive:{project.root / 'app.tar'}"]
    assert subprocess.check_output(inspect, text=True).strip() == pushed.partition("@")[2]


FILES = """
    [components.app]
    files = [
      { from = "app", to = "/opt/app/", owner = "1000:1000" },
      { from = "conf.toml", to = "/etc/app/conf.toml", mode = "0640", owner = "0:1000" },
      { from = "tool", to = "/usr/local/bin/tool", mode = "4755" },
      { from = "conf.toml", to = "/tmp/" },
    ]
    env = { APP_HOME = "/opt/app", PRICE = '5$ "or" \\\\ more' }

    [components.overlay]
    files = [
      { from = "overlay", to = "/" },
      { from = "conf.toml", to = "/home/app/", owner = "7:8" },
    ]
"""
COMMANDS = """
    [components.users]
    build = ["mkdir -p /data/sub && chmod 1777 /data && chown 1000:1000 /data/sub", "ln -s data /store"]

    [components.app]
    files = [
      { from = "conf.toml", to = "/store/sub/" },
      { from = "app", to = "/data/app/" },
    ]
    env = { MODE = "two words" }
    build = "whoami > /data/who; pwd >> /data/who; echo $MODE >> /data/who; ln /data/who /data/hard"
    user = "app"
    workdir = "/home/app"

    [components.cleaner]
    build = "rm -r /data/app/lib; rm /home/app/notes; id -un > /data/last; pwd >> /data/last"
    validate = "touch /nothing-of-this-stays; test -e /data/hard"
"""
CONFIG = """
    [components.app]
    files = [{ from = "conf.toml", to = "/conf.toml" }]
"""
CONFIG_KEYS = """
    entrypoint = ["/bin/sh", "-c", "echo \\"$HOME\\" '$0'"]
    cmd = ["a b", "c\\\\\\\\d"]
    env = { PATH = "/opt/bin:/bin", ONE = "1" }
    user = "app"
    workdir = "/home/app"
    ports = [8080, "53/udp"]
    volumes = ["/data"]
    labels = { "org.example.title" = 'A "title" of $5' }
    stop_signal = "SIGINT"
    healthcheck = { test = "wget -q localhost || exit 1", interval = "90s", timeout = "1.5s", retries = 3 }
"""


@pytest.mark.parametrize(
    ("components", "keys"),
    [(FILES, ""), (COMMANDS, ""), (CONFIG, CONFIG_KEYS)],
    ids=["files", "commands", "config"],
)
def test_kaniko_and_docker_and_oci_bake_the_same(project: InCluster, components: str, keys: str) -> None:
    furnish(project)
    local = f"imgbake-test-{secrets.token_hex(4)}:1"
    keys += f'\n[targets.docker]\nuses = "docker"\nbuilder = "classic"\ntags = ["{local}"]\n'
    keys += '[targets.oci]\nuses = "oci"\n'
    project.image(components, keys, targets='["kaniko", "docker", "oci"]')
    project.build()
    found = {}
    for target in ("docker", "oci"):
        to = project.root / f"{target}.tar"
        ran = project.run("export", f"app@{target}", "-o", str(to), "--format", "docker-archive")
        assert ran.code == 0, ran.stderr
        found[target] = trees.image(to)
    subprocess.run(["docker", "image", "rm", "--force", local], check=True, capture_output=True)
    found["kaniko"] = project.pulled()
    for target in ("docker", "oci"):
        assert found["kaniko"][0] == dict(map(_as_kaniko_has_it, found[target][0].items()))
        assert found["kaniko"][1] == found[target][1]


def _as_kaniko_has_it(item: tuple[str, tuple[Any, ...]]) -> tuple[str, tuple[Any, ...]]:
    """Kaniko gives every symlink that it unpacks to root."""
    path, entry = item
    return path, ("symlink", (0, 0), entry[2]) if entry[0] == "symlink" else entry


def furnish(project: Project) -> None:
    project.write("app/bin/run", "#!/bin/sh\n").chmod(0o755)
    project.write("app/lib/a.txt", "a")
    (project.root / "app/lib/b.txt").hardlink_to(project.root / "app/lib/a.txt")
    (project.root / "app/link").symlink_to("lib/a.txt")
    (project.root / "app/empty").mkdir()
    project.write("conf.toml", "a = 1\n")
    project.write("tool", "#!/bin/sh\n").chmod(0o755)
    project.write("overlay/etc/motd", "hi\n")
    project.write("overlay/srv/v1/x", "x")


def test_a_context_is_streamed_into_kaniko(project: InCluster) -> None:
    project.write("motd", "hi\n")
    project.image(HELLO, options='context = "stream"')
    assert project.build().outcomes()["image:app@kaniko"] == "ran"
    assert project.left() == []


def test_tests_run_in_a_pod_of_the_image(project: InCluster) -> None:
    project.image('[components.a]\nbuild = "echo 1 > /one"\ntest = ["test -e /one", "grep 1 /one"]')
    ran = project.build()
    assert ran.outcomes()["test:app@kaniko"] == "ran"
    project.image('[components.a]\nbuild = "echo 1 > /one"\ntest = ["test -e /one", "grep 2 /one"]')
    ran = project.run("build", "--progress", "plain")
    assert ran.code == 1
    assert "component 'a': `grep 2 /one`: 'test' exited with code 1" in ran.stderr
    assert project.left() == []


def test_secrets_and_caches_are_there_for_commands_and_in_no_image(
    project: InCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_TOKEN", "s3cret-value")
    project.image(MOUNTED)
    project.recipe('[args]\ntoken = { secret = true, env = "TEST_TOKEN" }\n' + project.read("imgbake.toml"))
    ran = project.build()
    assert ran.outcomes()["test:app@kaniko"] == "ran"
    assert "s3cret-value" not in ran.stdout + ran.stderr
    tree = project.pulled()[0]
    assert "counted" in tree
    assert [path for path in tree if "cache" in path or "secrets" in path] == []
    assert project.left() == []


MOUNTED = """
    [components.a]
    secrets = ["token"]
    caches = ["/var/cache/a", { path = "/root/.cache", shared = true }]
    build = ["wc -c < /run/secrets/token > /counted", "touch /var/cache/a/x; cat /run/secrets/*"]
    validate = "test -e /var/cache/a/x && grep -q s3cret /run/secrets/token"
    test = "test -e /counted && test ! -e /var/cache/a/x && grep -q s3cret /run/secrets/token"
"""


@pytest.mark.parametrize(
    ("component", "options", "message"),
    [
        ('build = ["true", "echo so; exit 3"]', "", "component 'a': `echo so; exit 3` exited with code 3"),
        ('validate = "test -e /missing"', "", "component 'a': `test -e /missing` exited with code 1"),
        (
            'build = "true"',
            'executor = "imgbake-test/nowhere:1"',
            "can't pull imgbake-test/nowhere:1 (ImagePullBackOff)",
        ),
        ('build = "true"', 'node_selector = { disk = "fast" }\nstart_timeout = 8', "0/1 nodes are available"),
        (
            'build = "true"',
            'service_account = "nobody"\nstart_timeout = 8',
            'serviceaccount "nobody" not found',
        ),
        ('build = "sleep 300"', "deadline = 12", "the cluster has ended the Job at its deadline"),
        (
            'build = "tail /dev/zero"',
            'limits = { memory = "256Mi" }',
            "ran out of memory (OOMKilled)",
        ),
    ],
    ids=["command", "validate", "image", "node", "account", "deadline", "memory"],
)
def test_failures_are_explained(project: InCluster, component: str, options: str, message: str) -> None:
    project.image(f"[components.a]\n{component}", options=options)
    ran = project.run("build", "--progress", "plain")
    assert ran.code == 1, ran.stderr
    assert "Traceback" not in ran.stderr
    assert message in ran.stderr
    assert project.left() == []


def test_an_interrupted_bake_leaves_nothing(project: InCluster) -> None:
    project.image('[components.a]\nbuild = "sleep 300"')
    process = project.until_running()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert project.left() == []


def test_what_is_kept_can_be_looked_at(project: InCluster) -> None:
    project.image('[components.a]\nbuild = "exit 1"', options="keep = true")
    assert project.run("build").code == 1
    jobs = [each["metadata"]["name"] for each in project.cluster.objects("jobs")]
    (job,) = (name for name in jobs if name.startswith(OURS))
    claims = [each["metadata"]["name"] for each in project.cluster.objects("persistentvolumeclaims")]
    assert job in claims
    _delete(project, job)
    project.image('[components.a]\nbuild = "true"')
    project.build()  # takes away the volume too, which nobody claims any more
    assert project.left() == []


def _delete(project: InCluster, job: str) -> None:
    from imgbake_kaniko.cluster import kubeconfig
    from imgbake_kaniko.cluster.client import Client
    from imgbake_kaniko.cluster.connection import Connection

    access = kubeconfig.access(environ={"KUBECONFIG": str(project.cluster.kubeconfig)})
    Client(Connection(access), "default").delete("Job", job)
    until = time.monotonic() + 30
    while any(
        each["metadata"]["name"] == job and each["status"]["phase"] != "Released"
        for each in project.cluster.objects("persistentvolumes")
    ):
        assert time.monotonic() < until
        time.sleep(0.2)


@pytest.fixture
def locked(cluster: Any, tmp_path: Path) -> Iterator[str]:
    """A registry that wants a user and a password."""
    if shutil.which("htpasswd") is None:
        pytest.skip("htpasswd is not installed")
    users = subprocess.check_output(["htpasswd", "-Bbn", "me", "pa55word"], text=True)
    (tmp_path / "users").write_text(users)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    (tmp_path / "registry.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {tmp_path / 'registry'}}}}}\n"
        f"http: {{addr: '{host}'}}\nauth: {{htpasswd: {{realm: tests, path: {tmp_path / 'users'}}}}}\n"
    )
    quiet = subprocess.DEVNULL
    serve = ["docker-registry", "serve", str(tmp_path / "registry.yml")]
    process = subprocess.Popen(serve, stdout=quiet, stderr=quiet)
    yield host
    process.terminate()
    process.wait()


def test_credentials_reach_the_executor_and_nobody_else(
    project: InCluster, locked: str, tmp_path: Path
) -> None:
    auth = base64.b64encode(b"me:pa55word").decode()
    docker = tmp_path / "docker"
    docker.mkdir()
    (docker / "config.json").write_text(json.dumps({"auths": {locked: {"auth": auth}}}))
    env = {"DOCKER_CONFIG": str(docker)}
    project.image('[components.a]\nbuild = "true"')
    other = f'"{project.cluster.registry}", "{locked}"'
    text = project.read("imgbake.toml").replace(f'"{project.cluster.registry}"', other)
    project.recipe(text.replace(project.tag, f"{locked}/app:1"))
    lowered = project.run("lower", "app@kaniko", env=env)
    assert lowered.code == 0, lowered.stderr
    ran = project.build(env=env)
    assert ran.outcomes()["image:app@kaniko"] == "ran"
    for said in (lowered.stdout, ran.stdout, ran.stderr):
        assert "pa55word" not in said and auth not in said
    kept = [path.read_bytes() for path in project.root.rglob("*") if path.is_file()]
    assert not any(b"pa55word" in data or auth.encode() in data for data in kept)
    assert project.build(env=env).outcomes()["image:app@kaniko"] == "cached"


def test_a_real_api_takes_the_manifests_that_are_printed(project: InCluster) -> None:
    """With the Job asleep, for its pod is nobody's."""
    yaml = pytest.importorskip("yaml")
    from imgbake_kaniko.cluster import kubeconfig
    from imgbake_kaniko.cluster.client import Client
    from imgbake_kaniko.cluster.connection import Connection

    project.image('[components.a]\nbuild = "true"', options=SAID)
    assert project.run("lower", "app@kaniko", "-o", "lowered").code == 0
    access = kubeconfig.access(environ={"KUBECONFIG": str(project.cluster.kubeconfig)})
    client = Client(Connection(access), "default")
    kinds = {}
    for path in sorted((project.root / "lowered").rglob("*.yaml")):
        manifest = yaml.safe_load(path.read_text())
        if manifest["kind"] == "Job":
            manifest["spec"]["suspend"] = True
        made = client.create(manifest)
        kinds[manifest["kind"]] = made["metadata"]["name"]
    for kind, name in kinds.items():
        client.delete(kind, name)
    assert sorted(kinds) == ["Job", "PersistentVolume", "PersistentVolumeClaim", "Secret"]
    assert len(set(kinds.values())) == 1
    assert project.left() == []


SAID = """
requests = { cpu = "500m", memory = "1Gi" }
limits = { memory = "4Gi" }
node_selector = { "kubernetes.io/arch" = "amd64" }
tolerations = [{ key = "build", value = "only", effect = "NoSchedule" }, { operator = "Exists" }]
service_account = "baker"
labels = { team = "shop" }
annotations = { "example.com/cost" = "42" }
env = { AWS_REGION = "eu-west-1" }
storage_class = "fast"
access_mode = "ReadWriteMany"
cache = true
"""


def test_a_dockerfile_of_the_users_own_is_baked(project: InCluster) -> None:
    architecture = platforms.host().architecture
    project.write("site/Dockerfile", DOCKERFILE.replace("BASE", project.base).replace("HOST", architecture))
    project.write("site/.dockerignore", "*.log\n")
    project.write("site/a.txt", "a\n")
    project.write("site/a.log", "unseen\n")
    project.image('[components.a]\nbuild = "true"')
    project.recipe(
        project.read("imgbake.toml").partition("[components")[0]
        + '[images.app]\ndockerfile = "site/Dockerfile"\ncontext = "site"\ntargets = ["kaniko"]\n'
        + 'build_args = { WORD = "said" }\ntarget = "last"\nlabels = { a = "b" }\n'
    )
    assert project.build().outcomes()["image:app@kaniko"] == "ran"
    tree, config = project.pulled()
    assert sorted(path for path in tree if path.startswith("srv/")) == [
        "srv/a.txt",
        f"srv/for-{architecture}",
        "srv/said",
    ]
    assert config["Labels"] == {"a": "b"}
    assert project.left() == []
    project.write("site/a.log", "still unseen\n")
    assert project.build().outcomes()["image:app@kaniko"] == "cached"


DOCKERFILE = """
FROM BASE AS on-HOST
FROM --platform=$TARGETPLATFORM on-$TARGETARCH AS last
ARG WORD=unsaid
ARG TARGETARCH
WORKDIR /srv
COPY . .
RUN rm -f Dockerfile .dockerignore && touch $WORD && touch for-$TARGETARCH
FROM last
RUN false
"""
