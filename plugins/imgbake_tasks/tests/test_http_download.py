from __future__ import annotations

import contextlib
import hashlib
import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from imgbake.errors import Interrupted, StepError
from imgbake.testing.http import Answer, HttpServer, Seen
from imgbake_tasks import retry
from imgbake_tasks.http import Http, HttpOptions
from imgbake_tasks.tests.taskbench import Bench, needs, options

DATA = bytes(range(256)) * 4096  # 1 MiB
SHA256 = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer() as server:
        server.put("/app.zip", DATA)
        yield server


def http(server: HttpServer, path: str = "/app.zip", **values: object) -> Http:
    return Http(options(HttpOptions, **{"url": server.url + path, **values}))


def partials(bench: Bench) -> list[Path]:
    return list((bench.root / ".imgbake" / "partial").glob("*"))


def test_a_download(bench: Bench, server: HttpServer) -> None:
    step = http(server)
    artifact = bench.run(step)
    assert bench.made(step) == DATA
    assert step.outputs("folder") == ("folder/app.zip",)
    assert artifact.facts["url"] == f"{server.url}/app.zip"
    assert artifact.facts["bytes"] == len(DATA)
    assert bench.progress[-1] == (len(DATA), len(DATA))
    assert partials(bench) == []


def test_a_download_to_a_place(bench: Bench, server: HttpServer) -> None:
    bench.run(http(server, to="vendor/deep/app.zip", checksum=SHA256))
    assert (bench.root / "vendor/deep/app.zip").read_bytes() == DATA


def test_sha512(bench: Bench, server: HttpServer) -> None:
    step = http(server, checksum=f"sha512:{hashlib.sha512(DATA).hexdigest().upper()}")
    bench.run(step)
    assert bench.made(step) == DATA


def test_a_wrong_checksum_leaves_what_was_there(bench: Bench, server: HttpServer) -> None:
    (bench.root / "app.zip").write_text("before")
    with pytest.raises(StepError) as caught:
        bench.run(http(server, to="app.zip", checksum="sha256:" + "0" * 64))
    assert SHA256 in caught.value.message
    assert "0" * 64 in caught.value.message
    assert (bench.root / "app.zip").read_text() == "before"
    assert bench.files() == {"app.zip": "before"}
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"truncate": True, "after": 300_000},
        {"reset": True, "after": 300_000},
        {"stall": 30, "after": 300_000},
    ],
    ids=["truncated", "reset", "stalled"],
)
def test_a_broken_download_goes_on_where_it_was(
    bench: Bench, server: HttpServer, fault: dict[str, Any]
) -> None:
    server.fault("/app.zip", **fault)
    step = http(server, stall_timeout=0.3)
    bench.run(step)
    assert bench.made(step) == DATA
    resumed = server.requests[1].headers
    assert 0 < int(resumed["range"].removeprefix("bytes=").rstrip("-")) <= 300_000
    assert resumed["if-range"].startswith('"')


def test_a_file_that_changed_meanwhile_is_started_again(bench: Bench, server: HttpServer) -> None:
    server.fault("/app.zip", truncate=True, after=1000)
    new = DATA[::-1]

    def change_then_answer(seen: Seen) -> Answer:
        server.put("/app.zip", new)
        return Answer(200, {"ETag": '"old"'}, DATA)

    server.answer("/app.zip", change_then_answer)
    step = http(server)
    bench.run(step)
    assert bench.made(step) == new


def test_without_a_version_or_checksum_it_starts_again(bench: Bench, server: HttpServer) -> None:
    server.put("/app.zip", DATA, {})
    server.fault("/app.zip", truncate=True, after=1000)
    step = http(server)
    bench.run(step)
    assert bench.made(step) == DATA
    assert "range" not in server.requests[1].headers


def test_a_server_that_knows_no_ranges(bench: Bench, server: HttpServer) -> None:
    server.answer("/app.zip", lambda seen: Answer(200, {"ETag": '"1"'}, DATA))
    server.fault("/app.zip", truncate=True, after=1000)
    step = http(server, checksum=SHA256)
    bench.run(step)
    assert bench.made(step) == DATA


