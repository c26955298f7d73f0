"""Which commit Kaniko is told to clone, and when there is none that it could be told of."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgbake.testing.git import GitRepository, GitServer
from imgbake.testing.project import Project, Ran

FOUND = "the cluster at http://127.0.0.1:9 does not answer"  # what comes behind the search for a commit
DOCKERFILE = "FROM scratch\nCOPY . /srv/\n"


class Checkout(Project):
    """A project in a checkout, with an image whose context is the folder `site`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "shop")
        self.git = GitRepository(self.root)
        self.served = folder / "served"
        self.served.mkdir()
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(json.dumps(KUBECONFIG))
        self.configure('context = "git"')
        self.write(".gitignore", ".imgbake\n")
        self.write("site/Dockerfile", DOCKERFILE)
        self.write("site/a.txt", "a")

    def configure(self, options: str) -> None:
        self.recipe(
            f'[targets.cluster]\nuses = "kaniko"\ntags = ["127.0.0.1:9/shop:1"]\n{options}\n'
            '[images.app]\ndockerfile = "site/Dockerfile"\ncontext = "site"\ntargets = ["cluster"]\n'
        )

    def push(self) -> str:
        """Commits all there is, and pushes it."""
        commit = self.git.commit({})
        if not (self.served / "shop.git").exists():
            self.git.git("init", "--quiet", "--bare", "--initial-branch=main", f"{self.served}/shop.git")
        self.git.git("push", "--quiet", f"{self.served}/shop.git", "main")
        return commit

    def bake(self) -> Ran:
        return self.run("build", "--progress", "plain", env={"KUBECONFIG": str(self.kubeconfig)})

    def refused(self) -> str:
        ran = self.bake()
        assert ran.code == 1
        assert FOUND not in ran.stderr
        return ran.stderr


KUBECONFIG = {
    "current-context": "test",
    "clusters": [{"name": "test", "cluster": {"server": "http://127.0.0.1:9"}}],
    "contexts": [{"name": "test", "context": {"cluster": "test", "user": ""}}],
}


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    found = Checkout(tmp_path)
    with GitServer(found.served) as server:
        found.git.git("remote", "add", "origin", f"{server.url}/shop.git")
        yield found


def test_a_commit_is_found_on_the_branch_that_has_it(checkout: Checkout) -> None:
    commit = checkout.push()
    ran = checkout.bake()
    assert f"/shop.git at {commit}, on refs/heads/main" in ran.stderr
    assert FOUND in ran.stderr


def test_a_commit_behind_the_newest_is_found_as_well(checkout: Checkout) -> None:
    old = checkout.push()
    checkout.write("site/a.txt", "b")
    checkout.push()
    checkout.git.git("checkout", "--quiet", old)
    assert f"at {old}, on refs/heads/main" in checkout.bake().stderr


def test_a_branch_that_others_moved_on_still_has_the_commit(checkout: Checkout, tmp_path: Path) -> None:
    commit = checkout.push()
    checkout.git.git("fetch", "--quiet", "origin")
    checkout.git.git("clone", "--quiet", f"{checkout.served}/shop.git", str(tmp_path / "other"))
    move_on = "git -c user.name=a -c user.email=a commit --quiet --allow-empty -m more && git push --quiet"
    subprocess.run(move_on, shell=True, cwd=tmp_path / "other", check=True)
    assert f"at {commit}, on refs/heads/main" in checkout.bake().stderr


def test_what_the_build_does_not_see_may_be_as_it_likes(checkout: Checkout) -> None:
    checkout.write("site/.dockerignore", "*.log\n.dockerignore\n")
    checkout.push()
    checkout.write("site/a.log", "not committed")
    checkout.write("notes", "neither")
    (checkout.root / "site/a.txt").chmod(0o664)  # git knows no more than whether a file may run
    assert FOUND in checkout.bake().stderr


def test_a_commit_that_was_not_pushed_is_refused(checkout: Checkout) -> None:
    checkout.push()
    commit = checkout.git.commit({"site/b.txt": "b"})
    said = checkout.refused()
    assert f"has the commit {commit[:12]} on no branch or tag" in said
    assert "`git push` it" in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("echo b > a.txt", "a.txt (it was changed"),
        ("echo b > b.txt", "b.txt (it is not in it)"),
        ("mkdir empty", "empty (git keeps no empty folders)"),
        ("chmod +x a.txt", "a.txt (it has other permissions)"),
        ("rm a.txt && ln -s Dockerfile a.txt", "a.txt (it was changed)"),
        ("ln -sf nowhere link", "link (it was changed)"),
        ("touch 1 2 3 4 5 6 7", "and 2 more"),
    ],
)
def test_what_the_commit_has_not_is_refused(checkout: Checkout, change: str, message: str) -> None:
    (checkout.root / "site/link").symlink_to("a.txt")
    checkout.push()
    subprocess.run(change, shell=True, cwd=checkout.root / "site", check=True)
    said = checkout.refused()
    assert message in said
    assert "commit and push it" in said


def test_a_file_that_git_filters_is_refused(checkout: Checkout) -> None:
    """Kaniko's git applies no filters: it would build with what stands in the commit."""
    checkout.write(".gitattributes", "*.bat text eol=crlf\n")
    checkout.write("site/run.bat", "dir\r\n")
    checkout.push()
    assert "run.bat (it was changed, or git filters it)" in checkout.refused()


def test_the_repository_itself_is_in_no_commit(checkout: Checkout) -> None:
    checkout.recipe(checkout.read("imgbake.toml").replace('context = "site"', 'context = "."'))
    checkout.push()
    assert ".git/HEAD (it is not in it)" in checkout.refused()


@pytest.mark.parametrize(
    ("remote", "message"),
    [
        ("git@example.com:me/shop.git", "Kaniko can't clone git@example.com:me/shop.git"),
        ("/srv/git/shop.git", "Kaniko can't clone /srv/git/shop.git"),
        ("", "has no remote"),
    ],
)
def test_a_remote_that_kaniko_cannot_clone_is_refused(checkout: Checkout, remote: str, message: str) -> None:
    checkout.push()
    if remote:
        checkout.git.git("remote", "set-url", "origin", remote)
    else:
        checkout.git.git("remote", "remove", "origin")
    said = checkout.refused()
    assert message in said
    assert "git+https://HOST/PATH" in said


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    project = Checkout(tmp_path)
    (project.root / ".git").rename(tmp_path / "git")
    assert "is in no git repository with a commit" in project.refused()


def test_a_private_repository_is_asked_with_what_the_executor_will_use(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_TOKEN", "s3cret-value")
    checkout.push()
    with GitServer(checkout.served, user="me", password="s3cret-value") as server:
        options = f'context = "git+{server.url}/shop.git"\n'
        checkout.configure(options)
        checkout.push()
        assert "If it is private" in checkout.refused()
        checkout.configure(
            options + 'env = { GIT_USERNAME = "me", GIT_PASSWORD = "{{ token }}" }\n'
            '[args]\ntoken = { secret = true, env = "GIT_TEST_TOKEN" }\n'
        )
        checkout.push()
        ran = checkout.bake()
    assert FOUND in ran.stderr
    assert "s3cret-value" not in ran.stderr
