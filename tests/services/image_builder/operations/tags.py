"""Tags of resources."""

from __future__ import annotations

from ..call import Call, Values
from ..errors import Refused

_MOST = 50


def tag(call: Call) -> Values:
    """Adds tags, or changes their values."""
    tags = call.get("resourceArn").body.setdefault("tags", {})
    merged = {**tags, **call.params["tags"]}
    if len(merged) > _MOST:
        raise Refused("InvalidParameterException", f"A resource has at most {_MOST} tags.")
    tags.update(merged)
    return {}


def untag(call: Call) -> Values:
    """Removes tags; those that are not there don't matter."""
    tags = call.get("resourceArn").body.setdefault("tags", {})
    for key in call.params["tagKeys"]:
        tags.pop(key, None)
    return {}


def listed(call: Call) -> Values:
    """The tags of a resource."""
    return {"tags": call.get("resourceArn").body.get("tags", {})}


OPERATIONS = {"TagResource": tag, "UntagResource": untag, "ListTagsForResource": listed}
