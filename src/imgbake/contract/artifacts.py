"""What steps make, as values, and the parts of fingerprints."""

from __future__ import annotations

from typing import Any

import msgspec

from imgbake import digest as digests

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


class Part(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One labelled piece of a fingerprint: hashed to decide, compared to explain.

    The label is a kind and a name: "option run", "input src/a.py", "needs task:wheel", "tool git".
    The value is text that a person can read; a digest where the content is long.
    """

    label: str
    value: str


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One file of a tree. Permissions are 0755 or 0644 by the owner's x bit, plus setuid, setgid, sticky.

    `digest` is the content's digest for a file, the target's text for a symlink, the path of the
    first name for a hard link, and empty for a folder.
    """

    path: str  # relative to the tree, with forward slashes
    kind: str  # "file", "dir", "symlink", "hardlink"
    mode: int
    digest: str = ""
    size: int = 0
    source: str = ""  # where the content can be read, relative to the project; not part of the digest

    def value(self) -> str:
        """The entry as a fingerprint sees it: permissions and content, not where it was read."""
        return f"{self.kind} {self.mode:04o} {self.digest}"


class Tree(msgspec.Struct, frozen=True):
    """A folder as a value: its entries sorted by path, and a digest that any machine would give."""

    entries: tuple[Entry, ...] = ()

    @property
    def digest(self) -> str:
        """The digest of the listing (paths, kinds, permissions and contents)."""
        return digests.of_bytes(msgspec.json.encode([(e.path, e.value()) for e in self.entries]))


class Artifact(msgspec.Struct, frozen=True):
    """The result of a step. Dependents key on `digest`, so it must say what was made, not when."""

    kind: str  # "files", "container", "ami", "base", or a plugin's own
    digest: str = ""
    reference: str = ""  # how its users name it: an image reference, a commit, an AMI id
    facts: dict[str, Any] = {}  # JSON values worth knowing; not part of any fingerprint
    blobs: tuple[str, ...] = ()  # digests in the store without which it is not whole
    proof: tuple[str, ...] = ()  # project-relative files; while they stay as they are, so does it
    tree: Tree | None = None  # the outputs of a task


class Resolved(msgspec.Struct, frozen=True):
    """A base, pinned. `local` lists files whose unchanged state proves that it is still the same."""

    artifact: Artifact
    local: tuple[str, ...] = ()
    volatile: bool = False  # asked from outside and not locked, so asked again in every build
