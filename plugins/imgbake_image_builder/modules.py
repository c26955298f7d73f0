"""The action modules of AWSTOE, and the operators of its conditions. Data, as AWS documents them."""

from __future__ import annotations

import msgspec

NOT_ON_WINDOWS = frozenset({"Linux", "macOS"})
WINDOWS = frozenset({"Windows"})
ANYWHERE = NOT_ON_WINDOWS | WINDOWS


class Module(msgspec.Struct, frozen=True):
    """What a step can do. `inputs` by name: "text", "flag", "number", "texts", "list" or "any"."""

    inputs: dict[str, str]
    required: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()  # exactly one of these is needed
    takes_list: bool = False  # its inputs are a list, an entry for each thing to do
    outputs: tuple[str, ...] = ()
    platforms: frozenset[str] = ANYWHERE
    needs_none: bool = False  # it may stand without inputs


def _text(*names: str, **others: str) -> dict[str, str]:
    return {**dict.fromkeys(names, "text"), **others}


def _files(
    *required: str,
    others: dict[str, str] | None = None,
    outputs: tuple[str, ...] = (),
    platforms: frozenset[str] = ANYWHERE,
) -> Module:
    """A module that does the same to each of a list of things."""
    inputs = {**_text(*required), **(others or {})}
    return Module(inputs, required, takes_list=True, outputs=outputs, platforms=platforms)


_OWNER = {"owner": "text", "group": "text"}
_OVERWRITE = {"overwrite": "flag"}
_RECURSIVE = {"recursive": "flag"}
_MSI = _files(
    "path",
    others={
        **_text("reboot", "logOptions", "logFile", properties="any"),
        "ignoreAuthenticodeSignatureErrors": "flag",
        "allowUnsignedInstaller": "flag",
    },
    platforms=WINDOWS,
)
_DOWNLOAD = _text("checksum", "algorithm", overwrite="flag", ignoreCertificateErrors="flag")

MODULES: dict[str, Module] = {
    "ExecuteBash": Module(
        {"commands": "texts"}, ("commands",), outputs=("stdout",), platforms=NOT_ON_WINDOWS
    ),
    "ExecuteBinary": Module(_text("path", arguments="texts"), ("path",), outputs=("stdout",)),
    "ExecuteDocument": _files(
        "document", others={"document-s3-bucket-owner": "text", "phases": "any", "parameters": "any"}
    ),
    "ExecutePowerShell": Module(
        _text("file", commands="texts"), one_of=("commands", "file"), outputs=("stdout",), platforms=WINDOWS
    ),
    "Assert": Module({}, needs_none=True),
    "S3Download": _files("source", "destination", others={"expectedBucketOwner": "text", **_OVERWRITE}),
    "S3Upload": _files("source", "destination", others={"expectedBucketOwner": "text", "recurse": "flag"}),
    "WebDownload": _files("source", "destination", others=_DOWNLOAD, outputs=("destination",)),
    "AppendFile": _files("path", "content", others={"encoding": "text"}),
    "CopyFile": _files("source", "destination", others=_OVERWRITE),
    "CopyFolder": _files("source", "destination", others=_OVERWRITE),
    "MoveFile": _files("source", "destination", others=_OVERWRITE),
    "MoveFolder": _files("source", "destination", others=_OVERWRITE),
    "CreateFile": _files(
        "path", "content", others={"encoding": "text", "permissions": "any", **_OVERWRITE, **_OWNER}
    ),
    "CreateFolder": _files("path", others={"permissions": "any", **_OVERWRITE, **_OWNER}),
    "CreateSymlink": _files("path", "target", others={"force": "flag"}, platforms=NOT_ON_WINDOWS),
    "DeleteFile": _files("path"),
    "DeleteFolder": _files("path", others={"force": "flag"}),
    "ListFiles": _files("path", others={"fileNamePattern": "text", **_RECURSIVE}, outputs=("files",)),
    "ReadFile": _files("path", others={"encoding": "text", "printFileContent": "flag"}, outputs=("content",)),
    "SetFileEncoding": _files("path", "encoding"),
    "SetFileOwner": _files("path", "owner", others={"group": "text"}, platforms=NOT_ON_WINDOWS),
    "SetFolderOwner": _files(
        "path", "owner", others={"group": "text", **_RECURSIVE}, platforms=NOT_ON_WINDOWS
    ),
    "SetFilePermissions": _files("path", "permissions", platforms=NOT_ON_WINDOWS),
    "SetFolderPermissions": _files("path", "permissions", others=_RECURSIVE, platforms=NOT_ON_WINDOWS),
    "InstallMSI": _MSI,
    "UninstallMSI": _MSI,
    "Reboot": Module({"delaySeconds": "number"}, needs_none=True),
    "SetRegistry": _files("path", "name", "value", "type", platforms=WINDOWS),
    "UpdateOS": Module({"include": "texts", "exclude": "texts"}, needs_none=True),
}

EITHER_SHAPE = frozenset({"ExecuteDocument", "InstallMSI", "UninstallMSI"})
"""Modules whose inputs AWS shows both as one thing and as a list."""

OPERATORS = frozenset(
    {
        *("stringIsEmpty", "stringIsWhitespace", "stringEquals", "stringLessThan", "stringLessThanEquals"),
        *("stringGreaterThan", "stringGreaterThanEquals", "patternMatches"),
        *("numberEquals", "numberLessThan", "numberLessThanEquals"),
        *("numberGreaterThan", "numberGreaterThanEquals"),
        *("binaryExists", "fileExists", "folderExists"),
        *("fileMD5Equals", "fileSHA1Equals", "fileSHA256Equals", "fileSHA512Equals"),
        *("packageIsInstalled", "packageManagerAvailable"),
        *("registryExists", "registryEquals", "registryMD5Equals", "registrySHA1Equals"),
        *("registrySHA256Equals", "registrySHA512Equals"),
        *("and", "or", "not"),
    }
)
