"""Images as docker and umoci have them, entry by entry, to hold against what imgbake bakes.

A docker engine builds the Dockerfile that says what a recipe's components say. Of both images the whole file
tree is compared: kinds, permissions, owners, contents, what links hold, which names are one file, and
capabilities. Left out is what can't be the same:

    times                      ours are the epoch's, docker's those of the build
    attributes                 but security.capability, since docker keeps no other
    in /run and /tmp           that belongs to a running system and is in no layer of ours, but in docker's
    in /dev, /proc and /sys    docker makes folders and files there to mount its own over them
    `_STUBS`                   the same; what docker exports there is empty, whatever the image has
    a file's content           where it tells the time or numbers of the machine, see `differences`
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import msgspec

from imgbake_oci.tests.baked import docker, program

_OF_A_SYSTEM = re.compile(r"(dev|proc|sys)(/|$)|(run|tmp)/")
_STUBS = frozenset({".dockerenv", "etc/hosts", "etc/hostname", "etc/mtab", "etc/resolv.conf"})
_CAPABILITY = "security.capability"
_KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "symlink",
    tarfile.FIFOTYPE: "fifo",
    tarfile.CHRTYPE: "device",
    tarfile.BLKTYPE: "device",
}
_CLASSIC = {"DOCKER_BUILDKIT": "0"}
_SHELL = ("/bin/sh", "-c")


class Entry(msgspec.Struct, frozen=True):
    """What is at a path, but for its times."""

    kind: str
    mode: int
    owner: tuple[int, int]
    content: str = ""  # the digest of a file, what a symlink holds
    capability: bytes = b""
    names: tuple[str, ...] = ()  # all names of a file that has several


Tree = dict[str, Entry]


class Component(msgspec.Struct, frozen=True):
    """A component that a Dockerfile can say as well. `files` are paths of a folder, and where they go."""

    name: str
    build: tuple[str, ...]
    files: dict[str, str] = {}
    user: str = ""
    workdir: str = ""


def recipe(image: str, base: str, components: Sequence[Component], sources: str) -> str:
    """A recipe of an image; files come from the folder `sources`."""
    tables = {}
    for each in components:
        files = [{"from": f"{sources}/{path}", "to": to} for path, to in each.files.items()]
        said = {"build": each.build, "files": files, "user": each.user, "workdir": each.workdir}
        tables[each.name] = {key: value for key, value in said.items() if value}
    baked = {"base": base, "components": list(tables)}
    return msgspec.toml.encode({"components": tables, "images": {image: baked}}).decode()


def dockerfile(base: str, components: Sequence[Component]) -> str:
    """The same for docker, on an image of the engine."""
    lines = [f"FROM {base}"]
    for each in components:
        lines += [f"COPY {path} {to}" for path, to in each.files.items()]
        lines += [f"USER {each.user or 'root'}", f"WORKDIR {each.workdir or '/'}"]
        lines += [f"RUN {json.dumps([*_SHELL, command])}" for command in each.build]
    return "\n".join([*lines, ""])


def differences(
    ours: Tree, theirs: Tree, contents: Sequence[str] = ()
) -> dict[str, tuple[Entry | None, Entry | None]]:
    """What is not the same, by path. Of the files `contents` the content doesn't count."""
    found = {}
    for path in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(path), theirs.get(path)
        if path in contents and one and other:
            one, other = (msgspec.structs.replace(each, content="") for each in (one, other))
        if one != other and path not in _STUBS and not _OF_A_SYSTEM.match(path):
            found[path] = (one, other)
    return found


def exported(image: str, folder: Path) -> Tree:
    """The tree of an image of the engine."""
    container = docker("create", "--network=none", image).strip()
    archive = folder / f"{container}.tar"
    try:
        docker("export", "--output", str(archive), container)
        return of_tar(archive)
    finally:
        docker("rm", container)
        archive.unlink(missing_ok=True)


def built(text: str, context: Path) -> str:
    """The id of the image that docker's classic builder makes of a Dockerfile."""
    docker("version")
    command = [program("docker"), "build", "--quiet", "--network=none", "--file=-", str(context)]
    return _printed(command, text).strip()


def loaded(archive: Path) -> str:
    """The name of the image in a docker archive, which the engine has from now on."""
    return docker("load", "--quiet", "--input", str(archive)).rpartition(": ")[2].strip()


def unpacked(layout: Path, to: Path) -> Tree:
    """The tree that umoci makes of the image in an OCI layout. For root."""
    umoci = program("umoci")
    tags = subprocess.run(
        [umoci, "list", "--layout", str(layout)], capture_output=True, text=True, check=True
    )
    command = [umoci, "unpack", "--image", f"{layout}:{tags.stdout.split()[0]}", str(to)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return of_folder(to / "rootfs")


def of_tar(path: Path) -> Tree:
    """The tree of an archive, in which each path is there once."""
    tree: Tree = {}
    links = defaultdict(list)
    with tarfile.open(path) as tar:
        for info in tar:
            name = info.name.removeprefix("./").strip("/")
            if info.islnk():
                links[info.linkname].append(name)
            elif name not in ("", "."):
                tree[name] = _member(info, tar)
    return _with_names(tree, [(first, *others) for first, others in links.items()])


def of_folder(root: Path) -> Tree:
    """The tree of a folder."""
    tree: Tree = {}
    inodes = defaultdict(list)
    for path in _below(root):
        name, found = str(path.relative_to(root)), path.lstat()
        tree[name] = _entry(path, found)
        if stat.S_ISREG(found.st_mode):
            inodes[found.st_ino].append(name)
    return _with_names(tree, [tuple(names) for names in inodes.values() if len(names) > 1])


def _printed(command: Sequence[str], given: str = "") -> str:
    """What a program prints that is given this text."""
    done = subprocess.run(
        command, input=given, env={**os.environ, **_CLASSIC}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def _member(info: tarfile.TarInfo, tar: tarfile.TarFile) -> Entry:
    kind, content = _KINDS[info.type], info.linkname
    if kind == "file":
        file = tar.extractfile(info)
        assert file is not None
        content = _digest(file)
    elif kind == "device":
        content = f"{info.devmajor}:{info.devminor}"
    capability = info.pax_headers.get(f"SCHILY.xattr.{_CAPABILITY}", "")
    mode = 0o777 if kind == "symlink" else stat.S_IMODE(info.mode)  # docker adds the kind
    return Entry(kind, mode, (info.uid, info.gid), content, capability.encode("utf-8", "surrogateescape"))


def _entry(path: Path, found: os.stat_result) -> Entry:
    kind, content, capability = "file", "", b""
    if stat.S_ISLNK(found.st_mode):
        kind, content = "symlink", str(path.readlink())
    elif stat.S_ISDIR(found.st_mode):
        kind = "dir"
    elif stat.S_ISFIFO(found.st_mode):
        kind = "fifo"
    elif not stat.S_ISREG(found.st_mode):
        kind, content = "device", f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    else:
        with path.open("rb") as file:
            content = _digest(file)
        if _CAPABILITY in os.listxattr(path):
            capability = os.getxattr(path, _CAPABILITY)
    return Entry(kind, stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid), content, capability)


def _with_names(tree: Tree, groups: Sequence[tuple[str, ...]]) -> Tree:
    """The tree with the names of each file that has several."""
    for group in groups:
        names = tuple(sorted(group))
        for name in names:
            tree[name] = msgspec.structs.replace(tree[group[0]], names=names)
    return tree


def _below(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        yield from (Path(folder, name) for name in folders + files)


def _digest(file: IO[bytes]) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # it is a reader
