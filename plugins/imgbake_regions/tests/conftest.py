"""Regions of AWS on this computer, and a project whose AMI is to go to them."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import pytest

from imgbake_aws.tests.clouds import PUBLIC
from imgbake_aws.tests.fixtures import missing
from imgbake_regions.tests.projects import Account, Regions
from tests.services.amazon import Amazon, running


@pytest.fixture(scope="session")
def amazon(tmp_path_factory: pytest.TempPathFactory) -> Amazon:
    """The cloud."""
    pytest.importorskip("boto3")
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask") is None:
        missing("moto's server is not installed")
    public = tmp_path_factory.mktemp("amazon") / "amis.json"
    public.write_text(json.dumps(PUBLIC))
    return running(str(public))


@pytest.fixture
def account(amazon: Amazon, monkeypatch: pytest.MonkeyPatch) -> Account:
    """An empty account, which the environment leads to."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ENDPOINT_URL": amazon.url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }.items():
        monkeypatch.setenv(name, value)
    amazon.reset()
    return Account(amazon)


@pytest.fixture
def project(tmp_path: Path, account: Account, monkeypatch: pytest.MonkeyPatch) -> Regions:
    """A project with one image, whose AMI is in us-east-1."""
    plugin = tmp_path / "plugins" / "premade-1.dist-info"
    plugin.mkdir(parents=True)
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: premade\nVersion: 1\n")
    (plugin / "entry_points.txt").write_text("[imgbake]\npremade = imgbake_regions.tests.premade\n")
    monkeypatch.syspath_prepend(plugin.parent)
    monkeypatch.setenv("PYTHONPATH", str(plugin.parent))
    return Regions(tmp_path / "shop", account)