def test_the_next_build_goes_on_where_a_killed_one_ended(bench: Bench, server: HttpServer) -> None:
    server.fault("/app.zip", truncate=True, after=300_000)
    step = http(server, attempts=1)
    with pytest.raises(StepError, match="300000 of 1048576 bytes"):
        bench.run(step)
    bench.run(step)
    assert bench.made(step) == DATA
    assert server.requests[1].headers["range"] == "bytes=300000-"


def test_all_of_it_was_here_but_not_in_place(bench: Bench, server: HttpServer) -> None:
    step = http(server, attempts=1)
    server.fault("/app.zip", truncate=True, after=len(DATA) - 1)
    with pytest.raises(StepError):
        bench.run(step)
    (part,) = (path for path in partials(bench) if path.suffix == ".part")
    part.write_bytes(DATA)
    bench.run(step)
    assert bench.made(step) == DATA
    assert len(server.requests) == 2


def test_damaged_bytes_of_an_earlier_build_are_fetched_again(bench: Bench, server: HttpServer) -> None:
    step = http(server, attempts=1, checksum=SHA256)
    server.fault("/app.zip", truncate=True, after=300_000, corrupt=True)
    with pytest.raises(StepError):
        bench.run(step)
    step = http(server, checksum=SHA256)
    bench.run(step)
    assert bench.made(step) == DATA


def test_another_url_does_not_go_on_with_these_bytes(bench: Bench, server: HttpServer) -> None:
    server.put("/other.zip", DATA[::-1], {"ETag": '"same"'})
    server.put("/app.zip", DATA, {"ETag": '"same"'})
    server.fault("/app.zip", truncate=True, after=1000)
    with pytest.raises(StepError):
        bench.run(http(server, attempts=1))
    step = http(server, "/other.zip")
    bench.run(step)
    assert bench.made(step) == DATA[::-1]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(bench: Bench, server: HttpServer, status: int) -> None:
    server.fault("/app.zip", times=2, status=status)
    step = http(server)
    bench.run(step)
    assert bench.made(step) == DATA
    assert len(server.requests) == 3


def test_it_gives_up_after_the_attempts(bench: Bench, server: HttpServer) -> None:
    server.fault("/app.zip", times=9, status=503)
    with pytest.raises(StepError, match=r"/app.zip: the server answers 503 .* \(tried 3 times\)"):
        bench.run(http(server, attempts=3))
    assert len(server.requests) == 3


def test_retry_after_is_heard(bench: Bench, server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT", 30.0)
    server.fault("/app.zip", status=429, headers={"Retry-After": "0"})
    server.fault("/app.zip", status=503, headers={"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT"})
    begin = time.monotonic()
    bench.run(http(server))
    assert time.monotonic() - begin < 15


def test_a_wait_that_is_too_long_is_an_error(bench: Bench, server: HttpServer) -> None:
    server.fault("/app.zip", status=429, headers={"Retry-After": "7200"})
    with pytest.raises(StepError, match="429"):
        bench.run(http(server))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "hint"), [(401, "check the password"), (403, "check the password"), (404, "check `url`")]
)
def test_a_refusal_is_final(bench: Bench, server: HttpServer, status: int, hint: str) -> None:
    server.fault("/app.zip", status=status)
    with pytest.raises(StepError, match=f"GET {server.url}/app.zip: the server answers {status}") as caught:
        bench.run(http(server))
    assert hint in caught.value.hint
    assert len(server.requests) == 1


def test_a_server_that_is_not_there(bench: Bench) -> None:
    step = Http(options(HttpOptions, url="http://127.0.0.1:1/a", attempts=2))
    with pytest.raises(StepError, match=r"Connection refused \(tried 2 times\)"):
        bench.run(step)


def test_a_host_that_does_not_exist(bench: Bench) -> None:
    with pytest.raises(StepError, match=r"http://nowhere.invalid/a"):
        bench.run(Http(options(HttpOptions, url="http://nowhere.invalid/a", attempts=1)))


def test_a_stop_is_noticed_while_the_server_is_silent(bench: Bench, server: HttpServer) -> None:
    server.fault("/app.zip", stall=30, after=10)
    begin = time.monotonic()
    bench.stop_at = lambda: time.monotonic() > begin + 0.3
    with pytest.raises(Interrupted):
        bench.run(http(server))
    assert time.monotonic() - begin < 15


