"""A bucket of moto's, which a project's destinations lead to."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from imgbake.testing.shop import Shop, layout
from imgbake_aws.tests.clouds import Cloud
from imgbake_aws.tests.fixtures import cloud as cloud
from imgbake_aws.tests.fixtures import moto as moto

BUCKET = "images"


@pytest.fixture
def s3(cloud: Cloud) -> Any:
    """A client of S3 in an account with one empty bucket."""
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A project whose image is larger than one part of an upload."""
    made = Shop(tmp_path / "shop")
    files = '{ from = "app", to = "/app" }, { from = "data", to = "/data" }'
    made.to(archive=f'uses = "s3"\nbucket = "{BUCKET}"\nprefix = "team/"', disk=layout("out"), files=files)
    made.write("app", "first")
    made.write("data", random.Random(0).randbytes(20 << 20))
    return made
