"""`ftp`: a file from an FTP server, or files to one; in the clear or by TLS."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from imgbake.api import Artifact, Part, PartsContext, RunContext
from imgbake_tasks import address, checksum, place
from imgbake_tasks.address import Address


class FtpOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a recipe says of a transfer."""

    url: Annotated[str, Meta(description="The server and a folder on it: ftp:// or ftps://USER@HOST/FOLDER")]
    password: Annotated[str, Meta(description="The user's password: a secret argument")] = ""
    download: Annotated[str, Meta(description="The file to fetch, relative to the url's folder")] = ""
    to: Annotated[str, Meta(description="The file to write; else one in the task's own folder")] = ""
    checksum: Annotated[str, Meta(description="What it must be: sha256:<hex> or sha512:<hex>")] = ""
    upload: Annotated[
        tuple[str, ...], Meta(description="Files of the project to put into the url's folder, as globs")
    ] = ()
    passive: Annotated[bool, Meta(description="Connect to the server for data, not it to us")] = True
    implicit: Annotated[bool, Meta(description="For ftps://: TLS from the first byte, port 990")] = False
    attempts: Annotated[int, Meta(description="How often to try when network or server fail", ge=1)] = 5
    stall_timeout: Annotated[float, Meta(description="Seconds without a byte that end a try", gt=0)] = 60.0
    ca: Annotated[str, Meta(description="A PEM file of authorities to trust besides the system's")] = ""

    def __post_init__(self) -> None:
        if not self.url.startswith(("ftp://", "ftps://", "{{")):
            raise ValueError(f"`url` starts with ftp:// or ftps://, and {self.address.plain!r} does not")
        if bool(self.download) == bool(self.upload):
            raise ValueError("give `download`, a file to fetch, or `upload`, files to send: one of them")
        if self.upload and (self.to or self.checksum):
            raise ValueError("`to` and `checksum` are for a download")
        if self.password and "{{" not in self.password:
            raise ValueError("`password` is a secret argument, '{{ name }}'; written here it would be kept")
        if self.password and self.address.password:
            raise ValueError("the password is in `url` too: give it once, as `password`")
        if self.implicit and self.url.startswith("ftp://"):
            raise ValueError("`implicit` is for ftps://")
        place.checked("to", self.to)
        place.checked("ca", self.ca)
        if self.checksum:
            checksum.checked(self.checksum)

    @property
    def address(self) -> Address:
        """The url, taken apart."""
        return address.parsed(self.url)

    @property
    def shown(self) -> str:
        """What is transferred, as it may be seen."""
        return "/".join(filter(None, (self.address.plain.rstrip("/"), self.download)))


class Ftp:
    """Fetches one file, or sends some."""

    kind: ClassVar[str] = "ftp"
    version: ClassVar[int] = 1
    local: ClassVar[bool] = True

    def __init__(self, options: FtpOptions) -> None:
        self.options = options

    def outputs(self, folder: str) -> tuple[str, ...]:
        """The file that is fetched."""
        if self.options.upload:
            return ()
        return (self.options.to or f"{folder}/{place.file_name(self.options.download)}",)

    def parts(self, ctx: PartsContext) -> Iterable[Part]:
        """The content of the files to send; or what the file to fetch must be, if that is known."""
        if self.options.checksum:
            return (Part("checksum", self.options.checksum),)
        found = ctx.files(self.options.upload).entries if self.options.upload else ()
        return tuple(Part(f"file {entry.path}", entry.value()) for entry in found)

    def run(self, ctx: RunContext) -> Artifact:
        """Transfers. Raises StepError when the server refuses, or cannot be reached."""
        from imgbake_tasks import ftp_download, ftp_upload

        if self.options.upload:
            return ftp_upload.run(self.options, ctx)
        return ftp_download.run(self.options, self.outputs(ctx.folder)[0], ctx)