def test_redirects_are_followed(bench: Bench, server: HttpServer) -> None:
    server.answer("/old", lambda seen: Answer(302, {"Location": "/older"}))
    server.answer("/older", lambda seen: Answer(308, {"Location": f"{server.url}/app.zip"}))
    step = http(server, "/old")
    bench.run(step)
    assert bench.made(step) == DATA
    assert step.outputs("f") == ("f/old",)


def test_a_circle_of_redirects_ends(bench: Bench, server: HttpServer) -> None:
    server.answer("/old", lambda seen: Answer(302, {"Location": "/old"}))
    with pytest.raises(StepError, match="more than 10 redirects"):
        bench.run(http(server, "/old"))


def test_a_secret_that_the_server_repeats_in_a_redirect(bench: Bench, server: HttpServer) -> None:
    bench.secrets = {"token": "s3cret"}
    server.answer("/s3cret/a", lambda seen: Answer(302, {"Location": "/s3cret/b?k=s3cret"}))
    with pytest.raises(StepError, match=r"/\{\{ token \}\}/a -> http://127.0.0.1:\d+: .* 404") as caught:
        bench.run(http(server, "/{{ token }}/a"))
    assert "s3cret" not in bench.everything(caught.value)


def test_secrets_stay_with_their_host(bench: Bench, server: HttpServer) -> None:
    bench.secrets = {"token": "s3cret-value", "key": "other-s3cret"}
    headers = {"Authorization": "Bearer {{ token }}", "X-Key": "{{ key }}", "Accept": "application/zip"}
    with HttpServer() as elsewhere:
        elsewhere.put("/app.zip", DATA)
        server.answer("/away", lambda seen: Answer(302, {"Location": f"{elsewhere.url}/app.zip?signed=1"}))
        server.answer("/here", lambda seen: Answer(302, {"Location": "/app.zip"}))
        bench.run(http(server, "/away", headers=headers))
        bench.run(http(server, "/here", headers=headers), "u")
        away, here = elsewhere.requests[0].headers, server.requests[2].headers
    assert "authorization" not in away
    assert "x-key" not in away
    assert away["accept"] == "application/zip"
    assert here["authorization"] == "Bearer s3cret-value"
    assert here["x-key"] == "other-s3cret"


@pytest.mark.parametrize("status", [200, 401, 503])
def test_no_secret_is_written_anywhere(bench: Bench, server: HttpServer, status: int) -> None:
    bench.secrets = {"token": "s3cret-value", "user": "th3-user"}
    if status != 200:
        server.fault("/s3cret-value/app", times=9, status=status)
    server.answer("/s3cret-value/app", lambda seen: Answer(200, {}, b"fine"))
    url = server.url.replace("//", "//{{ user }}:{{ token }}@") + "/{{ token }}/app?key={{ token }}"
    step = Http(options(HttpOptions, url=url, headers={"X-Token": "{{ token }}"}, attempts=2))
    told: list[object] = [bench.look(step)]
    try:
        told.append(bench.run(step))
    except StepError as error:
        told += [error, error.hint, error.tail, repr(error.__cause__), repr(error.__context__)]
    assert server.requests[0].headers["authorization"].startswith("Basic ")
    assert "s3cret" not in bench.everything(*told)
    assert "th3-user" not in bench.everything(*told)


def test_a_password_written_into_the_url_is_shown_nowhere(bench: Bench, server: HttpServer) -> None:
    server.fault("/app.zip", status=404)
    step = Http(options(HttpOptions, url=f"{server.url.replace('//', '//me:hunter2@')}/app.zip"))
    with pytest.raises(StepError) as caught:
        bench.run(step)
    artifact = bench.run(step)
    assert server.requests[1].headers["authorization"] == "Basic bWU6aHVudGVyMg=="
    assert "hunter2" not in bench.everything(caught.value, artifact)


