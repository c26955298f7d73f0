"""Images as values: every entry of their file trees, and how they say that they are run."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

_IGNORED = ("Hostname", "Domainname", "Image", "OnBuild", "ArgsEscaped", "MacAddress", "NetworkDisabled")
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_STREAMS = ("AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce")


def image(archive: Path) -> tuple[dict[str, tuple[Any, ...]], dict[str, Any]]:
    """The tree and the configuration of the only image of a docker archive.

    An entry is its kind, permissions, owner and content; hard links are the same number.
    """
    with tarfile.open(archive) as tar:
        listing = json.load(_file(tar, "manifest.json"))[0]
        config = json.load(_file(tar, listing["Config"]))
        tree: dict[str, tuple[Any, ...]] = {}
        for name in listing["Layers"]:
            with tarfile.open(fileobj=_file(tar, name)) as layer:
                _apply(layer, tree)
    return _with_links_counted(tree), _plain(config["config"])


def _file(tar: tarfile.TarFile, name: str) -> Any:
    found = tar.extractfile(name)
    assert found is not None
    return found


def _apply(layer: tarfile.TarFile, tree: dict[str, tuple[Any, ...]]) -> None:
    """Puts a layer on top (image-spec, layer.md). The last member is what makes a hard link one file."""
    for member in layer:
        path = member.name.strip("/").removeprefix("./")
        folder, _, name = path.rpartition("/")
        if name == ".wh..wh..opq":
            _remove(tree, folder, keep=True)
        elif name.startswith(".wh."):
            _remove(tree, f"{folder}/{name[4:]}".strip("/"))
        elif member.islnk():
            tree[path] = tree[member.linkname.strip("/").removeprefix("./")]
        elif path:
            if not member.isdir():
                _remove(tree, path)
            tree[path] = _entry(layer, member, path)


def _entry(layer: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> tuple[Any, ...]:
    owner = (member.uid, member.gid)
    if member.isfile():
        content = hashlib.sha256(_file(layer, member.name).read()).hexdigest() if member.size else ""
        return ("file", oct(member.mode & 0o7777), owner, content, object())
    if member.issym():
        return ("symlink", owner, member.linkname)
    return ({tarfile.DIRTYPE: "dir"}.get(member.type, str(member.type)), oct(member.mode & 0o7777), owner)


def _remove(tree: dict[str, tuple[Any, ...]], path: str, *, keep: bool = False) -> None:
    for name in [name for name in tree if name.startswith(path + "/") or (name == path and not keep)]:
        del tree[name]


def _with_links_counted(tree: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
    """Files that are one get the name of the first of them."""
    first: dict[object, str] = {}
    return {
        path: (*entry[:4], first.setdefault(entry[4], path)) if entry[0] == "file" else entry
        for path, entry in sorted(tree.items())
    }


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """What says something, in one spelling: an absent folder is the root, and an absent PATH docker's own."""
    found = {key: value for key, value in config.items() if key not in (*_IGNORED, *_STREAMS)}
    found["Env"] = [line for line in found.get("Env") or () if line != _PATH]
    found["WorkingDir"] = found.get("WorkingDir") or "/"
    return {key: value for key, value in found.items() if value not in (None, "", [], {})}
