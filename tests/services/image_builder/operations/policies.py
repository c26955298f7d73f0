"""Resource policies, by which resources are shared. They are kept, and let nobody in."""

from __future__ import annotations

import json
from collections.abc import Callable

from ..call import Call, Values
from ..errors import Refused, invalid


def _putter(parameter: str) -> Callable[[Call], Values]:
    def put(call: Call) -> Values:
        found = call.get(parameter)
        try:
            json.loads(call.params["policy"])
        except ValueError as error:
            raise invalid("policy", f"The policy is not JSON: {error}") from None
        found.policy = call.params["policy"]
        return {parameter: str(found.arn)}

    return put


def _getter(parameter: str) -> Callable[[Call], Values]:
    def get(call: Call) -> Values:
        found = call.get(parameter)
        if not found.policy:
            raise Refused("ResourceNotFoundException", f"'{found.arn}' has no policy.")
        return {"policy": found.policy}

    return get


_SHARED = {
    "Component": "componentArn",
    "ContainerRecipe": "containerRecipeArn",
    "Image": "imageArn",
    "ImageRecipe": "imageRecipeArn",
}
OPERATIONS = {
    **{f"Put{kind}Policy": _putter(parameter) for kind, parameter in _SHARED.items()},
    **{f"Get{kind}Policy": _getter(parameter) for kind, parameter in _SHARED.items()},
}
