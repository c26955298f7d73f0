from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import msgspec
import pytest

from imgbake.errors import StepError
from imgbake.testing.git import GitRepository, GitServer
from imgbake_tasks import git_remote
from imgbake_tasks.git import Git, GitOptions
from imgbake_tasks.tests.taskbench import Bench, needs, options

pytestmark = needs("git")


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    found = GitRepository(tmp_path / "served" / "assets")
    found.commit({"a.txt": "one\n", "sub/b.txt": "two\n", "sub/deep/c.txt": "three\n"})
    return found


def git(repository: GitRepository | str, **values: object) -> Git:
    url = repository if isinstance(repository, str) else repository.url
    return Git(options(GitOptions, url=url, **values))


def head(repository: GitRepository, ref: str = "HEAD") -> str:
    return repository.git("rev-parse", f"{ref}^{{commit}}")


def test_the_files_of_the_newest_commit(bench: Bench, repository: GitRepository) -> None:
    step = git(repository)
    artifact = bench.run(step)
    assert step.outputs("f") == ("f",)
    assert bench.files(".imgbake/tasks/t") == {
        "a.txt": "one\n",
        "sub/b.txt": "two\n",
        "sub/deep/c.txt": "three\n",
    }
    assert artifact.reference == head(repository)
    assert artifact.facts == {"url": repository.url, "ref": "HEAD", "commit": head(repository)}


def test_the_commit_decides(bench: Bench, repository: GitRepository) -> None:
    looked = bench.look(git(repository, ref="main"))
    assert looked.parts == {"commit": head(repository)}
    assert looked.volatile
    assert not (bench.root / ".imgbake" / "git").exists()


def test_a_new_commit_replaces_the_files(bench: Bench, repository: GitRepository) -> None:
    bench.run(git(repository, to="vendor/assets"))
    repository.git("rm", "-q", "a.txt")
    newest = repository.commit({"d.txt": "four"})
    git_remote.forget()
    assert bench.run(git(repository, to="vendor/assets")).reference == newest
    assert set(bench.files("vendor")) == {"assets/d.txt", "assets/sub/b.txt", "assets/sub/deep/c.txt"}
    assert [path.name for path in (bench.root / "vendor").iterdir()] == ["assets"]


def test_one_process_asks_once(bench: Bench, repository: GitRepository) -> None:
    before = head(repository)
    bench.look(git(repository))
    repository.commit({"a.txt": "new"})
    assert bench.look(git(repository)).parts == {"commit": before}
    assert bench.run(git(repository)).reference == before


@pytest.mark.parametrize("ref", ["v1", "v2", "refs/tags/v1", "topic/x", "refs/heads/topic/x", "tags/v1"])
def test_refs(bench: Bench, repository: GitRepository, ref: str) -> None:
    repository.git("tag", "v1")
    repository.git("branch", "topic/x")
    repository.commit({"a.txt": "new"})
    repository.git("tag", "-m", "with a message", "v2")
    assert bench.run(git(repository, ref=ref)).reference == head(repository, ref)


def test_a_branch_goes_before_a_tag_of_its_name(bench: Bench, repository: GitRepository) -> None:
    repository.git("tag", "both")
    repository.commit({"a.txt": "new"})
    repository.git("branch", "both")
    assert bench.run(git(repository, ref="both")).reference == head(repository, "refs/heads/both")


def test_a_ref_is_not_the_end_of_another(bench: Bench, repository: GitRepository) -> None:
    repository.git("branch", "feature/main2")
    with pytest.raises(StepError, match="has no branch or tag 'main2'") as caught:
        bench.look(git(repository, ref="main2"))
    assert "main" in caught.value.hint


def test_a_full_commit_id_is_asked_of_nobody(bench: Bench, repository: GitRepository) -> None:
    old = head(repository)
    repository.commit({"a.txt": "new"})
    step = git(repository, ref=old)
    looked = bench.look(step)
    assert (looked.parts, looked.volatile) == ({"commit": old}, False)
    assert bench.run(step).reference == old
    assert bench.files(".imgbake/tasks/t")["a.txt"] == "one\n"
    repository.folder.rename(repository.folder.with_name("gone"))
    assert bench.run(step).reference == old


def test_a_short_commit_id(bench: Bench, repository: GitRepository) -> None:
    with pytest.raises(StepError) as caught:
        bench.look(git(repository, ref=head(repository)[:10]))
    assert "40 hex digits" in caught.value.hint