def test_the_whole_url_may_be_a_secret(bench: Bench, server: HttpServer) -> None:
    bench.secrets = {"hook": f"{server.url}/app.zip?key=s3cret"}
    step = Http(options(HttpOptions, url="{{ hook }}"))
    artifact = bench.run(step)
    assert bench.made(step) == DATA
    assert "s3cret" not in bench.everything(artifact)


def test_a_secret_with_a_line_break_is_refused_and_not_shown(bench: Bench, server: HttpServer) -> None:
    bench.secrets = {"token": "s3cret\n"}
    with pytest.raises(StepError, match="the header X-Token would hold a line break"):
        bench.run(http(server, headers={"X-Token": "{{ token }}"}))
    assert "s3cret" not in bench.everything()


def test_refresh_asks_for_the_version(bench: Bench, server: HttpServer) -> None:
    first = bench.look(http(server, refresh=True))
    server.put("/app.zip", DATA[1:])
    second = bench.look(http(server, refresh=True))
    assert first.volatile
    assert first.parts["version"] != second.parts["version"]
    assert [seen.method for seen in server.requests] == ["HEAD", "HEAD"]


def test_refresh_with_a_server_that_knows_no_head(bench: Bench, server: HttpServer) -> None:
    server.answer("/a", lambda seen: Answer(405 if seen.method == "HEAD" else 200, {"ETag": '"7"'}, b"x"))
    assert bench.look(http(server, "/a", refresh=True)).parts == {"version": '"7"'}


def test_refresh_with_a_server_that_tells_no_version(bench: Bench, server: HttpServer) -> None:
    server.put("/a", b"x", {})
    with pytest.raises(StepError, match="neither ETag nor Last-Modified") as caught:
        bench.look(http(server, "/a", refresh=True))
    assert "always = true" in caught.value.hint


def test_without_refresh_nobody_is_asked(bench: Bench, server: HttpServer) -> None:
    looked = bench.look(http(server))
    assert not looked.volatile
    assert server.requests == []


@needs("openssl")
def test_tls_by_an_authority_of_its_own(bench: Bench) -> None:
    with HttpServer(tls=True) as server:
        assert server.ca is not None
        server.put("/a", DATA)
        with pytest.raises(StepError, match="certificate is not trusted") as caught:
            bench.run(http(server, "/a"))
        assert "`ca = " in caught.value.hint
        (bench.root / "ca.pem").write_bytes(server.ca.read_bytes())
        step = http(server, "/a", ca="ca.pem")
        bench.run(step)
        assert bench.made(step) == DATA


