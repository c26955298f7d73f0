"""What the instructions of a stage set and take, one after the other."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping
from typing import Literal

from imgbake_dockerfile import mounts
from imgbake_dockerfile.build import Image, Remote, Role, Secret, Seen
from imgbake_dockerfile.checking import unknown_in
from imgbake_dockerfile.expansion import BadExpansion
from imgbake_dockerfile.go import below_root
from imgbake_dockerfile.heredocs import is_heredoc
from imgbake_dockerfile.located import DockerfileError
from imgbake_dockerfile.remote import is_remote
from imgbake_dockerfile.scope import Scope
from imgbake_dockerfile.syntax import Dockerfile, Instruction

_NOT_EVERYWHERE = ("TARGETSTAGE",)  # set by BuildKit since 0.18, and by no other builder
_SET_NOTHING = ("BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE")  # ARGs that are no variables


class Taking:
    """Goes through instructions, and collects."""

    def __init__(self, dockerfile: Dockerfile, args: Mapping[str, str], folders: Collection[str]) -> None:
        """`folders` are the names of contexts that are folders, and so neither stages nor images."""
        self.images: dict[Image, None] = {}
        self.seen: dict[Seen, None] = {}
        self.remotes: dict[Remote, None] = {}
        self.secrets: dict[tuple[str, str], Secret] = {}
        self.everything = ""
        self.declared: set[str] = set()  # by ARG
        self._file = dockerfile
        self._args = args
        self._folders = folders

    def image(self, reference: str, platform: str, role: Role, line: int) -> None:
        """Notes an image."""
        self.images[Image(reference, platform, role, line)] = None

    def take(self, instruction: Instruction, scope: Scope, globals_: Scope) -> None:
        """Notes what an instruction takes, and sets its variables. Raises DockerfileError."""
        match instruction.name:
            case "ARG":
                self._set_args(instruction, scope, globals_)
            case "ENV":
                self._set_env(instruction, scope)
            case "COPY" | "ADD":
                self._take_sources(instruction, scope)
            case "RUN":
                self._take_mounts(instruction, scope)
        if unknown := unknown_in(instruction):
            self._see_everything(instruction, f"nobody here knows what {unknown} does")

    def _set_args(self, instruction: Instruction, scope: Scope, globals_: Scope) -> None:
        for name, default in arguments(instruction):
            self.declared.add(name)
            if name in _SET_NOTHING:
                continue
            if name in self._args:
                scope.set_arg(name, self._args[name])
            elif default is not None:
                scope.set_arg(name, expanded(self._file, scope, instruction, default))
            elif (value := globals_.get(name)) is not None:
                scope.set_arg(name, None if name in _NOT_EVERYWHERE else value)

    def _set_env(self, instruction: Instruction, scope: Scope) -> None:
        # What one ENV sets, it doesn't see itself.
        found = [
            tuple(expanded(self._file, scope, instruction, word) for word in pair)
            for pair in instruction.pairs
        ]
        for name, value in found:
            if name is None:
                scope.forget()
            else:
                scope.set_env(name, value)

    def _take_sources(self, instruction: Instruction, scope: Scope) -> None:
        origin = instruction.flag("from")
        if origin and origin not in self._folders:
            return
        for word in instruction.words[:-1]:
            if is_heredoc(word):
                continue
            source = expanded(self._file, scope, instruction, word)
            if is_remote(word.lstrip("\"'") if source is None else source):
                self._take_remote(instruction, scope, source)
            elif source is not None:
                self.seen[_seen(instruction, source, origin)] = None
            elif origin:
                self.seen[Seen("", instruction.first, context=origin)] = None
            else:
                self._see_everything(instruction, f"the value of '{word}' can't be told")

    def _take_remote(self, instruction: Instruction, scope: Scope, source: str | None) -> None:
        if instruction.name == "COPY":
            where = self._file.where(instruction, source or "")
            raise DockerfileError("COPY can't fetch anything", where=where, hint="ADD can")
        checksum = expanded(self._file, scope, instruction, instruction.flag("checksum"))
        self.remotes[Remote(source, checksum, instruction.first)] = None

    def _take_mounts(self, instruction: Instruction, scope: Scope) -> None:
        for text in instruction.flag_values("mount"):
            try:
                found = mounts.mount(text, lambda word: expanded(self._file, scope, instruction, word))
            except mounts.BadMount as error:
                where = self._file.where(instruction, "--mount")
                raise DockerfileError(str(error), where=where) from None
            if found.kind in ("secret", "ssh"):
                self._take_secret(instruction, found)
            if found.origin in self._folders:
                path = below_root(found.source or "")  # a variable that can't be told may be anything
                self.seen[Seen(path, instruction.first, context=found.origin)] = None
            if not found.reads_context:
                continue
            if found.source is None or found.kind is None:
                self._see_everything(instruction, f"a value in '--mount={text}' can't be told")
            else:
                self.seen[Seen(below_root(found.source), instruction.first)] = None

    def _take_secret(self, instruction: Instruction, mount: mounts.Mount) -> None:
        kind: Literal["secret", "ssh"] = "ssh" if mount.kind == "ssh" else "secret"
        name = mount.id or "default"
        if kind == "secret":
            name = mount.source or mount.id or posixpath.basename((mount.target or "").rstrip("/"))
        known = self.secrets.get((kind, name))
        required = mount.required or (known is not None and known.required)
        self.secrets[kind, name] = Secret(kind, name, required, known.line if known else instruction.first)

    def _see_everything(self, instruction: Instruction, why: str) -> None:
        self.everything = self.everything or f"line {instruction.first}: {why}"


def arguments(instruction: Instruction) -> list[tuple[str, str | None]]:
    """The names that an ARG declares, each with its default if it has one."""
    split = (word.partition("=") for word in instruction.words)
    return [(name, value if equals else None) for name, equals, value in split]


def expanded(dockerfile: Dockerfile, scope: Scope, instruction: Instruction, word: str) -> str | None:
    """A word with its variables replaced; None if that can't be told. Raises DockerfileError."""
    try:
        return scope.expand(word)
    except BadExpansion as error:
        where = dockerfile.where(instruction, word)
        raise DockerfileError(f"'{word}' can't be expanded: {error}", where=where) from None


def _seen(instruction: Instruction, source: str, context: str) -> Seen:
    exclude = instruction.flag_values("exclude")
    if instruction.flag("parents").lower() != "true":
        return Seen(below_root(source), instruction.first, True, "", exclude, context)
    # COPY --parents a/./b/c makes b/c: what is behind the pivot keeps its folders.
    before, pivot, after = source.partition("/./")
    path, include = (before, after) if pivot else ("", source)
    return Seen(below_root(path), instruction.first, True, below_root(include), exclude, context)
