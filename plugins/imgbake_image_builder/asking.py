"""Are container images still there? Asked for all of a build at the same time, where nothing else has moved.

This module is loaded by itself, for little else is done then. What it can't tell, it doesn't: the build
then looks at everything, and says what is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

_AT_ONCE = 8


def question(arn: str, profile: str) -> str:
    """What `are_available` is to be asked: about an image of Image Builder."""
    from imgbake_aws import sdk

    return json.dumps({"arn": arn, "profile": profile, "world": sdk.world()})


def are_available(questions: Sequence[str]) -> list[bool]:
    """Of each image: does Image Builder say that it is available, and is the same AWS meant now?"""
    from concurrent.futures import ThreadPoolExecutor

    from imgbake_aws import sdk

    try:
        world = sdk.world()
        asked = [json.loads(question) for question in questions]
        if any(each["world"] != world for each in asked):
            return [False] * len(questions)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(lambda each: _is_available(each["arn"], each["profile"]), asked))
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return [False] * len(questions)


def _is_available(arn: str, profile: str) -> bool:
    from imgbake.api import BakeError
    from imgbake_aws import sdk

    try:
        client = sdk.client("imagebuilder", arn.split(":")[3], profile, is_hasty=True)
        with sdk.asking(f"imagebuilder:GetImage {arn}"):
            found = client.get_image(imageBuildVersionArn=arn)
    except BakeError:
        return False
    return bool(found["image"]["state"]["status"] == "AVAILABLE")
