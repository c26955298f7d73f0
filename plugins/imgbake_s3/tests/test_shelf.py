"""Streams in a bucket: what every shelf is held to, and what S3 adds to it."""

from __future__ import annotations

from typing import Any

import pytest

from imgbake.api import BakeError, Interrupted, UsageError
from imgbake.testing.shelves import Place, ShelfConformance
from imgbake_aws.tests.clouds import Cloud
from imgbake_s3.shelf import BucketShelf


class TestBucketShelf(ShelfConformance):
    @pytest.fixture
    def place(self, cloud: Cloud) -> Place:
        cloud.client("s3").create_bucket(Bucket="streams")
        return lambda: BucketShelf("s3://streams/of/shop", lambda: None)


@pytest.fixture
def s3(cloud: Cloud) -> Any:
    client = cloud.client("s3")
    client.create_bucket(Bucket="streams")
    return client


def test_streams_are_objects_that_people_can_read(s3: Any) -> None:
    assert BucketShelf("s3://streams/of/shop/", lambda: None).save("python", b"{}", "")
    found = s3.get_object(Bucket="streams", Key="of/shop/python.json")
    assert (found["Body"].read(), found["ContentType"]) == (b"{}", "application/json")


def test_a_bucket_may_hold_streams_alone(s3: Any) -> None:
    shelf = BucketShelf("s3://streams", lambda: None)
    assert shelf.save("python", b"{}", "")
    for key in ("README.md", "elsewhere/ruby.json"):
        s3.put_object(Bucket="streams", Key=key, Body=b"{}")
    assert shelf.names() == ["python"]


def test_more_streams_than_fit_on_a_page_are_listed(s3: Any) -> None:
    from imgbake_aws import sdk

    names = [f"s{number}" for number in range(5)]
    for name in names:
        s3.put_object(Bucket="streams", Key=f"{name}.json", Body=b"{}")
    pages: list[object] = []

    def small(params: dict[str, Any], **_: Any) -> dict[str, Any]:
        pages.append(params)
        return {**params, "MaxKeys": 2}

    events = sdk.client("s3").meta.events
    events.register("provide-client-params.s3.ListObjectsV2", small)
    try:
        assert BucketShelf("s3://streams", lambda: None).names() == names
    finally:
        events.unregister("provide-client-params.s3.ListObjectsV2", small)
    assert len(pages) == 3


def test_nothing_is_ever_deleted(s3: Any) -> None:
    shelf = BucketShelf("s3://streams", lambda: None)
    shelf.save("python", b"{}", "")
    kept = shelf.load("python")
    assert kept is not None and shelf.remove("python", kept.version)
    assert shelf.load("python") is None
    assert s3.head_object(Bucket="streams", Key="python.json")["ContentLength"] == 0


def test_an_answer_that_was_lost_is_no_defeat(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from imgbake_aws import sdk

    client = sdk.client("s3")
    failed: list[bool] = []

    def lose(**_: Any) -> int | None:
        if failed:
            return None
        failed.append(True)
        return 0  # seconds until the SDK tries again

    client.meta.events.register("needs-retry.s3.PutObject", lose)
    try:
        assert BucketShelf("s3://streams", lambda: None).save("python", b"{}", "")
    finally:
        client.meta.events.unregister("needs-retry.s3.PutObject", lose)
    assert failed


@pytest.mark.parametrize("address", ["s3://", "s3://No_Bucket/x", "s3:///x"])
def test_an_address_without_a_bucket_is_an_error(address: str) -> None:
    with pytest.raises(UsageError, match="is no place in S3"):
        BucketShelf(address, lambda: None)


def test_a_bucket_that_is_not_there_is_named(cloud: Cloud) -> None:
    shelf = BucketShelf("s3://streams/shop", lambda: None)
    for ask in (shelf.names, lambda: shelf.load("python"), lambda: shelf.save("python", b"{}", "")):
        with pytest.raises(BakeError, match="there is no bucket 'streams'"):
            ask()


def test_what_is_not_allowed_is_named(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from imgbake_aws import sdk

    client = sdk.client("s3")
    refused = (403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")

    def refuse(request: Any, **_: Any) -> Any:
        from botocore.awsrequest import AWSResponse

        class Raw:
            def stream(self, *_: Any, **__: Any) -> list[bytes]:
                return [refused[1]]

        return AWSResponse(request.url, refused[0], {}, Raw())

    client.meta.events.register("before-send.s3.PutObject", refuse)
    try:
        with pytest.raises(BakeError) as error:
            BucketShelf("s3://streams/shop", lambda: None).save("python", b"{}", "")
    finally:
        client.meta.events.unregister("before-send.s3.PutObject", refuse)
    assert error.value.message.startswith("s3:PutObject s3://streams/shop/python.json: AWS refused")
    assert error.value.hint == (
        "allow s3:GetObject and s3:PutObject on arn:aws:s3:::streams/shop/*, and s3:ListBucket on the bucket"
    )


def test_who_is_interrupted_asks_no_more(s3: Any) -> None:
    def stop() -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        BucketShelf("s3://streams", stop).load("python")
