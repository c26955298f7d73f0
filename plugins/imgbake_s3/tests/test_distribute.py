"""Images in a bucket: what is there after a distribution, again and again, beside others, and after kills."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from imgbake.api import BakeError
from imgbake.testing.project import Ran
from imgbake.testing.shop import Shop
from imgbake_s3 import uploading
from imgbake_s3.tests.conftest import BUCKET


def distribute(shop: Shop, *words: str, code: int = 0) -> dict[str, Any]:
    return {each["destination"]: each for each in shop.distribute(*words, code=code).json["arrivals"]}


def keys(s3: Any, prefix: str = "") -> list[str]:
    return [each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", ())]


def index(s3: Any) -> dict[str, str]:
    """Tags to digests."""
    data = s3.get_object(Bucket=BUCKET, Key="team/shop/index.json")["Body"].read()
    found = json.loads(data)["manifests"]
    return {each["annotations"]["org.opencontainers.image.ref.name"]: each["digest"] for each in found}


def download(s3: Any, to: Path) -> None:
    for key in keys(s3, "team/shop/"):
        path = to / key.removeprefix("team/shop/")
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(BUCKET, key, str(path))


def test_a_bucket_holds_a_layout_that_others_read(shop: Shop, s3: Any, tmp_path: Path) -> None:
    arrived = distribute(shop)
    assert {each["result"] for each in arrived.values()} == {"published"}
    assert arrived["archive"]["sent"] == arrived["disk"]["sent"] > 20 << 20
    assert set(index(s3)) == {"1", "stable"}
    download(s3, tmp_path / "layout")
    ours = {path.name: path.read_bytes() for path in (shop.root / "out").rglob("*") if path.is_file()}
    there = {path.name: path.read_bytes() for path in (tmp_path / "layout").rglob("*") if path.is_file()}
    assert there == ours
    if shutil.which("skopeo"):
        inspect = ["skopeo", "inspect", "--format", "{{.Digest}}", f"oci:{tmp_path}/layout:stable"]
        said = subprocess.check_output(inspect, text=True).strip()
        assert said == arrived["archive"]["reference"].rpartition("@")[2]


def test_what_is_there_is_not_sent_again(shop: Shop, s3: Any) -> None:
    distribute(shop)
    assert {each["result"] for each in distribute(shop).values()} == {"there"}
    blob = max(
        keys(s3, "team/shop/blobs/"), key=lambda key: s3.head_object(Bucket=BUCKET, Key=key)["ContentLength"]
    )
    s3.delete_object(Bucket=BUCKET, Key=blob)
    arrived = distribute(shop)["archive"]
    assert arrived["result"] == "published" and arrived["sent"] > 20 << 20
    assert blob in keys(s3)


def test_nothing_to_do_is_settled(shop: Shop, s3: Any) -> None:
    distribute(shop)
    time.sleep(0.1)
    shop.run("distribute")
    assert shop.run("distribute").stderr.startswith("nothing to do: ")
    s3.delete_object(Bucket=BUCKET, Key="team/shop/index.json")
    assert not shop.run("distribute").stderr.startswith("nothing to do: ")
    assert set(index(s3)) == {"1", "stable"}


def test_names_go_back(shop: Shop, s3: Any) -> None:
    distribute(shop)
    before = index(s3)
    shop.write("app", "second")
    distribute(shop)
    assert index(s3) != before
    assert shop.run("distribute", "--rollback").code == 0
    assert index(s3) == before
    assert shop.run("distribute", "--rollback").code == 0
    assert index(s3) == {}


def test_an_upload_that_broke_off_goes_on(shop: Shop, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    send, sent = uploading._Multipart._send, 0

    def breaking(self: Any, number: int, data: bytes) -> dict[str, Any]:
        nonlocal sent
        if number == 3:
            raise BakeError("the machine dies")
        sent += len(data)
        return send(self, number, data)

    monkeypatch.setattr(uploading._Multipart, "_send", breaking)
    arrived = distribute(shop, code=3)
    assert arrived["archive"]["result"] == "failed" and keys(s3, "team/shop/index.json") == []
    monkeypatch.setattr(uploading._Multipart, "_send", send)
    arrived = distribute(shop)
    assert sent == 16 << 20
    assert 0 < arrived["archive"]["sent"] < 5 << 20


def test_what_a_bucket_has_spoilt_is_found(shop: Shop, s3: Any) -> None:
    distribute(shop)
    blob = keys(s3, "team/shop/blobs/")[0]
    size = s3.head_object(Bucket=BUCKET, Key=blob)["ContentLength"]
    s3.put_object(Bucket=BUCKET, Key=blob, Body=b"x" * size)
    ran = shop.run("distribute", "--verify", "full", "--progress", "plain")
    assert ran.code == 3 and "was damaged, and is removed" in ran.stderr
    assert distribute(shop, "--verify", "full")["archive"]["result"] == "published"


def test_a_bucket_that_is_not_there_is_said(shop: Shop, s3: Any) -> None:
    shop.recipe(shop.read("imgbake.toml").replace(f'"{BUCKET}"', '"nowhere"'))
    ran: Ran = shop.run("distribute", "--progress", "plain")
    assert ran.code == 3 and "there is no bucket 'nowhere'" in ran.stderr


@pytest.mark.parametrize(
    ("wrong", "right", "message"),
    [
        ('bucket = "images"', 'bucket = "My_Bucket"', "a name has 3 to 63 lower case letters"),
        ('prefix = "team/"', 'prefix = "/team/"', "without a slash at its start"),
        ("prefix", "prefx", "did you mean 'prefix'"),
    ],
)
def test_what_is_wrong_is_said(shop: Shop, wrong: str, right: str, message: str) -> None:
    text = shop.read("imgbake.toml")
    assert wrong in text
    shop.recipe(text.replace(wrong, right))
    ran = shop.run("check")
    assert ran.code == 2 and message in ran.stderr and "imgbake.toml:" in ran.stderr


def test_an_image_is_copied_there_without_a_recipe(shop: Shop, s3: Any) -> None:
    shop.build()
    source = "oci:.imgbake/images/shop/oci"
    ran = shop.run("copy", source, f"s3://{BUCKET}/team/shop:2", f"s3://{BUCKET}", "--progress", "plain")
    assert ran.code == 0, ran.stderr
    assert set(index(s3)) == {"2"} and "index.json" in keys(s3)
    ran = shop.run("copy", source, "s3://X")
    assert ran.code == 2 and "s3://X" in ran.stderr
