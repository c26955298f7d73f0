"""What names a stream, a tag of it, or an image in it: NAME, NAME:TAG, NAME@DIGEST.

`PREFIX` before it says so wherever a registry's reference could stand as well.
"""

from __future__ import annotations

import re

import msgspec

from imgbake.errors import UsageError, did_you_mean
from imgbake.streams import PREFIX as PREFIX
from imgbake.streams.model import Stream

LATEST = "latest"
# A path component of the OCI distribution specification, so that any shelf can have it as a name.
_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_LONGEST = 100
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)


class Named(msgspec.Struct, frozen=True):
    """A stream, and the tag or the image that is meant, if one is. An image may be shortened."""

    stream: str
    tag: str = ""
    image: str = ""

    def __str__(self) -> str:
        return self.stream + (f":{self.tag}" if self.tag else f"@{self.image}" if self.image else "")


def is_stream(text: str) -> bool:
    """May a stream be called so?"""
    return len(text) <= _LONGEST and _NAME.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    """May a tag be called so?"""
    return _TAG.fullmatch(text) is not None


def parse(text: str) -> Named:
    """What a text names. Raises UsageError when it can name nothing."""
    plain = text.removeprefix(PREFIX)
    stream, at, image = plain.partition("@")
    tag = ""
    if not at:
        stream, colon, tag = plain.partition(":")
        if colon and not is_tag(tag):
            hint = "up to 128 letters, digits, '_', '.' and '-', of which the last two don't stand first"
            raise UsageError(f"'{text}': '{tag}' can't be a tag", hint=hint)
    if not is_stream(stream):
        hint = (
            "write NAME:TAG or NAME@DIGEST; a name has lower-case letters, digits, and single '.', '_', '-'"
        )
        raise UsageError(f"'{text}': '{stream}' can't be the name of a stream", hint=hint)
    if at and not image:
        raise UsageError(f"'{text}' names no image", hint=f"`imgbake stream describe {stream}` shows them")
    return Named(stream, tag, image)


def parse_tag(text: str) -> Named:
    """The tag that a text names, `latest` if it names only a stream. Raises UsageError."""
    named = parse(text)
    if named.image:
        raise UsageError(f"'{text}' is an image, not a tag", hint="write NAME:TAG")
    return msgspec.structs.replace(named, tag=named.tag or LATEST)


def image(named: Named, stream: Stream) -> str:
    """The one image of the stream that a name means. Raises UsageError when it is none, or several."""
    wanted = named.image
    found = [each for each in stream.images if wanted in (each, each.partition(":")[2])]
    found = found or [each for each in stream.images if _begins(each, wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{named} is several images: {', '.join(sorted(found))}", hint="write more of it")
    hint = f"`imgbake stream history {named.stream}` shows those that are or were tagged"
    raise UsageError(f"{named}: no tag of the stream has or had this image", hint=hint)


def unknown_tag(named: Named, stream: Stream) -> UsageError:
    """That a stream has no such tag."""
    hint = did_you_mean(named.tag, stream.tags) or f"`imgbake stream describe {named.stream}` shows its tags"
    return UsageError(f"the stream '{named.stream}' has no tag '{named.tag}'", hint=hint)


def _begins(image: str, wanted: str) -> bool:
    return image.startswith(wanted) or image.partition(":")[2].startswith(wanted)
