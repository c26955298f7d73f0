"""imgbake cache: looking into the store, and making room in it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from imgbake.testing.project import Project, Ran

RECIPE = '[tasks.a]\nrun = "cp in.txt out.txt"\ninputs = ["in.txt"]\noutputs = ["out.txt"]\n'


def _built(project: Project, tmp_path: Path) -> dict[str, str]:
    env = {"IMGBAKE_CACHE_DIR": str(tmp_path / "cache")}
    project.recipe(RECIPE)
    project.write("in.txt", "hello")
    project.make(env=env)
    return env


def _blobs(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "blobs" / "sha256").iterdir())


def test_what_was_stored_is_listed_and_counted(project: Project, tmp_path: Path) -> None:
    env = _built(project, tmp_path)
    listed = project.run("cache", "ls", env=env).stdout
    assert "blob" in listed and "record" in listed
    usage = project.run("cache", "du", "--format", "json", env=env).json
    assert (usage["blobs"], usage["blob_bytes"], usage["records"]) == (1, 5, 1)


def test_a_damaged_blob_is_found_removed_and_made_again(project: Project, tmp_path: Path) -> None:
    env = _built(project, tmp_path)
    assert project.run("cache", "verify", env=env).code == 0
    (blob,) = _blobs(tmp_path)
    blob.chmod(0o644)
    blob.write_text("hellO")
    ran = project.run("cache", "verify", env=env)
    assert ran.code == 1 and "1 blob was damaged" in ran.stdout and not _blobs(tmp_path)
    (project.root / "out.txt").unlink()
    assert project.make(env=env).outcomes() == {"task:a": "ran"}


def test_a_damaged_blob_is_never_restored(project: Project, tmp_path: Path) -> None:
    env = _built(project, tmp_path)
    (blob,) = _blobs(tmp_path)
    blob.chmod(0o644)
    blob.write_text("hellO")
    (project.root / "out.txt").unlink()
    assert project.make(env=env).outcomes() == {"task:a": "ran"}
    assert project.read("out.txt") == "hello"


def test_gc_keeps_to_a_size_and_clear_removes_all(project: Project, tmp_path: Path) -> None:
    env = _built(project, tmp_path)
    assert project.run("cache", "gc", "--max-size", "1GB", env=env).code == 0 and _blobs(tmp_path)
    assert project.run("cache", "gc", "--max-size", "0", env=env).code == 0
    assert not _blobs(tmp_path)
    assert project.run("cache", "clear", env=env).code == 0
    assert project.make(env=env).outcomes() == {"task:a": "cached"}


def test_sizes_and_ages_that_are_none_are_refused(project: Project, tmp_path: Path) -> None:
    env = _built(project, tmp_path)
    ran = project.run("cache", "gc", "--max-size", "big", env=env)
    assert ran.code == 2 and "--max-size" in ran.stderr and "20GB" in ran.stderr
    for age in "soon", "²d", "3.5":
        ran = project.run("cache", "gc", "--older-than", age, env=env)
        assert ran.code == 2 and "30d" in ran.stderr


def test_a_size_or_an_age_beyond_all_bounds_keeps_everything(project: Project, tmp_path: Path) -> None:
    env = {**_built(project, tmp_path), "IMGBAKE_CACHE_SIZE": f"{10**30}TB"}
    assert project.make("-B", env=env).outcomes() == {"task:a": "ran"}
    assert project.run("cache", "gc", "--older-than", f"{10**30}w", env=env).code == 0 and _blobs(tmp_path)


def test_the_cache_may_be_deleted_at_any_time(project: Project, tmp_path: Path) -> None:
    import shutil

    env = _built(project, tmp_path)
    shutil.rmtree(tmp_path / "cache")
    assert project.make(env=env).outcomes() == {"task:a": "cached"}
    (project.root / "out.txt").unlink()
    assert project.make(env=env).outcomes() == {"task:a": "ran"}


def test_a_cache_folder_that_cannot_be_written_is_replaced_for_the_time(
    project: Project, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    env = {"IMGBAKE_CACHE_DIR": str(tmp_path / "cache")}
    ran = project.run("run", "--format", "json", env=env)
    assert ran.code == 2  # there is no recipe yet
    project.recipe(RECIPE)
    project.write("in.txt", "hello")
    ran = project.make(env=env)
    assert ran.outcomes() == {"task:a": "ran"} and "instead" in ran.stderr
    (project.root / "out.txt").unlink()
    assert project.run("plan", "--format", "json", env=env).json[0]["action"] == "restore"


@pytest.mark.parametrize("words", ["ls", "du", "gc", "verify", "clear"])
def test_a_file_where_the_cache_should_be_is_told(project: Project, tmp_path: Path, words: str) -> None:
    (tmp_path / "cache").touch()
    ran = project.run("cache", words, env={"IMGBAKE_CACHE_DIR": str(tmp_path / "cache")})
    why = f"the store in {tmp_path}/cache can't be written: there is a file where a folder should be"
    hint = "set IMGBAKE_CACHE_DIR to a folder that you may write"
    assert (ran.code, ran.stderr) == (1, f"error: {why}\n  hint: {hint}\n")


def _artifact(ran: Ran) -> Any:
    return next(node["artifact"] for node in ran.json["nodes"] if node["node"] == "image:i@oci")


@pytest.fixture
def baked(project: Project) -> Project:
    project.recipe(
        '[components.a]\nfiles = [{ from = "in.txt", to = "/etc/" }]\n'
        '[images.i]\nbase = "scratch"\ncomponents = ["a"]\n'
    )
    project.write("in.txt", "hello")
    return project


def test_an_image_outlives_the_cache(baked: Project, tmp_path: Path) -> None:
    project = baked
    project.build(env={"IMGBAKE_CACHE_DIR": str(tmp_path / "one")})
    other = {"IMGBAKE_CACHE_DIR": str(tmp_path / "two")}
    assert project.build(env=other).outcomes()["image:i@oci"] == "restored"
    assert project.build(env=other).outcomes()["image:i@oci"] == "cached"
    ran = project.run("export", "i", "-o", "i.tar", "--format", "oci-archive", env=other)
    assert ran.code == 0 and (project.root / "i.tar").stat().st_size > 0, ran.stderr


def test_an_export_leaves_no_work_folder_in_the_cache(baked: Project, tmp_path: Path) -> None:
    env = {"IMGBAKE_CACHE_DIR": str(tmp_path / "cache")}
    baked.build(env=env)
    assert baked.run("export", "i", "-o", "out", env=env).code == 0
    assert not list((tmp_path / "cache" / "tmp").iterdir())


def test_a_plan_leaves_a_lost_cache_alone(baked: Project, tmp_path: Path) -> None:
    baked.build(env={"IMGBAKE_CACHE_DIR": str(tmp_path / "one")})
    other = {"IMGBAKE_CACHE_DIR": str(tmp_path / "two")}
    for _ in range(2):
        ran = baked.run("plan", "--format", "json", env=other)
        assert {step["node"]: step["action"] for step in ran.json}["image:i@oci"] == "restore"
    assert not (tmp_path / "two").exists()


def test_a_layout_that_was_removed_is_restored(baked: Project) -> None:
    first = _artifact(baked.build())
    layout = baked.root / first["facts"]["layout"]
    content = {path.relative_to(layout): path.read_bytes() for path in layout.rglob("*") if path.is_file()}
    shutil.rmtree(layout)
    assert baked.build().outcomes()["image:i@oci"] == "restored"
    again = {path.relative_to(layout): path.read_bytes() for path in layout.rglob("*") if path.is_file()}
    assert again == content


def test_an_image_that_is_lost_everywhere_is_baked_again(baked: Project, tmp_path: Path) -> None:
    first = _artifact(baked.build(env={"IMGBAKE_CACHE_DIR": str(tmp_path / "one")}))
    shutil.rmtree(baked.root / first["facts"]["layout"])
    again = baked.build(env={"IMGBAKE_CACHE_DIR": str(tmp_path / "two")})
    assert again.outcomes()["image:i@oci"] == "ran"
    assert _artifact(again)["digest"] == first["digest"]


@pytest.fixture
def run(project: Project, tmp_path: Path) -> dict[str, str]:
    """A project with a component that ran a command with a cache; gives the environment of its cache."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("there is no static busybox (Debian's busybox-static)")
    shutil.copy(busybox, project.root / "busybox")
    project.recipe(
        '[components.busybox]\nfiles = [{ from = "busybox", to = "/bin/sh" }]\n'
        '[components.a]\nbuild = "echo x > /x; echo y > /var/cache/y"\ncaches = ["/var/cache"]\n'
        '[images.i]\nbase = "scratch"\ncomponents = ["busybox", "a"]\n'
    )
    env = {"IMGBAKE_CACHE_DIR": str(tmp_path / "cache")}
    project.build(env=env)
    return env


def test_what_runners_keep_is_counted(project: Project, run: dict[str, str]) -> None:
    ran = project.run("cache", "du", env=run)
    assert "of extracted layers, and caches of components" in ran.stdout
    assert project.run("cache", "du", "--format", "json", env=run).json["runner_bytes"] > 1_000_000


@pytest.mark.parametrize("words", [["gc", "--max-size", "0"], ["clear"]])
def test_what_runners_keep_is_removed(project: Project, run: dict[str, str], words: list[str]) -> None:
    before = project.build(env=run).json["nodes"]
    assert project.run("cache", *words, env=run).code == 0
    shelf = Path(run["IMGBAKE_CACHE_DIR"]) / "runners/sandbox"
    assert not [path for path in shelf.rglob("*") if path.is_file()]
    shutil.rmtree(project.root / ".imgbake")
    after = project.build(env=run)
    assert after.outcomes()["image:i@oci"] == "ran"
    digests = [[node["artifact"]["digest"] for node in nodes] for nodes in (before, after.json["nodes"])]
    assert digests[0] == digests[1]


def test_what_runners_keep_is_kept_while_there_is_room(project: Project, run: dict[str, str]) -> None:
    shelf = Path(run["IMGBAKE_CACHE_DIR"]) / "runners/sandbox"
    before = sorted(shelf.rglob("*"))
    assert project.run("cache", "gc", env=run).code == 0
    assert sorted(shelf.rglob("*")) == before
    assert project.run("cache", "gc", "--max-size", "3MB", env=run).code == 0
    assert list(shelf.glob("caches/*/y")) and not list(shelf.glob("rootfs/*/bin/sh"))
