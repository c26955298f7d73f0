"""The endpoints of the distribution-spec v1.1, each a function from a request to an answer."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from imgbake import digest as digests
from imgbake.testing.registry.contents import Contents, Manifest, subject_of
from imgbake.testing.registry.messages import Answer, Ask, refuse

Endpoint = Callable[[Contents, Ask, str, str], Answer]

_NAME = r"(?P<name>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def answer(contents: Contents, ask: Ask) -> Answer:
    """What the registry says to a request that is allowed."""
    if ask.path == "/v2/":
        return Answer(200, {"Content-Type": "application/json"}, b"{}")
    for methods, pattern, endpoint in _ROUTES:
        match = pattern.fullmatch(ask.path)
        if match and ask.method in methods:
            return endpoint(contents, ask, match["name"], match.groupdict().get("what") or "")
    return refuse(404, "NOT_FOUND", "no such endpoint")


def _get_manifest(contents: Contents, ask: Ask, name: str, reference: str) -> Answer:
    if name not in contents.repositories:
        return refuse(404, "NAME_UNKNOWN", "repository name not known to registry")
    found = contents.repository(name).find(reference)
    if not found:
        return refuse(404, "MANIFEST_UNKNOWN", f"manifest unknown: {reference}")
    digest, manifest = found
    headers = {"Content-Type": manifest.media_type, "Docker-Content-Digest": digest}
    return Answer(200, headers, manifest.data)


def _put_manifest(contents: Contents, ask: Ask, name: str, reference: str) -> Answer:
    data = ask.read()
    digest = digests.of_bytes(data)
    if ":" in reference and reference != digest:
        return refuse(400, "DIGEST_INVALID", f"provided digest did not match: {digest}")
    try:
        missing = contents.repository(name).missing(data)
    except (msgspec.DecodeError, KeyError, AttributeError):
        return refuse(400, "MANIFEST_INVALID", "not a manifest")
    if missing:
        return refuse(404, "MANIFEST_BLOB_UNKNOWN", f"blob unknown to registry: {', '.join(missing)}")
    media_type = ask.headers.get("Content-Type", "application/octet-stream")
    contents.add_manifest(name, Manifest(media_type, data), "" if ":" in reference else reference)
    headers = {"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": digest}
    if contents.lists_referrers and (subject := subject_of(data)):
        headers["OCI-Subject"] = subject
    return Answer(201, headers)


def _delete_manifest(contents: Contents, ask: Ask, name: str, reference: str) -> Answer:
    """Removes a tag; manifests stay."""
    if ":" in reference or not contents.deletes_tags:
        return refuse(405, "UNSUPPORTED", "the operation is unsupported")
    there = contents.repository(name).tags.pop(reference, "")
    return Answer(202) if there else refuse(404, "MANIFEST_UNKNOWN", f"manifest unknown: {reference}")


def _get_referrers(contents: Contents, ask: Ask, name: str, digest: str) -> Answer:
    if not contents.lists_referrers:
        return refuse(404, "NOT_FOUND", "no such endpoint")
    manifests = contents.repository(name).manifests.items()
    found = [
        {"mediaType": each.media_type, "digest": own, "size": len(each.data)}
        for own, each in manifests
        if subject_of(each.data) == digest
    ]
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": found}
    return Answer(200, {"Content-Type": str(index["mediaType"])}, msgspec.json.encode(index))


def _get_blob(contents: Contents, ask: Ask, name: str, digest: str) -> Answer:
    if not contents.has_blob(name, digest):
        return refuse(404, "BLOB_UNKNOWN", f"blob unknown to registry: {digest}")
    path = contents.blob(digest)
    size = path.stat().st_size
    headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest}
    if not (asked := _RANGE.fullmatch(ask.headers.get("Range", ""))):
        return Answer(200, {**headers, "Accept-Ranges": "bytes"}, file=path, size=size)
    start, end = int(asked[1]), min(int(asked[2] or size - 1), size - 1)
    if start > end:
        return refuse(416, "SIZE_INVALID", "range not satisfiable")
    headers["Content-Range"] = f"bytes {start}-{end}/{size}"
    return Answer(206, headers, file=path, start=start, size=end - start + 1)


def _start_upload(contents: Contents, ask: Ask, name: str, _: str) -> Answer:
    mount, source = ask.query.get("mount", ""), ask.query.get("from", "")
    if mount and contents.has_blob(source, mount):
        contents.repository(name).blobs.add(mount)
        return _created(name, mount)
    upload = contents.start_upload()
    if digest := ask.query.get("digest"):
        _append(contents, upload, ask)
        return _finished(contents, name, upload, digest)
    return _accepted(contents, name, upload)


def _patch_upload(contents: Contents, ask: Ask, name: str, upload: str) -> Answer:
    path = contents.upload(upload)
    if not path:
        return refuse(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
    start = ask.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    if start and int(start) != path.stat().st_size:
        return refuse(416, "BLOB_UPLOAD_INVALID", f"expected to go on at {path.stat().st_size}")
    _append(contents, upload, ask)
    return _accepted(contents, name, upload)


def _put_upload(contents: Contents, ask: Ask, name: str, upload: str) -> Answer:
    if not contents.upload(upload):
        return refuse(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
    if "digest" not in ask.query:
        return refuse(400, "DIGEST_INVALID", "digest missing")
    _append(contents, upload, ask)
    return _finished(contents, name, upload, ask.query["digest"])


def _get_upload(contents: Contents, ask: Ask, name: str, upload: str) -> Answer:
    if not contents.upload(upload):
        return refuse(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
    return _accepted(contents, name, upload, status=204)


def _delete_upload(contents: Contents, ask: Ask, name: str, upload: str) -> Answer:
    if not contents.upload(upload):
        return refuse(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
    contents.cancel_upload(upload)
    return Answer(204)


def _list_tags(contents: Contents, ask: Ask, name: str, _: str) -> Answer:
    if name not in contents.repositories:
        return refuse(404, "NAME_UNKNOWN", "repository name not known to registry")
    tags = sorted(tag for tag in contents.repository(name).tags if tag > ask.query.get("last", ""))
    tags = tags[: int(ask.query.get("n", len(tags)))]
    body = msgspec.json.encode({"name": name, "tags": tags})
    return Answer(200, {"Content-Type": "application/json"}, body)


def _append(contents: Contents, upload: str, ask: Ask) -> None:
    """Adds a body to an upload; what has come of a body that breaks off is kept, so it can go on there."""
    path = contents.upload(upload)
    assert path is not None
    with path.open("ab", buffering=0) as file:
        for piece in ask.body:
            file.write(piece)


def _accepted(contents: Contents, name: str, upload: str, status: int = 202) -> Answer:
    path = contents.upload(upload)
    assert path is not None
    headers = {
        "Location": f"/v2/{name}/blobs/uploads/{upload}?_state=kept",
        "Range": f"0-{max(0, path.stat().st_size - 1)}",
        "Docker-Upload-UUID": upload,
    }
    return Answer(status, headers)


def _finished(contents: Contents, name: str, upload: str, digest: str) -> Answer:
    if not contents.finish_upload(name, upload, digest):
        return refuse(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
    return _created(name, digest)


def _created(name: str, digest: str) -> Answer:
    return Answer(201, {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest})


def _route(methods: str, path: str, endpoint: Endpoint) -> tuple[list[str], re.Pattern[str], Endpoint]:
    return methods.split(), re.compile(rf"/v2/{_NAME}/{path}"), endpoint


_ROUTES = [
    _route("GET HEAD", r"manifests/(?P<what>[^/]+)", _get_manifest),
    _route("PUT", r"manifests/(?P<what>[^/]+)", _put_manifest),
    _route("DELETE", r"manifests/(?P<what>[^/]+)", _delete_manifest),
    _route("GET", r"referrers/(?P<what>[^/]+)", _get_referrers),
    _route("POST", r"blobs/uploads/", _start_upload),
    _route("PATCH", r"blobs/uploads/(?P<what>[^/]+)", _patch_upload),
    _route("PUT", r"blobs/uploads/(?P<what>[^/]+)", _put_upload),
    _route("GET", r"blobs/uploads/(?P<what>[^/]+)", _get_upload),
    _route("DELETE", r"blobs/uploads/(?P<what>[^/]+)", _delete_upload),
    _route("GET HEAD", r"blobs/(?P<what>[^/]+)", _get_blob),
    _route("GET", r"tags/list", _list_tags),
]
