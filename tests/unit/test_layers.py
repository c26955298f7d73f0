"""The rules of the architecture: who may import whom, and what is imported when."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "src" / "imgbake"

# From the bottom to the top: a module imports only from layers below its own, or from its own layer.
LAYERS = [
    {"__init__", "digest"},
    {"errors", "model", "turns"},
    {"contract"},
    {"entry_points", "events", "files", "streams"},
    {"hookspecs", "store", "recipe"},
    {"api", "plugins"},
    {"engine"},
    {"app"},
    {"ui", "serving"},
    {"cli"},
    {"__main__", "testing"},
]
# What a plugin may import of other plugins.
BESIDE = {
    "imgbake_aws": set[str](),
    "imgbake_buildkit": {"imgbake_docker", "imgbake_dockerfile", "imgbake_oci"},
    "imgbake_copy": {"imgbake_oci"},
    "imgbake_docker": {"imgbake_dockerfile", "imgbake_oci", "imgbake_tasks"},
    "imgbake_dockerfile": set[str](),
    "imgbake_ecr": {"imgbake_aws", "imgbake_copy", "imgbake_oci"},
    "imgbake_image_builder": {"imgbake_aws", "imgbake_docker", "imgbake_oci", "imgbake_packer"},
    "imgbake_kaniko": {
        "imgbake_aws",
        "imgbake_docker",
        "imgbake_dockerfile",
        "imgbake_ecr",
        "imgbake_oci",
        "imgbake_tasks",
    },
    "imgbake_oci": {"imgbake_aws", "imgbake_tasks"},
    "imgbake_packer": {"imgbake_aws", "imgbake_oci"},
    "imgbake_regions": {"imgbake_aws"},
    "imgbake_s3": {"imgbake_aws", "imgbake_copy", "imgbake_oci"},
    "imgbake_sandbox": {"imgbake_oci"},
    "imgbake_tasks": set[str](),
    "imgbake_triggers": {"imgbake_kaniko", "imgbake_tasks"},
}
PLUGINS = sorted(path.name for path in (ROOT / "plugins").iterdir() if path.is_dir())
VENDORS = re.compile(r"\b(docker|kaniko|packer|aws|amazon|ec2|ecr|s3|gcp|azure|buildkit)\b", re.IGNORECASE)


def _modules(folder: Path) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(folder.rglob("*.py")):
        if "tests" not in path.relative_to(folder).parts:
            yield path.relative_to(folder).as_posix(), ast.parse(path.read_text())


def _imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names of everything imported, wherever in the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _layer(module: str) -> int:
    return next(index for index, layer in enumerate(LAYERS) if module in layer)


def test_every_module_has_a_layer() -> None:
    known = set().union(*LAYERS)
    assert {path.stem if path.is_file() else path.name for path in CORE.iterdir() if _is_code(path)} == known


def _is_code(path: Path) -> bool:
    return path.suffix == ".py" or (path / "__init__.py").exists()


def test_the_core_imports_only_lower_layers() -> None:
    wrong = []
    for file, tree in _modules(CORE):
        own = file.partition("/")[0].removesuffix(".py")
        for name in _imports(tree):
            if name.startswith("imgbake."):
                other = name.split(".")[1]
                if other != own and other != "__version__" and _layer(other) > _layer(own):
                    wrong.append(f"{file} imports {name}")
    assert not wrong


def test_the_core_imports_no_plugin() -> None:
    wrong = [
        f"{file} imports {name}"
        for file, tree in _modules(CORE)
        for name in _imports(tree)
        if name.startswith("imgbake_")
    ]
    assert not wrong


def test_the_core_names_no_vendor() -> None:
    wrong = []
    for file, tree in _modules(CORE):
        if file.startswith("testing/"):
            continue
        said = _docstrings(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
                wrong += [f"{file}: {word}" for word in VENDORS.findall(node.value)]
            if isinstance(node, ast.Name) and VENDORS.fullmatch(node.id):
                wrong.append(f"{file}: {node.id}")
    assert not wrong


def _docstrings(tree: ast.AST) -> set[int]:
    """The ids of all strings that stand alone: in modules, classes and functions, and below names."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


@pytest.mark.parametrize("plugin", PLUGINS)
def test_plugins_use_the_public_api_alone(plugin: str) -> None:
    wrong = [
        f"{file} imports {name}"
        for file, tree in _modules(ROOT / "plugins" / plugin)
        for name in _imports(tree)
        if name.split(".")[0] == "imgbake"
        and not (name + ".").startswith(("imgbake.api.", "imgbake.testing."))
    ]
    assert not wrong


@pytest.mark.parametrize("plugin", PLUGINS)
def test_plugins_import_those_that_they_may(plugin: str) -> None:
    wrong = [
        f"{file} imports {name}"
        for file, tree in _modules(ROOT / "plugins" / plugin)
        for name in _imports(tree)
        if name.startswith("imgbake_") and name.split(".")[0] not in {plugin, *BESIDE[plugin]}
    ]
    assert not wrong


@pytest.mark.parametrize("file", sorted((ROOT / "plugins").glob("*/asking.py")), ids=str)
def test_what_is_asked_in_settled_builds_begins_with_what_python_brings(file: Path) -> None:
    top = [node for node in ast.parse(file.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {name.partition(".")[0] for node in top for name in _imports(node)}
    assert names <= sys.stdlib_module_names


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        ("import imgbake.cli.shortcut", {"typer", "msgspec", "imgbake.recipe.recipe"}),
        (
            "import imgbake.cli.commands",
            {"msgspec", "pluggy", "diskcache", "rich", "sqlite3", "tomllib", "imgbake.engine.engine"},
        ),
        ("import imgbake.plugins", {"imgbake_docker", "imgbake_oci", "imgbake_tasks", "diskcache", "rich"}),
        ("import imgbake_oci", {"ssl", "http.client", "isal", "zstandard", "tarfile"}),
        ("import imgbake_copy.registry, imgbake_copy.layout", {"ssl", "http.client"}),
        ("import imgbake_docker", {"docker", "requests", "ssl", "http.client"}),
        ("import imgbake_buildkit.target", {"docker", "requests", "ssl", "http.client"}),
        ("import imgbake_kaniko.target", {"docker", "requests", "ssl", "http.client", "boto3", "yaml"}),
        ("import imgbake_aws, imgbake_packer.target", {"boto3", "botocore", "ssl", "http.client"}),
        ("import imgbake_ecr.destination", {"boto3", "botocore", "ssl", "http.client"}),
        ("import imgbake_regions.destination", {"boto3", "botocore", "ssl", "http.client"}),
        ("import imgbake_tasks", {"ssl", "http.client", "ftplib", "urllib.request"}),
        ("import imgbake.app.building", {"rich", "sqlite3", "diskcache", "ssl", "imgbake.streams.model"}),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(code: str, unwanted: set[str]) -> None:
    script = f"import sys; {code}; print(*sys.modules, sep='\\n')"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert unwanted.isdisjoint(found.stdout.split())
