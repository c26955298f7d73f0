from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from imgbake.errors import Interrupted, StepError
from imgbake.testing.ftp import FtpServer
from imgbake_tasks.ftp import Ftp, FtpOptions
from imgbake_tasks.tests.taskbench import Bench, needs, options

DATA = bytes(range(256)) * 8192  # 2 MiB
SHA256 = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
SECRET = "s3cret-pa:ss@/%"


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    folder = tmp_path / "remote"
    (folder / "pub").mkdir(parents=True)
    (folder / "pub" / "app.zip").write_bytes(DATA)
    return folder


@pytest.fixture
def server(remote: Path, bench: Bench) -> Iterator[FtpServer]:
    bench.secrets = {"password": SECRET}
    with FtpServer(remote, user="me", password=SECRET) as server:
        yield server


def ftp(server: FtpServer, folder: str = "/pub", **values: object) -> Ftp:
    defaults = {"url": server.url + folder, "password": "{{ password }}"}
    return Ftp(options(FtpOptions, **{**defaults, **values}))


@pytest.mark.parametrize("passive", [True, False], ids=["passive", "active"])
def test_a_download(bench: Bench, server: FtpServer, passive: bool) -> None:
    step = ftp(server, download="app.zip", passive=passive, checksum=SHA256)
    artifact = bench.run(step)
    assert step.outputs("f") == ("f/app.zip",)
    assert bench.made(step) == DATA
    assert artifact.facts == {"url": f"ftp://{server.host}/pub/app.zip", "bytes": len(DATA)}
    assert bench.progress[-1] == (len(DATA), len(DATA))
    assert ("PASV" in server.commands or any("EPSV" in line for line in server.commands)) == passive


def test_a_download_to_a_place_from_the_top(bench: Bench, server: FtpServer) -> None:
    bench.run(ftp(server, "", download="pub/app.zip", to="vendor/app.zip"))
    assert (bench.root / "vendor/app.zip").read_bytes() == DATA


def test_anonymous(bench: Bench, remote: Path) -> None:
    with FtpServer(remote) as server:
        step = ftp(server, download="app.zip", password="")
        bench.run(step)
    assert bench.made(step) == DATA


@needs("openssl")
@pytest.mark.parametrize("tls", ["explicit", "implicit"])
@pytest.mark.parametrize("passive", [True, False], ids=["passive", "active"])
def test_tls(bench: Bench, remote: Path, tls: str, passive: bool) -> None:
    bench.secrets = {"password": SECRET}
    (bench.root / "mine.txt").write_bytes(DATA)
    with FtpServer(remote, user="me", password=SECRET, tls=tls) as server:
        assert server.ca is not None
        (bench.root / "ca.pem").write_bytes(server.ca.read_bytes())
        how: dict[str, Any] = {"ca": "ca.pem", "implicit": tls == "implicit", "passive": passive}
        down = ftp(server, download="app.zip", **how)
        bench.run(down)
        bench.run(ftp(server, upload=["mine.txt"], **how))
    assert bench.made(down) == DATA
    assert (remote / "pub/mine.txt").read_bytes() == DATA
    assert ("AUTH TLS" in server.commands) == (tls == "explicit")
    assert "PROT P" in server.commands


@needs("openssl")
def test_a_certificate_that_is_not_trusted(bench: Bench, remote: Path) -> None:
    bench.secrets = {"password": SECRET}
    with FtpServer(remote, user="me", password=SECRET, tls="explicit") as server:
        with pytest.raises(StepError, match="certificate is not trusted"):
            bench.run(ftp(server, download="app.zip"))
        assert "PASS" not in server.commands


@needs("openssl")
def test_a_server_that_wants_tls(bench: Bench, remote: Path) -> None:
    bench.secrets = {"password": SECRET}
    with FtpServer(remote, user="me", password=SECRET, tls="explicit") as server:
        url = server.url.replace("ftps:", "ftp:")
        with pytest.raises(StepError, match=r"doesn't let 'me' in|SSL/TLS required") as caught:
            bench.run(ftp(server, url=url, download="app.zip"))
    assert "ftps://" in caught.value.hint


def test_a_broken_download_goes_on_where_it_was(bench: Bench, server: FtpServer) -> None:
    server.cut(after=1_000_000)
    step = ftp(server, download="app.zip")
    bench.run(step)
    assert bench.made(step) == DATA
    assert any(line.startswith("REST ") for line in server.commands)


def test_the_next_build_goes_on_where_a_killed_one_ended(bench: Bench, server: FtpServer) -> None:
    server.cut(after=1_000_000)
    step = ftp(server, download="app.zip", attempts=1)
    with pytest.raises(StepError):
        bench.run(step)
    bench.run(step)
    assert bench.made(step) == DATA
    assert any(line.startswith("REST ") for line in server.commands)
    assert bench.files(".imgbake/partial") == {}


