"""Each kind in a real build: what runs, what is cached, and that no secret is written anywhere."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from imgbake.testing.ftp import FtpServer
from imgbake.testing.git import GitRepository
from imgbake.testing.http import Answer, HttpServer
from imgbake.testing.project import Project
from imgbake_tasks import git_remote
from imgbake_tasks.tests.taskbench import needs


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "project").mkdir()
    return Project(tmp_path / "project")


def written(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@needs("git")
def test_git(project: Project, tmp_path: Path) -> None:
    repository = GitRepository(tmp_path / "served")
    repository.commit({"a.txt": "one", ".hidden": "x"})
    project.recipe(
        f"""
        [tasks.assets]
        uses = "git"
        url = "{repository.url}"
        ref = "main"

        [tasks.count]
        run = "cat .imgbake/tasks/assets/a.txt > count"
        needs = ["assets"]
        outputs = ["count"]
        """
    )
    assert project.make().outcomes() == {"task:assets": "ran", "task:count": "ran"}
    git_remote.forget()
    assert project.make().outcomes() == {"task:assets": "cached", "task:count": "cached"}
    newest = repository.commit({"a.txt": "two"})
    git_remote.forget()
    assert project.make().outcomes() == {"task:assets": "ran", "task:count": "ran"}
    assert project.read("count") == "two"
    assert project.run("lock").code == 0
    assert newest in project.read("imgbake.lock")
    repository.commit({"a.txt": "three"})
    git_remote.forget()
    assert set(project.make().outcomes().values()) == {"cached"}
    (project.root / ".imgbake/tasks/assets/a.txt").unlink()
    assert project.make().outcomes()["task:assets"] == "restored"


def test_http(project: Project) -> None:
    with HttpServer() as server:
        server.put("/app.zip", b"one")
        server.answer("/api", lambda seen: Answer(201, {}, b'{"id": 7}'))
        project.recipe(
            f"""
            [args]
            token = {{ secret = true, env = "TOKEN" }}

            [tasks.app]
            uses = "http"
            url = "{server.url}/app.zip?key={{{{ token }}}}"
            checksum = "sha256:{hashlib.sha256(b"one").hexdigest()}"

            [tasks.fresh]
            uses = "http"
            url = "{server.url}/app.zip"
            refresh = true
            to = "vendor/app.zip"

            [tasks.release]
            uses = "http"
            url = "{server.url}/api"
            method = "POST"
            headers = {{ Authorization = "Bearer {{{{ token }}}}" }}
            json = {{ name = "one" }}
            select = "id"
            to = "release-id"
            """
        )
        secret = {"TOKEN": "s3cret-value"}
        assert set(project.make(env=secret).outcomes().values()) == {"ran"}
        assert (project.read("vendor/app.zip"), project.read("release-id")) == ("one", "7\n")
        assert set(project.make(env=secret).outcomes().values()) == {"cached"}
        server.put("/app.zip", b"two")
        assert project.make(env=secret).outcomes() == {
            "task:app": "cached",
            "task:fresh": "ran",
            "task:release": "cached",
        }
        assert project.read("vendor/app.zip") == "two"
    assert b"s3cret" not in written(project.root.parent)


def test_a_failure_shows_no_secret(project: Project) -> None:
    with HttpServer() as server:
        project.recipe(
            f"""
            [args]
            token = {{ secret = true, env = "TOKEN" }}

            [tasks.app]
            uses = "http"
            url = "{server.url.replace("//", "//me:hunter2@")}/{{{{ token }}}}/app.zip"
            """
        )
        ran = project.run("run", env={"TOKEN": "s3cret-value"})
    assert ran.code == 1
    assert "the server answers 404" in ran.stderr
    for secret in ("s3cret", "hunter2"):
        assert secret not in ran.stdout + ran.stderr
        assert secret not in written(project.root / ".imgbake").decode(errors="replace")


def test_ftp(project: Project, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    remote.mkdir()
    (remote / "in.txt").write_text("incoming")
    with FtpServer(remote, user="me", password="s3cret-value") as server:
        project.recipe(
            f"""
            [args]
            password = {{ secret = true, env = "PASSWORD" }}

            [tasks.fetch]
            uses = "ftp"
            url = "{server.url}"
            password = "{{{{ password }}}}"
            download = "in.txt"
            to = "in.txt"

            [tasks.make]
            run = "tr a-z A-Z < in.txt > out.txt"
            inputs = ["in.txt"]
            outputs = ["out.txt"]

            [tasks.send]
            uses = "ftp"
            url = "{server.url}/results"
            password = "{{{{ password }}}}"
            upload = ["out.txt"]
            after = ["make"]
            """
        )
        secret = {"PASSWORD": "s3cret-value"}
        assert set(project.make(env=secret).outcomes().values()) == {"ran"}
        assert (remote / "results/out.txt").read_text() == "INCOMING"
        assert set(project.make(env=secret).outcomes().values()) == {"cached"}
    assert b"s3cret" not in written(tmp_path)


def test_an_upload_of_what_was_uploaded_before_something_else(project: Project, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    remote.mkdir()
    with FtpServer(remote, user="me", password="pw") as server:
        url = server.url.replace("me@", "me:pw@")
        project.recipe(f'[tasks.send]\nuses = "ftp"\nurl = "{url}"\nupload = ["site/**"]\n')
        for content in ("one", "two", "one"):
            project.write("site/index.html", content)
            assert project.make().outcomes() == {"task:send": "ran"}
            assert (remote / "index.html").read_text() == content


def test_a_call_is_made_once(project: Project) -> None:
    with HttpServer() as server:
        server.answer("/hook", lambda seen: Answer(204))
        call = f'[tasks.call]\nuses = "http"\nurl = "{server.url}/hook"\nmethod = "POST"\nkeep = "none"\n'
        for body, outcome in (("one", "ran"), ("one", "cached"), ("two", "ran"), ("one", "ran")):
            project.recipe(f'{call}body = "{body}"\n')
            assert project.make().outcomes() == {"task:call": outcome}
        assert [seen.body for seen in server.requests] == [b"one", b"two", b"one"]
