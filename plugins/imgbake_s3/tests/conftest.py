"""A bucket of moto's, which a project's destinations lead to."""

from __future__ import annotations

import random
from typing import Any

import pytest

from imgbake.testing.project import Project
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
def shop(project: Project) -> Project:
    """A project whose image is larger than one part of an upload."""
    project.recipe(
        '[components.app]\nfiles = [{ from = "app", to = "/app" }, { from = "data", to = "/data" }]\n'
        '[images.shop]\nbase = "scratch"\ncomponents = ["app"]\n'
        f'[destinations.archive]\nuses = "s3"\nbucket = "{BUCKET}"\nprefix = "team/"\n'
        '[destinations.disk]\nuses = "layout"\nfolder = "out"\n'
        '[distributions.prod]\nimages = ["shop"]\nto = ["archive", "disk"]\ntags = ["1", "stable"]\n'
    )
    project.write("app", "first")
    project.write("data", random.Random(0).randbytes(20 << 20))
    return project