def test_a_file_that_changed_meanwhile_is_started_again(
    bench: Bench, server: FtpServer, remote: Path
) -> None:
    server.cut(after=1_000_000)
    with pytest.raises(StepError):
        bench.run(ftp(server, download="app.zip", attempts=1))
    (remote / "pub/app.zip").write_bytes(DATA[::-1])
    os.utime(remote / "pub/app.zip", (1, 1))
    step = ftp(server, download="app.zip")
    bench.run(step)
    assert bench.made(step) == DATA[::-1]


def test_damaged_bytes_of_an_earlier_build_are_fetched_again(bench: Bench, server: FtpServer) -> None:
    server.cut(after=1_000_000)
    with pytest.raises(StepError):
        bench.run(ftp(server, download="app.zip", attempts=1, checksum=SHA256))
    (part,) = (bench.root / ".imgbake/partial").glob("*.part")
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    step = ftp(server, download="app.zip", checksum=SHA256)
    bench.run(step)
    assert bench.made(step) == DATA


def test_a_wrong_checksum_leaves_what_was_there(bench: Bench, server: FtpServer) -> None:
    (bench.root / "app.zip").write_text("before")
    with pytest.raises(StepError, match="has the checksum"):
        bench.run(ftp(server, download="app.zip", to="app.zip", checksum="sha256:" + "0" * 64))
    assert bench.files() == {"app.zip": "before"}


def test_an_upload(bench: Bench, server: FtpServer, remote: Path) -> None:
    for name in ("dist/a.whl", "dist/deep/b.whl", "dist/c.txt", "docs/x/index.html", "docs/y.html"):
        (bench.root / name).parent.mkdir(parents=True, exist_ok=True)
        (bench.root / name).write_text(name)
    step = ftp(server, "/pub/new/folder", upload=["dist/**/*.whl", "docs"])
    assert step.outputs("f") == ()
    artifact = bench.run(step)
    sent = {str(path.relative_to(remote)) for path in remote.rglob("*") if path.is_file()}
    folder = "pub/new/folder"
    assert sent == {
        "pub/app.zip",
        f"{folder}/a.whl",
        f"{folder}/deep/b.whl",
        f"{folder}/x/index.html",
        f"{folder}/y.html",
    }
    assert (remote / folder / "deep/b.whl").read_text() == "dist/deep/b.whl"
    assert artifact.facts["files"] == 4
    assert artifact.digest


def test_what_is_uploaded_decides(bench: Bench, server: FtpServer) -> None:
    (bench.root / "a.txt").write_text("one")
    step = ftp(server, upload=["*.txt"])
    first = bench.look(step)
    (bench.root / "a.txt").write_text("two")
    second = bench.look(step)
    assert list(first.parts) == ["file a.txt"]
    assert first.parts != second.parts
    assert not first.volatile


def test_an_upload_replaces_whole_files(bench: Bench, server: FtpServer, remote: Path) -> None:
    (bench.root / "app.zip").write_bytes(b"new")
    bench.run(ftp(server, upload=["app.zip"]))
    assert (remote / "pub/app.zip").read_bytes() == b"new"
    names = [line for line in server.commands if line.split()[0] in ("STOR", "RNFR", "RNTO")]
    temporary = names[0].removeprefix("STOR ")
    assert temporary != "app.zip"
    assert [name.rpartition("/")[2] for name in names[1:]] == [f"RNFR {temporary}", "RNTO app.zip"] or names[
        1:
    ] == [
        f"RNFR {temporary}",
        "RNTO app.zip",
    ]
    assert os.listdir(remote / "pub") == ["app.zip"]  # noqa: PTH208  # names alone


def test_a_server_that_does_not_replace_files(bench: Bench, server: FtpServer, remote: Path) -> None:
    server.replaces = False
    (bench.root / "app.zip").write_bytes(b"new")
    (bench.root / "other").write_bytes(b"other")
    bench.run(ftp(server, upload=["app.zip", "other"]))
    assert {path.name: path.read_bytes() for path in (remote / "pub").iterdir()} == {
        "app.zip": b"new",
        "other": b"other",
    }


def test_an_upload_that_is_stopped(bench: Bench, server: FtpServer, remote: Path) -> None:
    (bench.root / "app.zip").write_bytes(DATA * 20)
    bench.stop_at = lambda: len(bench.progress) > 50
    with pytest.raises(Interrupted):
        bench.run(ftp(server, upload=["app.zip"]))
    end = time.monotonic() + 5
    while len(list((remote / "pub").iterdir())) > 1 and time.monotonic() < end:
        time.sleep(0.02)
    assert [path.name for path in (remote / "pub").iterdir()] == ["app.zip"]
    assert (remote / "pub/app.zip").read_bytes() == DATA


@needs("openssl")
def test_an_upload_of_much_by_tls_is_whole(bench: Bench, remote: Path) -> None:
    bench.secrets = {"password": SECRET}
    large = os.urandom(1 << 20) * 20
    (bench.root / "large").write_bytes(large)
    with FtpServer(remote, user="me", password=SECRET, tls="explicit") as server:
        assert server.ca is not None
        (bench.root / "ca.pem").write_bytes(server.ca.read_bytes())
        bench.run(ftp(server, upload=["large"], ca="ca.pem"))
    assert (remote / "pub/large").read_bytes() == large


