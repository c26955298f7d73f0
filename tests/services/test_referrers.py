"""Signatures and SBOMs travel with their image between real registries, and others find them there."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from imgbake.api import digest
from imgbake.testing.project import Project
from tests.services.registries import Real, listing_referrers, program

RECIPE = """
[components.app]
files = [{ from = "app", to = "/app" }]

[images.shop]
base = "scratch"
components = ["app"]
"""
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
SIGNATURE, SBOM = "application/vnd.test.signature", "application/spdx+json"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def signed(tmp_path: Path, stack: ExitStack) -> Signed:
    return Signed(tmp_path, stack)


class Signed:
    """An image in a registry that lists referrers, with a signature, an SBOM, and a signature of that."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        (folder / "shop").mkdir()
        self.project = Project(folder / "shop")
        self.project.write("app", "the app")
        self.project.recipe(RECIPE)
        self.host = listing_referrers(folder, stack)
        assert self.project.run("build", "--progress", "quiet").code == 0
        self.copy("oci:.imgbake/images/shop/oci", self.name(self.host))
        self.image = _crane("digest", self.name(self.host))
        self.signature = self._refer(self.image, SIGNATURE, b"I made it")
        self.sbom = self._refer(self.image, SBOM, b"all that is in it")
        self.of_sbom = self._refer(self.sbom, SIGNATURE, b"I wrote it")

    @staticmethod
    def name(host: str) -> str:
        return f"{host}/team/shop:1"

    def copy(self, *words: str) -> None:
        ran = self.project.run("copy", "--progress", "plain", *words)
        assert ran.code == 0 and "Traceback" not in ran.stderr, ran.stderr

    def check(self, host: str) -> None:
        """All is there, and go-containerregistry finds it."""
        repository = f"{host}/team/shop"
        _crane("validate", "--remote", self.name(host))
        assert _crane("digest", self.name(host)) == self.image
        assert _listed(f"{repository}@{self.image}") == {self.signature, self.sbom}
        assert _listed(f"{repository}@{self.sbom}") == {self.of_sbom}
        for each in (self.signature, self.sbom, self.of_sbom):
            manifest = json.loads(_crane("manifest", f"{repository}@{each}"))
            for blob in (manifest["config"], *manifest["layers"]):
                assert (
                    digest.of_bytes(_crane("blob", f"{repository}@{blob['digest']}").encode())
                    == blob["digest"]
                )

    def _refer(self, subject: str, artifact_type: str, data: bytes) -> str:
        there = _crane("manifest", f"{self.host}/team/shop@{subject}")
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": artifact_type,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", **self._blob(b"{}")},
            "layers": [{"mediaType": artifact_type, **self._blob(data)}],
            "subject": {"mediaType": MANIFEST, "digest": subject, "size": len(there.encode())},
        }
        data = json.dumps(manifest).encode()
        self._send("PUT", f"manifests/{digest.of_bytes(data)}", data, MANIFEST)
        return digest.of_bytes(data)

    def _blob(self, data: bytes) -> dict[str, str | int]:
        named = digest.of_bytes(data)
        self._send("POST", f"blobs/uploads/?digest={named}", data, "application/octet-stream")
        return {"digest": named, "size": len(data)}

    def _send(self, method: str, place: str, data: bytes, media_type: str) -> None:
        address = f"http://{self.host}/v2/team/shop/{place}"
        request = urllib.request.Request(address, data, {"Content-Type": media_type}, method=method)
        urllib.request.urlopen(request).close()


def test_they_travel_by_the_list_of_referrers(signed: Signed, stack: ExitStack, tmp_path: Path) -> None:
    other = listing_referrers(tmp_path, stack)
    signed.copy(signed.name(signed.host), signed.name(other))
    signed.check(other)
    assert _crane("ls", f"{other}/team/shop").split() == ["1"]  # no tag for what it lists by itself


def test_they_travel_to_a_registry_that_lists_none_and_back(
    signed: Signed, stack: ExitStack, tmp_path: Path
) -> None:
    old, other = Real(tmp_path, stack), listing_referrers(tmp_path, stack)
    signed.copy(signed.name(signed.host), signed.name(old.host))
    signed.check(old.host)
    assert set(old.tags()) == {"1", *(each.replace(":", "-") for each in (signed.image, signed.sbom))}
    signed.copy(signed.name(old.host), signed.name(other))
    signed.check(other)
    assert _crane("ls", f"{other}/team/shop").split() == ["1"]


def _listed(image: str) -> set[str]:
    """What refers to it, by the list or by the fallback tag."""
    said = subprocess.run(
        [program("oci-referrers"), "list", image], check=True, capture_output=True, text=True
    )
    return {line.split()[0] for line in said.stdout.splitlines()}


def _crane(*words: str) -> str:
    ran = subprocess.run([program("crane"), "--insecure", *words], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip() if words[0] in ("digest", "ls") else ran.stdout
