"""Fetching a file from an FTP server: it goes on where it was cut off, and is checked at the end."""

from __future__ import annotations

import ftplib

from imgbake.api import Artifact, RunContext
from imgbake_tasks import ftp_session, partial, place, retry
from imgbake_tasks.ftp import FtpOptions
from imgbake_tasks.ftp_session import Session
from imgbake_tasks.partial import Partial, Version
from imgbake_tasks.patient import Patient
from imgbake_tasks.retry import Transient

_CHUNK = 1 << 16


def run(options: FtpOptions, target: str, ctx: RunContext) -> Artifact:
    """Fetches the file to a project-relative path. Raises StepError; then what was there stays."""
    to = place.inside(ctx.root, target)
    under_way = partial.of_node(ctx.root, ctx.name)
    retry.until_done(ctx, options.attempts, lambda: _fetch(options, under_way, ctx))
    size = under_way.size()
    place.put_file(under_way.path, to)
    under_way.discard()
    return Artifact(kind="files", reference=options.shown, facts={"url": options.shown, "bytes": size})


def _fetch(options: FtpOptions, under_way: Partial, ctx: RunContext) -> None:
    """One session, for what is still missing."""
    with ftp_session.opened(options, ctx) as session:
        folder, name = ftp_session.folder(options, ctx), ctx.reveal(options.download)
        if folder:
            session.cwd(folder)
        version = Version(options.shown, _modified(session, name), session.size_of(name))
        offset = _resumable(version, under_way, bool(options.checksum))
        if not offset or offset != version.size:
            _receive(session, name, version, offset, under_way, ctx)
        if version.size >= 0 and under_way.size() != version.size:
            raise Transient(f"{options.shown}: {under_way.size()} of {version.size} bytes came")
    if options.checksum:
        under_way.verify(options.checksum, options.shown, ctx, resumed=offset > 0)


def _resumable(version: Version, under_way: Partial, is_checked: bool) -> int:
    """How many bytes are here of this very version, as far as that can be known."""
    size = under_way.size()
    knowable = is_checked or (version.validator and version.size >= 0)
    return size if knowable and under_way.version() == version and size <= max(version.size, size) else 0


def _receive(
    session: Session, name: str, version: Version, offset: int, under_way: Partial, ctx: RunContext
) -> None:
    try:
        conn, _ = session.ntransfercmd(f"RETR {name}", offset or None)
    except ftplib.error_perm:
        if not offset:
            raise
        under_way.discard()
        raise Transient(f"{version.source}: the server can't resume; starting again", wait=0) from None
    data, buffer, done = Patient(conn, session.patience), memoryview(bytearray(_CHUNK)), offset
    try:
        with under_way.resume() if offset else under_way.start(version) as file:
            while count := data.recv_into(buffer):
                file.write(buffer[:count])
                done += count
                ctx.progress(done, max(version.size, 0))
    finally:
        ftp_session.finish(conn)
    session.voidresp()


def _modified(session: Session, name: str) -> str:
    try:
        return session.voidcmd(f"MDTM {name}")
    except ftplib.error_perm:
        return ""
