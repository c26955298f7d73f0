"""Are AMIs still there? Asked for all images of a build at once, where nothing else has moved.

This module is loaded by itself, for little else is done then. What it can't tell, it doesn't: the build
then looks at everything, and says what is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence


def question(regions: Mapping[str, str], profile: str) -> str:
    """What `are_present` is to be asked: about AMIs, by region, of a profile's account."""
    from imgbake_aws import sdk

    return json.dumps({"regions": dict(regions), "profile": profile, "world": sdk.world()})


def are_present(questions: Sequence[str]) -> list[bool]:
    """Of each image: are all of its AMIs ours and available, and is the same AWS meant now?

    A region is asked once for each profile, and all of them at the same time.
    """
    from imgbake.api import BakeError
    from imgbake_aws import presence, sdk

    try:
        world = sdk.world()
        asked = [json.loads(question) for question in questions]
        wanted: dict[presence.Place, set[str]] = {}
        for each in asked:
            for region, ami in each["regions"].items() if each["world"] == world else ():
                wanted.setdefault((region, each["profile"]), set()).add(ami)
        there = presence.of_these(wanted)
        return [
            each["world"] == world
            and all(ami in there[region, each["profile"]] for region, ami in each["regions"].items())
            for each in asked
        ]
    except (BakeError, OSError, ValueError, KeyError, TypeError):
        return [False] * len(questions)
