"""The examples work: each is checked, and proved by its own script, as a user would run it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # it has no stubs
import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted(path.parent for path in ROOT.glob("examples/*/imgbake.toml"))
PLUGIN = ROOT / "examples/squashfs-plugin"
SCRIPTS = Path(sys.executable).parent  # imgbake, pip and pytest of the environment that runs the tests


@pytest.fixture(scope="session")
def with_plugin(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the example's plugin is installed, as far as entry points can tell."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(PLUGIN / "src/imgbake_squashfs", folder / "imgbake_squashfs")
    metadata = folder / "imgbake_squashfs-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: imgbake-squashfs\nVersion: 0.1.0\n")
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]
    points = [f"{name} = {value}\n" for name, value in project["entry-points"]["imgbake"].items()]
    (metadata / "entry_points.txt").write_text("[imgbake]\n" + "".join(points))
    return {**_environment(), "PYTHONPATH": str(folder)}


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 6


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_right(example: Path, with_plugin: dict[str, str]) -> None:
    ran = _imgbake("check", cwd=example, env=with_plugin)
    assert ran.returncode == 0, ran.stderr


def test_their_recipes_and_ours_fit_the_schema(with_plugin: dict[str, str]) -> None:
    schema = json.loads(_imgbake("schema", cwd=ROOT, env=with_plugin).stdout)
    validator = jsonschema.Draft7Validator(schema)
    recipes = [ROOT / "imgbake.toml", *ROOT.glob("examples/**/*.toml")]
    read = {path: tomllib.loads(path.read_text()) for path in recipes if not _is_other(path)}
    assert len(read) > 25
    for path, recipe in read.items():
        assert [f"{path}: {error.message}" for error in validator.iter_errors(recipe)] == []


def _is_other(path: Path) -> bool:
    """Is this TOML file no recipe?"""
    return path.name in ("pyproject.toml", "ruff.toml") or "build" in path.parts


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_proves_itself(example: Path) -> None:
    before = _changes()
    ran = subprocess.run(
        ["./verify"], cwd=example, env=_environment(), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert _changes() == before


@pytest.mark.slow
def test_imgbake_bakes_imgbake(tmp_path: Path) -> None:
    if shutil.which("apt-get") is None:
        pytest.skip("the base is made of Debian's packages, and there is no apt-get")
    base, service = tmp_path / "base", ROOT / "examples/python-service"
    assert _imgbake("build", "python", cwd=service).returncode == 0
    assert _imgbake("export", "python", "-o", str(base), cwd=service).returncode == 0
    version = next((service / "build/debian/usr/lib").glob("python3.*")).name.removeprefix("python")
    args = ["--arg", f"base=oci:{base}", "--arg", f"python={version}"]
    built = _imgbake("build", *args, cwd=ROOT)
    assert built.returncode == 0, built.stderr
    archive = tmp_path / "imgbake.tar"
    exported = _imgbake(
        "export", "imgbake", "-o", str(archive), "--format", "docker-archive", *args, cwd=ROOT
    )
    assert exported.returncode == 0, exported.stderr
    if _has_docker():
        loaded = _docker("load", "--quiet", "--input", str(archive)).rpartition(": ")[2].strip()
        recipe = f"{ROOT / 'examples/make-like'}:/project:ro"
        assert _docker("run", "--rm", "--network", "none", loaded, "--version").startswith("imgbake ")
        assert "good" in _docker("run", "--rm", "--network", "none", "-v", recipe, loaded, "check")


def _has_docker() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def _docker(*words: str) -> str:
    ran = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def _imgbake(*words: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "imgbake", *words]
    return subprocess.run(
        command, cwd=cwd, env=env or _environment(), capture_output=True, text=True, check=False
    )


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": os.pathsep.join([str(SCRIPTS), os.environ["PATH"]])}


def _changes() -> str:
    """What git says of the examples; the same everywhere without git."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        return ""
    asked = ["git", "status", "--short", "examples"]
    return subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout
