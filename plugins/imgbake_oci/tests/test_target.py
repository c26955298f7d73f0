"""The target's options, its lowering, and the configuration of images."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from imgbake.testing.project import Project
from imgbake_oci.tests.baked import Member, baked, tar_of, write_layout

GOLDEN = Path(__file__).parent / "golden"
SHOP = """
[args]
version = "1.4"

[components.files]
files = [
    { from = "conf/app.toml", to = "/etc/app.toml", mode = "0640", owner = "1000:1001" },
    { from = "static", to = "/srv/www", exclude = ["**/*.bak"] },
    { from = "app.tar", to = "/opt/", unpack = true, exclude = ["doc"] },
]

[components.settings]
env = { MODE = "production", VERSION = "{{ version }}" }

[images.shop]
base = "scratch"
components = ["files", "settings"]
targets = ["all"]
entrypoint = ["/opt/shop", "--serve"]
cmd = "echo {{ version }}"
env = { MODE = "demo" }
user = "1000:1000"
workdir = "/srv"
ports = [8080, "53/udp"]
volumes = ["/data"]
labels = { team = "shop" }
annotations = { "org.example.image" = "from the image" }
stop_signal = "SIGINT"
healthcheck = { test = "/opt/shop check", interval = "30s", timeout = 1.5, start_period = "1m", retries = 3 }

