"""Objects of a bucket that several write at once: each is written only if it is still what it was.

Whether it is, S3 decides (If-Match and If-None-Match of PutObject), by the object's ETag.
"""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec

from imgbake.api import BakeError, UsageError
from imgbake_aws import sdk

_ADDRESS = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>.*))?")
_ABSENT = ("NoSuchKey", "404")
_OVERTAKEN = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409", *_ABSENT)
_WRITER = "imgbake-writer"


class Found(msgspec.Struct, frozen=True):
    """An object: what it holds, and its ETag."""

    data: bytes
    etag: str


class Objects:
    """What is in a bucket below a prefix. Keys are relative to it."""

    def __init__(self, address: str) -> None:
        """Raises UsageError for an address that is none: s3://BUCKET or s3://BUCKET/PREFIX."""
        found = _ADDRESS.fullmatch(address)
        if found is None:
            raise UsageError(f"'{address}' is no place in S3", hint="write s3://BUCKET/PREFIX")
        self.bucket = found["bucket"]
        prefix = (found["prefix"] or "").strip("/")
        self._prefix = f"{prefix}/" if prefix else ""

    def read(self, key: str) -> Found | None:
        """An object, None when there is none. Raises BakeError."""
        place = self._prefix + key
        with self._asking("s3:GetObject", place) as client:
            try:
                answer = client.get_object(Bucket=self.bucket, Key=place)
                return Found(answer["Body"].read(), answer["ETag"])
            except Exception as error:
                if sdk.code_of(error) in _ABSENT:
                    return None
                raise

    def write(self, key: str, data: bytes, etag: str, content_type: str) -> bool:
        """Writes an object if it has this ETag, or, with an empty one, if there is none.

        False when somebody else was faster. Raises BakeError.
        """
        place, writer = self._prefix + key, uuid.uuid4().hex
        condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
        with self._asking("s3:PutObject", place) as client:
            try:
                client.put_object(
                    Bucket=self.bucket,
                    Key=place,
                    Body=data,
                    ContentType=content_type,
                    Metadata={_WRITER: writer},
                    **condition,
                )
            except Exception as error:
                if sdk.code_of(error) not in _OVERTAKEN:
                    raise
                return _was_tried_again(error) and self._writer(place) == writer
            return True

    def list(self) -> Iterator[tuple[str, int]]:
        """The keys that are there, and how many bytes each has. Raises BakeError."""
        with self._asking("s3:ListBucket", self._prefix) as client:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self._prefix)
            for page in pages:
                for each in page.get("Contents", ()):
                    yield each["Key"].removeprefix(self._prefix), each["Size"]

    def _writer(self, place: str) -> str:
        """Who wrote an object: our own try may have succeeded, and only its answer been lost."""
        with self._asking("s3:GetObject", place) as client:
            try:
                answer = client.head_object(Bucket=self.bucket, Key=place)
            except Exception as error:
                if sdk.code_of(error) in _ABSENT:
                    return ""
                raise
            return str(answer["Metadata"].get(_WRITER, ""))

    @contextlib.contextmanager
    def _asking(self, action: str, place: str) -> Iterator[Any]:
        """A client. What S3 refuses becomes a BakeError that names the action and the resource."""
        with sdk.asking(f"{action} s3://{self.bucket}/{place}"):
            client = sdk.client("s3")
            try:
                yield client
            except Exception as error:
                code = sdk.code_of(error)
                if code not in ("AccessDenied", "403", "NoSuchBucket"):
                    raise
                raise self._refused(code, action, place) from None

    def _refused(self, code: str, action: str, place: str) -> BakeError:
        if code == "NoSuchBucket":
            message, hint = f"there is no bucket '{self.bucket}'", "make it, or correct its name"
            return BakeError(message, hint=hint)
        message = f"{action} s3://{self.bucket}/{place}: AWS refused: not allowed"
        resource = f"arn:aws:s3:::{self.bucket}/{self._prefix}*"
        hint = f"allow s3:GetObject and s3:PutObject on {resource}, and s3:ListBucket on the bucket"
        return BakeError(message, hint=hint)


def _was_tried_again(error: Exception) -> bool:
    """Did the SDK ask more than once, as it does when an answer doesn't come?"""
    response = getattr(error, "response", {})
    return bool(response.get("ResponseMetadata", {}).get("RetryAttempts", 0))
