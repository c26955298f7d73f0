"""How images leave the engine, and come back."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from imgbake_docker.tests.projects import OnEngine, Put, outcome

APP = """
    [components.app]
    files = [{ from = "file", to = "/srv/file" }]
"""


@pytest.mark.parametrize("form", ["oci", "oci-archive", "docker-archive"])
def test_an_image_is_exported(project: OnEngine, form: str) -> None:
    project.write("file", "content")
    project.bake(APP)
    to = project.root / "exported"
    ran = project.run("export", "app@docker", "-o", str(to), "--format", form)
    assert ran.code == 0, ran.stderr
    if form != "docker-archive":
        archive = project.root / "again.tar"
        subprocess.run(
            ["skopeo", "copy", "--quiet", f"{form}:{to}:latest", f"docker-archive:{archive}"], check=True
        )
        to = archive
    else:
        assert project.client.load_image(to.read_bytes())


def test_a_kept_image_is_loaded_again(project: OnEngine) -> None:
    project.options += "\nkeep = true"
    project.write("file", "content")
    first = project.bake(APP)
    project.clear()
    second = project.build()
    assert outcome(second) == "restored"
    assert [node["artifact"]["digest"] for node in first.json["nodes"]] == [
        node["artifact"]["digest"] for node in second.json["nodes"]
    ]
    assert project.baked()["Id"] == second.json["nodes"][-1]["artifact"]["digest"]


def test_a_lost_name_is_given_back(project: OnEngine) -> None:
    project.write("file", "content")
    project.bake(APP)
    image = project.baked()["Id"]
    project.client.tag(image, project.name, "other")
    try:
        project.client.remove_image(f"{project.name}:1")
        assert outcome(project.build()) == "restored"
        assert project.baked()["Id"] == image
    finally:
        project.client.remove_image(f"{project.name}:other", force=True)


def test_an_image_is_pushed(project: OnEngine, registry: Put) -> None:
    host = registry(project.base, "team/other", "1").partition("/")[0]
    project.name = f"{host}/team/{project.name}"
    project.write("file", "content")
    project.image(APP)
    ran = project.run("build", "--push", "--progress", "plain")
    assert ran.code == 0, ran.stderr
    found = subprocess.check_output(
        ["skopeo", "inspect", "--tls-verify=false", f"docker://{project.name}:1"], text=True
    )
    assert f"{project.name}:1@sha256:" in ran.stdout + ran.stderr and found


def test_an_image_is_distributed(project: OnEngine, registry: Put) -> None:
    host = registry(project.base, "team/base", "1").partition("/")[0]
    project.write("file", "content")
    project.image(APP)
    project.recipe(
        project.read("imgbake.toml")
        + f'[destinations.eu]\nuses = "registry"\nrepository = "{host}/team/"\n'
        + '[destinations.disk]\nuses = "layout"\nfolder = "out"\n'
        + '[distributions.prod]\nimages = ["app"]\nto = ["eu", "disk"]\n'
    )
    ran = project.run("distribute", "--progress", "plain")
    assert ran.code == 0, ran.stderr
    assert "pack:app@docker: runs" in ran.stderr
    for source in (f"docker://{host}/team/app:latest", f"oci:{project.root}/out:latest"):
        inspect = ["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", source]
        assert subprocess.check_output(inspect, text=True).strip() in ran.stdout
    ran = project.run("distribute", "--progress", "plain")
    assert ran.code == 0 and "pack:" not in ran.stderr
    shutil.rmtree(project.root / ".imgbake" / "images")
    assert "pack:app@docker: runs" in project.run("distribute", "--progress", "plain").stderr
