"""[streams]: tags that point to exact images, and what each is meant to point to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from imgbake.errors import UsageError
from imgbake.model import At, DeclaredStream, Image
from imgbake.recipe import names, options
from imgbake.recipe.files import Section
from imgbake.recipe.reading import Reading
from imgbake.recipe.tables import StreamTable, StreamTagTable
from imgbake.streams import cron
from imgbake.streams.model import CONTAINER, Intent
from imgbake.streams.names import PREFIX, is_stream, is_tag, parse

_LEAST = 1  # second, between two imports
_LETTERS = "lower-case letters and digits, parted by single '.', '_' or '-'"


def read_streams(section: Section, reading: Reading) -> dict[str, DeclaredStream]:
    """The streams that are right; the faults of the others are added."""
    found: dict[str, DeclaredStream] = {}
    for name in section.tables:
        expanded = reading.table(section, name)
        if expanded is None:
            continue
        at = section.at(name)
        reading.expander.refuse_secrets(expanded[0], at, "a stream")
        if not is_stream(name):
            reading.fault(at, f"'{name}' can't be the name of a stream", f"it has {_LETTERS}", value=False)
        table, _ = options.read_repaired(expanded[0], StreamTable, at, reading.faults)
        if table is not None:
            stream = _stream(name, table, at, reading)
            found[name] = replace(stream, missing=reading.ungiven(expanded[1]))
    return found


def check_tag(text: str, at: At, reading: Reading) -> bool:
    """Is it NAME:TAG of a stream? Adds a fault if not."""
    try:
        named = parse(text)
    except UsageError as error:
        reading.fault(at, error.message, error.hint)
        return False
    if not named.tag:
        reading.fault(at, f"'{text}' names no tag", f'write "{named.stream}:latest"')
    return bool(named.tag)


def check_images(
    images: Mapping[str, Image], streams: Mapping[str, DeclaredStream], reading: Reading
) -> None:
    """No tag belongs to two images, nor to an image and to what [streams] says of it."""
    owners: dict[str, str] = {}
    for image in images.values():
        for target, text in image.streams.items():
            at = image.at / "stream" / target if len(image.targets) > 1 else image.at / "stream"
            if not check_tag(text, at, reading):
                continue
            named = parse(text)
            declared = streams.get(named.stream)
            if text in owners:
                reading.fault(at, f"the image '{owners[text]}' moves '{text}', too", "give it another tag")
            elif declared is not None and named.tag in declared.tags:
                message = f"[streams.{named.stream}] says already what '{named.tag}' is"
                reading.fault(at, message, "leave one of them out")
            owners[text] = image.name


def looked_up(images: Mapping[str, Image], streams: Mapping[str, DeclaredStream]) -> dict[str, Image]:
    """The images, those bases by plain names that mean streams written as such."""
    plain = {name for name, stream in streams.items() if stream.lookup}
    found = {}
    for name, image in images.items():
        base = {
            kind: PREFIX + text if text.partition(":")[0].partition("@")[0] in plain else text
            for kind, text in image.base.items()
        }
        found[name] = image if base == image.base else replace(image, base=base)
    return found


def check_base(reference: str, at: At, reading: Reading) -> None:
    """Adds a fault if a base of the form `stream:…` names no tag and no image."""
    try:
        named = parse(reference)
    except UsageError as error:
        reading.fault(at, error.message, error.hint)
        return
    if not named.tag and not named.image:
        reading.fault(at, f"'{reference}' names no tag", f'write "{reference}:latest"')


def declared_kind(reference: str, streams: Mapping[str, DeclaredStream]) -> str:
    """The kind of artifact of a tag, `stream:NAME:TAG`, as the recipe says it; empty when it doesn't."""
    try:
        named = parse(reference)
    except UsageError:
        return ""  # said before
    declared = streams.get(named.stream)
    intent = declared.tags.get(named.tag) if declared else None
    return str(intent.kind) if intent is not None and intent.source else ""


