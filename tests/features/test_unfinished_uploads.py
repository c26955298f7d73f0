"""A distribution that was killed or stopped in the middle of a blob: the next one sends the rest of it."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from imgbake.testing.registry import Registry
from imgbake.testing.shop import Shop, registry

SIZE, ARRIVED = 12_000_000, 5_000_000


def _ended_in_the_middle(shop: Shop, place: Registry, uploads: Path, how: signal.Signals) -> None:
    uploads.mkdir()
    shop.to(eu=registry(f"{place.host}/shop"), tags=["latest"])
    shop.write("app", random.Random(0).randbytes(SIZE))
    place.fault(method="PATCH", after=ARRIVED, stall=600)
    running = shop.start("distribute", "--progress", "quiet")
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size == ARRIVED for path in uploads.rglob("*") if path.is_file()):
        assert time.monotonic() < deadline and running.poll() is None, running.communicate()
        time.sleep(0.01)
    running.send_signal(how)
    assert "Traceback" not in running.communicate(timeout=60)[1]
    assert running.returncode == (130 if how is signal.SIGINT else -how)
    place.heal()
    assert not place.manifest("shop:latest")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_the_rest_is_sent_and_no_more(tmp_path: Path, how: signal.Signals) -> None:
    shop = Shop(tmp_path / "shop")
    with Registry(folder=tmp_path / "blobs") as place:
        _ended_in_the_middle(shop, place, tmp_path / "blobs", how)
        place.forget()
        ran = shop.distribute()
        sent = ran.json["arrivals"][0]["sent"]
        assert SIZE - ARRIVED <= sent < SIZE - ARRIVED + 10_000  # and the configuration
        assert place.count("POST") <= 1  # an upload is begun for the configuration alone
        assert place.manifest("shop:latest")


@pytest.mark.parametrize("lost", ["by the registry", "here"])
def test_what_is_lost_begins_anew(tmp_path: Path, lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(tmp_path / "shop")
    with Registry(folder=tmp_path / "blobs") as place:
        _ended_in_the_middle(shop, place, tmp_path / "blobs", signal.SIGKILL)
        if lost == "here":
            monkeypatch.setenv("IMGBAKE_CACHE_DIR", str(tmp_path / "another"))
        else:
            place.fault(method="GET", path="/uploads/", status=404)
        ran = shop.distribute()
        assert ran.json["arrivals"][0]["sent"] >= SIZE
        assert place.manifest("shop:latest")
