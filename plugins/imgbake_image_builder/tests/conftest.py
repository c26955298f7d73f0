"""Image Builder on this computer, in front of moto's cloud."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from imgbake_aws.tests.clouds import Cloud
from imgbake_aws.tests.fixtures import cloud as cloud
from imgbake_aws.tests.fixtures import moto as moto
from imgbake_aws.tests.fixtures import profiles as profiles
from imgbake_image_builder import logs
from imgbake_image_builder import service as services
from imgbake_image_builder.tests.projects import Baked
from tests.services.image_builder import ImageBuilder

_QUICK = dict.fromkeys(("PENDING", "CREATING", "BUILDING", "TESTING", "DISTRIBUTING", "INTEGRATING"), 0.02)


@pytest.fixture
def service(moto: str, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[ImageBuilder]:
    """An account of Image Builder with nothing in it, which the environment leads to."""
    with ImageBuilder(pace=_QUICK, cloud=moto) as made:
        monkeypatch.setenv("AWS_ENDPOINT_URL_IMAGEBUILDER", made.url)
        monkeypatch.setattr(services, "_services", {})
        monkeypatch.setattr(logs, "_WAIT", 0.0)
        yield made


@pytest.fixture
def project(tmp_path: Path, cloud: Cloud, service: ImageBuilder) -> Baked:
    """A project whose images are baked in that account."""
    return Baked(tmp_path / "project", cloud, service)
