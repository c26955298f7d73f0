"""Git for tests: a repository to commit to, and a server that serves it by HTTP as real ones do."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote

from imgbake.testing.http import Answer, HttpServer, Seen

_ENVIRONMENT = {
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.com",
    "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}


class GitRepository:
    """A repository with a work tree, on the branch `main`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")

    @property
    def url(self) -> str:
        """Its file:// url."""
        return self.folder.as_uri()

    def git(self, *words: str) -> str:
        """Runs git in it and returns what it prints. Raises CalledProcessError."""
        env = {
            name: value for name, value in os.environ.items() if not name.startswith("GIT_")
        } | _ENVIRONMENT
        command = ["git", "-C", str(self.folder), "-c", "protocol.file.allow=always", *words]
        return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, files: Mapping[str, str | bytes]) -> str:
        """Writes files, commits all that changed, and returns the commit's id."""
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "A change")
        return self.git("rev-parse", "HEAD")


class GitServer:
    """Serves the repositories below a folder by git's smart HTTP protocol, for the time of a `with` block.

    With `user` and `password`, it wants them; `dumb` serves plain files, as any web server can.
    """

    def __init__(self, folder: Path, *, user: str = "", password: str = "", dumb: bool = False) -> None:
        self._folder = folder
        self._dumb = dumb
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._authorization = f"Basic {pair}" if user else ""
        self.http = HttpServer()
        self.http.answer("/", self._answer)
        self.sent = 0  # bytes of answers

    def __enter__(self) -> Self:
        self.http.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.__exit__(kind, error, trace)

    @property
    def url(self) -> str:
        """The url below which each repository's folder is."""
        return self.http.url

    def _answer(self, seen: Seen) -> Answer:
        if self._authorization and seen.headers.get("authorization") != self._authorization:
            return Answer(401, {"WWW-Authenticate": 'Basic realm="git"'})
        answer = self._file(seen) if self._dumb else self._backend(seen)
        self.sent += len(answer.body)
        return answer

    def _file(self, seen: Seen) -> Answer:
        """A file of a repository, for git's dumb protocol. The repository needs `git update-server-info`."""
        path = self._folder / unquote(seen.target.partition("?")[0]).lstrip("/")
        return Answer(200, {}, path.read_bytes()) if path.is_file() else Answer(404)

    def _backend(self, seen: Seen) -> Answer:
        """What git's own CGI program answers (git-http-backend(1))."""
        path, _, query = seen.target.partition("?")
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self._folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "PATH_INFO": unquote(path),
            "QUERY_STRING": query,
            "REQUEST_METHOD": seen.method,
            "CONTENT_TYPE": seen.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(seen.body)),
            "GIT_PROTOCOL": seen.headers.get("git-protocol", ""),
            "HTTP_CONTENT_ENCODING": seen.headers.get("content-encoding", ""),
        }
        command = ["git", "-c", "safe.directory=*", "http-backend"]
        done = subprocess.run(command, env=env, input=seen.body, capture_output=True, check=False)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
        status = int(headers.pop("Status", "200").split()[0])
        return Answer(status, headers, body)
