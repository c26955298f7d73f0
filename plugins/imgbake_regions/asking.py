"""Are AMIs still in their regions, set as they should be, and do names mean them?

Asked of a settled distribution, where no file has moved here. This module is loaded by itself, for little
else is done then. What it can't tell, it doesn't: the distribution then looks at everything, and says what
is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgbake.api import Artifact, Cargo
    from imgbake_regions.copies import Survey
    from imgbake_regions.options import Options

_AT_ONCE = 16


def question(
    options: Options, project: str, cargo: Cargo, delivered: Artifact, pointers: Sequence[str]
) -> str:
    """What `are_in_regions` is to be asked: is all there of an image, and do these pointers mean it?"""
    import msgspec

    from imgbake_aws import sdk

    asked = {
        "options": msgspec.to_builtins(options),
        "project": project,
        "cargo": msgspec.to_builtins(cargo),
        "reference": delivered.reference,
        "pointers": list(pointers),
        "world": sdk.world(),
    }
    return json.dumps(asked)


def are_in_regions(questions: Sequence[str]) -> list[bool]:
    """Of each question: is all as it should be, and is the same AWS meant now?

    A region is asked once for the AMIs of all, and everything at the same time.
    """
    from concurrent.futures import ThreadPoolExecutor

    import msgspec

    from imgbake.api import BakeError
    from imgbake_aws import sdk
    from imgbake_regions.copies import Survey

    try:
        asked = [json.loads(question) for question in questions]
        world, survey = sdk.world(), Survey()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            looks = [
                [pool.submit(look) for look in _looks(each, survey)] if each["world"] == world else None
                for each in asked
            ]
            return [each is not None and all(look.result() for look in each) for each in looks]
    except (BakeError, OSError, ValueError, KeyError, TypeError, msgspec.MsgspecError):
        return [False] * len(questions)


def _looks(asked: dict[str, Any], survey: Survey) -> Iterator[Callable[[], bool]]:
    """What is to be looked at: the AMI, and each name."""
    import msgspec

    from imgbake.api import Cargo
    from imgbake_regions.destination import AmiRegion
    from imgbake_regions.options import HastyOptions

    region = AmiRegion(msgspec.convert(asked["options"], HastyOptions))
    cargo = msgspec.convert(asked["cargo"], Cargo)
    project: str = asked["project"]
    reference: str = asked["reference"]

    def is_there() -> bool:
        found = region.found(cargo, project, survey)
        return found is not None and found.reference == reference

    def means_it(pointer: str) -> bool:
        return region.meaning(pointer, project) == reference

    yield is_there
    for pointer in asked["pointers"]:
        yield partial(means_it, pointer)
