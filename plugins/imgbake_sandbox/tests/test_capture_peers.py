"""Layers that were captured, as other programs understand them, and beside those that they make."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from imgbake_sandbox.tests import trees
from imgbake_sandbox.tests.bases import SCRIPTS
from imgbake_sandbox.tests.builds import built
from imgbake_sandbox.tests.trees import needs_root, operations

pytestmark = needs_root

# What docker adds to its containers, and folders of which we keep nothing.
_NOT_COMPARED = re.compile(r"\.dockerenv|etc/(hosts|hostname|mtab|resolv\.conf)|(dev|proc|run|sys|tmp)(/.*)?")


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    with trees.memory(tmp_path / "memory") as folder:
        yield folder


@settings(
    max_examples=20,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(operations, min_size=5, max_size=25))
def test_umoci_unpacks_what_the_commands_saw(memory: Path, commands: list[tuple[Any, ...]]) -> None:
    if not shutil.which("umoci"):
        pytest.skip("umoci is not installed")
    with trees.scratch(memory) as folder:
        base, upper = trees.some_of_everything(folder / "base"), folder / "upper"
        upper.mkdir()
        with trees.mounted([base], upper) as root:
            for command in commands:
                trees.run(root, command)
            seen = trees.snapshot(root)
        below = _layer(base, folder, [])
        layers = [below, _layer(upper, folder, [base])]
        _write_image(folder / "image", layers)
        unpack = ["umoci", "unpack", "--image", f"{folder}/image:latest", str(folder / "bundle")]
        subprocess.run(unpack, check=True, capture_output=True)
        # To Go's readers, a record without a value takes back an earlier one.
        assert trees.snapshot(folder / "bundle/rootfs") == _kept(seen, lambda _, value: value != b"")


def _layer(upper: Path, folder: Path, lowers: list[Path]) -> Path:
    path = folder / f"{upper.name}.tar.gz"
    trees.layer(trees.captured(upper, lowers), upper, path)
    return path


def _write_image(folder: Path, layers: list[Path]) -> None:
    """An OCI layout of these layers."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def blob(data: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        media_type = f"application/vnd.oci.image.{kind}"
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    packed = [blob(layer.read_bytes(), "layer.v1.tar+gzip") for layer in layers]
    contents = [hashlib.sha256(gzip.decompress(layer.read_bytes())).hexdigest() for layer in layers]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in contents]},
    }
    described = blob(json.dumps(config).encode(), "config.v1+json")
    manifest = {"schemaVersion": 2, "config": described, "layers": packed}
    root = blob(json.dumps(manifest).encode(), "manifest.v1+json")
    root["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [root]}))


@pytest.fixture(scope="module")
def docker_base(sandbox_base: Path) -> Iterator[str]:
    """The base as an image of a docker engine."""
    if not shutil.which("docker") or _docker("version", check=False).returncode:
        pytest.skip("no docker engine answers")
    name = "imgbake-sandbox-test"
    _docker("import", str(sandbox_base), name)
    yield name
    _docker("image", "rm", "--force", name)


@pytest.mark.parametrize("name", SCRIPTS)
def test_docker_build_makes_the_same_tree(
    name: str, docker_base: str, sandbox_base: Path, places: Callable[[], Path], tmp_path: Path
) -> None:
    place = places()
    made = built("root", place, SCRIPTS[name], [sandbox_base], None)
    assert made.code == 0, made.out
    lower, layer = tmp_path / "lower", tmp_path / "layer"
    trees.extracted(sandbox_base, lower)
    trees.extracted(made.layer, layer)
    with trees.mounted([lower, layer]) as root:
        ours = trees.snapshot(root)
    theirs = _built_by_docker(docker_base, SCRIPTS[name], tmp_path)
    assert _only_the_images(ours) == _only_the_images(theirs)


def _built_by_docker(base: str, script: str, folder: Path) -> dict[str, tuple[Any, ...]]:
    context, exported = folder / "context", folder / "exported"
    context.mkdir()
    exported.mkdir()
    (context / "Dockerfile").write_text(f"FROM {base}\nRUN {script}\nCMD sh\n")
    image = _docker("build", "--quiet", "--network=none", str(context)).stdout.decode().strip()
    container = _docker("create", "--network=none", image).stdout.decode().strip()
    try:
        tree = _docker("export", container).stdout
    finally:
        _docker("rm", container)
        _docker("image", "rm", "--force", image)
    unpack = ["tar", "-xp", "-C", str(exported), "--xattrs", "--xattrs-include=*", "--numeric-owner"]
    subprocess.run(unpack, input=tree, check=True)
    return trees.snapshot(exported)


def _only_the_images(tree: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
    """The entries that can be compared. Docker keeps no attributes but capabilities."""
    compared = {path: entry for path, entry in tree.items() if not _NOT_COMPARED.fullmatch(path)}
    return _kept(compared, lambda name, _: not name.startswith("user."))


def _kept(
    tree: dict[str, tuple[Any, ...]], is_kept: Callable[[str, bytes], bool]
) -> dict[str, tuple[Any, ...]]:
    """The tree with some of its extended attributes."""

    def reduced(part: Any) -> Any:
        if not isinstance(part, dict):
            return part
        return {name: value for name, value in part.items() if is_kept(name, value)}

    return {path: tuple(map(reduced, entry)) for path, entry in tree.items()}


def _docker(*words: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["docker", *words], capture_output=True, check=check)
