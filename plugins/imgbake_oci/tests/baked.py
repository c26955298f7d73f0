"""Reads baked images as strangers would: by the image-spec, with Python's own tarfile."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import zstandard

from imgbake.api import digest
from imgbake.testing.project import Project

OCI = "application/vnd.oci.image"


class Baked:
    """An OCI layout of one image. Every blob that is read is checked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def root(self) -> Any:
        """The descriptor of the image's manifest or index."""
        (root,) = json.loads((self.folder / "index.json").read_bytes())["manifests"]
        return root

    def blob(self, wanted: str) -> bytes:
        data = self.path(wanted).read_bytes()
        assert digest.of_bytes(data) == wanted
        return data

    def path(self, wanted: str) -> Path:
        return self.folder / "blobs" / "sha256" / wanted.removeprefix("sha256:")

    def manifest(self, number: int = 0) -> Any:
        """The image's manifest, or one of those that its index names."""
        document = json.loads(self.blob(self.root["digest"]))
        if "manifests" not in document:
            return document
        return json.loads(self.blob(document["manifests"][number]["digest"]))

    def config(self, number: int = 0) -> Any:
        return json.loads(self.blob(self.manifest(number)["config"]["digest"]))

    def layers(self, number: int = 0) -> list[str]:
        return [layer["digest"] for layer in self.manifest(number)["layers"]]

    def tar(self, layer: int = -1, number: int = 0) -> bytes:
        """A layer's content, checked against its diff id."""
        data = _decompressed(self.blob(self.layers(number)[layer]))
        assert digest.of_bytes(data) == self.config(number)["rootfs"]["diff_ids"][layer]
        return data

    def members(self, layer: int = -1) -> dict[str, tarfile.TarInfo]:
        """A layer's members by path, in their order."""
        with tarfile.open(fileobj=io.BytesIO(self.tar(layer))) as tar:
            members = tar.getmembers()
        assert len({member.name for member in members}) == len(members), "a path stands twice in a layer"
        return {member.name: member for member in members}

    def files(self, layer: int = -1) -> dict[str, str]:
        """The content of a layer's files by path, hard links followed."""
        found = {}
        with tarfile.open(fileobj=io.BytesIO(self.tar(layer))) as tar:
            for member in tar:
                if member.isreg() or member.islnk():
                    file = tar.extractfile(member)
                    assert file is not None
                    found[member.name] = file.read().decode("utf-8", "replace")
        return found


def baked(project: Project, image: str = "app", target: str = "oci") -> Baked:
    """What a build left in the project."""
    return Baked(project.root / ".imgbake" / "images" / image / target)


def layer_of(project: Project, files: str, target: str = "") -> Baked:
    """Builds an image of one component that copies `files` (lines of TOML), onto scratch."""
    project.recipe(f"""
[components.app]
files = [{files}]

[images.app]
base = "scratch"
components = ["app"]
{target}
""")
    project.build()
    return baked(project)


class Member(NamedTuple):
    """A member of a tar that a test makes."""

    name: str
    data: bytes | str = b""
    type: bytes = tarfile.REGTYPE
    mode: int = 0o644
    link: str = ""
    uid: int = 0
    gid: int = 0


def tar_of(*members: Member) -> bytes:
    """A tar of these members, written by Python's tarfile."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for member in members:
            info = tarfile.TarInfo(member.name)
            info.type, info.mode, info.linkname = member.type, member.mode, member.link
            info.uid, info.gid = member.uid, member.gid
            data = member.data.encode() if isinstance(member.data, str) else member.data
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def folder(name: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> Member:
    return Member(name, type=tarfile.DIRTYPE, mode=mode, uid=uid, gid=gid)


def symlink(name: str, link: str) -> Member:
    return Member(name, type=tarfile.SYMTYPE, mode=0o777, link=link)


def hard_link(name: str, link: str) -> Member:
    return Member(name, type=tarfile.LNKTYPE, link=link)


def write_layout(
    to: Path,
    images: Mapping[str, Iterable[bytes]],
    change: Callable[[Any], None] | None = None,
    **config: Any,
) -> dict[str, str]:
    """Writes an OCI layout by hand: tag to plain layers. Returns tag to digest of the manifest.

    `config` is put into each image's configuration; `change` may spoil it.
    """
    blobs = to / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def keep(data: bytes, media_type: str) -> dict[str, Any]:
        name = digest.of_bytes(data)
        (blobs / name.removeprefix("sha256:")).write_bytes(data)
        return {"mediaType": media_type, "digest": name, "size": len(data)}

    manifests = []
    for tag, layers in images.items():
        stack = tuple(layers)
        document: dict[str, Any] = {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [digest.of_bytes(layer) for layer in stack]},
            **config,
        }
        if change:
            change(document)
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": keep(json.dumps(document).encode(), f"{OCI}.config.v1+json"),
            "layers": [keep(gzip.compress(layer, mtime=0), f"{OCI}.layer.v1.tar+gzip") for layer in stack],
        }
        descriptor = keep(json.dumps(manifest).encode(), f"{OCI}.manifest.v1+json")
        name = {"org.opencontainers.image.ref.name": tag} if tag else {}
        manifests.append({**descriptor, "annotations": name})
    (to / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (to / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": manifests}))
    return {tag: entry["digest"] for tag, entry in zip(images, manifests, strict=True)}


def program(name: str) -> str:
    """The path of a program; without it the test is skipped, or fails where services are required."""
    path = shutil.which(name)
    if not path and os.environ.get("IMGBAKE_REQUIRE_SERVICES") == "1":
        pytest.fail(f"{name} is not installed")
    return path or pytest.skip(f"{name} is not installed")


def docker(*args: str) -> str:
    """What docker prints; without a running engine the test is skipped, or fails where one is required."""
    command = program("docker")
    if subprocess.run([command, "info"], capture_output=True, timeout=60).returncode:
        if os.environ.get("IMGBAKE_REQUIRE_SERVICES") == "1":
            pytest.fail("no docker engine runs")
        pytest.skip("no docker engine runs")
    done = subprocess.run([command, *args], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _decompressed(data: bytes) -> bytes:
    if data.startswith(b"\x1f\x8b"):
        return gzip.decompress(data)
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
    return data
