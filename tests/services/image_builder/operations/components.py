"""Components."""

from __future__ import annotations

import json

from .. import documents
from ..arns import Arn
from ..call import Call, Values, by, owned
from ..errors import depended_on, exists, invalid
from ..store import Resource
from ..versions import Version, Wanted, normalised

_CONTENT = ("data", "description", "kmsKeyId", "platform", "supportedOsVersions")
_FILTERS = by("description", "name", "platform", "supportedOsVersions", "type", "version", "status")
_FILTERS["supportedOsVersion"] = _FILTERS.pop("supportedOsVersions")


def create(call: Call) -> Values:
    """A new build version, unless nothing has changed."""
    data = call.text("data", "uri")
    return _add(call, call.body("uri") | {"data": data}, documents.read(data))


def import_script(call: Call) -> Values:
    """A script becomes the only step of a document."""
    script, kind = call.text("data", "uri"), call.params["type"].lower()
    action = "ExecutePowerShell" if call.params["platform"] == "Windows" else "ExecuteBash"
    step = {"name": "RunScript", "action": action, "inputs": {"commands": [script]}}
    phase = {"name": kind, "steps": [step]}
    data = json.dumps({"name": call.params["name"], "schemaVersion": "1.0", "phases": [phase]})
    return _add(call, call.body("uri", "format", "type") | {"data": data}, documents.read(data))


def _add(call: Call, body: Values, document: documents.Document) -> Values:
    version = str(Version.read(call.params["semanticVersion"]))
    arn = call.arn("component", normalised(call.params["name"]), version)
    latest = call.store.find(arn)
    if latest and all(latest.body.get(key) == body.get(key) for key in _CONTENT):
        raise exists("Component", latest.arn)
    call.ready()
    made = arn.at(version, call.store.next_build(arn))
    body |= {
        "version": version,
        "owner": call.account,
        "type": document.kind,
        "parameters": [parameter.described() for parameter in document.parameters],
        "state": {"status": "ACTIVE"},
        "encrypted": True,
    }
    call.store.add(Resource(made, body))
    return _answer(call, made)


def _answer(call: Call, arn: object) -> Values:
    answer: Values = {"componentBuildVersionArn": str(arn)}
    if call.operation == "CreateComponent":
        answer["latestVersionReferences"] = call.store.latest(call.named(str(arn)).arn)
    return answer


def get(call: Call) -> Values:
    """One component; with wildcards or without a build, the newest."""
    found = call.get("componentBuildVersionArn")
    return {"component": found.body, "latestVersionReferences": call.store.latest(found.arn)}


def listed(call: Call) -> Values:
    """One entry for each version, or with byName one for each name."""
    if call.params.get("byName") and any(f.get("name") == "version" for f in call.params.get("filters", [])):
        raise invalid("byName", "'byName' can't be combined with the filter version")
    return call.page(
        "componentVersionList", versions(call, "component", bool(call.params.get("byName"))), _FILTERS
    )


def versions(call: Call, kind: str, by_name: bool) -> list[Values]:
    """What lists show of resources that have builds: their versions, each as its newest build is."""
    newest: dict[str, Values] = {}
    for resource in owned(call.store.of(kind, call.region), call.params.get("owner"), call.account):
        arn = resource.arn.at("x.x.x") if by_name else resource.arn.at(resource.arn.version)
        state = resource.body.get("state", {}).get("status", "")
        newest[str(arn)] = {**resource.body, "arn": str(arn), "status": state}
    return list(newest.values())


def build_versions(call: Call) -> Values:
    """All builds of a version."""
    resources = owned(call.store.of("component", call.region), None, call.account)
    wanted = call.params.get("componentVersionArn")
    found = [
        resource.body
        for resource in resources
        if wanted in (None, str(resource.arn.at(resource.arn.version)))
    ]
    return call.page("componentSummaryList", found)


def delete(call: Call) -> Values:
    """Refused while a recipe uses it."""
    component = call.get("componentBuildVersionArn")
    for kind in ("image-recipe", "container-recipe"):
        for recipe in call.store.of(kind, call.region):
            for used in recipe.body.get("components", []):
                if _is_last_of(call, component, Arn.read(used["componentArn"])):
                    raise depended_on(component.arn, recipe.arn)
    call.store.remove(component)
    return {"componentBuildVersionArn": str(component.arn)}


def _is_last_of(call: Call, component: Resource, used: Arn) -> bool:
    """Would a name that a recipe uses mean nothing without a component?"""
    if used.at() != component.arn.at():
        return False
    others = [other.arn for other in call.store.versions(used) if other is not component]
    if used.build:
        return used == component.arn
    return not any(Wanted.read(used.version).matches(other.semantic) for other in others)


OPERATIONS = {
    "CreateComponent": create,
    "ImportComponent": import_script,
    "GetComponent": get,
    "ListComponents": listed,
    "ListComponentBuildVersions": build_versions,
    "DeleteComponent": delete,
}