def of_image(
    stream: str | dict[str, str], targets: tuple[str, ...], at: At, reading: Reading
) -> dict[str, str]:
    """The tags of an image by target."""
    if isinstance(stream, str):
        if stream and len(targets) > 1:
            hint = f'write {{ {targets[0]} = "{stream}" }}'
            reading.fault(at, "the image has several targets: say which one's this is", hint)
        return dict.fromkeys(targets[:1], stream) if stream else {}
    for target in stream:
        if target not in targets:
            message = f"the image has no target '{target}'"
            reading.fault(at / target, message, names.suggest(target, targets), value=False)
    return {target: text for target, text in stream.items() if target in targets}


def _stream(name: str, table: StreamTable, at: At, reading: Reading) -> DeclaredStream:
    tags = {tag: _intent(tag, each, at / "tags" / tag, reading) for tag, each in table.tags.items()}
    for tag, intent in tags.items():
        if intent.alias and intent.alias not in tags:
            reading.unknown(at / "tags" / tag / "alias", f"tag of '{name}'", intent.alias, tags)
    images = {tag: each.image for tag, each in table.tags.items() if each.image}
    return DeclaredStream(
        name, at, tags, images, table.repository, table.lookup, table.labels, table.annotations
    )


def _intent(name: str, table: StreamTagTable, at: At, reading: Reading) -> Intent:
    if not is_tag(name):
        hint = "up to 128 letters, digits, '_', '.' and '-', of which the last two don't stand first"
        reading.fault(at, f"'{name}' can't be a tag", hint, value=False)
    kind, source = _source(table.source, at / "from", reading)
    _check_together(table, source, at, reading)
    if table.image and "@" not in table.image and kind == CONTAINER:
        reading.fault(at / "image", f"'{table.image}' has no digest", 'write "…@sha256:…"')
    every = table.every if isinstance(table.every, str) else f"{table.every}s"
    if table.every is not None and reading.duration(table.every, at / "every") < _LEAST:
        reading.fault(at / "every", f"'{table.every}' is too often", "once in a second is the most")
    if table.cron:
        try:
            cron.parse(table.cron)
        except ValueError as error:
            reading.fault(at / "cron", f"'{table.cron}' is no time of cron's: {error}")
    return Intent(
        source,
        kind,
        table.alias,
        table.reference,
        "" if table.every is None else every,
        table.cron,
        table.platform,
        table.reference_policy,
        table.annotations,
    )


def _source(written: str | dict[str, str | dict[str, Any]], at: At, reading: Reading) -> tuple[str, str]:
    """The kind of artifact, and the reference."""
    if isinstance(written, dict):
        if len(written) != 1:
            reading.fault(at, "a tag points to one kind of artifact", 'write { ami = "…" }')
            return CONTAINER, ""
        kind, source = next(iter(written.items()))
        return kind, source if isinstance(source, str) else _reference(source, kind, at / kind, reading)
    if written.startswith(PREFIX):
        check_base(written, at, reading)
        return CONTAINER, written
    kind, colon, source = written.partition(":")
    return (kind, source) if colon and kind in reading.kinds.base_kinds() else (CONTAINER, written)


def _reference(table: dict[str, Any], kind: str, at: At, reading: Reading) -> str:
    """What a table looks for, as text: in the words of a target that makes this kind."""
    kinds: Iterable[str] = reading.kinds.target_kinds()
    classes = [cls for name in kinds if (cls := reading.kinds.target(name)) and cls.artifact == kind]
    type_ = next((found for cls in classes if (found := getattr(cls, "base_table", None))), None)
    if type_ is None:
        reading.fault(at, f"a source of the kind '{kind}' is text, not a table", f'write {kind} = "..."')
        return ""
    read = options.read(table, type_, at, reading.faults)
    return str(read.reference()) if read else ""


def _check_together(table: StreamTagTable, source: str, at: At, reading: Reading) -> None:
    """Keys that don't go together."""
    if table.alias and table.source:
        reading.fault(at / "alias", "a tag that follows another has no `from`", "leave one out", value=False)
    if table.every is not None and table.cron:
        reading.fault(at / "cron", "`every` and `cron` don't go together", "leave one out", value=False)
    if table.reference and not source:
        reading.fault(at / "reference", "there is nothing to refer to", "add `from`", value=False)
    for key in ("every", "cron", "platform"):
        if getattr(table, key) and (table.alias or table.reference or not source):
            why = "what is not imported" if not table.alias else "a tag that follows another"
            reading.fault(at / key, f"{why} has no `{key}`", "leave it out", value=False)
