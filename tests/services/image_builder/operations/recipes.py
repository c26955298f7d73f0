"""Image recipes and container recipes."""

from __future__ import annotations

import re

from ..arns import Arn
from ..call import Call, Values, by, owned
from ..errors import combination, depended_on, exists, invalid
from ..store import Resource
from ..versions import Wanted, normalised
from .pipelines import users

_IMAGE, _CONTAINER = "image-recipe", "container-recipe"


def create_image_recipe(call: Call) -> Values:
    """A recipe for AMIs."""
    arn = _new(call, _IMAGE)
    body = call.body() | {"platform": _platform(call), "type": "AMI"}
    _check_devices(call.params.get("blockDeviceMappings", []))
    return _add(call, arn, body, "ImageRecipe", "imageRecipeArn")


def create_container_recipe(call: Call) -> Values:
    """A recipe for containers."""
    template = call.text("dockerfileTemplateData", "dockerfileTemplateUri")
    arn = _new(call, _CONTAINER)
    platform = call.params.get("platformOverride") or _platform(call)
    body = call.body("dockerfileTemplateUri", "platformOverride", "imageOsVersionOverride")
    body |= {"platform": platform, "dockerfileTemplateData": template, "encrypted": True}
    _check_devices(call.params.get("instanceConfiguration", {}).get("blockDeviceMappings", []))
    return _add(call, arn, body, "ContainerRecipe", "containerRecipeArn")


def _new(call: Call, kind: str) -> Arn:
    """The name that a recipe gets: wildcards of its version are filled in."""
    arn = call.arn(kind, normalised(call.params["name"]))
    taken = [recipe.arn.semantic for recipe in call.store.versions(arn)]
    return arn.at(str(Wanted.read(call.params["semanticVersion"]).next(taken)))


def _add(call: Call, arn: Arn, body: Values, kind: str, key: str) -> Values:
    if call.store.find(arn):
        raise exists(kind, arn)
    call.ready()
    body |= {"version": arn.version, "owner": call.account}
    call.store.add(Resource(arn, body))
    return {key: str(arn), "latestVersionReferences": call.store.latest(arn)}


def _platform(call: Call) -> str:
    """The one that all components and the parent image have."""
    platforms = _check_components(call)
    parent = call.params["parentImage"]
    if parent.startswith("arn:"):
        platforms["parentImage"] = call.named(parent).body["platform"]
    elif not re.fullmatch(r"ami-[0-9a-f]{8}(?:[0-9a-f]{9})?|ssm:.+|[\w:/.@-]+", parent):
        raise invalid("parentImage", f"'{parent}' is no AMI, image, SSM parameter or product")
    if len(set(platforms.values())) > 1:
        said = ", ".join(f"{name} is for {platform}" for name, platform in platforms.items())
        raise combination(f"All components and the parent image must be for one platform: {said}.")
    return next(iter(platforms.values()), "Linux")


def _check_components(call: Call) -> Values:
    """Each component at most once, with the parameters that it declares; the platform of each."""
    platforms: Values = {}
    seen: dict[Arn, str] = {}
    for index, used in enumerate(call.params.get("components", [])):
        component = call.named(used["componentArn"])
        if component.arn.at() in seen:
            raise invalid(
                f"components[{index}]",
                f"A component can be used once only in a recipe: '{used['componentArn']}' and "
                f"'{seen[component.arn.at()]}' are the same component.",
            )
        seen[component.arn.at()] = used["componentArn"]
        _check_parameters(f"components[{index}].parameters", used, component)
        platforms[component.arn.name] = component.body["platform"]
    return platforms


def _check_parameters(where: str, used: Values, component: Resource) -> None:
    declared = {parameter["name"]: parameter for parameter in component.body["parameters"]}
    given = [parameter["name"] for parameter in used.get("parameters", [])]
    unknown = [name for name in given if name not in declared]
    if unknown:
        raise combination(
            f"The value supplied for parameter '{where}' is not valid. The following parameters are not "
            f"defined in the provided component: {', '.join(unknown)}"
        )
    needed = [name for name, about in declared.items() if "defaultValue" not in about and name not in given]
    if needed:
        raise combination(
            f"The value supplied for parameter '{where}' is not valid. The following parameters have no "
            f"default and must be given: {', '.join(needed)}"
        )


def _check_devices(devices: list[Values]) -> None:
    for index, device in enumerate(devices):
        ebs, where = device.get("ebs", {}), f"blockDeviceMappings[{index}].ebs"
        kind = ebs.get("volumeType")
        if "iops" in ebs and kind not in ("io1", "io2", "gp3"):
            raise combination(f"{where}.iops is only for volumes of type io1, io2 and gp3.")
        if "throughput" in ebs and kind != "gp3":
            raise combination(f"{where}.throughput is only for volumes of type gp3.")
        if kind in ("io1", "io2") and "iops" not in ebs:
            raise combination(f"{where}.iops is required for volumes of type {kind}.")


def get_image_recipe(call: Call) -> Values:
    """One recipe; with wildcards the newest."""
    return _get(call, "imageRecipeArn", "imageRecipe")


def get_container_recipe(call: Call) -> Values:
    """One recipe; with wildcards the newest."""
    return _get(call, "containerRecipeArn", "containerRecipe")


def _get(call: Call, parameter: str, key: str) -> Values:
    found = call.get(parameter)
    return {key: found.body, "latestVersionReferences": call.store.latest(found.arn)}


def list_image_recipes(call: Call) -> Values:
    """All of them."""
    return _list(call, _IMAGE, "imageRecipeSummaryList", "name", "parentImage", "platform")


def list_container_recipes(call: Call) -> Values:
    """All of them."""
    filters = ("containerType", "name", "parentImage", "platform")
    return _list(call, _CONTAINER, "containerRecipeSummaryList", *filters)


def _list(call: Call, kind: str, key: str, *filters: str) -> Values:
    found = []
    for recipe in owned(call.store.of(kind, call.region), call.params.get("owner"), call.account):
        instance = recipe.body.get("instanceConfiguration", {}).get("image")
        found.append({**recipe.body, "instanceImage": instance})
    return call.page(key, found, by(*filters))


def delete_image_recipe(call: Call) -> Values:
    """Refused while a pipeline or a running build uses it."""
    return _delete(call, "imageRecipeArn")


def delete_container_recipe(call: Call) -> Values:
    """Refused while a pipeline or a running build uses it."""
    return _delete(call, "containerRecipeArn")


def _delete(call: Call, parameter: str) -> Values:
    recipe = call.get(parameter)
    for user in users(call, recipe):
        raise depended_on(recipe.arn, user)
    call.store.remove(recipe)
    return {parameter: str(recipe.arn)}


OPERATIONS = {
    "CreateImageRecipe": create_image_recipe,
    "GetImageRecipe": get_image_recipe,
    "ListImageRecipes": list_image_recipes,
    "DeleteImageRecipe": delete_image_recipe,
    "CreateContainerRecipe": create_container_recipe,
    "GetContainerRecipe": get_container_recipe,
    "ListContainerRecipes": list_container_recipes,
    "DeleteContainerRecipe": delete_container_recipe,
}
