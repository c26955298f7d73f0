from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from imgbake.errors import StepError
from imgbake.testing.http import Answer, HttpServer, Seen
from imgbake_tasks.http import Http, HttpOptions
from imgbake_tasks.tests.taskbench import Bench, options

RELEASE = {"id": 7, "name": "one", "assets": [{"id": 11, "tags": ["a", "b"]}], "a.b": None}


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer() as server:
        server.answer("/api", lambda seen: Answer(201, {"X-Made": "yes"}, json.dumps(RELEASE).encode()))
        yield server


def call(server: HttpServer, path: str = "/api", **values: object) -> Http:
    return Http(options(HttpOptions, **{"url": server.url + path, "method": "POST", **values}))


def test_a_table_is_sent_as_json_with_its_secrets(bench: Bench, server: HttpServer) -> None:
    bench.secrets = {"token": 's3cret"value'}
    step = call(server, json={"key": "{{ token }}", "list": [1, "{{ token }}", {"deep": True}]})
    artifact = bench.run(step)
    (seen,) = server.requests
    assert json.loads(seen.body) == {"key": 's3cret"value', "list": [1, 's3cret"value', {"deep": True}]}
    assert seen.headers["content-type"] == "application/json"
    assert artifact.facts == {"url": f"{server.url}/api", "status": 201}
    assert "s3cret" not in bench.everything(artifact)


def test_a_text_is_sent_as_it_is(bench: Bench, server: HttpServer) -> None:
    bench.secrets = {"token": "s3cret"}
    bench.run(call(server, method="PUT", body="<key>{{ token }}</key>", headers={"Content-Type": "text/xml"}))
    (seen,) = server.requests
    assert (seen.method, seen.body) == ("PUT", b"<key>s3cret</key>")
    assert seen.headers["content-type"] == "text/xml"


def test_a_post_without_a_body_says_so(bench: Bench, server: HttpServer) -> None:
    bench.run(call(server))
    assert server.requests[0].headers["content-length"] == "0"


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({"keep": "body"}, json.dumps(RELEASE)),
        ({"keep": "status"}, "201\n"),
        ({"select": "name"}, "one\n"),
        ({"select": "id"}, "7\n"),
        ({"select": "assets.0.id"}, "11\n"),
        ({"select": "assets.0.tags"}, '["a","b"]\n'),
    ],
)
def test_what_is_kept(bench: Bench, server: HttpServer, values: dict[str, Any], kept: str) -> None:
    step = call(server, to="kept", **values)
    bench.run(step)
    assert (bench.root / "kept").read_text() == kept


def test_headers_are_kept_as_a_table(bench: Bench, server: HttpServer) -> None:
    step = call(server, keep="headers")
    bench.run(step)
    assert json.loads(bench.made(step))["x-made"] == "yes"


def test_nothing_is_kept(bench: Bench, server: HttpServer) -> None:
    step = call(server, keep="none")
    assert step.outputs("f") == ()
    bench.run(step)
    assert bench.files() == {}


@pytest.mark.parametrize(
    ("select", "hint"),
    [
        ("nam", "at the top there is the keys a.b, assets, id, name"),
        ("assets.1", "at 'assets' there is a list of 1"),
        ("name.x", "at 'name' there is no keys"),
    ],
)
def test_a_selection_that_leads_nowhere(bench: Bench, server: HttpServer, select: str, hint: str) -> None:
    with pytest.raises(StepError, match=f"nothing at '{select}'") as caught:
        bench.run(call(server, select=select))
    assert caught.value.hint == hint


def test_a_selection_from_what_is_not_json(bench: Bench, server: HttpServer) -> None:
    server.answer("/api", lambda seen: Answer(200, {}, b"<html>"))
    with pytest.raises(StepError, match="is not JSON"):
        bench.run(call(server, select="a"))


