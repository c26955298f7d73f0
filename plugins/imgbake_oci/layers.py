"""Makes the layer of a component, or finds the one that was made of the same before."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from imgbake.api import Artifact, Copied, Entry, Layer, Part, RunContext, StepError, Tree
from imgbake_oci import archives, bases, unchanged, ustar
from imgbake_oci.compression import PIECE, Damaged, Format
from imgbake_oci.descriptor import Descriptor
from imgbake_oci.folders import Added, Folders
from imgbake_oci.opening import Folder
from imgbake_oci.packing import Packed, Packer
from imgbake_oci.placing import Member, Placer
from imgbake_oci.scratch import unfinished

_WRITER = 1  # moved when the same files come to give another layer
_KINDS = {"dir": ustar.FOLDER, "symlink": ustar.SYMLINK, "hardlink": ustar.HARDLINK}


class Made(msgspec.Struct, frozen=True):
    """A layer in the store."""

    digest: str
    diff_id: str
    size: int
    media_type: str
    added: str = ""  # digest of the blob that says which folders it adds; empty when the layer must be read

    @property
    def descriptor(self) -> Descriptor:
        """How a manifest points at it."""
        return Descriptor(self.media_type, self.digest, self.size)

    def folders(self, ctx: RunContext) -> Added:
        """What it says of folders to the layers above. Raises BakeError."""
        if not self.added:
            return bases.layer_folders(self.descriptor, self.diff_id, ctx)
        return msgspec.json.decode(ctx.blobs.path(self.added).read_bytes(), type=Added)


def make(layer: Layer, below: Folders, format: Format, epoch: int, ctx: RunContext) -> Made:
    """The layer of a component that copies files. Raises BakeError."""

    def write() -> Artifact:
        made = _make(layer, below, format, epoch, ctx)
        facts = msgspec.to_builtins(made)
        return Artifact("layer", made.digest, facts=facts, blobs=(made.digest, made.added))

    artifact = ctx.memo(list(_parts(layer, below, format, epoch)), write)
    return msgspec.convert(artifact.facts, Made)


def _parts(layer: Layer, below: Folders, format: Format, epoch: int) -> Iterable[Part]:
    yield Part("layer writer", str(_WRITER))
    yield Part("compression", str(format))
    yield Part("epoch", str(epoch))
    for number, copied in enumerate(layer.files, 1):
        yield Part(f"copy {number}", _described(copied))
        yield Part(f"folders below {number}", below.seen_by(copied))


def _described(copied: Copied) -> str:
    text = f"{copied.tree.digest} to {copied.to} owner {copied.owner[0]}:{copied.owner[1]}"
    if copied.mode is not None:
        text += f" mode {copied.mode:04o}"
    return text + (f" unpacked without {list(copied.exclude)}" if copied.unpack else "")


def _make(layer: Layer, below: Folders, format: Format, epoch: int, ctx: RunContext) -> Made:
    with unfinished(ctx.blobs, "layer") as path, contextlib.ExitStack() as stack:
        placer = _placed(layer, below, ctx, stack)
        members = placer.members()
        added = ctx.blobs.add_bytes(msgspec.json.encode(placer.added()))
        packed = _write(members, path, format, epoch, ctx)
        ctx.blobs.adopt(path, packed.digest)
    return Made(packed.digest, packed.diff_id, packed.size, format.media_type, added)


def _placed(layer: Layer, below: Folders, ctx: RunContext, stack: contextlib.ExitStack) -> Placer:
    """Every copy of the component, archives opened until the stack is closed."""
    placer = Placer(layer.component, below)
    for copied in layer.files:
        if not copied.unpack:
            placer.copy(copied, copied.tree.entries, {})
            continue
        for entry in _archives(layer.component, copied.tree):
            path = unchanged.check_archive(ctx.root, entry)
            shown = f"component '{layer.component}': '{entry.source}'"
            unpacked = stack.enter_context(archives.opened(path, shown, copied, ctx.work, ctx.check))
            placer.copy(copied, unpacked.entries, unpacked.contents)
    return placer


def _archives(component: str, tree: Tree) -> Iterator[Entry]:
    """The files of a tree, by all their names. Raises StepError for a symlink."""
    files = {entry.path: entry for entry in tree.entries if entry.kind == "file"}
    for entry in tree.entries:
        if entry.kind == "symlink":
            message = f"component '{component}': '{entry.source}' is a symlink, which can't be unpacked"
            raise StepError(message, hint="name the archive that it leads to, or exclude it")
        if entry.kind != "dir":
            yield files[entry.digest if entry.kind == "hardlink" else entry.path]


def _write(members: list[Member], path: Path, format: Format, epoch: int, ctx: RunContext) -> Packed:
    total = sum(member.size for member in members)

    def each(done: int) -> None:
        ctx.check()
        ctx.progress(min(done, total), total)

    headers = ustar.Headers(epoch)
    with Folder(ctx.root) as root, Packer(path, format, each) as packer:
        for member in members:
            _write_member(member, packer, headers, root)
        packer.write(ustar.END)
        return packer.finish()


def _write_member(member: Member, packer: Packer, headers: ustar.Headers, root: Folder) -> None:
    name = member.path.encode("utf-8", "surrogateescape")
    if member.kind != "file":
        kind = _KINDS[member.kind]
        name = name + b"/" if kind is ustar.FOLDER else name
        link = member.link.encode("utf-8", "surrogateescape")
        packer.write(headers.header(name, kind, member.mode, member.uid, member.gid, 0, link))
        return
    size = member.size
    packer.write(headers.header(name, ustar.FILE, member.mode, member.uid, member.gid, size))
    if member.open is None:
        _copy(member, packer, root)
    else:
        _copy_content(member, packer)
    packer.write(ustar.padding(size))


def _copy(member: Member, packer: Packer, root: Folder) -> None:
    """Adds a file of the project, which must be what it was when the build began."""
    try:
        file = root.open(member.source)
        try:
            if member.size < packer.room:
                is_same = _copy_small(member, packer, file)
            else:
                is_same = _copy_large(member, packer, file)
        finally:
            os.close(file)
    except OSError as error:
        raise unchanged.unreadable(member.source, error) from error
    if not is_same:
        raise unchanged.changed(member.source)


def _copy_small(member: Member, packer: Packer, file: int) -> bool:
    """A file that fits into the piece, where it can still be looked at afterwards."""
    count = packer.read(file, member.size)
    stat = os.fstat(file)
    if count != member.size or stat.st_size != count:
        return False
    if stat.st_ctime_ns < unchanged.trusted_before():
        return True
    return unchanged.is_content(hashlib.sha256(packer.last(count)), member.digest)


def _copy_large(member: Member, packer: Packer, file: int) -> bool:
    before = os.fstat(file)
    hashed = None if before.st_ctime_ns < unchanged.trusted_before() else hashlib.sha256()
    count = packer.read(file, member.size, hashed)
    after = os.fstat(file)
    if count != member.size or after.st_size != count or after.st_ctime_ns != before.st_ctime_ns:
        return False
    return hashed is None or unchanged.is_content(hashed, member.digest)


def _copy_content(member: Member, packer: Packer) -> None:
    """Adds a file of an archive."""
    assert member.open is not None
    left = member.size
    try:
        with member.open() as content:
            while data := content.read(min(left, PIECE) or 1):
                left -= len(data)
                if left < 0:
                    raise Damaged("its content is longer than it says")
                packer.write(data)
        if left:
            raise Damaged("its content is shorter than it says")
    except Damaged as error:
        raise StepError(f"{member.source} is damaged: {error}") from error
