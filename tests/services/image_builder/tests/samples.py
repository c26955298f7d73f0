"""An account with something in it: what most tests need before they begin."""

from __future__ import annotations

import json
from typing import Any

Body = dict[str, Any]
AMI = "ami-0123456789abcdef0"


def document(*phases: str, **more: Any) -> str:
    """A component's document whose phases have a step each."""
    step = {"name": "One", "action": "ExecuteBash", "inputs": {"commands": ["true"]}}
    found = [{"name": name, "steps": [step]} for name in phases]
    return json.dumps({"schemaVersion": 1.0, "phases": found, **more})


def to(*regions: str, **more: Any) -> list[Body]:
    """Distributions of an AMI to regions."""
    wanted = {"name": "golden {{ imagebuilder:buildDate }}"}
    return [{"region": region, "amiDistributionConfiguration": wanted, **more} for region in regions]


class Samples:
    """Makes resources through a client, of which a test says only what matters to it."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def component(self, name: str = "hardening", **more: Any) -> str:
        about = {"semanticVersion": "1.0.0", "platform": "Linux", "data": document("build", "test")}
        made = self.client.create_component(**{"name": name, **about, **more})
        return str(made["componentBuildVersionArn"])

    def recipe(self, *components: str, **more: Any) -> str:
        about = {"name": "golden", "semanticVersion": "1.0.0", "parentImage": AMI}
        used = {"components": [{"componentArn": arn} for arn in components]} if components else {}
        return str(self.client.create_image_recipe(**{**about, **used, **more})["imageRecipeArn"])

    def container(self, **more: Any) -> str:
        about = {
            "name": "boxed",
            "semanticVersion": "1.0.0",
            "containerType": "DOCKER",
            "parentImage": "debian:12",
            "targetRepository": {"service": "ECR", "repositoryName": "boxes"},
            "dockerfileTemplateData": "FROM {{{ imagebuilder:parentImage }}}",
        }
        return str(self.client.create_container_recipe(**{**about, **more})["containerRecipeArn"])

    def infrastructure(self, **more: Any) -> str:
        about = {"name": "small", "instanceProfileName": "builders"}
        made = self.client.create_infrastructure_configuration(**{**about, **more})
        return str(made["infrastructureConfigurationArn"])

    def distribution(self, distributions: list[Body], **more: Any) -> str:
        made = self.client.create_distribution_configuration(
            **{"name": "wide", "distributions": distributions, **more}
        )
        return str(made["distributionConfigurationArn"])

    def pipeline(self, recipe: str, infrastructure: str, **more: Any) -> str:
        about = {"name": "weekly", "imageRecipeArn": recipe, "infrastructureConfigurationArn": infrastructure}
        return str(self.client.create_image_pipeline(**{**about, **more})["imagePipelineArn"])

    def image(self, recipe: str, infrastructure: str, **more: Any) -> str:
        about = {"imageRecipeArn": recipe, "infrastructureConfigurationArn": infrastructure}
        return str(self.client.create_image(**{**about, **more})["imageBuildVersionArn"])

    def started(self, **more: Any) -> str:
        """An image with one component that has just begun."""
        return self.image(self.recipe(self.component()), self.infrastructure(), **more)

    def get(self, image: str) -> Body:
        found: Body = self.client.get_image(imageBuildVersionArn=image)["image"]
        return found

    def status(self, image: str) -> str:
        return str(self.get(image)["state"]["status"])
