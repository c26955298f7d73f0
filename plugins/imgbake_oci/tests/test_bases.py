"""What images start from: layouts, archives, other images of the recipe, and what bases may contain."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from imgbake.api import digest
from imgbake.testing.project import Project, Ran
from imgbake_oci.tests.baked import (
    OCI,
    Member,
    baked,
    docker,
    folder,
    hard_link,
    symlink,
    tar_of,
    write_layout,
)

BASE = tar_of(
    folder("usr", 0o755),
    folder("usr/bin"),
    Member("usr/bin/sh", "#!", mode=0o755),
    symlink("bin", "usr/bin"),
    folder("tmp", 0o1777),
    folder("home/app", 0o700, 1000, 1000),
)
OVER = """
[components.app]
files = [{{ from = "tool", to = "{to}" }}]

[images.app]
base = "{base}"
components = ["app"]
"""


def _over(project: Project, base: str, to: str = "/usr/local/bin/tool") -> None:
    project.recipe(OVER.format(base=base, to=to))
    project.write("tool", "tool")


def _refused(project: Project, base: str, to: str = "/opt/tool") -> Ran:
    _over(project, base, to)
    ran = project.run("build", "--progress", "plain")
    assert ran.code == 1 and "Traceback" not in ran.stderr and "bug" not in ran.stderr, ran.stderr
    return ran


def test_the_layers_of_a_layout_are_taken_as_they_are(project: Project) -> None:
    write_layout(project.root / "base", {"": [BASE, tar_of(Member("etc/os", "x"))]})
    _over(project, "oci:base")
    project.build()
    image = baked(project)
    (manifest,) = json.loads((project.root / "base/index.json").read_text())["manifests"]
    blob = project.root / "base/blobs/sha256" / manifest["digest"].removeprefix("sha256:")
    assert image.layers()[:2] == [layer["digest"] for layer in json.loads(blob.read_text())["layers"]]
    assert [sorted(image.files(number)) for number in (1, 2)] == [["etc/os"], ["usr/local/bin/tool"]]
    assert image.tar(0) == BASE
    annotations = image.manifest()["annotations"]
    assert annotations["org.opencontainers.image.base.digest"] == manifest["digest"]
    assert "org.opencontainers.image.base.name" not in annotations  # that names an image of a registry


def test_an_image_without_components_is_its_base_with_a_configuration(project: Project) -> None:
    write_layout(project.root / "base", {"": [BASE]}, config={"Cmd": ["/bin/sh"]})
    project.recipe('[images.app]\nbase = "oci:base"\nenv = { A = "1" }\n')
    project.build()
    assert baked(project).tar(0) == BASE
    assert baked(project).config()["config"] == {"Cmd": ["/bin/sh"], "Env": ["A=1"]}


def test_a_tag_chooses_among_the_images_of_a_layout(project: Project) -> None:
    write_layout(project.root / "base", {"one": [tar_of(Member("one"))], "two": [tar_of(Member("two"))]})
    _over(project, "oci:base:two")
    project.build()
    assert baked(project).files(0) == {"two": ""}
    ran = _refused(project, "oci:base")
    assert "oci:base has several images" in ran.stderr and "add :TAG; there is one, two" in ran.stderr
    ran = _refused(project, "oci:base:three")
    assert "no image is tagged 'three'" in ran.stderr and "there is one, two" in ran.stderr


def test_a_layout_in_an_archive(project: Project, tmp_path: Path) -> None:
    write_layout(tmp_path / "base", {"one": [BASE], "two": [tar_of(Member("two"))]})
    with tarfile.open(project.root / "base.tar", "w") as tar:
        tar.add(tmp_path / "base", arcname=".")
    _over(project, "oci-archive:base.tar:one")
    project.build()
    assert baked(project).tar(0) == BASE
    assert "has several images" in _refused(project, "oci-archive:base.tar").stderr


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("oci:missing", "oci:missing can't be read: No such file or directory"),
        ("oci-archive:missing.tar", "oci-archive:missing.tar can't be read: No such file"),
        ("docker-archive:missing.tar", "docker-archive:missing.tar can't be read: No such file"),
        ("oci:tool", "oci:tool can't be read: Not a directory"),
        ("oci-archive:tool", "oci-archive:tool is damaged"),
        ("docker-archive:tool", "docker-archive:tool is damaged"),
        ("oci-archive:empty.tar", "lacks index.json"),
        ("docker-archive:empty.tar", "lacks manifest.json"),
        ("oci-archive:.", "Is a directory"),
    ],
)
def test_a_base_that_is_not_there_or_something_else(project: Project, base: str, message: str) -> None:
    project.write("empty.tar", tar_of())
    ran = _refused(project, base)
    assert message in ran.stderr and "hint:" in ran.stderr


def test_a_layout_that_changes_rebuilds_and_says_why(project: Project) -> None:
    write_layout(project.root / "base", {"": [BASE]})
    _over(project, "oci:base")
    project.build()
    assert set(project.build().outcomes().values()) == {"cached"}
    write_layout(project.root / "base", {"": [BASE, tar_of(Member("new"))]})
    ran = project.build()
    assert ran.outcomes()["image:app@oci"] == "ran"
    assert "base oci:base changed" in ran.stderr
    assert len(baked(project).layers()) == 3


def _blob(project: Project, what: str) -> Path:
    """The file of a blob of the layout `base`: its manifest, config, or layer."""
    blobs = project.root / "base/blobs/sha256"
    (entry,) = json.loads((project.root / "base/index.json").read_text())["manifests"]
    path = Path(blobs, entry["digest"].removeprefix("sha256:"))
    if what == "manifest":
        return path
    manifest = json.loads(path.read_text())
    entry = manifest["config"] if what == "config" else manifest["layers"][0]
    wanted: str = entry["digest"]
    return blobs / wanted.removeprefix("sha256:")


@pytest.mark.parametrize("what", ["manifest", "config", "layer"])
@pytest.mark.parametrize("how", ["changed", "cut", "gone"])
def test_a_damaged_layout_is_an_error(project: Project, what: str, how: str) -> None:
    write_layout(project.root / "base", {"": [BASE]})
    path = _blob(project, what)
    data = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]) if how == "changed" else data[:-1])
    stderr = _refused(project, "oci:base").stderr
    assert "oci:base" in stderr
    assert ("lacks its blob" if how == "gone" else "is not what it should be") in stderr


def _spoil(project: Project, change: Any, what: str = "manifest") -> str:
    """Changes a document of the layout, with digests put right, and returns what a build says."""
    write_layout(project.root / "base", {"": [BASE]})
    document = json.loads(_blob(project, "manifest").read_text())
    blobs = project.root / "base/blobs/sha256"

    def keep(value: Any) -> dict[str, Any]:
        data = json.dumps(value).encode()
        (blobs / digest.of_bytes(data).removeprefix("sha256:")).write_bytes(data)
        return {"digest": digest.of_bytes(data), "size": len(data)}

    if what == "config":
        config = json.loads(_blob(project, "config").read_text())
        change(config)
        document["config"] |= keep(config)
    else:
        change(document)
    entry = {"mediaType": f"{OCI}.manifest.v1+json", **keep(document)}
    (project.root / "base/index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return _refused(project, "oci:base").stderr


def test_a_configuration_that_contradicts_its_manifest_is_an_error(project: Project) -> None:
    def more(config: Any) -> None:
        config["rootfs"]["diff_ids"].append("sha256:" + "0" * 64)

    assert "oci:base contradicts itself: 2 layers" in _spoil(project, more, "config")


def test_a_layer_that_is_not_its_diff_id_is_an_error(project: Project) -> None:
    def other(config: Any) -> None:
        config["rootfs"]["diff_ids"] = ["sha256:" + "0" * 64]

    assert "contradicts itself" in _spoil(project, other, "config")


def test_foreign_and_encrypted_layers_are_refused(project: Project) -> None:
    def foreign(manifest: Any) -> None:
        manifest["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"

    assert "has a layer of the type" in _spoil(project, foreign)


@pytest.mark.parametrize("text", ["[]", "{}", "null", "not json", '{"manifests": 5}', '{"manifests": []}'])
def test_an_index_that_is_none_is_an_error(project: Project, text: str) -> None:
    write_layout(project.root / "base", {"": [BASE]})
    project.write("base/index.json", text)
    assert "oci:base" in _refused(project, "oci:base").stderr


HOSTILE = tar_of(
    Member("../../escape", "x"),
    Member("/etc/absolute", "x"),
    symlink("out", "/etc"),
    symlink("up", "../../../.."),
    hard_link("shadow", "/etc/shadow"),
    Member("dev/null", type=tarfile.CHRTYPE),
    Member("dev/sda", type=tarfile.BLKTYPE),
    Member("run/pipe", type=tarfile.FIFOTYPE),
    Member("etc/.wh.passwd"),
    Member("var/.wh..wh..opq"),
    Member("./././dots", "x"),
)


def test_a_hostile_layer_is_taken_as_it_is_and_never_extracted(project: Project) -> None:
    write_layout(project.root / "base", {"": [HOSTILE]})
    before = {path for path in project.root.parent.rglob("*") if ".imgbake" not in path.parts}
    _over(project, "oci:base", "/srv/tool")
    project.build()
    assert baked(project).tar(0) == HOSTILE
    assert baked(project).files() == {"srv/tool": "tool"}
    after = {path for path in project.root.parent.rglob("*") if ".imgbake" not in path.parts}
    assert {path.name for path in after - before} <= {"imgbake.toml", "tool"}
    assert not Path("/etc/absolute").exists()


def test_a_copy_through_a_hostile_link_stays_in_the_image(project: Project) -> None:
    write_layout(project.root / "base", {"": [HOSTILE]})
    _over(project, "oci:base", "/up/tool")
    project.build()
    assert baked(project).files() == {"tool": "tool"}
    _over(project, "oci:base", "/out/tool")
    project.build()
    assert baked(project).files() == {"etc/tool": "tool"}


def test_names_that_are_not_utf8_are_taken_as_they_are(project: Project) -> None:
    base = tar_of(folder("b\udce4"), symlink("l", "\udce4"), Member("f\udce4", "1"))
    write_layout(project.root / "base", {"": [base]})
    project.write(
        "more.tar", tar_of(folder("d\udce4"), symlink("d\udce4/l", "\udce4"), Member("m\udce4", "2"))
    )
    recipe = OVER.format(base="oci:base", to="/srv/tool")
    project.recipe(
        recipe.replace("files = [", 'files = [{ from = "more.tar", to = "/opt", unpack = true }, ')
    )
    project.write("tool", "tool")
    project.build()
    assert baked(project).tar(0) == base
    assert baked(project).files() == {"opt/m\udce4": "2", "srv/tool": "tool"}


def test_links_that_go_round_in_circles_are_an_error(project: Project) -> None:
    write_layout(project.root / "base", {"": [tar_of(symlink("a", "b"), symlink("b", "a"))]})
    assert "round in circles" in _refused(project, "oci:base", "/a/tool").stderr


NO_LAYERS = {"text": b"no tar" * 200, "half": gzip.compress(BASE)[:100], "empty": b""}


@pytest.mark.parametrize("name", sorted(NO_LAYERS))
def test_a_base_layer_that_is_no_tar_is_an_error(project: Project, name: str) -> None:
    data = NO_LAYERS[name]
    write_layout(project.root / "base", {"": [data]})
    if data:
        assert "damaged" in _refused(project, "oci:base").stderr
    else:  # docker writes those
        _over(project, "oci:base")
        project.build()


class TestFolders:
    """What is copied meets the folders of the base."""

    def test_a_symlink_to_a_folder_is_followed(self, project: Project) -> None:
        write_layout(project.root / "base", {"": [BASE]})
        _over(project, "oci:base", "/bin/tool")
        project.build()
        assert baked(project).files() == {"usr/bin/tool": "tool"}
        assert "bin" not in baked(project).members()

    def test_a_folder_keeps_what_the_base_says_of_it(self, project: Project) -> None:
        write_layout(project.root / "base", {"": [BASE]})
        project.recipe(
            '[components.app]\nfiles = [{ from = "tool", to = "/tmp/t" },'
            ' { from = "tool", to = "/home/app/t" }]\n'
            '[images.app]\nbase = "oci:base"\ncomponents = ["app"]\n'
        )
        project.write("tool", "tool")
        project.build()
        members = baked(project).members()
        assert (members["tmp"].mode, members["tmp"].uid) == (0o1777, 0)
        assert (members["home/app"].mode, members["home/app"].uid, members["home"].mode) == (
            0o700,
            1000,
            0o755,
        )

    def test_the_folders_of_an_earlier_component_count(self, project: Project) -> None:
        project.write("secret/x", "x")
        project.write("tool", "tool")
        project.recipe(
            '[components.one]\nfiles = [{ from = "secret", to = "/opt/", mode = "0700", owner = "9:9" }]\n'
            '[components.two]\nfiles = [{ from = "tool", to = "/opt/tool" }]\n'
            '[images.app]\nbase = "scratch"\ncomponents = ["one", "two"]\n'
        )
        project.build()
        assert baked(project).members(1)["opt"].uid == 9

    def test_a_file_can_not_replace_a_folder_of_the_base(self, project: Project) -> None:
        write_layout(project.root / "base", {"": [BASE]})
        stderr = _refused(project, "oci:base", "/usr/bin").stderr
        assert "'tool' can't become /usr/bin: that is a folder already" in stderr
        assert 'write to = "/usr/bin/"' in stderr

    def test_what_was_removed_is_a_new_folder(self, project: Project) -> None:
        removal = tar_of(Member(".wh.tmp"), Member("home/.wh..wh..opq"), Member(".wh.bin"))
        write_layout(project.root / "base", {"": [BASE, removal]})
        project.recipe(
            '[components.app]\nfiles = [{ from = "tool", to = "/tmp/" },'
            ' { from = "tool", to = "/home/app/" }, { from = "tool", to = "/bin/" }]\n'
            '[images.app]\nbase = "oci:base"\ncomponents = ["app"]\n'
        )
        project.write("tool", "tool")
        project.build()
        members = baked(project).members()
        assert members["tmp"].mode == 0o755 and members["home/app"].uid == 0
        assert "bin/tool" in members

    def test_a_base_whose_folders_change_makes_the_layer_again(self, project: Project) -> None:
        write_layout(project.root / "base", {"": [BASE]})
        _over(project, "oci:base", "/tmp/tool")
        project.build()
        before = baked(project).layers()[-1]
        write_layout(project.root / "base", {"": [BASE, tar_of(Member("unrelated"))]})
        project.build()
        assert baked(project).layers()[-1] == before
        write_layout(project.root / "base", {"": [BASE, tar_of(folder("tmp", 0o700))]})
        project.build()
        assert baked(project).members()["tmp"].mode == 0o700


def _docker_archive(
    layers: list[bytes], tags: list[str] | None = None, style: str = "old", **config: Any
) -> bytes:
    """What `docker save` writes: folders with layer.tar (before 25), or blobs."""
    document = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [digest.of_bytes(layer) for layer in layers]},
            **config,
        }
    ).encode()
    name = digest.of_bytes(document).removeprefix("sha256:")
    members: list[Member] = []
    paths: list[str] = []
    seen: dict[bytes, str] = {}
    for number, layer in enumerate(layers):
        path = f"{number:064x}/layer.tar" if style == "old" else f"blobs/sha256/{digest.of_bytes(layer)[7:]}"
        if style == "old" and layer in seen:
            members.append(symlink(path, f"../{seen[layer]}"))
        else:
            members.append(Member(path, gzip.compress(layer) if style == "gzip" else layer))
        seen.setdefault(layer, path)
        paths.append(path)
    config_path = f"{name}.json" if style == "old" else f"blobs/sha256/{name}"
    listing = [{"Config": config_path, "RepoTags": tags, "Layers": paths}]
    members += [Member(config_path, document), Member("manifest.json", json.dumps(listing))]
    return tar_of(*members)


class TestDockerArchive:
    @pytest.mark.parametrize("style", ["old", "new", "gzip"])
    def test_its_layers_are_compressed_as_ours(self, project: Project, style: str) -> None:
        empty = bytes(1024)
        project.write("base.tar", _docker_archive([BASE, empty, empty], ["a:1"], style))
        _over(project, "docker-archive:base.tar", "/bin/tool")
        project.build()
        image = baked(project)
        assert [image.tar(number) for number in range(3)] == [BASE, empty, empty]
        assert image.files() == {"usr/bin/tool": "tool"}
        assert {each["mediaType"] for each in image.manifest()["layers"]} == {f"{OCI}.layer.v1.tar+gzip"}

    def test_a_name_chooses_among_its_images(self, project: Project) -> None:
        one = io.BytesIO(_docker_archive([tar_of(Member("one"))], ["shop/one:latest"]))
        two = io.BytesIO(_docker_archive([tar_of(Member("two"))], ["shop/two:1"], "new"))
        listings: list[Any] = []
        with tarfile.open(project.root / "base.tar", "w") as out:
            for archive in (one, two):
                with tarfile.open(fileobj=archive) as tar:
                    for member in tar:
                        file = tar.extractfile(member)
                        if member.name == "manifest.json" and file:
                            listings += json.load(file)
                        else:
                            out.addfile(member, file)
            info = tarfile.TarInfo("manifest.json")
            data = json.dumps(listings).encode()
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
        _over(project, "docker-archive:base.tar:shop/two:1")
        project.build()
        assert baked(project).files(0) == {"two": ""}
        _over(project, "docker-archive:base.tar:shop/one")
        project.build()
        assert baked(project).files(0) == {"one": ""}
        stderr = _refused(project, "docker-archive:base.tar").stderr
        assert "has 2 images" in stderr and "shop/one:latest, shop/two:1" in stderr
        assert "has no image 'other'" in _refused(project, "docker-archive:base.tar:other").stderr

    def test_a_layer_that_is_not_what_the_configuration_says_is_an_error(self, project: Project) -> None:
        archive = _docker_archive([BASE]).replace(b"#!", b"!#")
        project.write("base.tar", archive)
        assert "is not sha256:" in _refused(project, "docker-archive:base.tar").stderr

    @pytest.mark.parametrize(
        "listing", ["", "{}", "[]", "[{}]", '[{"Config": "x", "Layers": []}]', '[{"Config": 5}]']
    )
    def test_a_manifest_that_is_none_is_an_error(self, project: Project, listing: str) -> None:
        project.write("base.tar", tar_of(Member("manifest.json", listing)))
        _refused(project, "docker-archive:base.tar")

    def test_it_is_noticed_when_it_changes(self, project: Project) -> None:
        project.write("base.tar", _docker_archive([BASE]))
        _over(project, "docker-archive:base.tar")
        project.build()
        assert set(project.build().outcomes().values()) == {"cached"}
        project.write("base.tar", _docker_archive([BASE], config={"Env": ["A=1"]}))
        assert "base docker-archive:base.tar changed" in project.build().stderr
        assert baked(project).config()["config"]["Env"] == ["A=1"]

    def test_what_docker_saved_is_a_base(self, project: Project) -> None:
        docker("info")
        name = f"imgbake-test-{os.getpid()}:1"
        imported = project.write("root.tar", BASE)
        docker("import", "--change", 'CMD ["/bin/sh"]', str(imported), name)
        try:
            docker("save", "--output", str(project.root / "base.tar"), name)
        finally:
            docker("rmi", name)
        _over(project, f"docker-archive:base.tar:{name}", "/bin/tool")
        project.build()
        assert baked(project).config()["config"]["Cmd"] == ["/bin/sh"]
        assert baked(project).files() == {"usr/bin/tool": "tool"}


CHAIN = """
[components.one]
files = [{ from = "one", to = "/opt/one" }]
env = { STAGE = "one" }

