"""Putting files on an FTP server, whole or not at all."""

from __future__ import annotations

import contextlib
import ftplib
import secrets
from pathlib import Path, PurePosixPath

import msgspec

from imgbake.api import Artifact, BakeError, RunContext, StepError
from imgbake_tasks import ftp_session, retry
from imgbake_tasks.ftp import FtpOptions
from imgbake_tasks.ftp_session import Session
from imgbake_tasks.patient import Patient
from imgbake_tasks.retry import Transient

_CHUNK = 1 << 16
_WILD = frozenset("*?[")


class _Upload(msgspec.Struct, frozen=True):
    """A file to send: where it is, and its name below the url's folder."""

    source: Path
    name: str
    size: int


def run(options: FtpOptions, ctx: RunContext) -> Artifact:
    """Sends the files that match. Raises StepError; then no file is there by half."""
    tree = ctx.files(options.upload)
    files = _files(options, ctx)
    sent: set[str] = set()
    run = secrets.token_hex(4)
    retry.until_done(ctx, options.attempts, lambda: _send_all(options, files, sent, run, ctx))
    facts = {"url": options.shown, "files": len(files), "bytes": sum(file.size for file in files)}
    return Artifact(kind="files", digest=tree.digest, reference=options.shown, facts=facts)


def _files(options: FtpOptions, ctx: RunContext) -> list[_Upload]:
    found: dict[str, _Upload] = {}
    for pattern in options.upload:
        for entry in ctx.files([pattern]).entries:
            if entry.kind not in ("file", "hardlink"):
                continue
            source, name = ctx.root / entry.path, _remote_name(entry.path, pattern)
            if found.setdefault(name, _Upload(source, name, source.stat().st_size)).source != source:
                hint = "upload them by two tasks, into two folders"
                raise StepError(f"{entry.path} and another file would both become '{name}'", hint=hint)
    if not found:
        raise StepError(
            f"no file matches {', '.join(options.upload)}", hint="`upload` lists files of the project"
        )
    return list(found.values())


def _remote_name(path: str, pattern: str) -> str:
    """What of a file's path the pattern leaves open; the plain name for a pattern that is that file."""
    fixed: list[str] = []
    for part in PurePosixPath(pattern).parts:
        if _WILD.intersection(part):
            break
        fixed.append(part)
    rest = PurePosixPath(path).relative_to(PurePosixPath(*fixed))
    return str(rest) if rest.parts else PurePosixPath(path).name


def _send_all(options: FtpOptions, files: list[_Upload], sent: set[str], run: str, ctx: RunContext) -> None:
    """One session, for the files that were not sent yet."""
    total = sum(file.size for file in files)
    with ftp_session.opened(options, ctx) as session:
        _enter(session, ftp_session.folder(options, ctx))
        made: set[str] = set()
        for file in files:
            if file.name in sent:
                continue
            _make_folders(session, str(PurePosixPath(file.name).parent), made)
            before = sum(other.size for other in files if other.name in sent)
            _send(session, file, run, before, total, ctx)
            sent.add(file.name)
            ctx.log(f"sent {file.name}")


def _enter(session: Session, folder: str) -> None:
    """Goes to a folder, made if it isn't there."""
    if not folder:
        return
    try:
        session.cwd(folder)
    except ftplib.error_perm:
        _make_folders(session, folder, set())
        session.cwd(folder)


def _make_folders(session: Session, folder: str, made: set[str]) -> None:
    path = PurePosixPath(folder)
    for parent in [*reversed(path.parents), path]:
        name = str(parent)
        if name not in (".", "/") and name not in made:
            with contextlib.suppress(ftplib.error_perm):  # it is there, or what is put into it will fail
                session.mkd(name)
            made.add(name)


def _send(session: Session, file: _Upload, run: str, before: int, total: int, ctx: RunContext) -> None:
    """Sends under another name, compares the size, and renames."""
    path = PurePosixPath(file.name)
    beside = str(path.with_name(f".{path.name}.{run}.part"))
    try:
        done = _store(session, file, beside, before, total, ctx)
        arrived = session.size_of(beside)
        if arrived not in (-1, done):
            raise Transient(f"{file.name}: {arrived} of {done} bytes arrived")
        _rename(session, beside, file.name)
    except BaseException:
        with contextlib.suppress(
            *ftplib.all_errors, BakeError
        ):  # when we must stop, it is sent, and not heard
            session.delete(beside)
        raise


def _store(session: Session, file: _Upload, name: str, before: int, total: int, ctx: RunContext) -> int:
    """Sends a file under a name and returns its size."""
    conn, _ = session.ntransfercmd(f"STOR {name}")
    data, buffer, done = Patient(conn, session.patience), memoryview(bytearray(_CHUNK)), 0
    try:
        with file.source.open("rb", buffering=0) as reading:
            while count := reading.readinto(buffer):
                data.sendall(buffer[:count])
                done += count
                ctx.progress(before + done, total)
    finally:
        ftp_session.finish(conn)
    session.voidresp()
    return done


def _rename(session: Session, old: str, new: str) -> None:
    """Renames, also where the server doesn't replace a file; what is there is lost in no case."""
    try:
        session.rename(old, new)
        return
    except ftplib.error_perm as error:
        refusal = error
    aside = f"{old}.old"
    try:
        session.rename(new, aside)
    except ftplib.error_perm:  # it isn't there, so that isn't why
        raise refusal from None
    try:
        session.rename(old, new)
    except BaseException:
        session.rename(aside, new)
        raise
    session.delete(aside)
