"""Against programs of others: Debian's docker-registry, and skopeo on either side of ours."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from imgbake.api import BakeError, digest
from imgbake.testing.registry import Access, Registry, certificate
from imgbake_oci import media_types, reference
from imgbake_oci.descriptor import Descriptor
from imgbake_oci.registry import Client, Credentials, Tls
from tests.services.registries import Real, program

Make = Callable[..., Client]
LAYERS = [
    gzip.compress(random.Random(size).randbytes(size), compresslevel=1, mtime=0)
    for size in (5_000_000, 10, 70_000)
]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts docker-registry with more configuration, and returns its host and port."""
    with ExitStack() as stack:
        yield lambda **config: Real(tmp_path, stack, **config).host


def layout(folder: Path) -> Path:
    """An image of LAYERS as skopeo's dir: format has it."""
    folder.mkdir()
    (folder / "version").write_text("Directory Transport Version: 1.1\n")
    rootfs = {"type": "layers", "diff_ids": [digest.of_bytes(layer) for layer in LAYERS]}
    config = json.dumps({"os": "linux", "architecture": "amd64", "config": {}, "rootfs": rootfs}).encode()
    blobs = [(media_types.CONFIG, config), *((media_types.LAYER_GZIP, layer) for layer in LAYERS)]
    described = []
    for media_type, data in blobs:
        name = digest.of_bytes(data)
        (folder / name.removeprefix("sha256:")).write_bytes(data)
        described.append({"mediaType": media_type, "digest": name, "size": len(data)})
    head = {"schemaVersion": 2, "mediaType": media_types.MANIFEST}
    manifest = {**head, "config": described[0], "layers": described[1:]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def push(client: Client, image: str, folder: Path) -> str:
    """Pushes a dir: image as imgbake does; returns its digest."""
    target = reference.parse(image)
    data = (folder / "manifest.json").read_bytes()
    for name in _named(data):
        client.push_blob(target, name, folder / name.removeprefix("sha256:"))
    return client.push_manifest(target, media_types.MANIFEST, data, tag=target.tag)


def pull(client: Client, image: str, folder: Path) -> str:
    """Pulls an image into a dir: image; returns its digest."""
    folder.mkdir()
    source = reference.parse(image)
    found = client.resolve(source)
    _, data = client.manifest(source, found.digest)
    (folder / "manifest.json").write_bytes(data)
    for name, size in _named(data).items():
        to = folder / name.removeprefix("sha256:")
        client.blob(source, Descriptor(media_types.LAYER, name, size), to)
    return found.digest


def _named(manifest: bytes) -> dict[str, int]:
    decoded = json.loads(manifest)
    return {each["digest"]: each["size"] for each in (decoded["config"], *decoded["layers"])}


def skopeo(*arguments: str) -> None:
    done = subprocess.run([program("skopeo"), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def same(one: Path, other: Path) -> bool:
    """Do two dir: images hold the same files?"""
    names = {path.name for path in one.iterdir()} - {"version"}
    return names == {path.name for path in other.iterdir()} - {"version"} and all(
        (one / name).read_bytes() == (other / name).read_bytes() for name in names
    )


def test_docker_registry_gives_back_what_was_pushed(
    serve: Callable[..., str], client: Client, tmp_path: Path
) -> None:
    host = serve()
    image = layout(tmp_path / "image")
    pushed = push(client, f"{host}/shop:1", image)
    assert pull(client, f"{host}/shop:1", tmp_path / "back") == pushed
    assert same(image, tmp_path / "back")
    with pytest.raises(BakeError, match="has no tag '2'") as error:
        client.resolve(reference.parse(f"{host}/shop:2"))
    assert error.value.hint


def test_docker_registry_mounts_and_takes_pieces(
    serve: Callable[..., str], client: Client, tmp_path: Path
) -> None:
    host = serve()
    name = digest.of_bytes(LAYERS[0])
    (tmp_path / "layer").write_bytes(LAYERS[0])
    shop, other = (reference.parse(f"{host}/{name}") for name in ("shop", "other"))
    assert client.push_blob(shop, name, tmp_path / "layer", piece=1 << 20) == "uploaded"
    assert client.push_blob(shop, name, tmp_path / "layer") == "there"
    assert client.push_blob(other, name, tmp_path / "layer", mount_from="shop") == "mounted"
    client.blob(other, Descriptor(media_types.LAYER, name, len(LAYERS[0])), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == LAYERS[0]


def test_docker_registry_by_password_and_tls(
    serve: Callable[..., str], make_client: Make, tmp_path: Path
) -> None:
    line = subprocess.run([program("htpasswd"), "-Bbn", "me", "pw"], check=True, capture_output=True).stdout
    (tmp_path / "htpasswd").write_bytes(line)
    cert, key = certificate.make(tmp_path)
    http = {"tls": {"certificate": str(cert), "key": str(key)}}
    host = serve(http=http, auth={"htpasswd": {"realm": "test", "path": str(tmp_path / "htpasswd")}})
    (tmp_path / "config.json").write_text(json.dumps({"auths": {host: {"username": "me", "password": "pw"}}}))
    (tmp_path / "certs.d" / host).mkdir(parents=True)
    cert.rename(tmp_path / "certs.d" / host / "ca.crt")
    tls = Tls((tmp_path / "certs.d",))
    image = layout(tmp_path / "image")
    client = make_client(credentials=Credentials((tmp_path / "config.json",)), tls=tls)
    pushed = push(client, f"{host}/shop:1", image)
    assert pull(client, f"{host}/shop:1", tmp_path / "back") == pushed
    with pytest.raises(BakeError, match="unauthorized to pull shop"):
        make_client(tls=tls).resolve(reference.parse(f"{host}/shop:1"))


@pytest.mark.parametrize("whose", ["docker-registry", "ours", "ours with tokens"])
def test_skopeo_and_we_understand_each_other(
    serve: Callable[..., str], make_client: Make, tmp_path: Path, whose: str
) -> None:
    access = Access("bearer", {"me": "pw"}) if whose == "ours with tokens" else Access()
    with Registry(access=access) as registry:
        host = serve() if whose == "docker-registry" else registry.host
        known = {"auths": {host: {"auth": "bWU6cHc="}}}
        (tmp_path / "auth.json").write_text(json.dumps(known))
        client = make_client(credentials=Credentials((tmp_path / "auth.json",)))
        authfile = f"--authfile={tmp_path}/auth.json"
        image = layout(tmp_path / "image")

        skopeo("copy", authfile, "--dest-tls-verify=false", f"dir:{image}", f"docker://{host}/theirs:1")
        theirs = pull(client, f"{host}/theirs:1", tmp_path / "pulled")
        assert same(image, tmp_path / "pulled")

        ours = push(client, f"{host}/ours:1", image)
        skopeo(
            "copy", authfile, "--src-tls-verify=false", f"docker://{host}/ours:1", f"dir:{tmp_path}/copied"
        )
        assert same(image, tmp_path / "copied")
        assert ours == theirs
        client.close()
