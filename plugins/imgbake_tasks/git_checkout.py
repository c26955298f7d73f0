"""A commit's files as a folder that is the same on every machine.

Only what is in the repository decides how files are written (`.gitattributes`, say): the user's own
git configuration is not read, so no filter runs and no line ending is changed by it. Files kept by
Git LFS stay the pointers that are in the commit.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from imgbake.api import RunContext, StepError, did_you_mean, digest
from imgbake_tasks import address, git_mirror, git_remote, place
from imgbake_tasks.address import Address
from imgbake_tasks.git_mirror import Mirror, Source

_ALONE = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_LITERAL_PATHSPECS": "1",
}
_SUBMODULE = "160000"  # the mode of a tree's entry that is a commit of another repository


def checkout(source: Source, subdir: str, submodules: bool, ctx: RunContext) -> Path:
    """The commit's files, or those of one folder of it, in a new folder below `ctx.work`.

    Raises StepError when the repository, the commit, the folder or a submodule isn't there.
    """
    into = ctx.work / "tree"
    _export(source, subdir.strip("/"), submodules, into, ctx)
    return into / subdir


def put(tree: Path, to: Path, ctx: RunContext) -> None:
    """Puts a checkout in its place. A folder there that was no checkout is kept, and the log says where."""
    name = digest.of_bytes(str(to.relative_to(ctx.root)).encode())[7:39]
    ours = ctx.root / ".imgbake" / "git" / f"{name}.made"
    if to.is_dir() and any(to.iterdir()) and not ours.exists() and to != ctx.root / ctx.folder:
        aside = ctx.root / ".imgbake" / "replaced" / name
        place.put_folder(to, aside)
        ctx.log(
            f"{to.relative_to(ctx.root)} was no checkout of ours; it is now {aside.relative_to(ctx.root)}"
        )
    ours.touch()
    place.put_folder(tree, to)


def _export(source: Source, subdir: str, submodules: bool, into: Path, ctx: RunContext) -> None:
    modules: dict[str, Source] = {}

    def work(mirror: Mirror) -> None:
        _write(mirror, source, subdir, into, ctx)
        if submodules:
            modules.update(_submodules(mirror, source, subdir))

    git_mirror.use(source, ctx, work)
    for path, module in modules.items():
        where = place.inside(into, path)
        _export(module, "", True, where, ctx)


def _write(mirror: Mirror, source: Source, subdir: str, into: Path, ctx: RunContext) -> None:
    if subdir:
        _find(mirror, source, subdir)
    into.mkdir(parents=True, exist_ok=True)
    index = into.with_name(f".{into.name}.index")
    env = {**_ALONE, "GIT_INDEX_FILE": str(index)}
    try:
        mirror.git("read-tree", source.commit, env=env)
        tree = f"--work-tree={into}"
        words = ("checkout", "--quiet", "--", subdir) if subdir else ("checkout-index", "--all", "--force")
        mirror.git(tree, *words, env=env, cwd=into)
    except StepError as error:
        raise git_mirror.Unusable(f"{source.address.plain} can't be checked out", tail=error.tail) from None
    finally:
        index.unlink(missing_ok=True)


def _find(mirror: Mirror, source: Source, subdir: str) -> None:
    """Raises StepError when the commit has no such folder."""
    kind = mirror.git("cat-file", "-t", f"{source.commit}:{subdir}", check=False).strip()
    if kind == "tree":
        return
    where = f"{source.address.plain} at {source.commit[:12]}"
    if kind:
        raise StepError(f"'{subdir}' is not a folder in {where}", hint="`subdir` names a folder")
    listed = mirror.git("ls-tree", "-r", "-d", "--name-only", "-z", source.commit)
    raise StepError(
        f"there is no folder '{subdir}' in {where}", hint=did_you_mean(subdir, listed.split("\0")[:-1])
    )


def _submodules(mirror: Mirror, source: Source, subdir: str) -> dict[str, Source]:
    """The submodules below a folder of a commit: path to commit. Raises StepError for one without a url."""
    found: dict[str, Source] = {}
    urls: dict[str, str] | None = None
    for line in mirror.git("ls-tree", "-r", "-z", source.commit).split("\0")[:-1]:
        about, _, path = line.partition("\t")
        mode, _, commit = about.split(" ")
        if mode != _SUBMODULE or not PurePosixPath(path).is_relative_to(subdir):
            continue
        urls = _urls(mirror, source) if urls is None else urls
        if path not in urls:
            hint = "the repository is at fault: it has a submodule that its .gitmodules doesn't name"
            raise StepError(f"{source.address.plain}: the submodule '{path}' has no url", hint=hint)
        found[path] = _module(source, urls[path], commit)
    return found


def _module(source: Source, url: str, commit: str) -> Source:
    """A submodule's source. It shares its parent's password only when it is on the same host."""
    target = address.parsed(_absolute(source.address.plain, url))
    if git_remote.same_host(source.address, target):
        target = Address(target.plain, source.address.user, source.address.password)
    trusted = source.trusted and git_remote.is_local(source.address)
    return Source(target, commit, source.depth, trusted=trusted)


def _urls(mirror: Mirror, source: Source) -> dict[str, str]:
    """Path to url, as .gitmodules says (gitmodules(5))."""
    pattern = r"^submodule\..*\.(path|url)$"
    words = ("config", "--blob", f"{source.commit}:.gitmodules", "-z", "--get-regexp", pattern)
    paths: dict[str, str] = {}
    urls: dict[str, str] = {}
    for item in mirror.git(*words, check=False).split("\0")[:-1]:
        key, _, value = item.partition("\n")
        name, _, what = key.rpartition(".")
        (paths if what == "path" else urls)[name] = value
    return {path: urls[name] for name, path in paths.items() if name in urls}


def _absolute(parent: str, url: str) -> str:
    """A submodule's url, which may be relative to its parent's (git-submodule(1), add)."""
    if not url.startswith(("./", "../")):
        return url
    parent = parent.rstrip("/") + "/"
    while url.startswith(("./", "../")):
        step, _, url = url.partition("/")
        if step == "..":  # host:path ends its host with a colon instead
            parent = parent[: max(parent.rfind("/", 0, -1), parent.rfind(":", 0, -1)) + 1]
    return parent + url
