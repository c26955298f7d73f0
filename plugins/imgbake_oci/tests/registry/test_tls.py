from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgbake.api import BakeError
from imgbake.testing.registry import Registry
from imgbake_oci import reference
from imgbake_oci.registry import Client, Tls, tls

Make = Callable[..., Client]


@pytest.fixture
def secure() -> Iterator[Registry]:
    with Registry(tls=True) as registry:
        registry.add_image("shop:1")
        yield registry


def certs(folder: Path, registry: Registry) -> Path:
    """A certs.d folder with the registry's certificate as an authority."""
    there = folder / registry.host
    there.mkdir(parents=True)
    assert registry.ca
    (there / "ca.crt").write_bytes(registry.ca.read_bytes())
    return there


def test_an_authority_of_the_registry_is_found(secure: Registry, make_client: Make, tmp_path: Path) -> None:
    certs(tmp_path, secure)
    client = make_client(tls=Tls((tmp_path / "none", tmp_path)))
    found = [client.resolve(reference.parse(secure.name("shop:1"))) for _ in range(3)]
    assert len(set(map(str, found))) == 1
    client.close()
    plain_try = 1
    assert secure.connections == 1 + plain_try


def test_ssl_cert_file_is_honoured(
    secure: Registry, make_client: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(secure.ca))
    make_client().resolve(reference.parse(secure.name("shop:1")))


def test_a_certificate_that_nobody_trusts_is_an_error(secure: Registry, make_client: Make) -> None:
    with pytest.raises(BakeError, match=r"its certificate is not trusted: self.signed") as error:
        make_client().resolve(reference.parse(secure.name("shop:1")))
    assert f"/etc/docker/certs.d/{secure.host}/ca.crt" in error.value.hint


def test_an_insecure_registry_is_not_checked(secure: Registry, make_client: Make) -> None:
    client = make_client(tls=Tls(insecure=frozenset({secure.host})))
    client.resolve(reference.parse(secure.name("shop:1")))


def test_an_insecure_registry_may_be_plain(registry: Registry, make_client: Make) -> None:
    registry.add_image("shop:1")
    client = make_client(tls=Tls(insecure=frozenset({registry.host})))
    client.resolve(reference.parse(registry.name("shop:1")))


def test_other_registries_must_not_be_plain(
    registry: Registry, make_client: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgbake_oci.registry.origins.is_loopback", lambda host: False)
    with pytest.raises(BakeError, match=r"TLS failed|no answer|could not connect"):
        make_client().resolve(reference.parse(registry.name("shop:1")))


def test_a_certificate_of_ours_is_shown(secure: Registry, make_client: Make, tmp_path: Path) -> None:
    there = certs(tmp_path, secure)
    names = ["-subj", "/CN=me", "-keyout", str(there / "client.key"), "-out", str(there / "client.cert")]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    subprocess.run([*command, "-nodes", "-days", "1", *names], check=True, capture_output=True)
    assert isinstance(secure.tls, ssl.SSLContext)
    secure.tls.verify_mode = ssl.CERT_REQUIRED
    secure.tls.load_verify_locations(there / "client.cert")
    make_client(tls=Tls((tmp_path,))).resolve(reference.parse(secure.name("shop:1")))
    (there / "client.cert").unlink()
    with pytest.raises(BakeError):
        make_client(tls=Tls((tmp_path,))).resolve(reference.parse(secure.name("shop:1")))


def test_a_damaged_certificate_is_named(secure: Registry, make_client: Make, tmp_path: Path) -> None:
    there = certs(tmp_path, secure)
    (there / "ca.crt").write_text("nonsense")
    with pytest.raises(BakeError, match=f"{there}/ca.crt: not a usable certificate"):
        make_client(tls=Tls((tmp_path,))).resolve(reference.parse(secure.name("shop:1")))


def test_settings_come_from_the_environment() -> None:
    found = tls.from_environment({"HOME": "/home/me", "IMGBAKE_INSECURE_REGISTRIES": "a:5000, b.tld"})
    assert found.insecure == {"a:5000", "b.tld"}
    assert found.folders == (
        Path("/home/me/.config/containers/certs.d"),
        Path("/home/me/.config/docker/certs.d"),
        Path("/etc/containers/certs.d"),
        Path("/etc/docker/certs.d"),
    )
