"""What a cluster refuses, and what is left in it: by the real API, as its users meet it."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgbake_kaniko import manifests
from imgbake_kaniko.cluster import kubeconfig
from imgbake_kaniko.cluster.connection import Connection
from imgbake_kaniko.tests.in_cluster import OURS, InCluster

TRUE = '[components.a]\nbuild = "true"'
SLEEP = '[components.a]\nbuild = "sleep 300"'
QUOTAS = "/api/v1/namespaces/default/resourcequotas"


def refused(project: InCluster, options: str, env: Any = None) -> str:
    """What imgbake says of a bake that the cluster does not let be."""
    project.image(TRUE, options=options)
    ran = project.run("build", "--progress", "plain", env=env)
    assert ran.code == 1, ran.stderr
    assert "Traceback" not in ran.stderr
    assert project.left() == []
    return ran.stderr


def test_a_namespace_that_is_missing_is_named(project: InCluster) -> None:
    said = refused(project, 'namespace = "nowhere"')
    assert 'namespaces "nowhere" not found' in said
    assert "kubectl create namespace nowhere" in said


def test_a_storage_class_that_is_missing_is_named(project: InCluster) -> None:
    said = refused(project, 'provision = true\nstorage_class = "nowhere"\nvolume = {}\nstart_timeout = 12')
    assert "unbound immediate PersistentVolumeClaims" in said
    assert 'storageclass.storage.k8s.io "nowhere" not found' in said


@pytest.mark.parametrize(
    ("rules", "options", "message", "hint"),
    [
        ({}, "", 'cannot list resource "persistentvolumes"', "`provision = true`"),
        ({}, 'context = "stream"', 'cannot create resource "jobs"', "auth can-i"),
        ({"jobs": "create delete"}, 'context = "stream"', 'cannot create resource "secrets"', "auth can-i"),
        (
            {"jobs": "create get delete patch", "secrets": "create", "pods": "list delete"},
            'context = "stream"',
            'cannot get resource "pods/attach"',
            "auth can-i",
        ),
    ],
    ids=["volumes", "jobs", "secrets", "attach"],
)
def test_what_we_may_not_do_is_named(
    project: InCluster, tmp_path: Path, rules: dict[str, str], options: str, message: str, hint: str
) -> None:
    """Of what was made until then nothing stays, whatever we may not do to it."""
    groups = {"jobs": "batch"}
    let(
        project,
        "Role",
        [
            {"apiGroups": [groups.get(kind, "")], "resources": [kind], "verbs": verbs.split()}
            for kind, verbs in rules.items()
        ],
    )
    said = refused(project, options, as_stranger(project, tmp_path))
    assert message in said
    assert hint in said


def test_the_rights_that_the_documentation_names_are_enough(project: InCluster, tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    page = (Path(__file__).parents[2] / "docs/kaniko.md").read_text()
    (text,) = (block for block in page.split("```") if block.startswith("yaml\n") and "kind: Role" in block)
    let(project, "Role", yaml.safe_load(text.removeprefix("yaml\n"))["rules"])
    volumes = {"apiGroups": [""], "resources": ["persistentvolumes"], "verbs": ["create", "list", "delete"]}
    let(project, "ClusterRole", [volumes])
    project.image('[components.a]\nbuild = "true"\ntest = "true"')
    ran = project.build(env=as_stranger(project, tmp_path))
    let(project, "ClusterRole", [])
    assert ran.outcomes()["test:app@kaniko"] == "ran"
    assert project.left() == []
    assert project.left_on_node() == set()


def as_stranger(project: InCluster, folder: Path) -> dict[str, str]:
    """The environment of somebody who may do nothing but what a role lets him."""
    config = folder / "stranger"
    config.write_text(project.cluster.kubeconfig.read_text().replace(*project.cluster.tokens))
    return {"KUBECONFIG": str(config)}


def let(project: InCluster, kind: str, rules: list[Any]) -> None:
    """Lets the stranger do this by a role of a kind, and nothing else."""
    group = "rbac.authorization.k8s.io"
    names = {"apiVersion": f"{group}/v1", "metadata": {"name": "baker"}}
    role = {**names, "kind": kind, "rules": rules}
    binding = {
        **names,
        "kind": f"{kind}Binding",
        "roleRef": {"apiGroup": group, "kind": kind, "name": "baker"},
        "subjects": [{"kind": "User", "name": "stranger"}],
    }
    api = connection(project)
    for document in (role, binding):
        where = "" if kind == "ClusterRole" else "namespaces/default/"
        place = f"/apis/{group}/v1/{where}{str(document['kind']).lower()}s"
        made = [each["metadata"]["name"] for each in json.loads(api.read("GET", place))["items"]]
        if "baker" in made:
            api.read("DELETE", f"{place}/baker")
        api.read("POST", place, json.dumps(document).encode())


@pytest.fixture
def quota(project: InCluster) -> Iterator[Any]:
    """Says what the namespace may hold, for the time of a test."""
    api = connection(project)

    def allow(**hard: str) -> None:
        hard = {key.replace("_", "."): value for key, value in hard.items()}
        name = {"name": "imgbake"}
        document = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": name, "spec": {"hard": hard}}
        api.read("POST", QUOTAS, json.dumps(document).encode())
        status = {"status": {"hard": hard, "used": dict.fromkeys(hard, "0")}}  # no controller counts here
        content = "application/merge-patch+json"
        api.read("PATCH", f"{QUOTAS}/imgbake/status", json.dumps(status).encode(), content)

    yield allow
    api.read("DELETE", f"{QUOTAS}/imgbake")


def test_a_quota_that_is_used_up_is_named(project: InCluster, quota: Any) -> None:
    quota(secrets="0")
    said = refused(project, "")
    assert "exceeded quota: imgbake, requested: secrets=1" in said
    assert "kubectl describe quota" in said


def test_a_quota_for_every_container_is_met_by_all_of_ours(project: InCluster, quota: Any) -> None:
    """The one that receives the files, Kaniko, and the one that cleans up."""
    quota(limits_cpu="4")
    said = refused(project, "start_timeout = 6")
    assert "must specify limits.cpu for: kaniko,upload" in said
    project.image('[components.a]\nbuild = "true"\ntest = "true"', options='limits = { cpu = "1" }')
    assert project.build().outcomes()["test:app@kaniko"] == "ran"
    assert project.left_on_node() == set()


def test_the_next_bake_removes_what_a_killed_one_left(project: InCluster) -> None:
    project.image(SLEEP)
    process = project.until_running()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert [each["metadata"]["name"] for each in project.cluster.objects("jobs")] != []
    project.image(TRUE)
    ran = project.build()
    assert "which a bake that was killed has left" in ran.stderr
    assert project.left() == []
    assert project.left_on_node() == set()


def test_the_next_bake_removes_the_pod_of_a_test_that_was_killed(project: InCluster) -> None:
    project.image(f'{TRUE}\ntest = "sleep 300"', options='context = "stream"')
    process = project.until_running(manifests.TEST)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert project.in_cluster() != []
    project.image(TRUE, options='context = "stream"')
    project.build("-B")
    assert project.left() == []


def test_what_is_made_can_be_kept_for_once(project: InCluster) -> None:
    project.image(TRUE, options='context = "stream"')
    ran = project.build("--keep")
    jobs = [each["metadata"]["name"] for each in project.cluster.objects("jobs")]
    (job,) = (name for name in jobs if name.startswith(OURS))
    assert f"kept in the cluster: Job default/{job}, Secret default/{job}" in ran.stderr
    connection(project).read("DELETE", f"/apis/batch/v1/namespaces/default/jobs/{job}", BACKGROUND)
    assert project.left() == []


BACKGROUND = b'{"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}'


def connection(project: InCluster) -> Connection:
    """A connection as one who may do everything."""
    return Connection(kubeconfig.access(environ={"KUBECONFIG": str(project.cluster.kubeconfig)}))
