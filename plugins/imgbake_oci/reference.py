"""Image references by the grammar of the distribution project, which docker and containerd use.

    reference  := name [":" tag] ["@" digest]
    name       := [domain "/"] component ("/" component)*
    domain     := host [":" port]            the first component, if it has a "." or ":", is "localhost",
                                             or has a capital letter
    component  := [a-z0-9]+ (("." | "_" | "__" | "-"+) [a-z0-9]+)*
    tag        := [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}
    digest     := "sha256:" and 64 hex digits

A name without a domain is one of Docker Hub, and one without a slash lies below `library/`.
"""

from __future__ import annotations

import re

import msgspec

from imgbake.api import BakeError, digest

HUB = "docker.io"
HUB_API = "registry-1.docker.io"

_HUB_NAMES = frozenset({HUB, "index.docker.io", HUB_API})
_LONGEST_REPOSITORY = 255

_LABEL = r"(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[A-Fa-f0-9:]+\])(?::(?P<port>[0-9]{{1,5}}))?", re.ASCII)
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_IMAGE_ID = re.compile(r"[a-f0-9]{64}")
_SCHEME = re.compile(r"([a-z][a-z0-9+-]*)://")


class Reference(msgspec.Struct, frozen=True):
    """Where an image is: registry, repository, and a tag, a digest, or both (then the digest decides)."""

    registry: str  # host or host:port, "docker.io" for Docker Hub
    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        return self.name + self._suffix(self.tag)

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def familiar(self) -> str:
        """The shortest text that means the same: without `docker.io/library/` and `:latest` if it can be."""
        shorter = (self.repository.removeprefix("library/"), self.repository)
        same = (name for name in shorter if _split_registry(name) == (self.registry, self.repository))
        return next(same, self.name) + self._suffix(
            "" if self.tag == "latest" and not self.digest else self.tag
        )

    @property
    def api_host(self) -> str:
        """The host, with its port if it has one, that serves the registry's API."""
        return HUB_API if self.registry == HUB else self.registry

    def tagged(self, tag: str) -> Reference:
        """The same repository by this tag alone. Raises BakeError when the tag is not a valid one."""
        return Reference(self.registry, self.repository, tag=_checked_tag(tag, tag))

    def pinned(self, digest: str) -> Reference:
        """The same reference by this digest. Raises BakeError when the digest is not a valid one."""
        return Reference(self.registry, self.repository, self.tag, _checked_digest(digest, digest))

    def _suffix(self, tag: str) -> str:
        return (f":{tag}" if tag else "") + (f"@{self.digest}" if self.digest else "")


def parse(text: str) -> Reference:
    """The reference that a text means; `:latest` is meant where neither tag nor digest is given.

    Raises BakeError with a hint when the text is not a reference.
    """
    if scheme := _SCHEME.match(text):
        raise _bad(text, f"it starts with {scheme[0]}", f"leave {scheme[0]} out")
    rest, at, hexdigest = text.partition("@")
    name, tag = _split_tag(rest)
    registry, repository = _split_registry(name)
    _check_registry(registry, text)
    _check_repository(repository, name, text)
    return Reference(
        registry=HUB if registry in _HUB_NAMES else registry,
        repository=repository,
        tag=_checked_tag(tag, text) if tag is not None else "" if at else "latest",
        digest=_checked_digest(hexdigest, text) if at else "",
    )


def parse_tag(text: str) -> Reference:
    """The reference of what is to be pushed. Raises BakeError with a hint for one by digest, too."""
    found = parse(text)
    if found.digest:
        raise BakeError(f"can't push to '{text}': a digest is no tag", hint="write name:tag")
    return found


def _split_tag(text: str) -> tuple[str, str | None]:
    """The name and the tag: what follows a colon is a tag unless there is a slash in it (a port)."""
    name, colon, tag = text.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (text, None)


def _split_registry(name: str) -> tuple[str, str]:
    """The registry and the repository, as docker tells a host from the first part of a name."""
    first, slash, rest = name.partition("/")
    names_a_host = first == "localhost" or "." in first or ":" in first or first != first.lower()
    if not slash or not names_a_host:
        first, rest = HUB, name
    if first in _HUB_NAMES and "/" not in rest:
        rest = f"library/{rest}"
    return first, rest


def _check_registry(registry: str, text: str) -> None:
    found = _DOMAIN.fullmatch(registry)
    if not found or int(found["port"] or 1) not in range(1, 1 << 16):
        hint = "write host/name:tag, such as registry.example.com/shop:1"
        raise _bad(text, f"'{registry}' is not a host name", hint)


def _check_repository(repository: str, name: str, text: str) -> None:
    if not name:
        raise _bad(text, "it has no name", "write name:tag, such as python:3.12")
    written = repository if repository in text else repository.removeprefix("library/")
    if repository != repository.lower() and _REPOSITORY.fullmatch(repository.lower()):
        hint = f"write {text.replace(written, written.lower())}"
        raise _bad(text, "a repository's name must be lower case", hint)
    if not _REPOSITORY.fullmatch(repository):
        raise _bad(
            text,
            f"'{written}' is not a repository's name",
            "use a-z and 0-9, with single . or _, double __, or dashes between them, and / between parts",
        )
    if len(repository) > _LONGEST_REPOSITORY:
        raise _bad(text, f"a repository's name has at most {_LONGEST_REPOSITORY} characters", "shorten it")
    if _IMAGE_ID.fullmatch(name):
        raise _bad(text, "64 hex digits are an image's id, not a name", f"write NAME@sha256:{name}")


def _checked_tag(tag: str, text: str) -> str:
    if not _TAG.fullmatch(tag):
        hint = "a tag has 1 to 128 letters, digits, _ . or -, and starts with none of the last two"
        raise _bad(text, f"'{tag}' is not a tag", hint)
    return tag


def _checked_digest(text_of_digest: str, text: str) -> str:
    if not digest.is_digest(text_of_digest):
        hint = "write @sha256: and 64 lower-case hex digits"
        raise _bad(text, f"'{text_of_digest}' is not a digest that imgbake knows", hint)
    return text_of_digest


def _bad(text: str, why: str, hint: str) -> BakeError:
    return BakeError(f"'{text}' is not an image reference: {why}", hint=hint)
