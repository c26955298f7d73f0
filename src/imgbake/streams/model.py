"""A stream as a value: for each tag what was intended, what is so, and what was so before.

A stream holds references and digests, and what is known of the images; never an image. What somebody
asked for (`Intent`) and what came of it (`Revision`) are apart: an import that fails, or has not run
yet, changes nothing of the second. Each change of an intent has a number, its generation, and a
revision bears that of the intent which brought it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

import msgspec

CONTAINER = "container"
FORMAT = 1  # of documents
Policy = Literal["source", "local"]


class _Value(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    pass


class Intent(_Value, frozen=True):
    """What a tag is meant to point to. At most one of `source` and `alias`, of `every` and `cron`."""

    source: str = msgspec.field(name="from", default="")  # what a base can be, a stream's, or `image:NAME`
    kind: str = CONTAINER  # of artifact
    alias: str = ""  # the tag of this stream that it follows
    reference: bool = False  # is it the reference itself, never imported?
    every: str = ""  # how often it is imported: "15m"
    cron: str = ""
    platform: str = ""  # of an index, the image for this one instead of the index
    policy: Policy = "source"  # "local": users take the image from the stream's own repository
    annotations: dict[str, str] = {}
    declared: str = ""  # the project whose recipe says so, if not somebody on the command line

    @property
    def is_imported(self) -> bool:
        """Does an import have something to ask?"""
        return bool(self.source) and not self.reference and not self.source.startswith("image:")

    @property
    def is_scheduled(self) -> bool:
        """Is it imported by itself?"""
        return bool(self.every or self.cron)


class Revision(_Value, frozen=True):
    """An image that a tag points to, or pointed to."""

    image: str  # a digest, or what else cannot move, such as the id of a machine image
    reference: str  # how to get it: the source, and the digest
    created: datetime  # since when
    generation: int = 0
    cause: str = ""  # "import", "tag", "bake", "rollback"
    reason: str = ""  # as somebody gave it


class Failure(_Value, frozen=True):
    """The last import failed. That stands until one succeeds, and is not written again while it is so."""

    message: str
    since: datetime
    generation: int = 0
    hint: str = ""


class Hold(_Value, frozen=True):
    """Nothing moves the tag by itself, and nothing starts because of it, until it is released."""

    since: datetime
    reason: str = ""


class Fired(_Value, frozen=True):
    """The last time that a trigger was started because of a tag."""

    image: str  # that the tag pointed to
    at: datetime
    before: str = ""  # the image that it was started for before that one
    config: str = ""  # the digest of what the trigger was, if that matters
    claim: str = ""  # who starts it, as long as nobody knows what came of it
    failures: int = 0  # in a row, for this image
    error: str = ""  # of the last


class Tag(_Value, frozen=True):
    """A named pointer: what is intended, and where it pointed, the newest first."""

    intent: Intent | None = None
    generation: int = 0  # of the intent
    failure: Failure | None = None
    hold: Hold | None = None
    history: tuple[Revision, ...] = ()
    fired: dict[str, Fired] = {}  # by PROJECT/TRIGGER

    @property
    def current(self) -> Revision | None:
        """What it points to."""
        return self.history[0] if self.history else None

    @property
    def is_pending(self) -> bool:
        """Was the intent changed, and not yet followed?"""
        if self.intent is None or not self.intent.is_imported:
            return False
        followed = self.history[0].generation if self.history else 0
        if self.failure is not None:
            followed = max(followed, self.failure.generation)
        return followed < self.generation


class Known(_Value, frozen=True):
    """What is known of an image: its kind of artifact, and JSON values for people."""

    kind: str = CONTAINER
    facts: dict[str, Any] = {}


class Stream(_Value, frozen=True):
    """Tags, and what is known of the images in their histories. Its name is the document's."""

    created: datetime
    format: int = msgspec.field(default_factory=lambda: FORMAT)  # which is written though it is the default
    generation: int = 0  # the last that was given to an intent
    repository: str = ""  # of its own, where its images are brought to
    lookup: bool = False  # do recipes mean its tags by plain names, too?
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    tags: dict[str, Tag] = {}
    images: dict[str, Known] = {}

    def followers(self) -> dict[str, list[str]]:
        """Of each tag that others follow, directly or not: those others, sorted."""
        found: dict[str, list[str]] = {}
        for name in sorted(self.tags):
            followed = self.followed(name)
            if followed != name:
                found.setdefault(followed, []).append(name)
        return found

    def followed(self, tag: str) -> str:
        """The tag that this one follows in the end; itself when it is no alias."""
        seen = {tag}
        while (entry := self.tags.get(tag)) and entry.intent and (alias := entry.intent.alias):
            if alias in seen:
                break
            seen.add(alias)
            tag = alias
        return tag

    def revisions(self) -> Iterator[tuple[str, Revision]]:
        """All that any tag points to or pointed to, with the tag."""
        for name, tag in self.tags.items():
            for revision in tag.history:
                yield name, revision
