"""Documents of images that others made: sound, strange and hostile ones."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbake.api import BakeError
from imgbake_oci import documents
from imgbake_oci.documents import Index, Manifest

OCI = "application/vnd.oci.image"
DOCKER = "application/vnd.docker"
DIGEST = "sha256:" + "0" * 64

CONFIG: dict[str, Any] = {"mediaType": f"{OCI}.config.v1+json", "digest": DIGEST, "size": 2}
LAYER: dict[str, Any] = {"mediaType": f"{OCI}.layer.v1.tar+gzip", "digest": DIGEST, "size": 3}
MANIFEST: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": f"{OCI}.manifest.v1+json",
    "config": CONFIG,
    "layers": [LAYER],
}
INDEX: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": f"{OCI}.index.v1+json",
    "manifests": [
        {
            "mediaType": f"{OCI}.manifest.v1+json",
            "digest": DIGEST,
            "size": 4,
            "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"},
        }
    ],
}
CONFIGURATION: dict[str, Any] = {
    "architecture": "amd64",
    "os": "linux",
    "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
    "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"], "Labels": {"a": "b"}, "ExposedPorts": {"80/tcp": {}}},
    "history": [{"created_by": "a tool"}],
}


def _read(document: Any) -> Manifest | Index:
    return documents.manifest_or_index(json.dumps(document).encode(), "img")


def _refused(document: Any) -> str:
    with pytest.raises(BakeError) as caught:
        _read(document)
    assert "img" in caught.value.message
    return caught.value.message


def test_manifests_and_indexes_are_told_apart_with_or_without_their_media_type() -> None:
    for document, type_ in ((MANIFEST, Manifest), (INDEX, Index)):
        assert isinstance(_read(document), type_)
        assert isinstance(_read({**document, "mediaType": None}), type_)


def test_documents_of_docker_are_read() -> None:
    config = {**CONFIG, "mediaType": f"{DOCKER}.container.image.v1+json"}
    manifest = {**MANIFEST, "mediaType": f"{DOCKER}.distribution.manifest.v2+json", "config": config}
    assert isinstance(_read(manifest), Manifest)
    assert isinstance(_read({**INDEX, "mediaType": f"{DOCKER}.distribution.manifest.list.v2+json"}), Index)


def test_a_document_that_two_readers_would_read_in_two_ways_is_refused() -> None:
    assert "neither" in _refused({**MANIFEST, **INDEX})
    assert "calls itself" in _refused({**MANIFEST, "mediaType": INDEX["mediaType"]})
    assert "calls itself" in _refused({**INDEX, "mediaType": MANIFEST["mediaType"]})


def test_what_is_no_container_image_is_refused() -> None:
    chart = {**CONFIG, "mediaType": "application/vnd.cncf.helm.config.v1+json"}
    assert "helm" in _refused({**MANIFEST, "config": chart})
    assert "version 1" in _refused({**MANIFEST, "schemaVersion": 1})
    assert "neither" in _refused({"schemaVersion": 2})
    assert "neither" in _refused({})


@pytest.mark.parametrize(
    "change",
    [{"digest": "md5:00"}, {"digest": "sha256:../../etc/passwd"}, {"digest": 5}, {"size": -1}, {"size": "1"}],
)
def test_a_descriptor_that_says_nonsense_is_refused(change: dict[str, Any]) -> None:
    _refused({**MANIFEST, "layers": [{**LAYER, **change}]})
    _refused({**MANIFEST, "config": {**CONFIG, **change}})
    _refused({**INDEX, "manifests": [{**INDEX["manifests"][0], **change}]})


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"\xff", b'"\xff"', b"[" * 5000, b'{"a":' * 5000, b" " * 5_000_000]
)
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(BakeError):
        documents.manifest_or_index(data, "img")


def test_a_configuration_is_kept_as_it_came_but_for_nulls() -> None:
    manifest = _read(MANIFEST)
    assert isinstance(manifest, Manifest)
    written = {**CONFIGURATION, "moby.buildkit.trace": "x", "author": None}
    written["config"] = {**written["config"], "OnBuild": None, "ArgsEscaped": True}
    config = documents.config(json.dumps(written).encode(), manifest, "img")
    assert str(config.platform) == "linux/amd64"
    assert config.whole["moby.buildkit.trace"] == "x"
    assert config.whole["config"]["ArgsEscaped"] is True
    assert "author" not in config.whole
    assert "OnBuild" not in config.whole["config"]


def test_a_configuration_must_speak_of_as_many_layers_as_its_manifest() -> None:
    manifest = _read({**MANIFEST, "layers": [LAYER, LAYER]})
    assert isinstance(manifest, Manifest)
    with pytest.raises(BakeError, match="1 layers in its configuration, 2 in its manifest"):
        documents.config(json.dumps(CONFIGURATION).encode(), manifest, "img")


@st.composite
def _mutated(draw: st.DrawFn, document: dict[str, Any]) -> Any:
    """The document with one value somewhere in it replaced or removed."""
    changed = copy.deepcopy(document)
    place: Any = changed
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or draw(st.booleans()):
            break
        place = inner
    junk: st.SearchStrategy[Any] = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=4)
        | st.just([])
        | st.just({})
        | st.just(["x"])
    )
    if draw(st.booleans()):
        del place[key]
    else:
        place[key] = draw(junk)
    return changed


@given(document=_mutated(MANIFEST) | _mutated(INDEX))
def test_a_changed_manifest_is_read_or_refused(document: Any) -> None:
    try:
        _read(document)
    except BakeError as error:
        assert error.message.startswith("img")  # one of the two outcomes


@given(document=_mutated(CONFIGURATION))
def test_a_changed_configuration_is_read_or_refused(document: Any) -> None:
    manifest = _read(MANIFEST)
    assert isinstance(manifest, Manifest)
    try:
        config = documents.config(json.dumps(document).encode(), manifest, "img")
    except BakeError as error:
        assert error.message.startswith("img")  # one of the two outcomes
    else:
        assert all(isinstance(line, str) for line in config.whole.get("config", {}).get("Env", ()))
