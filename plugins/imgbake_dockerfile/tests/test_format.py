"""Images that are Dockerfiles, as recipes have them: what decides, what is asked for, what is refused."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from imgbake.testing.project import Project
from imgbake.testing.registry import Registry

RECIPE = """
[targets.docker]
uses = "docker"
builder = "classic"

[images.app]
dockerfile = "app/Dockerfile"
targets = ["docker"]
"""
AUTO = RECIPE.replace('"classic"', '"auto"')


@pytest.fixture
def app(project: Project) -> Project:
    """A project with a Dockerfile image; no engine is needed to plan it."""
    project.recipe(RECIPE)
    project.write("app/Dockerfile", "FROM scratch\nCOPY src /src/\n")
    project.write("app/src/a.txt", "a")
    return project


def parts(project: Project, *args: str) -> dict[str, Any]:
    """What would be sent."""
    ran = project.run("plan", "--format", "json", *args)
    assert ran.code == 0, ran.stderr
    step = next(step for step in ran.json if step["node"] == "image:app@docker")
    assert step["action"] != "error", step["why"]
    documents: dict[str, Any] = step["documents"]
    return documents


def why(project: Project, *args: str) -> str:
    """What is wrong with the image."""
    ran = project.run("plan", "--format", "json", *args)
    step = next(step for step in ran.json if step["node"] == "image:app@docker")
    assert step["action"] in ("error", "needs arguments"), step
    return str(step["why"][0])


def test_the_plan_shows_the_dockerfile_and_what_it_sees(app: Project) -> None:
    app.write("app/README", "not copied")
    assert parts(app) == {
        "Dockerfile": "FROM scratch\nCOPY src /src/\n",
        "context.txt": "src\nsrc/a.txt\n",
    }
    app.run("lower", "app", "-o", "out")
    assert app.read("out/Dockerfile") == "FROM scratch\nCOPY src /src/\n"


def test_what_is_ignored_is_not_seen(app: Project) -> None:
    app.write("app/src/b.log")
    app.write("app/.dockerignore", "**/*.log\n")
    assert parts(app)["context.txt"] == "src\nsrc/a.txt\n"
    app.write("app/Dockerfile.dockerignore", "src/a.txt\n")
    assert parts(app)["context.txt"] == "src\nsrc/b.log\n"


def test_our_own_state_is_never_seen(app: Project) -> None:
    app.recipe(RECIPE.replace("app/Dockerfile", "Dockerfile"))
    app.write("Dockerfile", "FROM scratch\nCOPY . /\n")
    app.write(".imgbake/x")
    assert ".imgbake" not in parts(app)["context.txt"]


def test_only_arguments_that_are_used_decide(app: Project) -> None:
    app.write("app/Dockerfile", "FROM scratch\nARG V=1\nARG W=1\nCOPY src /src-$V/\n")
    app.recipe(RECIPE + 'build_args = { V = 2, W = "3" }\n')
    assert json.loads(parts(app)["build.json"]) == {"args": {"V": "2", "W": "3"}}
    assert json.loads(parts(app, "--arg", "V=4")["build.json"])["args"]["V"] == "4"


def test_a_recipes_argument_of_the_same_name_fills_in(app: Project) -> None:
    app.write("app/Dockerfile", "FROM scratch\nARG V\nCOPY src /src-$V/\n")
    app.recipe('[args]\nV = "5"\nother = "6"\n' + RECIPE)
    assert json.loads(parts(app)["build.json"]) == {"args": {"V": "5"}}


def test_missing_arguments_are_listed(app: Project) -> None:
    app.write("app/Dockerfile", "# IMAGE to stand on\nARG IMAGE\nFROM $IMAGE\nARG V\nLABEL v=$V\n")
    assert why(app) == "needs: IMAGE, V"
    ran = app.run("build", "--no-input")
    assert ran.code == 2
    assert "missing argument 'V' (app/Dockerfile:4), which image:app@docker needs" in ran.stderr
    assert "missing argument 'IMAGE' (to stand on, app/Dockerfile:2)" in ran.stderr


def test_missing_arguments_of_a_file_that_a_task_makes_are_listed_once_it_is_there(app: Project) -> None:
    (app.root / "app/Dockerfile").unlink()
    write = "printf 'FROM scratch\\nARG V\\nARG W\\nLABEL v=$V$W\\n' >app/Dockerfile; echo >>ran"
    app.recipe(RECIPE + f"[tasks.make]\nrun = {json.dumps(write)}\noutputs = ['app/Dockerfile']\n")
    for _ in range(2):
        ran = app.run("build", "--no-input")
        assert ran.code == 2
        assert "missing argument 'V' (app/Dockerfile:2), which image:app@docker needs" in ran.stderr
        assert "missing argument 'W' (app/Dockerfile:3), which image:app@docker needs" in ran.stderr
    assert app.read("ran") == "\n"


def test_a_misspelt_argument_is_told(app: Project) -> None:
    app.write("app/Dockerfile", "FROM scratch\nARG VERSION=1\nLABEL v=$VERSION\n")
    ran = app.run("plan", "--arg", "VERSOIN=2")
    assert ran.code == 2 and "did you mean 'VERSION'?" in ran.stderr
    app.recipe(RECIPE + "build_args = { VERSOIN = 2 }\n")
    assert why(app) == "`build_args`: app/Dockerfile has no ARG 'VERSOIN'"


def test_errors_point_into_the_dockerfile_and_harm_no_other_image(app: Project) -> None:
    app.write("app/Dockerfile", "FROM scratch\nCOPPY a /\n")
    app.recipe(RECIPE + '[images.b]\ndockerfile = "b/Dockerfile"\ntargets = ["docker"]\n')
    app.write("b/Dockerfile", "FROM scratch\nLABEL a=b\n")
    assert why(app) == "app/Dockerfile:2:1: there is no instruction 'COPPY'"
    plan = {step["node"]: step["action"] for step in app.run("plan", "--format", "json").json}
    assert plan["image:b@docker"] == "run"


def test_an_image_that_nobody_can_be_asked_for_is_told(app: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    app.write("app/Dockerfile", "FROM 127.0.0.1:1/base\n")
    engine, registry = why(app).split("; ")
    assert engine.startswith("app/Dockerfile takes the image 127.0.0.1:1/base: the docker engine at ")
    assert "127.0.0.1:1" in registry


def test_a_dockerfile_that_is_not_there_is_told(app: Project) -> None:
    (app.root / "app/Dockerfile").unlink()
    assert why(app) == "app/Dockerfile can't be read: No such file or directory"


def test_a_dockerfile_that_is_a_pipe_or_leads_nowhere_is_told(app: Project) -> None:
    file = app.root / "app/Dockerfile"
    file.unlink()
    os.mkfifo(file)
    assert "app/Dockerfile is not a file" in why(app)
    file.unlink()
    file.symlink_to("Dockerfile")
    assert "app/Dockerfile can't be read: Too many levels of symbolic links" in why(app)


@pytest.mark.parametrize("name", ["Dockerfile.dockerignore", ".dockerignore"])
def test_an_ignore_file_that_leads_to_a_pipe_is_told(app: Project, name: str) -> None:
    os.mkfifo(app.root / "pipe")  # whoever opens it waits for somebody who writes
    (app.root / "app" / name).symlink_to("../pipe")
    assert f"app/{name} can't be read: it is not a regular file" in why(app)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('context = "../x"', "'../x' is outside of the project"),
        ('platforms = ["a/b/c/d/e"]', "a/b/c/d/e"),
        ('secrets = ["token"]', "there is no secret argument 'token'"),
        ('secrets = [{ id = "x" }]', "a secret comes from one of"),
        (
            'contexts = { lib = "debian:12" }',
            "'lib' is neither image:NAME nor docker-image://REFERENCE nor stream:",
        ),
        ('contexts = { lib = "../x" }', "'../x' is outside of the project"),
        ('contexts = { lib = "app/.." }', "'lib' is the whole project"),
        ('contexts = { "a/b" = "x" }', "'a/b' can't name a folder"),
        ('contxt = "x"', "did you mean 'context'"),
        ('entrypoint = "x"', "an image that is a dockerfile has no 'entrypoint'"),
    ],
)
def test_wrong_keys_are_errors_of_the_recipe(app: Project, keys: str, said: str) -> None:
    app.recipe(RECIPE + keys + "\n")
    ran = app.run("check")
    assert ran.code == 2 and said in ran.stderr and "imgbake.toml:" in ran.stderr, ran.stderr


def test_the_embedded_target_says_who_can(app: Project) -> None:
    app.recipe('[images.app]\ndockerfile = "app/Dockerfile"\n')
    ran = app.run("check")
    assert ran.code == 2
    assert "the target 'oci' can't bake an image that is a dockerfile" in ran.stderr
    assert "docker" in ran.stderr


def test_tasks_come_first_if_the_build_can_see_what_they_write(app: Project) -> None:
    app.recipe(
        RECIPE + '[tasks.a]\nrun = "x"\noutputs = ["app/src/a.txt"]\n'
        '[tasks.b]\nrun = "x"\noutputs = ["app/other/b.txt"]\n'
        '[tasks.c]\nrun = "x"\noutputs = ["app/Dockerfile.dockerignore"]\n'
    )
    graph = {node["node"]: node for node in app.run("graph", "--format", "json").json}
    assert sorted(graph["image:app@docker"]["after"]) == ["task:a", "task:c"]


def test_a_required_secret_must_be_given(app: Project) -> None:
    app.recipe(AUTO)
    app.write("app/Dockerfile", "FROM scratch\nRUN --mount=type=secret,id=key,required=true x\n")
    assert why(app).startswith("app/Dockerfile:2:5: the secret 'key' is required")
    app.recipe(
        "[args]\nkey = { secret = true }\n" + RECIPE.replace('"classic"', '"auto"') + 'secrets = ["key"]\n'
    )
    found = parts(app, "--arg", "key=s3cr3t")
    assert json.loads(found["build.json"]) == {"secrets": ["key"]}
    assert "s3cr3t" not in json.dumps(found)


def test_the_classic_builder_refuses_what_it_has_not(app: Project) -> None:
    app.write("app/Dockerfile", "FROM scratch\nRUN --mount=type=cache,target=/c x\n")
    assert why(app) == "app/Dockerfile:2: RUN --mount: the engine's classic builder has no such thing"


@pytest.mark.parametrize(
    ("line", "keys"),
    [
        ("FROM base", 'contexts = { base = "stream:python:3.12" }'),
        ("FROM scratch\nCOPY --from=base /a /", 'contexts = { base = "stream:python:3.12" }'),
        ("ARG BASE\nFROM ${BASE}", 'build_args = { BASE = "stream:python:3.12" }'),
    ],
)
def test_a_name_may_stand_for_a_tag_of_a_stream(app: Project, line: str, keys: str) -> None:
    app.recipe(RECIPE + keys + "\n")
    app.write("app/Dockerfile", line + "\n")
    with Registry() as registry:
        name = registry.name("python:3.12")
        old = registry.add_image("python:3.12")
        assert app.run("stream", "import", "python:3.12", "--from", name).code == 0
        registry.add_image("python:3.12", platform="linux/arm64")
        assert f"{name}@{old}" in parts(app)["Dockerfile"]
    app.recipe(RECIPE + keys + '\n[triggers.rebuild]\non = "python:3.12"\nbuild = true\n')
    assert app.run("stream", "trigger", "-n").stdout.endswith("would build app@docker\n")


IN_FOLDERS = AUTO + 'contexts = { lib = "vendor/lib" }\n'


@pytest.fixture
def folder(app: Project) -> Project:
    """The same, with a folder besides the context."""
    app.recipe(IN_FOLDERS)
    app.write("vendor/lib/a.c", "a")
    app.write("vendor/lib/b/c.h", "c")
    return app


@pytest.mark.parametrize(
    ("line", "sees"),
    [
        ("COPY --from=lib *.c /", ["lib:a.c"]),
        ("COPY --from=lib --parents ./b/*.h a.c /", ["lib:a.c", "lib:b", "lib:b/c.h"]),
        ("RUN --mount=from=lib,source=b,target=/b x", ["lib:b", "lib:b/c.h"]),
        ("RUN --mount=type=cache,from=lib,target=/b x", ["lib:a.c", "lib:b", "lib:b/c.h"]),
        ("ENV NAME=b\nCOPY --from=lib $NAME src/ /", ["lib:b", "lib:b/c.h"]),
        ("COPY src /\nCOPY --from=lib a.c /", ["lib:a.c", "src", "src/a.txt"]),
    ],
)
def test_of_a_folder_with_a_name_only_what_is_seen_decides(
    folder: Project, line: str, sees: list[str]
) -> None:
    folder.write("app/Dockerfile", f"FROM scratch\n{line}\n")
    folder.write("vendor/lib/x.c.log")
    folder.write("vendor/lib/.dockerignore", "*.log\n.dockerignore\n")
    found = parts(folder)
    assert found["context.txt"].splitlines() == sees
    assert json.loads(found["build.json"]) == {"contexts": {"lib": "vendor/lib"}}


@pytest.mark.parametrize(
    ("dockerfile", "said"),
    [
        ("FROM lib", "app/Dockerfile:1:6: 'lib' is a folder, not an image"),
        ("FROM scratch AS lib\nFROM scratch\nCOPY --from=lib a /", "'lib' is both a folder and a stage"),
        ("FROM scratch\nCOPY a /", "`contexts`: no FROM, --from or mount that is needed takes 'lib'"),
    ],
)
def test_a_folder_is_neither_an_image_nor_a_stage_nor_left_over(
    folder: Project, dockerfile: str, said: str
) -> None:
    folder.write("app/Dockerfile", f"{dockerfile}\n")
    assert said in why(folder)


def test_a_folder_that_is_not_there_is_told(app: Project) -> None:
    app.recipe(IN_FOLDERS)
    app.write("app/Dockerfile", "FROM scratch\nCOPY --from=lib a /\n")
    assert why(app) == "the context 'vendor/lib' is no folder"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ('uses = "docker"\nbuilder = "classic"', "the engine's classic builder has no such thing"),
        ('uses = "kaniko"\ntags = ["registry.example.com/app:1"]', "which Kaniko has not"),
    ],
)
def test_builders_without_folders_refuse_them(folder: Project, target: str, said: str) -> None:
    folder.recipe(IN_FOLDERS.replace('uses = "docker"\nbuilder = "auto"', target))
    folder.write("app/Dockerfile", "FROM scratch\nCOPY --from=lib a.c /\n")
    assert "`contexts`: the folder 'vendor/lib'" in why(folder) and said in why(folder)


def test_a_task_comes_first_that_writes_what_is_seen_of_a_folder(folder: Project) -> None:
    folder.write("app/Dockerfile", "FROM scratch\nCOPY --from=lib b /\n")
    folder.recipe(
        IN_FOLDERS + '[tasks.a]\nrun = "x"\noutputs = ["vendor/lib/b/d.h"]\n'
        '[tasks.b]\nrun = "x"\noutputs = ["vendor/lib/e.c"]\n'
    )
    graph = {node["node"]: node for node in folder.run("graph", "--format", "json").json}
    assert graph["image:app@docker"]["after"] == ["task:a"]
