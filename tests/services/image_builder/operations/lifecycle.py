"""Lifecycle policies, and changes of an image's state."""

from __future__ import annotations

import uuid

from ..call import Call, Values, by
from ..cloud import Trouble
from ..errors import Refused, combination, exists
from ..state_machine import DONE
from ..store import Resource
from ..versions import normalised

_KIND = "lifecycle-policy"


def create(call: Call) -> Values:
    """A policy. It is kept, and never carried out."""
    _check(call.params)
    arn = call.arn(_KIND, normalised(call.params["name"]))
    if call.store.find(arn):
        raise exists("LifecyclePolicy", arn)
    call.ready()
    call.store.add(Resource(arn, {"status": "ENABLED", **call.body(), "dateCreated": call.now}))
    return {"lifecyclePolicyArn": str(arn)}


def update(call: Call) -> Values:
    """Replaces all but the name and the tags."""
    _check(call.params)
    found = call.get("lifecyclePolicyArn")
    kept = {key: found.body[key] for key in ("arn", "name", "tags", "dateCreated")}
    found.body = {"status": "ENABLED", **call.body("lifecyclePolicyArn"), **kept, "dateUpdated": call.now}
    return {"lifecyclePolicyArn": str(found.arn)}


def _check(given: Values) -> None:
    selection = given["resourceSelection"]
    if bool(selection.get("recipes")) == bool(selection.get("tagMap")):
        raise combination(
            "Exactly one of resourceSelection.recipes and resourceSelection.tagMap is required."
        )
    for detail in given["policyDetails"]:
        action, chosen = detail["action"], detail["filter"]
        if chosen["type"] == "AGE" and "unit" not in chosen:
            raise combination("A filter of type AGE needs a unit.")
        if chosen["type"] == "COUNT" and ("unit" in chosen or "retainAtLeast" in chosen):
            raise combination("A filter of type COUNT has neither unit nor retainAtLeast.")
        if given["resourceType"] == "CONTAINER_IMAGE" and action["type"] != "DELETE":
            raise combination("Container images can be deleted only.")


def get(call: Call) -> Values:
    """One policy."""
    return {"lifecyclePolicy": call.get("lifecyclePolicyArn").body}


def listed(call: Call) -> Values:
    """All policies."""
    found = [policy.body for policy in call.store.of(_KIND, call.region)]
    return call.page("lifecyclePolicySummaryList", found, by("name", "resourceType", "status"))


def delete(call: Call) -> Values:
    """Forgets a policy."""
    found = call.get("lifecyclePolicyArn")
    call.store.remove(found)
    return {"lifecyclePolicyArn": str(found.arn)}


def change_state(call: Call) -> Values:
    """Brings an image, and what came out of it if that is asked for, into another state."""
    image, wanted = call.get("resourceArn"), call.params["state"].get("status", "")
    if image.body["state"]["status"] not in DONE:
        raise Refused("ResourceInUseException", f"The image '{image.arn}' is being built.")
    included = call.params.get("includeResources", {})
    if included and "executionRole" not in call.params:
        raise combination("An executionRole must be specified with includeResources.")
    if included.get("amis"):
        for ami in image.body["outputResources"].get("amis", []):
            try:
                call.cloud.state(ami["region"], ami["image"], wanted)
            except Trouble as trouble:
                raise Refused("InvalidRequestException", str(trouble)) from None
            ami["state"] = {"status": wanted}
    image.body["state"] = {"status": wanted}
    answer: Values = {"resourceArn": str(image.arn)}
    if included or wanted == "DELETED":
        answer["lifecycleExecutionId"] = image.body["lifecycleExecutionId"] = f"lce-{uuid.uuid4()}"
    if wanted == "DELETED":
        call.store.remove(image)
        call.builds.all.pop(str(image.arn), None)
    return answer


OPERATIONS = {
    "CreateLifecyclePolicy": create,
    "UpdateLifecyclePolicy": update,
    "GetLifecyclePolicy": get,
    "ListLifecyclePolicies": listed,
    "DeleteLifecyclePolicy": delete,
    "StartResourceStateUpdate": change_state,
}
