"""Objects that several write at once: nobody loses what another has written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from imgbake.api import BakeError
from imgbake_s3.objects import Objects
from imgbake_s3.tests.conftest import BUCKET


@pytest.fixture
def objects(s3: Any) -> Objects:
    return Objects(f"s3://{BUCKET}/below")


def test_a_write_is_refused_when_another_was_faster(objects: Objects) -> None:
    assert objects.read("key") is None and objects.size("key") is None
    assert objects.write("key", b"one", "", "text/plain")
    assert not objects.write("key", b"two", "", "text/plain")
    found = objects.read("key")
    assert found is not None and found.data == b"one"
    assert objects.write("key", b"three", found.etag, "text/plain")
    assert not objects.write("key", b"four", found.etag, "text/plain")
    assert objects.size("key") == 5
    objects.put("key", b"whatever is there")
    assert dict(objects.list()) == {"key": 17}


def test_no_change_is_lost(objects: Objects) -> None:
    def add(number: int) -> None:
        def change(data: bytes | None) -> bytes:
            return (data or b"") + f"{number} ".encode()

        objects.change("key", change, "text/plain", lambda: None)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(24)))
    found = objects.read("key")
    assert found is not None and sorted(map(int, found.data.split())) == list(range(24))


def test_a_change_that_changes_nothing_writes_nothing(objects: Objects) -> None:
    objects.change("key", lambda data: None, "text/plain", lambda: None)
    assert list(objects.list()) == []


def test_a_bucket_that_is_not_there_is_said(s3: Any) -> None:
    with pytest.raises(BakeError, match="there is no bucket 'nowhere'"):
        Objects("s3://nowhere/below").put("key", b"")


def test_an_action_of_another_name_is_named_where_it_is_refused(objects: Objects) -> None:
    from botocore.exceptions import ClientError

    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "ListMultipartUploads")

    with objects.asking("s3:PutObject", "key") as client:
        client.meta.events.register("before-call.s3.ListMultipartUploads", refuse)
    try:
        with pytest.raises(BakeError) as error, objects.asking("s3:PutObject", "key"):
            client.list_multipart_uploads(Bucket=BUCKET)
    finally:
        client.meta.events.unregister("before-call.s3.ListMultipartUploads", refuse)
    assert error.value.hint == "allow the action s3:ListBucketMultipartUploads to whoever runs imgbake"