def test_the_status_that_is_right(bench: Bench, server: HttpServer) -> None:
    server.answer("/api", lambda seen: Answer(409, {}, b"exists"))
    with pytest.raises(StepError, match="answers 409"):
        bench.run(call(server))
    for right in (409, [200, 409]):
        bench.run(call(server, status=right, to="kept"))
    assert (bench.root / "kept").read_text() == "exists"


def test_an_expected_redirect_is_an_answer(bench: Bench, server: HttpServer) -> None:
    server.answer("/api", lambda seen: Answer(302, {"Location": "/elsewhere"}))
    bench.run(call(server, status=302, keep="headers", to="kept"))
    assert json.loads((bench.root / "kept").read_text())["location"] == "/elsewhere"


@pytest.mark.parametrize("status", [429, 503])
def test_a_post_that_was_not_done_is_sent_again(bench: Bench, server: HttpServer, status: int) -> None:
    server.fault("/api", status=status)
    bench.run(call(server))
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "fault", [{"status": 500}, {"status": 502}, {"reset": True}, {"truncate": True, "after": 5}], ids=str
)
def test_a_post_that_may_have_been_done_is_not(
    bench: Bench, server: HttpServer, fault: dict[str, Any]
) -> None:
    server.fault("/api", **fault)
    with pytest.raises(StepError) as caught:
        bench.run(call(server))
    assert len(server.requests) == 1
    assert "look whether it was done" in caught.value.hint


@pytest.mark.parametrize("fault", [{"status": 500}, {"reset": True}, {"truncate": True, "after": 5}], ids=str)
def test_a_put_is_sent_again(bench: Bench, server: HttpServer, fault: dict[str, Any]) -> None:
    server.fault("/api", **fault)
    bench.run(call(server, method="PUT", body="x"))
    assert [seen.body for seen in server.requests] == [b"x", b"x"]


def test_see_other_is_asked_for_without_the_body(bench: Bench, server: HttpServer) -> None:
    server.answer("/start", lambda seen: Answer(303, {"Location": "/done"}))
    server.answer("/done", lambda seen: Answer(200, {}, seen.method.encode() + seen.body))
    step = call(server, "/start", json={"a": 1})
    bench.run(step)
    assert bench.made(step) == b"GET"


def test_a_body_does_not_follow_to_another_host(bench: Bench, server: HttpServer) -> None:
    with HttpServer() as elsewhere:
        server.answer("/start", lambda seen: Answer(307, {"Location": f"{elsewhere.url}/api"}))
        with pytest.raises(StepError, match="redirected to another host"):
            bench.run(call(server, "/start", body="s3cret"))
        assert elsewhere.requests == []


def test_a_body_follows_on_the_same_host(bench: Bench, server: HttpServer) -> None:
    server.answer("/start", lambda seen: Answer(307, {"Location": "/echo"}))
    server.answer("/echo", lambda seen: Answer(200, {}, seen.method.encode() + b" " + seen.body))
    step = call(server, "/start", body="x")
    bench.run(step)
    assert bench.made(step) == b"POST x"


def test_a_call_is_not_asked_about_in_every_build(bench: Bench, server: HttpServer) -> None:
    looked = bench.look(call(server))
    assert (looked.parts, looked.volatile) == ({"request": f"POST {server.url}/api"}, False)
    assert server.requests == []


def test_a_large_body_is_sent(bench: Bench, server: HttpServer) -> None:
    server.answer("/size", lambda seen: Answer(200, {}, str(len(seen.body)).encode()))
    step = call(server, "/size", body="x" * 5_000_000)
    bench.run(step)
    assert bench.made(step) == b"5000000"


def test_head(bench: Bench, server: HttpServer) -> None:
    def answer(seen: Seen) -> Answer:
        return Answer(200, {"ETag": '"1"'}, b"a body that HEAD doesn't get")

    server.answer("/api", answer)
    step = call(server, method="HEAD", keep="headers")
    bench.run(step)
    assert json.loads(bench.made(step))["etag"] == '"1"'