def test_the_lock_names_the_commit(bench: Bench, repository: GitRepository) -> None:
    old = head(repository)
    step = git(repository, ref="main")
    pin = step.pin(bench.looking())
    assert (pin.table, pin.key, pin.value) == ("git", f"{repository.url}#main", old)
    repository.commit({"a.txt": "new"})
    bench.lock[pin.table, pin.key] = pin.value
    looked = bench.look(step)
    assert (looked.parts, looked.volatile) == ({"commit": old}, False)
    assert bench.run(step).reference == old


def test_a_lock_that_holds_no_commit(bench: Bench, repository: GitRepository) -> None:
    bench.lock["git", f"{repository.url}#HEAD"] = "main"
    with pytest.raises(StepError, match="pinned to 'main', which is no commit id"):
        bench.look(git(repository))


def test_a_subdir(bench: Bench, repository: GitRepository) -> None:
    bench.run(git(repository, subdir="sub", to="vendor"))
    assert bench.files("vendor") == {"b.txt": "two\n", "deep/c.txt": "three\n"}
    bench.run(git(repository, subdir="sub/deep/", to="vendor"))
    assert bench.files("vendor") == {"c.txt": "three\n"}


def test_a_subdir_that_is_not_there(bench: Bench, repository: GitRepository) -> None:
    with pytest.raises(StepError, match="there is no folder 'sub/dep' in file://") as caught:
        bench.run(git(repository, subdir="sub/dep"))
    assert "'sub/deep'" in caught.value.hint
    with pytest.raises(StepError, match="is not a folder"):
        bench.run(git(repository, subdir="a.txt"))
    assert not (bench.root / ".imgbake/tasks/t").exists()


def test_a_commit_that_is_not_there(bench: Bench, repository: GitRepository) -> None:
    with pytest.raises(StepError, match=f"{repository.url} has no commit {'1' * 40}"):
        bench.run(git(repository, ref="1" * 40))
    bench.run(git(repository))
    with pytest.raises(StepError, match="has no commit"):
        bench.run(git(repository, ref="1" * 40))


def test_a_repository_that_is_not_there(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="can't be read") as caught:
        bench.look(git((tmp_path / "nowhere").as_uri()))
    assert "imgbake lock" in caught.value.hint
    assert caught.value.tail
    with pytest.raises(StepError, match="can't be read"):
        bench.run(git((tmp_path / "nowhere").as_uri(), ref="1" * 40))


def test_a_path_relative_to_the_project(bench: Bench, repository: GitRepository) -> None:
    url = os.path.relpath(repository.folder, bench.root)
    assert bench.run(git(url)).reference == head(repository)


def test_modes_and_symlinks(bench: Bench, repository: GitRepository) -> None:
    (repository.folder / "run").write_text("#!/bin/sh\n")
    (repository.folder / "run").chmod(0o755)
    (repository.folder / "link").symlink_to("sub/b.txt")
    repository.commit({})
    bench.run(git(repository, to="got"))
    assert os.access(bench.root / "got/run", os.X_OK)
    assert not os.access(bench.root / "got/a.txt", os.X_OK)
    assert os.readlink(bench.root / "got/link") == "sub/b.txt"  # noqa: PTH115  # the text, whatever it names