[components.two]
files = [{ from = "two", to = "/opt/two" }]
env = { STAGE = "two" }

[images.parent]
base = "scratch"
components = ["one"]
entrypoint = ["/opt/one"]
labels = { parent = "yes" }

[images.child]
base = "image:parent"
components = ["two"]

[images.grandchild]
base = "image:child"
labels = { child = "yes" }
"""


class TestOwnImages:
    """Images of the recipe that stand on each other."""

    def _chain(self, project: Project) -> None:
        project.recipe(CHAIN)
        project.write("one", "1")
        project.write("two", "2")
        project.build()

    def test_a_child_has_what_its_parent_has(self, project: Project) -> None:
        self._chain(project)
        parent, child = baked(project, "parent"), baked(project, "child")
        assert child.layers()[:1] == parent.layers()
        assert child.config()["config"] == {
            "Entrypoint": ["/opt/one"], "Env": ["STAGE=two"], "Labels": {"parent": "yes"}
        }  # fmt: skip
        grandchild = baked(project, "grandchild")
        assert grandchild.layers() == child.layers()
        assert grandchild.config()["config"]["Labels"] == {"parent": "yes", "child": "yes"}
        created = [entry["created_by"] for entry in grandchild.config()["history"]]
        assert created[0] == "imgbake: component one" and created[-1] == "imgbake: image configuration"

    def test_a_changed_parent_rebuilds_and_an_unchanged_one_does_not(self, project: Project) -> None:
        self._chain(project)
        assert set(project.build().outcomes().values()) == {"cached"}
        project.write("one", "11")
        ran = project.build()
        assert [ran.outcomes()[f"image:{name}@oci"] for name in ("parent", "child", "grandchild")] == [
            "ran"
        ] * 3
        project.write("two", "22")
        outcomes = project.build("grandchild").outcomes()
        assert outcomes["image:parent@oci"] == "cached" and outcomes["image:grandchild@oci"] == "ran"

    def test_a_parent_made_anew_to_the_same_leaves_the_child_alone(self, project: Project) -> None:
        self._chain(project)
        before = baked(project, "child").root
        shutil.rmtree(project.root / ".imgbake/images/parent")
        outcomes = project.build("child").outcomes()
        assert (outcomes["image:parent@oci"], outcomes["image:child@oci"]) == ("restored", "cached")
        assert baked(project, "child").root == before

    def test_a_parent_by_a_layout_that_another_project_baked(self, project: Project, tmp_path: Path) -> None:
        self._chain(project)
        other = Project(tmp_path / "other")
        other.root.mkdir()
        _over(other, "oci:../project/.imgbake/images/child/oci:latest")
        other.build()
        assert baked(other).layers()[:2] == baked(project, "child").layers()


def test_scratch_is_empty_and_for_this_machine(project: Project) -> None:
    import platform

    project.recipe('[images.app]\nbase = "scratch"\n')
    project.build()
    config = baked(project).config()
    assert config["rootfs"]["diff_ids"] == [] and baked(project).layers() == []
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    assert (config["os"], config["architecture"]) == ("linux", machine)
    assert "org.opencontainers.image.base.name" not in baked(project).manifest()["annotations"]
