"""Distribution: what an image is brought to, region by region, and what is configured there."""

from __future__ import annotations

import re
from typing import Any

from .cloud import Cloud, Trouble
from .faults import DistributionFails, Faults
from .store import Resource

Body = dict[str, Any]


class RegionFailed(Exception):
    """Some regions have not got the image."""

    def __init__(self, failures: list[Body]) -> None:
        regions = ", ".join(failure["region"] for failure in failures)
        self.message = f"Distribution failed in {regions}: {failures[0]['errorMessage']}"
        super().__init__(self.message)
        self.context = {"errorMessage": self.message, "regionFailures": failures}


class Distributor:
    """Brings AMIs and containers to where they should be."""

    def __init__(self, cloud: Cloud, faults: Faults) -> None:
        self._cloud, self._faults = cloud, faults

    def own(self, image: Resource, recipe: Body, configuration: Body | None) -> tuple[str, str, Body]:
        """Name, description and tags of the AMI in the image's own region."""
        here = [entry for entry in _entries(configuration) if entry["region"] == image.arn.region]
        wanted = here[0].get("amiDistributionConfiguration", {}) if here else {}
        return _named(wanted, image), wanted.get("description", ""), _tags(wanted, image, recipe)

    def say(self, image: Resource, region: str, ami: str, name: str, about: str, account: str = "") -> None:
        """Lists an AMI among what came out."""
        amis = image.body["outputResources"].setdefault("amis", [])
        entry = {
            "region": region,
            "image": ami,
            "name": name,
            "accountId": account or image.arn.owner,
            "state": {"status": "AVAILABLE"},
        }
        amis.append(entry | ({"description": about} if about else {}))

    def distribute(self, image: Resource, recipe: Body, configuration: Body | None, ami: str) -> None:
        """Brings an image to all regions. What fails in one leaves the others alone."""
        if image.body["type"] == "DOCKER":
            self._in_each(
                configuration or _target(image, recipe), lambda entry: self._push(image, recipe, entry)
            )
        else:
            self._in_each(configuration, lambda entry: self._copy(image, recipe, entry, ami))

    def integrate(self, image: Resource, configuration: Body | None) -> None:
        """Configures what was distributed: launch templates, and parameters."""
        self._in_each(configuration, lambda entry: self._configure(image, entry))

    def _in_each(self, configuration: Body | None, act: Any) -> None:
        failures: list[Body] = []
        for entry in _entries(configuration):
            try:
                act(entry)
            except _Failure as failure:
                failures.append({"region": entry["region"], "status": "FAILED", **failure.about})
        if failures:
            raise RegionFailed(failures)

    def _copy(self, image: Resource, recipe: Body, entry: Body, ami: str) -> None:
        region, wanted = entry["region"], entry.get("amiDistributionConfiguration", {})
        self._meet(region, "")
        name, tags = _named(wanted, image), _tags(wanted, image, recipe)
        try:
            for account in [image.arn.owner, *wanted.get("targetAccountIds", [])]:
                if not _is_there(image, region, account):
                    about = {**wanted, "name": name}
                    made = self._cloud.copy((image.arn.region, ami), region, account, about, tags)
                    self.say(image, region, made, name, wanted.get("description", ""), account)
            own = _ami(image, region)
            self._cloud.share(region, own, wanted.get("launchPermission", {}))
        except Trouble as trouble:
            raise _Failure(str(trouble)) from None

    def _push(self, image: Resource, recipe: Body, entry: Body) -> None:
        region, wanted = entry["region"], entry.get("containerDistributionConfiguration", {})
        self._meet(region, "")
        repository = wanted.get("targetRepository", recipe["targetRepository"])["repositoryName"]
        if not self._cloud.has_repository(region, repository):
            raise _Failure(f"The repository with name '{repository}' does not exist in {region}.")
        base = f"{image.arn.owner}.dkr.ecr.{region}.amazonaws.com/{repository}"
        tags = [f"{image.arn.version}-{image.arn.build}", *wanted.get("containerTags", [])]
        containers = image.body["outputResources"].setdefault("containers", [])
        if all(container["region"] != region for container in containers):
            containers.append({"region": region, "imageUris": [f"{base}:{tag}" for tag in tags]})

    def _configure(self, image: Resource, entry: Body) -> None:
        region = entry["region"]
        step = ""
        try:
            for template in entry.get("launchTemplateConfigurations", []):
                step = "UPDATE_LAUNCH_TEMPLATES"
                self._meet(region, step)
                self._cloud.template(
                    region,
                    template["launchTemplateId"],
                    _ami(image, region),
                    template.get("setDefaultVersion", True),
                )
            for parameter in entry.get("ssmParameterConfigurations", []):
                step = "PUT_SSM_PARAMETERS"
                self._meet(region, step)
                kind = parameter.get("dataType", "aws:ec2:image")
                ami = _ami(image, region, parameter.get("amiAccountId", ""))
                self._cloud.put(region, parameter["parameterName"], ami, kind)
        except Trouble as trouble:
            raise _Failure(str(trouble), step) from None

    def _meet(self, region: str, step: str) -> None:
        """Fails where a fault says so, or where there is no region."""
        for fault in self._faults.of(DistributionFails):
            if (fault.region, fault.step) == (region, step) and self._faults.spend(fault):
                raise _Failure(fault.message, step, fault.account)
        if self._faults.lost(region):
            raise _Failure(f"Could not connect to the endpoint of EC2 in {region}.", step)


class _Failure(Exception):
    def __init__(self, message: str, step: str = "", account: str = "") -> None:
        super().__init__(message)
        self.about: Body = {"errorMessage": message}
        if step:
            self.about["imageConfigurationStep"] = step
        if account:
            self.about["targetAccountId"] = account


def _entries(configuration: Body | None) -> list[Body]:
    return list(configuration["distributions"]) if configuration else []


def _target(image: Resource, recipe: Body) -> Body:
    """Where containers go that no configuration distributes."""
    return {"distributions": [{"region": image.arn.region}]}


def _named(wanted: Body, image: Resource) -> str:
    """The name of an AMI, with the date in it."""
    template = wanted.get("name", f"{image.arn.name} {{{{ imagebuilder:buildDate }}}}")
    values = {
        "imagebuilder:buildDate": image.body["dateCreated"].replace(":", "-"),
        "imagebuilder:buildVersion": str(image.arn.build),
    }
    return re.sub(r"\{\{\s*([\w:]+)\s*\}\}", lambda found: values.get(found[1], found[0]), template)


def _tags(wanted: Body, image: Resource, recipe: Body) -> Body:
    own = {"CreatedBy": "EC2 Image Builder", "Ec2ImageBuilderArn": str(image.arn)}
    return {**recipe.get("amiTags", {}), **wanted.get("amiTags", {}), **own}


def _is_there(image: Resource, region: str, account: str) -> bool:
    amis = image.body["outputResources"].get("amis", [])
    return any((ami["region"], ami["accountId"]) == (region, account) for ami in amis)


def _ami(image: Resource, region: str, account: str = "") -> str:
    for ami in image.body["outputResources"].get("amis", []):
        if (ami["region"], ami["accountId"]) == (region, account or image.arn.owner):
            return str(ami["image"])
    raise _Failure(f"There is no AMI in {region} of account {account or image.arn.owner}.")