def test_the_users_configuration_changes_no_file(
    bench: Bench, repository: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit(
        {".gitattributes": "*.bin filter=lfs\ncrlf.txt eol=crlf\n", "x.bin": "pointer", "crlf.txt": "a\n"}
    )
    config = tmp_path / "gitconfig"
    config.write_text(
        "[core]\n autocrlf = true\n hooksPath = /nonexistent\n"
        '[filter "lfs"]\n smudge = echo changed\n required = true\n'
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    bench.run(git(repository, to="got"))
    assert (bench.root / "got/x.bin").read_bytes() == b"pointer"
    assert (bench.root / "got/a.txt").read_bytes() == b"one\n"
    assert (bench.root / "got/crlf.txt").read_bytes() == b"a\r\n"
    bench.run(git(repository, to="part", subdir="sub"))
    assert (bench.root / "part/b.txt").read_bytes() == b"two\n"


def test_it_works_inside_a_hook_of_git(
    bench: Bench, repository: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"):
        monkeypatch.setenv(name, "/nonexistent")
    bench.run(git(repository))
    assert "a.txt" in bench.files(".imgbake/tasks/t")


def test_a_folder_of_the_users_is_kept(bench: Bench, repository: GitRepository) -> None:
    (bench.root / "src").mkdir()
    (bench.root / "src/mine.txt").write_text("precious")
    bench.run(git(repository, to="src"))
    assert "a.txt" in bench.files("src")
    assert "precious" in bench.files(".imgbake/replaced").values()
    assert any("src was no checkout of ours" in line for line in bench.lines)
    bench.run(git(repository, to="src"))
    assert len(bench.files(".imgbake/replaced")) == 1


def test_the_checkout_has_no_history(bench: Bench, repository: GitRepository) -> None:
    bench.run(git(repository, to="got"))
    assert not (bench.root / "got/.git").exists()


def test_an_empty_commit(bench: Bench, tmp_path: Path) -> None:
    repository = GitRepository(tmp_path / "empty")
    repository.commit({})
    bench.run(git(repository, to="got"))
    assert list((bench.root / "got").iterdir()) == []


def test_a_symlink_out_of_the_project_is_refused(
    bench: Bench, repository: GitRepository, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (bench.root / "vendor").symlink_to(tmp_path / "outside")
    with pytest.raises(StepError, match="outside the project"):
        bench.run(git(repository, to="vendor/assets"))


# Submodules


@pytest.fixture
def family(tmp_path: Path, repository: GitRepository) -> GitRepository:
    """A repository with `assets` as a submodule by a relative url, and that has one itself."""
    inner = GitRepository(tmp_path / "served" / "inner")
    inner.commit({"inner.txt": "inner"})
    repository.git("submodule", "--quiet", "add", "../inner", "lib/inner")
    repository.commit({})
    outer = GitRepository(tmp_path / "served" / "outer")
    outer.commit({"outer.txt": "outer"})
    outer.git("submodule", "--quiet", "add", "../assets", "sub/assets")
    outer.commit({})
    return outer


def test_submodules_all_the_way_down(bench: Bench, family: GitRepository) -> None:
    bench.run(git(family, submodules=True, to="got"))
    files = bench.files("got")
    assert files["outer.txt"] == "outer"
    assert files["sub/assets/a.txt"] == "one\n"
    assert files["sub/assets/lib/inner/inner.txt"] == "inner"
    assert not list((bench.root / "got").rglob(".git"))


def test_without_submodules(bench: Bench, family: GitRepository) -> None:
    bench.run(git(family, to="got"))
    assert set(bench.files("got")) == {"outer.txt", ".gitmodules"}


def test_submodules_of_a_subdir(bench: Bench, family: GitRepository) -> None:
    bench.run(git(family, submodules=True, subdir="sub", to="got"))
    assert bench.files("got")["assets/lib/inner/inner.txt"] == "inner"


def test_a_submodule_stays_at_its_commit(
    bench: Bench, family: GitRepository, repository: GitRepository
) -> None:
    repository.commit({"a.txt": "newer than the submodule"})
    bench.run(git(family, submodules=True, to="got"))
    assert bench.files("got")["sub/assets/a.txt"] == "one\n"


def test_submodules_by_http(bench: Bench, family: GitRepository, tmp_path: Path) -> None:
    bench.secrets = {"token": "s3cret-value"}
    with GitServer(tmp_path / "served", user="me", password="s3cret-value") as server:
        url = server.url.replace("//", "//me:{{ token }}@") + "/outer/.git"
        with pytest.raises(
            StepError
        ):  # its submodules are at ../assets, which is no repository of the server
            bench.run(git(url, submodules=True))
        family.git("config", "-f", ".gitmodules", "submodule.sub/assets.url", "../../assets/.git")
        family.commit({})
        git_remote.forget()
        with pytest.raises(StepError, match="/inner can't be read"):
            bench.run(git(url, submodules=True))
    assert "s3cret" not in bench.everything()


def test_a_repository_elsewhere_may_not_name_files_here(
    bench: Bench, family: GitRepository, tmp_path: Path
) -> None:
    family.git(
        "config", "-f", ".gitmodules", "submodule.sub/assets.url", (tmp_path / "served/assets").as_uri()
    )
    family.commit({})
    with GitServer(tmp_path / "served") as server, pytest.raises(StepError):
        bench.run(git(f"{server.url}/outer/.git", submodules=True))
    assert any("transport 'file' not allowed" in line for line in bench.lines)


# Servers


def test_a_smart_http_server(bench: Bench, repository: GitRepository, tmp_path: Path) -> None:
    with GitServer(tmp_path / "served") as server:
        step = git(f"{server.url}/assets/.git", ref="main")
        assert bench.look(step).parts == {"commit": head(repository)}
        bench.run(step)
    assert bench.files(".imgbake/tasks/t")["a.txt"] == "one\n"


def test_the_next_fetch_is_small(bench: Bench, repository: GitRepository, tmp_path: Path) -> None:
    repository.commit({f"large/{number}": os.urandom(20_000) for number in range(50)})
    with GitServer(tmp_path / "served") as server:
        step = git(f"{server.url}/assets/.git")
        bench.run(step)
        first, server.sent = server.sent, 0
        repository.commit({"a.txt": "new"})
        git_remote.forget()
        bench.run(step)
    assert bench.files(".imgbake/tasks/t")["a.txt"] == "new"
    assert first > 1_000_000
    assert server.sent < 20_000


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_depth(bench: Bench, repository: GitRepository, depth: int) -> None:
    for number in range(5):
        repository.commit({"a.txt": str(number)})
    bench.run(git(repository, depth=1))
    git_remote.forget()
    newest = repository.commit({"a.txt": "newest"})
    bench.run(git(repository, depth=depth))
    (mirror,) = (bench.root / ".imgbake/git").glob("*/HEAD")
    count = subprocess.check_output(
        ["git", f"--git-dir={mirror.parent}", "rev-list", "--count", newest], text=True
    )
    assert int(count) == {0: 7, 1: 1, 3: 3}[depth]


def test_a_dumb_server(bench: Bench, repository: GitRepository, tmp_path: Path) -> None:
    repository.git("update-server-info")
    with GitServer(tmp_path / "served", dumb=True) as server:
        step = git(f"{server.url}/assets/.git")
        bench.run(step)
    assert bench.files(".imgbake/tasks/t")["a.txt"] == "one\n"


def test_a_password(bench: Bench, repository: GitRepository, tmp_path: Path) -> None:
    bench.secrets = {"token": "s3cret/v@lue%"}
    with GitServer(tmp_path / "served", user="me", password="s3cret/v@lue%") as server:
        plain = f"{server.url}/assets/.git"
        step = git(plain.replace("//", "//me:{{ token }}@"))
        looked = bench.look(step)
        artifact = bench.run(step)
    assert artifact.facts["url"] == plain
    assert "s3cret" not in bench.everything(looked, artifact)


@pytest.mark.parametrize("user", ["", "me:wr0ng-s3cret@", "me:{{ token }}@", "{{ token }}@"])
def test_a_wrong_password(bench: Bench, repository: GitRepository, tmp_path: Path, user: str) -> None:
    bench.secrets = {"token": "wr0ng-s3cret"}
    with GitServer(tmp_path / "served", user="me", password="right") as server:
        url = f"{server.url}/assets/.git".replace("//", f"//{user}")
        with pytest.raises(
            StepError, match=f"git repository {server.url}/assets/.git can't be read"
        ) as caught:
            bench.look(git(url))
        with pytest.raises(StepError) as later:
            bench.run(git(url, ref="1" * 40))
    for error in (caught.value, later.value):
        assert "it wants a password" in error.hint
        assert "wr0ng" not in bench.everything(error, error.hint, error.tail, error.__context__)


def test_the_password_is_in_no_command_line(
    bench: Bench, repository: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.secrets = {"token": "s3cret-value"}
    real, bin_folder = shutil.which("git"), tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "git").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/seen\nexec {real} "$@"\n')
    (bin_folder / "git").chmod(0o755)
    with GitServer(tmp_path / "served", user="me", password="s3cret-value") as server:
        monkeypatch.setenv("PATH", f"{bin_folder}:{os.environ['PATH']}")
        step = git(f"{server.url}/assets/.git".replace("//", "//me:{{ token }}@"))
        bench.look(step)
        bench.run(step)
    seen = (tmp_path / "seen").read_text()
    assert "fetch" in seen
    assert "s3cret" not in seen


def test_a_fetch_that_breaks_off(bench: Bench, repository: GitRepository, tmp_path: Path) -> None:
    repository.commit({f"large/{number}": os.urandom(20_000) for number in range(20)})
    with GitServer(tmp_path / "served") as server:
        step = git(f"{server.url}/assets/.git")
        bench.look(step)
        server.http.fault("/assets/.git/git-upload-pack", times=20, truncate=True, after=100_000)
        with pytest.raises(StepError):
            bench.run(step)
        server.http.heal()
        bench.run(step)
    assert len(bench.files(".imgbake/tasks/t/large")) == 20


# Survival


def test_what_a_killed_fetch_leaves_is_in_no_way(bench: Bench, repository: GitRepository) -> None:
    bench.run(git(repository))
    (mirror,) = (path.parent for path in (bench.root / ".imgbake/git").glob("*/HEAD"))
    for left in ("shallow.lock", "HEAD.lock", "packed-refs.lock", "config.lock", "refs/imgbake/x.lock"):
        (mirror / left).write_text("")
    (mirror / "objects/pack/tmp_pack_123").write_bytes(b"half")
    mirror.with_suffix(".new").mkdir()
    newest = repository.commit({"a.txt": "new"})
    git_remote.forget()
    assert bench.run(git(repository)).reference == newest
    assert not list(mirror.glob("objects/pack/tmp_*"))


@pytest.mark.parametrize("damage", ["empty", "no-objects", "half-a-pack", "no-head", "shallow"])
def test_a_damaged_mirror_is_made_anew(bench: Bench, repository: GitRepository, damage: str) -> None:
    bench.run(git(repository))
    (mirror,) = (path.parent for path in (bench.root / ".imgbake/git").glob("*/HEAD"))
    if damage == "empty":
        shutil.rmtree(mirror)
        mirror.mkdir()
    elif damage == "no-objects":
        shutil.rmtree(mirror / "objects/pack")
    elif damage == "half-a-pack":
        for pack in (mirror / "objects/pack").glob("*.pack"):
            pack.chmod(0o644)
            pack.write_bytes(pack.read_bytes()[:-30])
    elif damage == "no-head":
        (mirror / "HEAD").write_bytes(b"")
    else:
        (mirror / "shallow").write_bytes(b"\0" * 50)
    shutil.rmtree(bench.root / ".imgbake/tasks/t")
    bench.run(git(repository))
    assert bench.files(".imgbake/tasks/t")["a.txt"] == "one\n"
    newest = repository.commit({"a.txt": "new"})
    git_remote.forget()
    assert bench.run(git(repository)).reference == newest
    assert bench.files(".imgbake/tasks/t")["a.txt"] == "new"


def test_killed_at_any_moment(bench: Bench, repository: GitRepository, tmp_path: Path) -> None:
    """A run killed with all its children leaves a state from which the next run succeeds."""
    repository.commit({f"large/{number}": os.urandom(3000) for number in range(300)})
    program = tmp_path / "run.py"
    program.write_text(
        textwrap.dedent(f"""
        from pathlib import Path
        from imgbake_tasks.tests.taskbench import Bench, options
        from imgbake_tasks.git import Git, GitOptions
        Bench(Path({str(bench.root)!r})).run(Git(options(GitOptions, url={repository.url!r}, to="got")))
        """)
    )
    for round_ in range(12):
        if round_ % 4 == 0:
            shutil.rmtree(bench.root / ".imgbake", ignore_errors=True)
        process = subprocess.Popen([sys.executable, str(program)], env={**os.environ, "KILLED": str(round_)})
        time.sleep(0.1 + 0.04 * round_)
        process.kill()
        process.wait()
        _kill_marked(f"KILLED={round_}")
    bench.run(git(repository, to="got"))
    assert len(bench.files("got/large")) == 300
    assert [path.name for path in bench.root.iterdir() if "imgbake-" in path.name] == []


def _kill_marked(marker: str) -> None:
    """Ends what the killed process left running, as the engine does."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if marker.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    os.kill(int(entry.name), signal.SIGKILL)
            except OSError:
                continue


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"url": "--upload-pack=x"}, "can't start with '-'"),
        ({"ref": "-x"}, "can't start with '-'"),
        ({"to": "."}, "can't be the project itself"),
        ({"to": "./"}, "can't be the project itself"),
        ({"to": "../x"}, "must stay inside"),
        ({"subdir": "../x"}, "must stay inside"),
        ({"depth": -1}, ">= 0"),
        ({"branch": "main"}, "unknown field"),
    ],
)
def test_wrong_options(values: dict[str, object], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        options(GitOptions, **{"url": "https://example.com/a.git", **values})
