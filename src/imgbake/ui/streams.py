"""Image streams for people. `describe` prints what `oc describe is` prints, field by field."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache

from imgbake.streams.model import Fired, Intent, Known, Revision, Stream, Tag
from imgbake.ui.visible import visible

_NONE = "<none>"
_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?:-[\w.-]+)?(?:\+[\w.-]+)?", re.ASCII)
_TITLES = {"tags": "Tags", "supports": "Supports", "sampleRepo": "Example Repo"}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_KINDS = ("image:", "stream:")


def describe(name: str, project: str, stream: Stream, now: datetime) -> str:
    """A stream with all its tags and where they pointed."""
    followers = stream.followers()
    images = {revision.image for _, revision in stream.revisions()}
    header = [
        ("Name", name),
        ("Namespace", project),
        ("Created", age(stream.created, now)),
        ("Labels", ",".join(f"{key}={value}" for key, value in sorted(stream.labels.items())) or _NONE),
        (
            "Annotations",
            "\n".join(f"{key}={value}" for key, value in sorted(stream.annotations.items())) or _NONE,
        ),
        ("Image Repository", stream.repository or _NONE),
        ("Image Lookup", f"local={str(stream.lookup).lower()}"),
        ("Unique Images", str(len(images))),
        ("Tags", str(len(stream.tags)) if stream.tags else _NONE),
    ]
    lines = [line for label, value in header for line in _field(label, value)]
    following = {each for names in followers.values() for each in names}
    for tag in sorted((tag for tag in stream.tags if tag not in following), key=_order):
        also = f" ({', '.join(followers[tag])})" if tag in followers else ""
        triggers = [line for name in (tag, *followers.get(tag, ())) for line in _triggers(name, stream, now)]
        lines += ["", f"{tag}{also}", *_tag(stream.tags[tag], triggers, now)]
    return "\n".join(visible(line) for line in lines)


@lru_cache  # of many tags that were imported together it is the same
def age(moment: datetime, now: datetime) -> str:
    """How long ago something was, as Kubernetes and docker say it: 14 seconds ago, 25 hours ago."""
    seconds = int((now - moment).total_seconds())
    for most, unit, one in (
        (_MINUTE, 1, "1 second"),
        (_HOUR, _MINUTE, "About a minute"),
        (2 * _DAY, _HOUR, "About an hour"),
    ):
        if seconds < most:
            number = seconds // unit
            what = one.rpartition(" ")[2] + "s"
            text = "Less than a second" if number < 1 else one if number == 1 else f"{number} {what}"
            return f"{text} ago"
    days = seconds // _DAY
    for most, unit, what in ((14, 1, "days"), (60, 7, "weeks"), (730, 30, "months")):
        if days < most:
            return f"{days // unit} {what} ago"
    return f"{days // 365} years ago"


def tags(name: str, stream: Stream, now: datetime) -> Iterator[tuple[str, str, str, str]]:
    """The tags of a stream as rows: its name, the image, since when it points there, and what else is so."""
    for tag in ordered(stream.tags):
        found = stream.tags[tag]
        image, since = (
            (found.history[0].image, age(found.history[0].created, now)) if found.history else ("", "")
        )
        yield f"{name}:{tag}", image, since, state(found)


def state(tag: Tag) -> str:
    """What is to be known of a tag besides where it points, in a few words."""
    intent = tag.intent
    words = []
    if tag.hold:
        words.append("held")
    if tag.failure:
        words.append("import failed")
    elif tag.is_pending:
        words.append("import is due")
    if any(last.error for last in tag.fired.values()):
        words.append("trigger failed")
    if intent and intent.is_scheduled:
        words.append(schedule(intent))
    if intent and intent.alias:
        words.append(f"follows {intent.alias}")
    if intent and intent.reference:
        words.append(f"refers to {intent.source}")
    return ", ".join(words)


def schedule(intent: Intent) -> str:
    """When a tag is imported by itself."""
    return f"every {intent.every}" if intent.every else f"at {intent.cron} (UTC)"


def history(tag: Tag, now: datetime) -> list[tuple[str, str, str, str]]:
    """Where a tag pointed, the newest first, as rows: image, since when, how it came, and the reference."""
    return [
        (
            each.image,
            age(each.created, now),
            each.cause + (f": {each.reason}" if each.reason else ""),
            each.reference,
        )
        for each in tag.history
    ]


def image(
    stream: str,
    digest: str,
    reference: str,
    known: Known,
    tags: Sequence[str],
    since: datetime,
    now: datetime,
) -> str:
    """An image, and what is known of it."""
    lines = [
        *_field("Image", f"{stream}@{digest}"),
        *_field("Reference", reference),
        *_field("Kind", known.kind),
        *_field("Known", age(since, now)),
        *_field("Tags", ", ".join(sorted(tags, key=_order)) or _NONE),
    ]
    for key, value in known.facts.items():
        if said := "\n".join(_said(value)):
            lines += _field(key.replace("_", " ").capitalize(), said)
    return "\n".join(visible(line) for line in lines)


def _said(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield f"{key}={', '.join(_said(item))}"
    elif isinstance(value, list | tuple):
        yield ", ".join(text for item in value for text in _said(item))
    else:
        yield str(value)


def ordered(tags: Mapping[str, Tag]) -> Sequence[str]:
    """Tags in the order in which they are shown: latest, then versions, the highest first, then others."""
    return sorted(tags, key=_order)


def _field(label: str, value: str) -> Iterator[str]:
    first, *rest = value.split("\n")
    yield f"{label + ':':<24}{first}"
    yield from (" " * 24 + line for line in rest)


def _order(tag: str) -> tuple[int, tuple[int, ...], str]:
    if tag == "latest":
        return 0, (), ""
    version = _VERSION.fullmatch(tag)
    if version is None:
        return 3, (), tag
    numbers = tuple(-int(part) for part in version.groups() if part is not None)
    return (1 if version[3] is None else 2), numbers, tag


def _tag(tag: Tag, triggers: Sequence[str], now: datetime) -> Iterator[str]:
    yield f"  {_source(tag.intent)}"
    yield from _notes(tag, now)
    yield from triggers
    yield ""
    if tag.intent and tag.intent.annotations:
        yield from _annotations(tag.intent.annotations)
        yield ""
    if tag.is_pending:
        yield from ("  ~ importing latest image ...", "")
    if tag.failure:
        yield f"  ! error: Import failed: {tag.failure.message}"
        yield from (f"      {age(tag.failure.since, now)}", "")
    for place, revision in enumerate(tag.history):
        yield from _revision(revision, "*" if place == 0 else " ", now)


def _notes(tag: Tag, now: datetime) -> Iterator[str]:
    intent = tag.intent
    if intent and intent.policy == "local":
        yield "    prefer the stream's repository when referencing this tag"
    if intent and intent.is_scheduled:
        yield f"    {schedule(intent)}"
    if tag.hold:
        reason = f": {tag.hold.reason}" if tag.hold.reason else ""
        yield f"    held, {age(tag.hold.since, now)}{reason}"


def _triggers(name: str, stream: Stream, now: datetime) -> Iterator[str]:
    """What became of the triggers that were started because of a tag."""
    tag = stream.tags[name]
    on = f" on {name}" if stream.followed(name) != name else ""
    for trigger, last in sorted(tag.fired.items()):
        moved = f" for {last.image}" if tag.current is None or last.image != tag.current.image else ""
        yield f"    trigger {trigger}{on}: {_became(last, moved, now)}"


def _became(last: Fired, moved: str, now: datetime) -> str:
    if last.claim:
        return f"started{moved} {age(last.at, now)} by {last.claim.rpartition(' ')[0]}, not yet done"
    if last.error:
        times = f" {last.failures} times" if last.failures > 1 else ""
        return f"failed{times}{moved} {age(last.at, now)}: {last.error}"
    return f"done{moved} {age(last.at, now)}"


def _source(intent: Intent | None) -> str:
    if intent is None:
        return "no spec tag"
    if not intent.source:
        return "tag without source image"
    plain = intent.source.removeprefix("stream:")
    registry = "" if intent.source.startswith(_KINDS) else "registry "
    if intent.reference:
        return f"reference to {registry}{plain}"
    if intent.is_scheduled:
        return f"updates automatically from {registry}{plain}"
    return f"tagged from {plain}"


def _annotations(annotations: Mapping[str, str]) -> Iterator[str]:
    if description := annotations.get("description"):
        yield f"  {description}"
    for key, value in sorted(annotations.items()):
        if key != "description":
            yield f"  {_TITLES.get(key, key)}: {value}"


def _revision(revision: Revision, mark: str, now: datetime) -> Iterator[str]:
    yield f"  {mark} {revision.reference}"
    digest = "" if revision.image in revision.reference else f"\t{revision.image}"
    yield f"      {age(revision.created, now)}{digest}"
