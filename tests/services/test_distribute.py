"""`imgbake distribute` and `copy` with real registries: passwords, TLS, rough weather and kill -9."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from imgbake.testing.project import Project, Ran
from imgbake.testing.proxy import RoughProxy
from imgbake.testing.registry import certificate
from imgbake.testing.shop import Shop, registry, results
from tests.services.registries import Real, program

PATIENT = {"IMGBAKE_CACHE_SIZE": "1GB"}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A project with 6 MB to send, of nothing that compresses."""
    monkeypatch.setenv("IMGBAKE_CACHE_SIZE", "1GB")
    project = Shop(tmp_path / "shop")
    for number in range(3):
        project.write(f"files/{number}", random.Random(number).randbytes(2_000_000))
    return project


def _write(shop: Shop, hosts: dict[str, str]) -> None:
    places = {name: registry(f"{host}/team/shop") for name, host in hosts.items()}
    shop.to(**places, files='{ from = "files/*", to = "/srv/" }')


def test_several_registries_open_with_passwords_and_by_tls(
    shop: Shop, stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = subprocess.run([program("htpasswd"), "-Bbn", "me", "pw"], check=True, capture_output=True).stdout
    (tmp_path / "htpasswd").write_bytes(line)
    auth = {"htpasswd": {"realm": "test", "path": str(tmp_path / "htpasswd")}}
    cert, key = certificate.make(tmp_path)
    tls = {"tls": {"certificate": str(cert), "key": str(key)}}
    plain, closed = Real(tmp_path, stack), Real(tmp_path, stack, auth=auth)
    secure = Real(tmp_path, stack, auth=auth, http=tls)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    known = {"auths": {each.host: {"username": "me", "password": "pw"} for each in (closed, secure)}}
    (tmp_path / "config.json").write_text(json.dumps(known))
    everywhere = {"plain": plain.host, "closed": closed.host, "secure": secure.host}
    _write(shop, everywhere)
    assert results(shop.distribute("--verify", "full")) == ["published"] * 3
    for each in (plain, closed, secure):
        each.check()
        assert each.tags() == plain.tags() and set(each.tags()) == {"1", "stable"}
    assert results(shop.distribute()) == ["there"] * 3

    (tmp_path / "config.json").write_text("{}")
    shop.write("files/0", "other")
    ran = shop.distribute(code=3)
    assert results(ran) == ["delivered", "failed", "failed"]
    assert "unauthorized" in ran.json["arrivals"][1]["error"] and "docker login" in ran.stderr
    assert results(shop.distribute("--to", "plain")) == ["published"]


def test_skopeo_reads_what_was_copied(shop: Shop, stack: ExitStack, tmp_path: Path) -> None:
    registry = Real(tmp_path, stack)
    _write(shop, {"one": registry.host})
    shop.distribute()
    ran = shop.run("copy", f"{registry.host}/team/shop:1", "oci:out:1", f"{registry.host}/other:1")
    assert ran.code == 0, ran.stderr
    for source in (f"docker://{registry.host}/other:1", f"oci:{shop.root}/out:1"):
        subprocess.run(
            [program("skopeo"), "copy", "--src-tls-verify=false", source, f"dir:{tmp_path / 'copied'}"],
            check=True, capture_output=True,
        )  # fmt: skip
        shutil.rmtree(tmp_path / "copied")


def test_skopeo_finds_the_signatures_that_cosign_would(shop: Shop, stack: ExitStack, tmp_path: Path) -> None:
    """In cosign's layout: an image of its own, whose tag is the digest of what it signs."""
    one, other = Real(tmp_path, stack), Real(tmp_path, stack)
    _write(shop, {"one": one.host})
    shop.distribute()
    signed = one.tags()["1"].replace(":", "-")
    shop.write("files/0", '{"critical": {"identity": {}}}')
    assert shop.run("build", "--progress", "quiet").code == 0
    tag = f"{one.host}/team/shop:{signed}.sig"
    assert shop.run("copy", "oci:.imgbake/images/shop/oci", tag).code == 0
    assert shop.run("copy", f"{one.host}/team/shop:1", f"{other.host}/team/shop:1").code == 0
    found = subprocess.run(
        [program("skopeo"), "inspect", "--tls-verify=false", f"docker://{other.host}/team/shop:{signed}.sig"],
        check=True, capture_output=True,
    )  # fmt: skip
    assert json.loads(found.stdout)["Digest"] == one.tags()[f"{signed}.sig"]


@pytest.mark.slow
def test_rough_weather_and_kill_9_never_leave_half_of_anything(
    shop: Shop, stack: ExitStack, tmp_path: Path
) -> None:
    """Rounds of a new image each, through proxies that break things, the run killed at random moments."""
    real = [Real(tmp_path, stack) for _ in range(3)]
    proxies = [stack.enter_context(RoughProxy(each.port, seed)) for seed, each in enumerate(real)]
    _write(shop, {f"d{number}": proxy.host for number, proxy in enumerate(proxies)})
    chance = random.Random(6)
    for round_ in range(4):
        shop.write("files/0", random.Random(100 + round_).randbytes(2_000_000))
        for proxy in proxies:
            proxy.often = 0.1
        for _ in range(3):
            running = shop.start("distribute", "--progress", "quiet")
            time.sleep(chance.uniform(0.3, 2.5))
            running.send_signal(signal.SIGKILL)
            running.communicate()
            for each in real:
                each.check()
        ran = _until_done(shop, proxies)
        assert set(results(ran)) <= {"published", "there"}
        for each in real:
            each.check()
            assert each.tags() == real[0].tags()
        for proxy in proxies:
            proxy.passed = 0
        assert set(results(shop.distribute())) == {"there"}
        assert sum(proxy.passed for proxy in proxies) == 0
    assert sum(sum(proxy.faults.values()) for proxy in proxies) > 5


def _until_done(project: Project, proxies: list[RoughProxy]) -> Ran:
    """Runs it again and again; the weather calms down in the end."""
    for attempt in range(4):
        ran = project.run("distribute", "--format", "json", "--progress", "plain")
        if ran.code == 0:
            return ran
        for proxy in proxies:
            proxy.often = 0.1 / (attempt + 2) if attempt < 2 else 0
    raise AssertionError(ran.stderr)


def test_a_run_that_was_killed_sends_only_what_was_missing(
    shop: Shop, stack: ExitStack, tmp_path: Path
) -> None:
    real = Real(tmp_path, stack)
    proxy = stack.enter_context(RoughProxy(real.port, 0, often=0))
    _write(shop, {"one": proxy.host})
    parts = shop.read("imgbake.toml").replace('components = ["app"]', 'components = ["app", "more"]')
    shop.recipe(parts + '\n[components.more]\nfiles = [{ from = "more", to = "/more" }]\n')
    shop.write("more", random.Random(9).randbytes(30_000_000))
    assert shop.run("build", "--progress", "quiet").code == 0
    running = shop.start("distribute", "--progress", "quiet")
    deadline = time.monotonic() + 60
    while not real.blobs():
        assert time.monotonic() < deadline and running.poll() is None
        time.sleep(0.002)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    _calm(proxy)
    assert real.tags() == {}
    arrived = real.blobs()
    ran = shop.distribute()
    real.check()
    sent = ran.json["arrivals"][0]["sent"]
    assert sent <= proxy.passed < sent + 10_000  # and the manifests
    missing = real.blobs().keys() - arrived.keys() - set(real.tags().values())
    assert arrived and sent == sum(real.blobs()[each] for each in missing)


def _calm(proxy: RoughProxy) -> None:
    """Waits until what was under way has arrived, and counts from there."""
    passed = -1
    while passed != proxy.passed:
        passed = proxy.passed
        time.sleep(0.3)
    proxy.passed = 0
