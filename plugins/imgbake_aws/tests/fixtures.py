"""A cloud on this computer: moto's server. For the tests of all plugins that use AWS."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from imgbake_aws.tests.clouds import HERE, PUBLIC, THERE, Cloud

_MOTO = """
import functools, sys, threading
from moto.ec2.models.amis import Ami, AmiBackend
from moto.s3.responses import S3Response
from moto.server import main

made, created = Ami.__init__, AmiBackend.create_image

@functools.wraps(made)
def as_ec2_says(self, *args, **more):
    if more.get("instance") is not None:
        ami = more.get("ami_id") or args[1]
        more["snapshot_description"] = f"Created by CreateImage({more['instance'].id}) for {ami}"
    made(self, *args, **more)
    if more.get("instance") is not None or more.get("source_ami") is not None:
        self.root_device_type = "ebs"  # moto says "standard", which Packer starts no machine from

@functools.wraps(created)
def without_tags_of_snapshots(self, instance_id, name, description, tag_specifications):
    known = [each for each in tag_specifications if each["ResourceType"] != "snapshot"]  # moto knows no more
    return created(self, instance_id, name, description, known)

put, alone = S3Response.put_object, threading.Lock()

@functools.wraps(put)
def one_after_another(self):
    with alone:  # moto compares, and then writes
        return put(self)

S3Response.put_object = one_after_another
Ami.__init__ = as_ec2_says
AmiBackend.create_image = without_tags_of_snapshots
main(sys.argv[1:])
"""


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of moto's server."""
    pytest.importorskip("boto3")
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask") is None:
        missing("moto's server is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("moto")
    public = folder / "amis.json"
    public.write_text(json.dumps(PUBLIC))
    process = subprocess.Popen(
        [sys.executable, "-c", _MOTO, "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={
            **os.environ,
            "MOTO_AMIS_PATH": str(public),
            "MOTO_RECORDER_FILEPATH": str(folder / "asked"),
        },
    )
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def cloud(moto: str, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """An empty account, which the environment leads to."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    made = Cloud(moto)
    made.reset()
    return made


@pytest.fixture
def profiles(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Profiles, and no keys in the environment: `people` has some, `baker` a role in the account
    THERE, and `builder` one in HERE."""
    (tmp_path / "credentials").write_text("[people]\naws_access_key_id = a\naws_secret_access_key = b\n")
    (tmp_path / "config").write_text(
        "[profile people]\nregion = us-east-1\n"
        f"[profile baker]\nrole_arn = arn:aws:iam::{THERE}:role/baker\n"
        "source_profile = people\nregion = eu-west-1\n"
        f"[profile builder]\nrole_arn = arn:aws:iam::{HERE}:role/builder\nsource_profile = people\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.delenv(variable)


def missing(what: str) -> NoReturn:
    """Skips the test, or fails it where everything must be there."""
    if os.environ.get("IMGBAKE_REQUIRE_SERVICES"):
        pytest.fail(what)
    pytest.skip(what)
