"""What a docker engine copies, beside what is said here that it can see.

The classic builder is the judge, and BuildKit too where a BUILDKIT_HOST is given, with buildctl.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tarfile
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from imgbake_dockerfile import Context, parse, plan, reached, read_ignore

_TREE = ("a", "a.md", "b/c", "b/c.md", "b/d/e", "b/d/e.md", "f/g/h", "f/g.md", "i j", "x*", "é.md")
_FIRST = "**/*.md\n!b/d/e.md\n"
_IGNORED = (
    "",
    "*.md\n",
    "*\n!b\nb/d\n!**/e\n",
    "# all\n/b/\n!/b/c \nf/**/h\n",
    "**\n!?\n!b/*\n!i*\n",
    "[a-b]\n!b/d/[^x]\nx\\*\n",
    "b/d\n!b\n",
)
_LINES = (
    "COPY . /",
    "COPY b /",
    "COPY *.md /to/",
    "COPY b/* f/*/? /to/",
    "COPY [a-b]* /to/",
    'COPY ["i j", "/to/"]',
    "COPY link/d /",
    "ADD ./b/c* /a* /to/",
)

Built = Callable[[Path, Path], set[str] | None]


@pytest.fixture(params=["classic", "buildkit"])
def built(request: pytest.FixtureRequest) -> Built:
    """Builds a Dockerfile of a context, and returns the contents of the image's files.

    None if a source is missing: then there is no image.
    """
    found = _classic if request.param == "classic" else _buildkit
    reason = _no_engine() if request.param == "classic" else _no_buildkit()
    if reason and os.environ.get("IMGBAKE_REQUIRE_SERVICES") and request.param == "classic":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    return found


@pytest.mark.parametrize(
    "ignored", [_FIRST, *(pytest.param(text, marks=pytest.mark.slow) for text in _IGNORED)]
)
def test_what_is_copied_is_what_is_seen(built: Built, tmp_path: Path, ignored: str) -> None:
    root = tmp_path / "context"
    for path in _TREE:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    (root / "link").symlink_to("b")
    (root / ".dockerignore").write_text(ignored + ".dockerignore\nDockerfile\n")
    dockerfile = root / "Dockerfile"
    for line in _LINES:
        dockerfile.write_text(f"FROM scratch\n{line}\n")
        build = plan(parse(dockerfile.read_bytes()))
        found = reached(build, Context(root, read_ignore(root, dockerfile)))
        seen = {(root / one.path).read_text() for one in found if one.kind == "file"}
        copied = built(root, dockerfile)
        assert copied is not None or line != "COPY . /"
        if copied is not None and "!**" in ignored:
            # docker's own client looks into no ignored folder for an exception that starts with a wildcard.
            assert (line, copied - seen) == (line, set())
        elif copied is not None:
            assert (line, copied) == (line, seen)


def _classic(root: Path, dockerfile: Path) -> set[str] | None:
    name = f"imgbake-test:{uuid.uuid4().hex}"
    env = {**os.environ, "DOCKER_BUILDKIT": "0"}
    build = ["docker", "build", "--quiet", "--tag", name, "--file", str(dockerfile), str(root)]
    for _ in range(5):  # it fails where another test removes an image at the same time
        done = subprocess.run(build, env=env, capture_output=True, text=True)
        if "unable to find image" not in done.stderr:
            break
    if done.returncode:
        assert re.search("no source files|not found|no such file", done.stderr), done.stderr
        return None
    try:
        container = _output("docker", "create", name, "none").decode().strip()
        try:
            archive = _output("docker", "export", container)
        finally:
            _output("docker", "rm", container)
    finally:
        _output("docker", "rmi", name)
    return _contents(archive)


def _buildkit(root: Path, dockerfile: Path) -> set[str] | None:
    command = [
        "buildctl",
        "build",
        "--no-cache",
        "--frontend",
        "dockerfile.v0",
        "--output",
        "type=tar,dest=-",
    ]
    folders = ["--local", f"context={root}", "--local", f"dockerfile={dockerfile.parent}"]
    done = subprocess.run([*command, *folders], capture_output=True)
    if done.returncode:
        assert re.search("not found|no such file", done.stderr.decode()), done.stderr.decode()
        return None
    return _contents(done.stdout)


def _contents(archive: bytes) -> set[str]:
    """The contents of the files, without those that docker adds to every container, which are empty."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = (tar.extractfile(member) for member in tar if member.isfile())
        return {content for file in files if file and (content := file.read().decode())}


def _output(*command: str) -> bytes:
    return subprocess.run(command, capture_output=True, check=True).stdout


def _no_engine() -> str:
    if not shutil.which("docker"):
        return "docker is not installed"
    found = subprocess.run(["docker", "version"], capture_output=True)
    return "" if found.returncode == 0 else "no docker engine answers"


def _no_buildkit() -> str:
    if not os.environ.get("BUILDKIT_HOST"):
        return "BUILDKIT_HOST names no buildkitd"
    return "" if shutil.which("buildctl") else "buildctl is not installed"