[targets.all]
uses = "oci"
platforms = ["linux/amd64", "linux/arm64/v8"]
tags = ["registry.example.com/shop:{{ version }}"]
compression = "zstd"
level = 7
annotations = { "org.example.target" = "from the target" }
layout = "dist/shop"
"""


def _shop(project: Project) -> None:
    project.recipe(SHOP)
    project.write("conf/app.toml", "x")
    project.write("static/index.html", "x")
    project.write("static/index.html.bak", "x")
    project.write("app.tar", tar_of(Member("shop", "#!", mode=0o755), Member("doc/x", "x")))


def test_lowering_is_what_it_was(project: Project) -> None:
    _shop(project)
    lowered = project.run("lower", "shop")
    assert lowered.code == 0, lowered.stderr
    assert lowered.stdout == (GOLDEN / "shop.json").read_text()


def test_lowering_needs_no_network_and_writes_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a socket was opened")

    _shop(project)
    monkeypatch.setattr(socket, "socket", refuse)
    before = sorted(project.root.rglob("*"))
    texts = {project.run("lower", "shop").stdout for _ in range(2)}
    assert len(texts) == 1
    assert sorted(project.root.rglob("*")) == before


def test_everything_an_image_says_is_in_its_configuration(project: Project) -> None:
    _shop(project)
    project.build()
    image = baked(project)
    image.folder = project.root / "dist/shop"
    config = image.config()
    assert config["config"] == {
        "Entrypoint": ["/opt/shop", "--serve"],
        "Cmd": ["/bin/sh", "-c", "echo 1.4"],
        "Env": ["MODE=demo", "VERSION=1.4"],
        "User": "1000:1000",
        "WorkingDir": "/srv",
        "ExposedPorts": {"8080/tcp": {}, "53/udp": {}},
        "Volumes": {"/data": {}},
        "Labels": {"team": "shop"},
        "StopSignal": "SIGINT",
        "Healthcheck": {
            "Test": ["CMD-SHELL", "/opt/shop check"],
            "Interval": 30_000_000_000,
            "Timeout": 1_500_000_000,
            "StartPeriod": 60_000_000_000,
            "Retries": 3,
        },
    }
    assert [entry["created_by"] for entry in config["history"]] == [
        "imgbake: component files", "imgbake: component settings", "imgbake: image configuration"
    ]  # fmt: skip
    assert [image.config(number)["architecture"] for number in (0, 1)] == ["amd64", "arm64"]
    assert image.config(1)["variant"] == "v8"
    index = json.loads(image.blob(image.root["digest"]))
    expected = {
        "org.example.image": "from the image",
        "org.example.target": "from the target",
        "org.opencontainers.image.created": "1970-01-01T00:00:00Z",
        "org.opencontainers.image.title": "shop",
    }
    assert index["annotations"] == expected
    assert image.manifest()["annotations"] == expected
    assert image.files() == {"etc/app.toml": "x", "srv/www/index.html": "x", "opt/shop": "#!"}


BASE_CONFIG: dict[str, Any] = {
    "Entrypoint": ["/base"],
    "Cmd": ["--base"],
    "Env": ["PATH=/bin", "A=base", "B=base", "EMPTY=", "EQUALS=a=b"],
    "User": "base",
    "WorkingDir": "/base",
    "ExposedPorts": {"80/tcp": {}},
    "Volumes": {"/base": {}},
    "Labels": {"base": "1", "both": "base"},
    "StopSignal": "SIGQUIT",
    "OnBuild": ["RUN x"],
    "ArgsEscaped": True,
}


def _on_base(project: Project, says: str, components: str = "") -> Any:
    """The configuration of an image that says this, on a base that says everything."""
    history = [{"created": "2020-01-01T00:00:00Z", "created_by": "base"}]
    layers = {"": [tar_of(Member("base"))]}
    write_layout(project.root / "base", layers, config=BASE_CONFIG, history=history, author="ann")
    names = ", ".join(f'"{line.partition("]")[0]}"' for line in components.split("[components.")[1:])
    project.recipe(f'{components}\n[images.app]\nbase = "oci:base"\ncomponents = [{names}]\n{says}\n')
    project.build()
    return baked(project).config()


def test_what_an_image_does_not_say_is_its_bases(project: Project) -> None:
    config = _on_base(project, "")
    assert config["config"] == BASE_CONFIG
    assert config["author"] == "ann"
    assert [entry["created_by"] for entry in config["history"]] == ["base"]


def test_an_entrypoint_resets_the_command_of_the_base(project: Project) -> None:
    assert "Cmd" not in _on_base(project, 'entrypoint = ["/new"]')["config"]
    config = _on_base(project, 'entrypoint = ["/new"]\ncmd = ["a"]')["config"]
    assert (config["Entrypoint"], config["Cmd"]) == (["/new"], ["a"])
    config = _on_base(project, 'cmd = ["a"]')["config"]
    assert (config["Entrypoint"], config["Cmd"]) == (["/base"], ["a"])
    config = _on_base(project, 'entrypoint = []\ncmd = "a b"')["config"]
    assert not config.get("Entrypoint") and config["Cmd"] == ["/bin/sh", "-c", "a b"]


def test_environments_are_merged_in_order(project: Project) -> None:
    components = (
        '[components.one]\nenv = { B = "one", C = "one" }\n[components.two]\nenv = { C = "two", D = "two" }\n'
    )
    config = _on_base(project, 'env = { D = "image", A = "image" }', components)
    assert config["config"]["Env"] == [
        "PATH=/bin", "A=image", "B=one", "EMPTY=", "EQUALS=a=b", "C=two", "D=image"
    ]  # fmt: skip
    history = [entry["created_by"] for entry in config["history"]]
    assert history == [
        "base", "imgbake: component one", "imgbake: component two", "imgbake: image configuration"
    ]  # fmt: skip


def test_sets_grow_and_single_values_are_replaced(project: Project) -> None:
    says = (
        'labels = { both = "new", new = "1" }\nports = [81]\nvolumes = ["/new"]\nuser = 7\nworkdir = "/new"'
    )
    config = _on_base(project, says)["config"]
    assert config["Labels"] == {"base": "1", "both": "new", "new": "1"}
    assert set(config["ExposedPorts"]) == {"80/tcp", "81/tcp"}
    assert set(config["Volumes"]) == {"/base", "/new"}
    assert (config["User"], config["WorkingDir"], config["StopSignal"]) == ("7", "/new", "SIGQUIT")


@pytest.mark.parametrize(
    ("written", "test"),
    [('["CMD", "a"]', ["CMD", "a"]), ('["a", "b"]', ["CMD", "a", "b"]), ('["NONE"]', ["NONE"])],
)
def test_healthchecks_in_every_form(project: Project, written: str, test: list[str]) -> None:
    config = _on_base(project, f"healthcheck = {{ test = {written} }}")["config"]
    assert config["Healthcheck"] == {"Test": test}


WRONG = {
    'platforms = ["linux"]': "'linux' is not a platform",
    'platforms = ["linux/amd64", "linux/x86_64"]': "linux/amd64 is there twice",
    'platforms = "linux/amd64"': "'platforms' must be",
    "level = 12": "gzip has no level 12; write a level from 1 to 9",
    'compression = "zstd"\nlevel = 40': "zstd has no level 40",
    'compression = "none"\nlevel = 1': "compression 'none' has no level",
    'compression = "brotli"': "choose from",
    'layout = "../outside"': "is no folder of its own inside the project",
    'layout = "/tmp/outside"': "is no folder of its own inside the project",
    'layout = "a/../.."': "is no folder of its own inside the project",
    'layout = "."': "is no folder of its own inside the project",
    'layout = ".imgbake/mine"': "is no folder of its own inside the project",
    'layout = "a:b"': "has a colon",
    'tags = ["UPPER/Case:1"]': "must be lower case",
    'tags = ["https://example.com/shop"]': "leave https:// out",
    'tags = ["shop@sha256:' + "0" * 64 + '"]': "a digest is no tag",
    'tagz = ["shop"]': "did you mean 'tags'?",
    "annotations = { a = 1 }": "must be",
}


@pytest.mark.parametrize("option", sorted(WRONG))
def test_a_wrong_option_is_an_error_of_the_recipe_in_its_place(project: Project, option: str) -> None:
    project.recipe(f'[targets.t]\nuses = "oci"\n{option}\n[images.app]\nbase = "scratch"\ntargets = ["t"]\n')
    ran = project.run("check")
    assert ran.code == 2, ran.stdout
    assert WRONG[option] in ran.stderr
    assert f"imgbake.toml:{3 + option.count(chr(10))}:" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_options_may_hold_arguments_that_are_missing(project: Project) -> None:
    project.recipe(
        '[args]\nwhere = {}\narch = {}\n[targets.t]\nuses = "oci"\nlayout = "{{ where }}"\n'
        'platforms = ["linux/{{ arch }}"]\ntags = ["shop:{{ arch }}"]\n'
        '[images.app]\nbase = "scratch"\ntargets = ["t"]\n'
    )
    assert project.run("check").code == 0
    ran = project.run("build", "--no-input")
    assert ran.code == 2 and "missing argument 'where'" in ran.stderr
    ran = project.run("build", "--arg", "where=../up", "--arg", "arch=amd64")
    assert ran.code == 2 and "is no folder of its own" in ran.stderr
    project.build("--arg", "where=out", "--arg", "arch=arm64")
    assert (project.root / "out/index.json").exists()


TWO = """
[images.one]
base = "scratch"
targets = ["t"]
[images.two]
base = "scratch"
targets = ["{other}"]
[targets.t]
uses = "oci"
layout = "out"
[targets.u]
uses = "oci"
layout = "{layout}"
"""


@pytest.mark.parametrize(("other", "layout"), [("t", "x"), ("u", "out"), ("u", "./out/"), ("u", "out/deep")])
def test_two_images_in_one_folder_are_an_error_of_the_recipe(
    project: Project, other: str, layout: str
) -> None:
    project.recipe(TWO.format(other=other, layout=layout))
    ran = project.run("build")
    assert ran.code == 2
    assert f"image:one@t and image:two@{other} both write" in ran.stderr


def test_two_images_in_two_folders_are_none(project: Project) -> None:
    project.recipe(TWO.format(other="u", layout="out2"))
    project.build()
    assert (project.root / "out/index.json").exists() and (project.root / "out2/index.json").exists()


def test_an_image_that_a_task_would_overwrite_is_an_error(project: Project) -> None:
    project.recipe(
        '[tasks.clean]\nrun = "true"\noutputs = ["out/**"]\n' + TWO.format(other="u", layout="out2")
    )
    ran = project.run("check")
    assert ran.code == 2 and "image:one@t and task:clean both write 'out'" in ran.stderr


def test_an_image_that_would_copy_itself_is_an_error(project: Project) -> None:
    recipe = (
        '[components.all]\nfiles = [{{ from = ".", to = "/app"{more} }}]\n'
        '[images.app]\nbase = "scratch"\ncomponents = ["all"]\ntargets = ["t"]\n'
        '[targets.t]\nuses = "oci"\nlayout = "dist/app"\n'
    )
    project.recipe(recipe.format(more=""))
    ran = project.run("check")
    assert ran.code == 2 and "would copy 'dist/app', which it writes itself" in ran.stderr
    project.recipe(recipe.format(more=', exclude = ["dist"]'))
    project.build()
    assert set(project.build().outcomes().values()) == {"cached"}


def test_a_layout_behind_a_symlink_that_leads_out_is_refused(project: Project, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (project.root / "out").symlink_to(tmp_path / "outside")
    project.recipe(TWO.format(other="u", layout="out2").replace('"out"', '"out/deep"'))
    ran = project.run("build", "-k")
    assert ran.code == 1 and "the layout 'out/deep' is not inside the project" in ran.stderr
    assert not list((tmp_path / "outside").iterdir())


def test_an_option_that_changes_rebuilds_and_is_explained(project: Project) -> None:
    recipe = '[images.app]\nbase = "scratch"\ntargets = ["t"]\n[targets.t]\nuses = "oci"\n'
    project.recipe(recipe)
    project.build()
    for option in ('compression = "zstd"', 'annotations = { a = "1" }', 'platforms = ["linux/arm64"]'):
        recipe += f"{option}\n"
        project.recipe(recipe)
        assert f"option {option.partition(' ')[0]} added" in project.build().stderr


def test_equal_images_are_each_their_own(project: Project) -> None:
    project.recipe(
        '[images.one]\nbase = "scratch"\ntargets = ["t", "u"]\n'
        '[images.two]\nbase = "scratch"\ntargets = ["t"]\n'
        '[targets.t]\nuses = "oci"\n[targets.u]\nuses = "oci"\n'
    )
    project.build()
    titles = [
        baked(project, *each).manifest()["annotations"]["org.opencontainers.image.title"]
        for each in (("one", "t"), ("one", "u"), ("two", "t"))
    ]
    assert titles == ["one", "one", "two"]


def test_tags_alone_rebuild_nothing_that_matters(project: Project) -> None:
    recipe = (
        '[targets.t]\nuses = "oci"\ntags = ["example.com/a:{}"]\n'
        '[images.app]\nbase = "scratch"\ntargets = ["t"]\n'
    )
    project.recipe(recipe.format(1))
    project.build()
    before = baked(project, target="t").root
    project.recipe(recipe.format(2))
    project.build()
    assert baked(project, target="t").root == before
