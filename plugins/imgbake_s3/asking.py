"""Is all still in buckets? Asked of a settled distribution, where no file has moved here.

This module is loaded by itself, for little else is done then. What it can't tell, it doesn't: the
distribution then looks at everything, and says what is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

_AT_ONCE = 16


def question(where: Sequence[str], sizes: Mapping[str, int], listed: Sequence[tuple[str, str]]) -> str:
    """What `are_there` is to be asked: has a layout (its address, region and profile) these blobs, and does
    it list these digests under these names (empty for none)?"""
    from imgbake_aws import sdk

    asked = {"where": list(where), "sizes": dict(sizes), "listed": list(listed), "world": sdk.world()}
    return json.dumps(asked)


def are_there(questions: Sequence[str]) -> list[bool]:
    """Of each question: is all there, and is the same AWS meant now?"""
    from imgbake.api import BakeError

    try:
        return [_is_there(json.loads(question)) for question in questions]
    except (BakeError, OSError, ValueError, KeyError, TypeError):
        return [False] * len(questions)


def _is_there(asked: dict[str, Any]) -> bool:
    from concurrent.futures import ThreadPoolExecutor

    from imgbake_aws import sdk
    from imgbake_copy import listing
    from imgbake_s3.objects import Objects

    if asked["world"] != sdk.world():
        return False
    objects = Objects(*asked["where"], is_hasty=True)
    index = objects.read("index.json")
    found = listing.decoded(index.data, "index.json") if index else []
    names = [[each.annotations.get(listing.REF_NAME, ""), each.digest] for each in found]
    keys = [f"blobs/sha256/{digest.removeprefix('sha256:')}" for digest in asked["sizes"]]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        sizes = list(pool.map(objects.size, keys))
    return sizes == list(asked["sizes"].values()) and all(each in names for each in asked["listed"])