@needs("openssl")
def test_tls_by_ssl_cert_file(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with HttpServer(tls=True) as server:
        server.put("/a", DATA)
        monkeypatch.setenv("SSL_CERT_FILE", str(server.ca))
        step = http(server, "/a")
        bench.run(step)
        assert bench.made(step) == DATA


@needs("openssl")
def test_a_redirect_away_from_https_is_not_followed(bench: Bench, server: HttpServer) -> None:
    with HttpServer(tls=True) as secure:
        assert secure.ca is not None
        (bench.root / "ca.pem").write_bytes(secure.ca.read_bytes())
        secure.answer("/a", lambda seen: Answer(302, {"Location": f"{server.url}/app.zip"}))
        with pytest.raises(StepError, match=r"-> http://127.0.0.1:\d+: redirected away from https"):
            bench.run(http(secure, "/a", ca="ca.pem"))
    assert server.requests == []


def test_a_proxy_from_the_environment(
    bench: Bench, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer("http://files.invalid/app.zip", lambda seen: Answer(200, {}, DATA))
    monkeypatch.setenv("http_proxy", server.url.replace("//", "//me:pw@"))
    monkeypatch.setenv("no_proxy", "other.invalid")
    step = Http(options(HttpOptions, url="http://files.invalid/app.zip"))
    bench.run(step)
    assert bench.made(step) == DATA
    assert server.requests[0].headers["host"] == "files.invalid"
    assert server.requests[0].headers["proxy-authorization"] == "Basic bWU6cHc="
    with pytest.raises(StepError, match=r"other\.invalid"):
        bench.run(Http(options(HttpOptions, url="http://other.invalid/a", attempts=1)))


@needs("openssl")
def test_a_proxy_for_https(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with HttpServer(tls=True) as secure, tunnel() as (proxy, asked):
        assert secure.ca is not None
        (bench.root / "ca.pem").write_bytes(secure.ca.read_bytes())
        secure.put("/a", DATA)
        monkeypatch.setenv("https_proxy", proxy.replace("//", "//me:pw@"))
        step = http(secure, "/a", ca="ca.pem")
        bench.run(step)
    assert bench.made(step) == DATA
    assert asked[0].startswith(f"CONNECT {secure.url.removeprefix('https://')} HTTP/1.")
    assert "Proxy-Authorization: Basic bWU6cHc=" in asked[0]


@contextlib.contextmanager
def tunnel() -> Iterator[tuple[str, list[str]]]:
    """A proxy that serves one CONNECT, and what it was asked."""
    asked: list[str] = []

    def serve() -> None:
        client, _ = listener.accept()
        asked.append(client.recv(65536).decode())
        host, _, port = asked[0].split(" ")[1].rpartition(":")
        server = socket.create_connection((host, int(port)))
        client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        with client, server:
            while ready := select.select([client, server], [], [], 10)[0]:
                for one, other in ((client, server), (server, client)):
                    if one in ready:
                        data = one.recv(65536)
                        if not data:
                            return
                        other.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
        thread.join()


def test_no_proxy(bench: Bench, server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    step = http(server)
    bench.run(step)
    assert bench.made(step) == DATA


def test_a_chunked_body_that_is_cut_off(bench: Bench, server: HttpServer) -> None:
    chunked = {"Transfer-Encoding": "chunked"}
    server.answer("/a", lambda seen: Answer(200, chunked, b"5\r\nhello\r\n0\r\n\r\n"))
    server.fault("/a", truncate=True, after=8)
    step = http(server, "/a")
    bench.run(step)
    assert bench.made(step) == b"hello"
    assert len(server.requests) == 2


def test_a_symlink_out_of_the_project_is_refused(bench: Bench, server: HttpServer, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (bench.root / "vendor").symlink_to(tmp_path / "outside")
    with pytest.raises(StepError, match="outside the project"):
        bench.run(http(server, to="vendor/app.zip"))
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_folder_in_the_way(bench: Bench, server: HttpServer) -> None:
    (bench.root / "app.zip").mkdir()
    with pytest.raises(StepError, match="is a folder"):
        bench.run(http(server, to="app.zip"))


def test_a_url_with_other_letters(bench: Bench, server: HttpServer) -> None:
    server.put("/gr%C3%BCn%20x.txt", b"green")
    step = http(server, "/grün x.txt")
    bench.run(step)
    assert step.outputs("f") == ("f/grün x.txt",)
    assert bench.made(step) == b"green"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/a/b.tgz?x=/y", "b.tgz"),
        ("/", "download"),
        ("/a%2Fb", "a_b"),
        ("/..", "download"),
        ("/a[1].zip", "a_1_.zip"),
    ],
)
def test_names_of_downloads(path: str, name: str) -> None:
    step = Http(options(HttpOptions, url=f"https://example.com{path}"))
    assert step.outputs("f") == (f"f/{name}",)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"url": "ftp://a/b"}, "http:// or https://"),
        ({"to": "../x"}, "must stay inside the project"),
        ({"to": "x*"}, "has wildcards"),
        ({"checksum": "md5:00"}, "is neither"),
        ({"checksum": "sha256:00"}, "needs 64 hex digits"),
        ({"body": "a", "json": {"b": 1}}, "give one"),
        ({"select": "a", "keep": "status"}, "leaves the body out"),
        ({"refresh": True, "method": "POST"}, "is for a download"),
        ({"keep": "all"}, "Invalid enum value"),
        ({"attempts": 0}, ">= 1"),
    ],
)
def test_wrong_options(values: dict[str, object], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        options(HttpOptions, **{"url": "http://a/b", **values})


def test_a_large_file(bench: Bench, server: HttpServer) -> None:
    data = os.urandom(1 << 20) * 64
    server.put("/large", data)
    step = http(server, "/large", checksum=f"sha256:{hashlib.sha256(data).hexdigest()}")
    bench.run(step)
    assert bench.made(step) == data
