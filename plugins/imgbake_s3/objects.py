"""Objects of a bucket that several write at once: each is written only if it is still what it was.

Whether it is, S3 decides (If-Match and If-None-Match of PutObject), by the object's ETag.
"""

from __future__ import annotations

import contextlib
import random
import re
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from imgbake.api import BakeError, UsageError
from imgbake_aws import sdk

_ADDRESS = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>.*))?")
_ABSENT = ("NoSuchKey", "404")
_OVERTAKEN = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409", *_ABSENT)
_WRITER = "imgbake-writer"
_ACTIONS = {  # that another name allows than that of what was to be done
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListParts": "s3:ListMultipartUploadParts",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "DeleteObject": "s3:DeleteObject",
}
_TRIES = 30
_LONGEST_PAUSE = 2.0  # seconds

Check = Callable[[], None]


class Found(msgspec.Struct, frozen=True):
    """An object: what it holds, and its ETag."""

    data: bytes
    etag: str


class Objects:
    """What is in a bucket below a prefix. Keys are relative to it. Safe from threads."""

    def __init__(self, address: str, region: str = "", profile: str = "", *, is_hasty: bool = False) -> None:
        """Raises UsageError for an address that is none: s3://BUCKET or s3://BUCKET/PREFIX."""
        self._where, self._is_hasty = (region, profile), is_hasty
        found = _ADDRESS.fullmatch(address)
        if found is None:
            raise UsageError(f"'{address}' is no place in S3", hint="write s3://BUCKET/PREFIX")
        self.bucket = found["bucket"]
        prefix = (found["prefix"] or "").strip("/")
        self._prefix = f"{prefix}/" if prefix else ""

    def at(self, key: str) -> dict[str, str]:
        """Where an object is, in S3's words."""
        return {"Bucket": self.bucket, "Key": self._prefix + key}

    def url(self, key: str) -> str:
        """An object's name for people."""
        return f"s3://{self.bucket}/{self._prefix}{key}"

    def size(self, key: str) -> int | None:
        """How many bytes an object has, None when there is none. Raises BakeError."""
        found = self._head(key)
        return None if found is None else int(found["ContentLength"])

    def read(self, key: str) -> Found | None:
        """An object, None when there is none. Raises BakeError."""
        with self.asking("s3:GetObject", key) as client:
            try:
                answer = client.get_object(**self.at(key))
                return Found(answer["Body"].read(), answer["ETag"])
            except Exception as error:
                if sdk.code_of(error) in _ABSENT:
                    return None
                raise

    def write(self, key: str, data: bytes, etag: str, content_type: str) -> bool:
        """Writes an object if it has this ETag, or, with an empty one, if there is none.

        False when somebody else was faster. Raises BakeError.
        """
        writer = uuid.uuid4().hex
        condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
        with self.asking("s3:PutObject", key) as client:
            try:
                client.put_object(
                    **self.at(key),
                    Body=data,
                    ContentType=content_type,
                    Metadata={_WRITER: writer},
                    **condition,
                )
            except Exception as error:
                if sdk.code_of(error) not in _OVERTAKEN:
                    raise
                return _was_tried_again(error) and self._writer(key) == writer
            return True

    def list(self) -> Iterator[tuple[str, int]]:
        """The keys that are there, and how many bytes each has. Raises BakeError."""
        with self.asking("s3:ListBucket", "") as client:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self._prefix)
            for page in pages:
                for each in page.get("Contents", ()):
                    yield each["Key"].removeprefix(self._prefix), each["Size"]

    def put(self, key: str, data: bytes, **more: str) -> None:
        """Writes an object, whatever is there. `more` are arguments of PutObject. Raises BakeError."""
        with self.asking("s3:PutObject", key) as client:
            client.put_object(**self.at(key), Body=data, **more)

    def change(
        self, key: str, change: Callable[[bytes | None], bytes | None], content_type: str, check: Check
    ) -> None:
        """Writes what `change` makes of an object's content, or of None; nothing when it gives None.

        It is asked again when somebody else was faster, until ours is what was written. Raises BakeError.
        """
        for attempt in range(_TRIES):
            check()
            found = self.read(key)
            data = change(found.data if found else None)
            if data is None or self.write(key, data, found.etag if found else "", content_type):
                return
            time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.05 * 2**attempt)))
        raise BakeError(f"{self.url(key)} is changed by others all the time", hint="run it again")

    def _writer(self, key: str) -> str:
        """Who wrote an object: our own try may have succeeded, and only its answer been lost."""
        found = self._head(key)
        return str(found["Metadata"].get(_WRITER, "")) if found else ""

    def _head(self, key: str) -> dict[str, Any] | None:
        with self.asking("s3:GetObject", key) as client:
            try:
                found: dict[str, Any] = client.head_object(**self.at(key))
                return found
            except Exception as error:
                if sdk.code_of(error) in _ABSENT:
                    return None
                raise

    @contextlib.contextmanager
    def asking(self, action: str, key: str) -> Iterator[Any]:
        """A client. What S3 refuses becomes a BakeError that names the action and the resource."""
        place = self._prefix + key
        with sdk.asking(f"{action} s3://{self.bucket}/{place}"):
            client = sdk.client("s3", *self._where, is_hasty=self._is_hasty)
            try:
                yield client
            except Exception as error:
                code = sdk.code_of(error)
                if code not in ("AccessDenied", "403", "NoSuchBucket"):
                    raise
                other = _ACTIONS.get(getattr(error, "operation_name", ""), "")
                raise self._refused(code, action, place, other) from None

    def _refused(self, code: str, action: str, place: str, other: str) -> BakeError:
        if code == "NoSuchBucket":
            message, hint = f"there is no bucket '{self.bucket}'", "make it, or correct its name"
            return BakeError(message, hint=hint)
        message = f"{other or action} s3://{self.bucket}/{place}: AWS refused: not allowed"
        if other:
            return BakeError(message, hint=f"allow the action {other} to whoever runs imgbake")
        resource = f"arn:aws:s3:::{self.bucket}/{self._prefix}*"
        hint = f"allow s3:GetObject and s3:PutObject on {resource}, and s3:ListBucket on the bucket"
        return BakeError(message, hint=hint)


def _was_tried_again(error: Exception) -> bool:
    """Did the SDK ask more than once, as it does when an answer doesn't come?"""
    response = getattr(error, "response", {})
    return bool(response.get("ResponseMetadata", {}).get("RetryAttempts", 0))
