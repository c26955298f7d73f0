"""What machines download while they bake: archives of files, and documents that are too long for a request.

All of it is named by its content, so what is in the bucket already is not sent again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imgbake.api import Blueprint, RunContext, digest
from imgbake_aws import sdk, sending
from imgbake_image_builder import components
from imgbake_image_builder.options import Common
from imgbake_oci import layers
from imgbake_oci.compression import Format
from imgbake_oci.folders import Folders

_ARCHIVE = Format("gzip", 6)


class Bucket:
    """The bucket that the options name."""

    def __init__(self, options: Common, region: str, ctx: RunContext) -> None:
        self._options, self._region, self._ctx = options, region, ctx
        self._opened: Any = None

    def files(self, blueprint: Blueprint) -> None:
        """Stages the files of all components. Raises BakeError."""
        for layer in blueprint.layers:
            if not layer.files:
                continue
            key = components.archive_key(layer, self._options.bucket_prefix)
            if not self._has(key):
                made = layers.make(layer, Folders(), _ARCHIVE, blueprint.epoch, self._ctx)
                self._send(self._ctx.blobs.path(made.digest), key)

    def text(self, text: str) -> str:
        """Stages a text, and returns its address. Raises BakeError."""
        data = text.encode()
        name = digest.of_bytes(data).partition(":")[2]
        key = f"{self._options.bucket_prefix.strip('/')}/documents/{name}.yaml".lstrip("/")
        if not self._has(key):
            with sdk.asking(f"s3:PutObject {self._options.bucket}/{key}"):
                self._client.put_object(Bucket=self._options.bucket, Key=key, Body=data)
        return f"s3://{self._options.bucket}/{key}"

    @property
    def _client(self) -> Any:
        if self._opened is None:
            self._opened = sdk.client("s3", self._region, self._options.profile)
        return self._opened

    def _has(self, key: str) -> bool:
        from botocore.exceptions import ClientError

        with sdk.asking(f"s3:GetObject {self._options.bucket}/{key}"):
            try:
                self._client.head_object(Bucket=self._options.bucket, Key=key)
            except ClientError as error:
                if sdk.code_of(error) not in ("404", "NoSuchKey", "403"):
                    raise
                return False
        return True

    def _send(self, path: Path, key: str) -> None:
        self._ctx.log(f"-- staging s3://{self._options.bucket}/{key}")
        sending.send(self._client, path, self._options.bucket, key, self._ctx)
