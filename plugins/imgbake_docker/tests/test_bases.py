"""What images on the engine stand on."""

from __future__ import annotations

from imgbake_docker.tests.projects import OnEngine

LABELED = 'labels = { a = "b" }'


def test_scratch_is_a_base(project: OnEngine):
    project.write("file", "content")
    project.image(f"""
        [components.app]
        files = [{{ from = "file", to = "/srv/file" }}]

        [images.bare]
        base = "scratch"
        components = ["app"]
        targets = ["docker"]
        {LABELED}
    """)
    ran = project.run("build", "bare", "--progress", "plain")
    assert ran.code == 0, ran.stderr
    assert project.baked()["Config"]["Labels"] == {"a": "b"}


def test_an_image_can_stand_on_another_that_the_engine_baked(project: OnEngine):
    project.image(
        """
        [components.parent]
        build = "echo parent > /parent"
        network = "none"
        """,
        f"""
        [targets.child]
        uses = "docker"
        tags = ["{project.name}-child:1"]
        {project.options}

        [components.child]
        build = "cat /parent > /child"
        network = "none"

        [images.child]
        base = "image:app"
        components = ["child"]
        targets = ["child"]
        """,
    )
    try:
        project.build()
        child = project.client.inspect_image(f"{project.name}-child:1")
        parent = project.baked()
        assert child["RootFS"]["Layers"][:-1] == parent["RootFS"]["Layers"]
        names = [name for each in project.client.images() for name in each["RepoTags"] or ()]
        assert not [name for name in names if name.startswith(("imgbake-base/", "imgbake-stage:"))]
    finally:
        project.client.remove_image(f"{project.name}-child:1", force=True)


def test_a_base_is_pulled_by_its_digest(project: OnEngine, registry):
    project.image("", LABELED)
    reference = registry(project.base, "team/busybox", "1")
    text = project.read("imgbake.toml").replace(f"oci:{project.base}", reference)
    project.recipe(text)
    ran = project.build()
    assert project.baked()["Config"]["Labels"] == {"a": "b"}
    assert "FROM " + reference + "@sha256:" in project.run("lower", "app@docker").stdout
    assert ran.outcomes()["image:app@docker"] == "ran"
