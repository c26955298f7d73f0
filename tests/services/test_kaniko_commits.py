"""Contexts that the real Kaniko clones: a commit of a private repository, from a real git server."""

from __future__ import annotations

import pytest

from imgbake.testing.git import GitRepository, GitServer
from imgbake_kaniko.tests.in_cluster import InCluster

DOCKERFILE = """
FROM BASE
# the shop
COPY . /srv/
RUN ls /srv > /listed
"""
IGNORE = """
.dockerignore
Dockerfile
**/node_modules
!lib/deep/node_modules/kept.js
*.[l]og
"""
SEEN = ["a.txt", "lib/deep/node_modules/kept.js", "link", "odd !#[x]*.txt", "run.sh"]


@pytest.mark.parametrize("login", ["url", "env"])
def test_kaniko_builds_from_a_commit_what_was_seen_here(
    project: InCluster, monkeypatch: pytest.MonkeyPatch, login: str
) -> None:
    """`.dockerignore` is read here: Kaniko reads what is deep below `**` otherwise."""
    monkeypatch.setenv("GIT_TEST_TOKEN", "s3cret-value")
    root = project.root / "checkout"
    repository = GitRepository(root)
    inside = InCluster(root / "shop", project.cluster, project.base)
    furnish(inside)
    served = project.root / "served"
    served.mkdir()
    with GitServer(served, user="me", password="s3cret-value") as server:
        there = f"{server.url}/all.git"
        if login == "url":
            repository.git("remote", "add", "origin", there.replace("//", "//me:s3cret-value@"))
            configure(inside, 'context = "git"')
        else:
            configure(inside, f'context = "git+{there}"\nenv = {{ GIT_USERNAME = "me", {PASSWORD} }}')
        commit = repository.commit({".gitignore": ".imgbake\n"})
        repository.git("clone", "--quiet", "--bare", str(root), str(served / "all.git"))
        (inside.root / "lib/gone.txt").unlink()  # nor does the build see it in the commit
        ran = inside.build()
    facts = next(node for node in ran.json["nodes"] if node["node"] == "image:app@kaniko")["artifact"][
        "facts"
    ]
    assert (facts["commit"], facts["repository"]) == (commit, there)
    assert [each.split()[0] for each in facts["resources"]] == ["Job", "Secret"]
    assert "s3cret-value" not in ran.stdout + ran.stderr
    assert found(inside) == SEEN
    assert inside.left() == []
    inside.write("lib/node_modules/a.js", "changed, and unseen")
    assert inside.build().outcomes()["image:app@kaniko"] == "cached"
    kept = [path.read_bytes() for path in (inside.root / ".imgbake").rglob("*") if path.is_file()]
    assert not any(b"s3cret-value" in data for data in kept)


PASSWORD = 'GIT_PASSWORD = "{{ token }}"'


def configure(project: InCluster, options: str) -> None:
    """The image is in a folder of the repository, and its context below that."""
    project.image('[components.a]\nbuild = "true"', options=options)
    project.recipe(
        '[args]\ntoken = { secret = true, env = "GIT_TEST_TOKEN" }\n'
        + project.read("imgbake.toml").partition("[components")[0]
        + '[images.app]\ndockerfile = "site/Dockerfile"\ncontext = "site"\ntargets = ["kaniko"]\n'
    )


def furnish(project: InCluster) -> None:
    project.write("outside.txt", "o")
    project.write("site/Dockerfile", DOCKERFILE.replace("BASE", project.base))
    project.write("site/.dockerignore", IGNORE)
    project.write("site/a.txt", "a")
    project.write("site/a.log", "unseen")
    project.write("site/odd !#[x]*.txt", "odd")
    project.write("site/odder !#[x]*.log", "unseen")
    project.write("site/run.sh", "#!/bin/sh\n").chmod(0o755)
    (project.root / "site/link").symlink_to("a.txt")
    for name in ("lib/deep/node_modules/kept.js", "lib/deep/node_modules/x/a.js", "lib/node_modules/a.js"):
        project.write(f"site/{name}", "js")
    project.write("lib/gone.txt", "g")


def found(project: InCluster) -> list[str]:
    """What stands below /srv in the image, folders apart."""
    tree = project.pulled()[0]
    names = [path.removeprefix("srv/") for path in sorted(tree) if path.startswith("srv/")]
    return [name for name in names if not any(other.startswith(f"{name}/") for other in names)]