def test_two_files_of_one_name(bench: Bench, server: FtpServer) -> None:
    for name in ("one/a", "two/a"):
        (bench.root / name).parent.mkdir()
        (bench.root / name).write_text(name)
    with pytest.raises(StepError, match="would both become 'a'"):
        bench.run(ftp(server, upload=["one/*", "two/*"]))


def test_nothing_to_upload(bench: Bench, server: FtpServer) -> None:
    with pytest.raises(StepError, match=r"no file matches dist/\*.whl"):
        bench.run(ftp(server, upload=["dist/*.whl"]))


def test_a_user_who_may_not_write(bench: Bench, remote: Path) -> None:
    (bench.root / "a.txt").write_text("one")
    with FtpServer(remote) as server, pytest.raises(StepError, match="the server says '550"):
        bench.run(ftp(server, upload=["a.txt"], password=""))
    assert [path.name for path in (remote / "pub").iterdir()] == ["app.zip"]


def test_a_wrong_password(bench: Bench, server: FtpServer) -> None:
    bench.secrets = {"password": "wr0ng-s3cret"}
    step = ftp(server, download="app.zip")
    with pytest.raises(StepError, match=r"doesn't let 'me' in") as caught:
        bench.run(step)
    assert "wr0ng" not in bench.everything(caught.value, caught.value.hint, caught.value.__context__)
    assert server.commands.count("PASS") == 1


@pytest.mark.parametrize("where", ["option", "url", "written"])
@pytest.mark.parametrize("fails", [False, True])
def test_no_secret_is_written_anywhere(bench: Bench, server: FtpServer, where: str, fails: bool) -> None:
    url = server.url.replace(
        "me@", {"option": "me@", "url": "me:{{ password }}@", "written": "me:hunter2@"}[where]
    )
    password = "{{ password }}" if where == "option" else ""
    step = ftp(server, url=f"{url}/pub", password=password, download="nothing" if fails else "app.zip")
    told: list[object] = [bench.look(step)]
    try:
        told.append(bench.run(step))
    except StepError as error:
        told += [error, error.hint, error.tail, error.__context__]
    everything = bench.everything(*told)
    assert "s3cret" not in everything
    assert "hunter2" not in everything


def test_a_password_with_a_line_break(bench: Bench, server: FtpServer) -> None:
    bench.secrets = {"password": "s3cret\n"}
    with pytest.raises(StepError, match="line break"):
        bench.run(ftp(server, download="app.zip"))


def test_a_file_that_is_not_there(bench: Bench, server: FtpServer) -> None:
    with pytest.raises(StepError, match=r"/pub/nothing\.zip: the server says '550") as caught:
        bench.run(ftp(server, download="nothing.zip"))
    assert "check the path" in caught.value.hint
    with pytest.raises(StepError, match="the server says '550"):
        bench.run(ftp(server, "/nowhere", download="nothing.zip"))


def test_a_server_that_is_not_there(bench: Bench) -> None:
    step = Ftp(options(FtpOptions, url="ftp://127.0.0.1:1", download="a", attempts=2))
    with pytest.raises(StepError, match=r"Connection refused \(tried 2 times\)"):
        bench.run(step)


@pytest.mark.parametrize("stops", [False, True], ids=["stalled", "stopped"])
def test_a_server_that_says_nothing(bench: Bench, stops: bool) -> None:
    begin = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"ftp://127.0.0.1:{listener.getsockname()[1]}"
        if stops:
            bench.stop_at = lambda: time.monotonic() > begin + 0.3
        limit = 30.0 if stops else 0.3
        step = Ftp(options(FtpOptions, url=url, download="a", attempts=1, stall_timeout=limit))
        with pytest.raises(Interrupted if stops else StepError):
            bench.run(step)
    assert time.monotonic() - begin < 15


def test_a_server_that_speaks_something_else(bench: Bench) -> None:
    def greet() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n")
            connection.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=greet)
        thread.start()
        url = f"ftp://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(StepError, match="does not speak FTP"):
            bench.run(Ftp(options(FtpOptions, url=url, download="a", attempts=1)))
        thread.join()


def test_a_symlink_out_of_the_project_is_refused(bench: Bench, server: FtpServer, tmp_path: Path) -> None:
    (bench.root / "vendor").symlink_to(tmp_path)
    with pytest.raises(StepError, match="outside the project"):
        bench.run(ftp(server, download="app.zip", to="vendor/app.zip"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"url": "http://a/b", "download": "x"}, "ftp:// or ftps://"),
        ({}, "one of them"),
        ({"download": "a", "upload": ["b"]}, "one of them"),
        ({"upload": ["b"], "checksum": SHA256}, "are for a download"),
        ({"upload": ["b"], "to": "x"}, "are for a download"),
        ({"download": "a", "password": "written"}, "is a secret argument"),
        ({"download": "a", "implicit": True}, "is for ftps://"),
        ({"download": "a", "to": "../x"}, "must stay inside"),
        ({"download": "a", "checksum": "crc32:1"}, "is neither"),
    ],
)
def test_wrong_options(values: dict[str, object], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        options(FtpOptions, **{"url": "ftp://a/b", **values})
