"""A distribution that was killed or stopped in the middle of a blob: the next one sends the rest of it."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from imgbake.testing.project import Project
from imgbake.testing.registry import Registry

SIZE, ARRIVED = 12_000_000, 5_000_000
RECIPE = """
[components.app]
files = [{{ from = "data", to = "/data" }}]

[images.shop]
base = "scratch"
components = ["app"]

[destinations.eu]
uses = "registry"
repository = "{host}/shop"

[distributions.prod]
images = ["shop"]
to = ["eu"]
"""


def _ended_in_the_middle(project: Project, registry: Registry, uploads: Path, how: signal.Signals) -> None:
    uploads.mkdir()
    project.recipe(RECIPE.format(host=registry.host))
    project.write("data", random.Random(0).randbytes(SIZE))
    registry.fault(method="PATCH", after=ARRIVED, stall=600)
    running = project.start("distribute", "--progress", "quiet")
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size == ARRIVED for path in uploads.rglob("*") if path.is_file()):
        assert time.monotonic() < deadline and running.poll() is None, running.communicate()
        time.sleep(0.01)
    running.send_signal(how)
    assert "Traceback" not in running.communicate(timeout=60)[1]
    assert running.returncode == (130 if how is signal.SIGINT else -how)
    registry.heal()
    assert not registry.manifest("shop:latest")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_the_rest_is_sent_and_no_more(project: Project, tmp_path: Path, how: signal.Signals) -> None:
    with Registry(folder=tmp_path / "blobs") as registry:
        _ended_in_the_middle(project, registry, tmp_path / "blobs", how)
        registry.forget()
        ran = project.run("distribute", "--format", "json")
        assert ran.code == 0, ran.stderr
        sent = ran.json["arrivals"][0]["sent"]
        assert SIZE - ARRIVED <= sent < SIZE - ARRIVED + 10_000  # and the configuration
        assert registry.count("POST") <= 1  # an upload is begun for the configuration alone
        assert registry.manifest("shop:latest")


@pytest.mark.parametrize("lost", ["by the registry", "here"])
def test_what_is_lost_begins_anew(
    project: Project, tmp_path: Path, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Registry(folder=tmp_path / "blobs") as registry:
        _ended_in_the_middle(project, registry, tmp_path / "blobs", signal.SIGKILL)
        if lost == "here":
            monkeypatch.setenv("IMGBAKE_CACHE_DIR", str(tmp_path / "another"))
        else:
            registry.fault(method="GET", path="/uploads/", status=404)
        ran = project.run("distribute", "--format", "json")
        assert ran.code == 0, ran.stderr
        assert ran.json["arrivals"][0]["sent"] >= SIZE
        assert registry.manifest("shop:latest")
