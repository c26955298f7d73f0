"""Infrastructure and distribution configurations."""

from __future__ import annotations

from collections.abc import Callable

from ..call import Call, Values, by
from ..errors import combination, depended_on, exists, invalid
from ..store import Resource
from ..versions import normalised
from .pipelines import users

_RESERVED = {"createdby", "ec2imagebuilderarn", "name", "tags"}
_DATE = "imagebuilder:buildDate"


def create_infrastructure(call: Call) -> Values:
    """How instances are started that build and test."""
    _check_infrastructure(call.params)
    body = {"terminateInstanceOnFailure": True, **call.body()}
    return _add(call, "infrastructure-configuration", "infrastructureConfigurationArn", body)


def create_distribution(call: Call) -> Values:
    """Where images are brought to."""
    _check_distributions(call.params["distributions"])
    body = {"timeoutMinutes": 720, **call.body()}
    return _add(call, "distribution-configuration", "distributionConfigurationArn", body)


def _add(call: Call, kind: str, key: str, body: Values) -> Values:
    arn = call.arn(kind, normalised(call.params["name"]))
    if call.store.find(arn):
        name = "".join(word.capitalize() for word in kind.split("-"))
        raise exists(name, arn)
    call.ready()
    call.store.add(Resource(arn, body))
    return {key: str(arn)}


def update_infrastructure(call: Call) -> Values:
    """Replaces all but the name and the tags."""
    _check_infrastructure(call.params)
    return _update(call, "infrastructureConfigurationArn", {"terminateInstanceOnFailure": True})


def update_distribution(call: Call) -> Values:
    """Replaces all but the name and the tags."""
    _check_distributions(call.params["distributions"])
    return _update(call, "distributionConfigurationArn", {"timeoutMinutes": 720})


def _update(call: Call, parameter: str, defaults: Values) -> Values:
    found = call.get(parameter)
    kept: Values = {
        key: found.body[key] for key in ("arn", "name", "tags", "dateCreated") if key in found.body
    }
    given = call.body(parameter, "dateCreated", "tags")
    found.body = {**defaults, **given, **kept, "dateUpdated": call.today}
    return {parameter: str(found.arn)}


def _check_infrastructure(given: Values) -> None:
    if ("subnetId" in given) != bool(given.get("securityGroupIds")):
        raise combination("subnetId and securityGroupIds must be specified together.")
    for key in given.get("resourceTags", {}):
        if key.lower() in _RESERVED:
            raise invalid("resourceTags", f"The tag key '{key}' is reserved")
    placement = given.get("placement", {})
    if "hostId" in placement and "hostResourceGroupArn" in placement:
        raise combination("Only one of placement.hostId and placement.hostResourceGroupArn may be specified.")
    if placement.get("tenancy", "host") != "host" and {"hostId", "hostResourceGroupArn"} & set(placement):
        raise combination("A host can be specified for the tenancy 'host' only.")


def _check_distributions(distributions: list[Values]) -> None:
    regions = [entry["region"] for entry in distributions]
    if not regions:
        raise invalid("distributions", "At least one distribution must be specified")
    for index, entry in enumerate(distributions):
        if regions.count(entry["region"]) > 1:
            raise invalid("distributions", f"The region {entry['region']} is there more than once")
        name = entry.get("amiDistributionConfiguration", {}).get("name")
        if name is not None and _DATE not in name:
            raise invalid(
                f"distributions[{index}].amiDistributionConfiguration.name",
                f"The name must contain the variable {{{{ {_DATE} }}}}",
            )
        if len(entry) == 1:
            raise combination(f"The distribution for {entry['region']} distributes nothing.")


def _getter(parameter: str, key: str) -> Callable[[Call], Values]:
    def get(call: Call) -> Values:
        return {key: call.get(parameter).body}

    return get


def list_infrastructure(call: Call) -> Values:
    """All of them."""
    found = [resource.body for resource in call.store.of("infrastructure-configuration", call.region)]
    return call.page("infrastructureConfigurationSummaryList", found, by("name"))


def list_distribution(call: Call) -> Values:
    """All of them."""
    found = []
    for resource in call.store.of("distribution-configuration", call.region):
        regions = [entry["region"] for entry in resource.body["distributions"]]
        found.append({**resource.body, "regions": regions})
    return call.page("distributionConfigurationSummaryList", found, by("name"))


def _deleter(parameter: str) -> Callable[[Call], Values]:
    def delete(call: Call) -> Values:
        found = call.get(parameter)
        for user in users(call, found):
            raise depended_on(found.arn, user)
        call.store.remove(found)
        return {parameter: str(found.arn)}

    return delete


_INFRASTRUCTURE, _DISTRIBUTION = "infrastructureConfigurationArn", "distributionConfigurationArn"
OPERATIONS: dict[str, Callable[[Call], Values]] = {
    "CreateInfrastructureConfiguration": create_infrastructure,
    "UpdateInfrastructureConfiguration": update_infrastructure,
    "GetInfrastructureConfiguration": _getter(_INFRASTRUCTURE, "infrastructureConfiguration"),
    "ListInfrastructureConfigurations": list_infrastructure,
    "DeleteInfrastructureConfiguration": _deleter(_INFRASTRUCTURE),
    "CreateDistributionConfiguration": create_distribution,
    "UpdateDistributionConfiguration": update_distribution,
    "GetDistributionConfiguration": _getter(_DISTRIBUTION, "distributionConfiguration"),
    "ListDistributionConfigurations": list_distribution,
    "DeleteDistributionConfiguration": _deleter(_DISTRIBUTION),
}
