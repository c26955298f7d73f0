"""The target as a recipe has it."""

from __future__ import annotations

from imgbake.testing.project import Project

RECIPE = """
[targets.cluster]
uses = "kaniko"
tags = ["registry.example.com/shop:1"]
OPTIONS

[components.app]
files = [{ from = "app.txt", to = "/srv/app.txt" }]

[images.app]
base = "scratch"
components = ["app"]
targets = ["cluster"]
"""


def test_lower_prints_four_manifests(project: Project) -> None:
    project.write("app.txt", "hello")
    project.recipe(RECIPE.replace("OPTIONS", ""))
    ran = project.run("lower", "app@cluster", "-o", "lowered")
    assert ran.code == 0, ran.stderr
    kinds = [
        line
        for path in sorted((project.root / "lowered").rglob("*.yaml"))
        for line in path.read_text().splitlines()
        if line.startswith("kind:")
    ]
    assert [line.split('"')[1] for line in kinds] == [
        "Job",
        "PersistentVolumeClaim",
        "PersistentVolume",
        "Secret",
    ]


def test_a_plan_lists_what_will_be_made_in_the_cluster(project: Project) -> None:
    project.write("app.txt", "hello")
    project.recipe(RECIPE.replace("OPTIONS", 'namespace = "builds"'))
    ran = project.run("plan")
    assert ran.code == 0, ran.stderr
    assert ran.stdout.endswith(PLANNED)
    (image,) = (step for step in project.run("plan", "--format", "json").json if "makes" in step)
    assert image["makes"] == [line.strip() for line in PLANNED.splitlines()[2:]]


PLANNED = """
image:app@cluster is baked with
  PersistentVolume imgbake-app-cluster-*
  PersistentVolumeClaim builds/imgbake-app-cluster-*
  Secret builds/imgbake-app-cluster-*
  Job builds/imgbake-app-cluster-*
"""


def test_a_dockerfile_that_reads_its_platform_is_baked_on_nodes_of_it(project: Project) -> None:
    project.write("Dockerfile", "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /\n")
    project.write("arm64", "hello")
    table = '[images.app]\ndockerfile = "Dockerfile"\ntargets = ["cluster"]\nplatforms = ["linux/arm64"]\n'
    recipe = RECIPE.partition("[components")[0] + table
    project.recipe(recipe.replace("OPTIONS", ""))
    lowered = project.run("lower", "app", "--format", "json").json
    assert lowered["documents"]["Dockerfile"].startswith(
        "ARG TARGETARCH=arm64\nFROM scratch\nARG TARGETARCH\n"
    )
    assert '"kubernetes.io/arch": "arm64"' in "".join(lowered["beside"].values())
    project.recipe(recipe.replace("OPTIONS", 'node_selector = { "kubernetes.io/arch" = "s390x" }'))
    refused = project.run("lower", "app").stderr
    assert "is for arm64, and the target's `node_selector` says s390x" in refused
    assert 'write platforms = ["linux/s390x"]' in refused


def test_a_wrong_option_is_shown_where_it_stands(project: Project) -> None:
    project.recipe(RECIPE.replace("OPTIONS", 'volume_size = "many"'))
    ran = project.run("check")
    assert ran.code == 2
    assert "'many' is not a size, such as 5Gi" in ran.stderr
