"""How a blob gets into a bucket: verified by S3, and a large one in parts, of which none is sent twice."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from imgbake.api import BakeError
from imgbake_aws import sdk
from imgbake_oci.descriptor import Descriptor
from imgbake_oci.registry import FilePart
from imgbake_s3.objects import Check, Objects

PART = 8 << 20
_MOST_PARTS = 10_000
_SHA256 = "SHA256"

Progress = Callable[[int], None]


def upload(
    objects: Objects, key: str, source: FilePart, blob: Descriptor, check: Check, progress: Progress
) -> int:
    """Brings a blob into a bucket, and returns how many bytes were sent. Raises BakeError."""
    if blob.size > PART:
        return _Multipart(objects, key, source, blob, check, progress).run()
    data = b"".join(_pieces(source, PART, check))
    _verify(hashlib.sha256(data).hexdigest(), blob, source)
    objects.put(key, data, ChecksumAlgorithm=_SHA256, ChecksumSHA256=_checksum(data))
    progress(blob.size)
    return blob.size


class _Multipart:
    """A blob in parts. One that broke off is gone on with: S3 keeps the parts until they are put together."""

    def __init__(
        self,
        objects: Objects,
        key: str,
        source: FilePart,
        blob: Descriptor,
        check: Check,
        progress: Progress,
    ) -> None:
        self._objects, self._source, self._blob = objects, source, blob
        self._check, self._progress = check, progress
        self._key, self._at = key, objects.at(key)
        self._size = max(PART, -(-blob.size // _MOST_PARTS))

    def run(self) -> int:
        with self._objects.asking("s3:PutObject", self._key) as client:
            self._client = client
            try:
                return self._attempt()
            except Exception as error:
                if sdk.code_of(error) != "NoSuchUpload":
                    raise
            if self._objects.size(self._key) == self._blob.size:
                return 0  # another has put the same parts together
            return self._attempt()

    def _attempt(self) -> int:
        known = self._open()
        hashed, parts, sent, done = hashlib.sha256(), [], 0, 0
        for number, data in enumerate(_pieces(self._source, self._size, self._check), 1):
            hashed.update(data)
            part = known.get(number)
            if part is None or not _is_same(part, data):
                part = self._send(number, data)
                sent += len(data)
            done += len(data)
            self._progress(done)
            names = ("ETag", "ChecksumSHA256")
            parts.append({"PartNumber": number, **{name: part[name] for name in names if part.get(name)}})
        try:
            _verify(hashed.hexdigest(), self._blob, self._source)
        except BakeError:
            self._client.abort_multipart_upload(**self._at, UploadId=self._upload)
            raise
        self._client.complete_multipart_upload(
            **self._at, UploadId=self._upload, MultipartUpload={"Parts": parts}
        )
        return sent

    def _open(self) -> dict[int, dict[str, Any]]:
        """Finds an upload that was begun, or begins one. Gives the parts that are there, by number."""
        client, key = self._client, self._at["Key"]
        begun = client.list_multipart_uploads(Bucket=self._objects.bucket, Prefix=key)
        own = [each["UploadId"] for each in begun.get("Uploads", ()) if each["Key"] == key]
        if not own:
            made = client.create_multipart_upload(**self._at, ChecksumAlgorithm=_SHA256)
            self._upload = str(made["UploadId"])
            return {}
        self._upload = str(own[-1])
        pages = client.get_paginator("list_parts").paginate(**self._at, UploadId=self._upload)
        return {each["PartNumber"]: each for page in pages for each in page.get("Parts", ())}

    def _send(self, number: int, data: bytes) -> dict[str, Any]:
        checksum = _checksum(data)
        made: dict[str, Any] = self._client.upload_part(
            **self._at,
            UploadId=self._upload,
            PartNumber=number,
            Body=data,
            ChecksumAlgorithm=_SHA256,
            ChecksumSHA256=checksum,
        )
        return {"ETag": made["ETag"], "ChecksumSHA256": made.get("ChecksumSHA256", checksum)}


def _is_same(part: dict[str, Any], data: bytes) -> bool:
    """Is this what S3 has of a part? It says so by its checksum, or else by what MD5 gives."""
    if part["Size"] != len(data):
        return False
    if part.get("ChecksumSHA256"):
        return bool(part["ChecksumSHA256"] == _checksum(data))
    return bool(part["ETag"].strip('"') == hashlib.md5(data, usedforsecurity=False).hexdigest())


def _pieces(source: FilePart, size: int, check: Check) -> Iterator[bytes]:
    """The source in pieces of this size, the last one shorter, as it comes."""
    at, end = source.start, source.start + source.size
    source.until(at, check)
    with source.path.open("rb") as file:
        file.seek(at)
        while at < end:
            wanted = min(size, end - at)
            while source.until(at + wanted - 1, check) < at + wanted:
                check()
            data = file.read(wanted)
            if len(data) != wanted:
                raise BakeError(f"{source.path}: became shorter while it was sent")
            at += wanted
            yield data


def _verify(found: str, blob: Descriptor, source: FilePart) -> None:
    if f"sha256:{found}" != blob.digest:
        raise BakeError(f"{source.path}: its content is not {blob.digest}", hint="the source is damaged")


def _checksum(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()
