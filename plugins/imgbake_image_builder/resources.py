"""What an image needs in Image Builder: created when it is absent, changed when it differs, else reused.

Components and recipes have versions, which move by content: each says the digest of its content, and a
content that has a version already keeps it. Configurations and pipelines have a name only, and are
brought up to date. Before anything is made, Image Builder is asked whether it would take all of it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from imgbake.api import BakeError, digest
from imgbake_image_builder.service import DRY_RUN, EXISTS, Refused, Service

CONTENT = "imgbake:content"
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_NEXT_TO_TRY = 5
_CONTENT_IN_TEXT = re.compile(r"content (sha256:[0-9a-f]{64})")

Body = dict[str, Any]

_locks: dict[tuple[str, str], threading.Lock] = {}
_guard = threading.Lock()


class Component(msgspec.Struct, frozen=True):
    """A component as it should be in Image Builder."""

    name: str
    request: Body  # of CreateComponent, without version, description and token

    @property
    def content(self) -> str:
        """The digest of all that makes it what it is."""
        return digest_of(self.request)


class Kind(msgspec.Struct, frozen=True):
    """A kind of resource that has a name and no versions, in the words of the API."""

    noun: str
    create: str
    update: str
    get: str
    list: str
    listed: str  # the member of the list's answer
    arn: str  # the member that names one
    got: str  # the member of the answer of `get`


INFRASTRUCTURE = Kind(
    "infrastructure configuration",
    "CreateInfrastructureConfiguration",
    "UpdateInfrastructureConfiguration",
    "GetInfrastructureConfiguration",
    "ListInfrastructureConfigurations",
    "infrastructureConfigurationSummaryList",
    "infrastructureConfigurationArn",
    "infrastructureConfiguration",
)
DISTRIBUTION = Kind(
    "distribution configuration",
    "CreateDistributionConfiguration",
    "UpdateDistributionConfiguration",
    "GetDistributionConfiguration",
    "ListDistributionConfigurations",
    "distributionConfigurationSummaryList",
    "distributionConfigurationArn",
    "distributionConfiguration",
)
PIPELINE = Kind(
    "image pipeline",
    "CreateImagePipeline",
    "UpdateImagePipeline",
    "GetImagePipeline",
    "ListImagePipelines",
    "imagePipelineList",
    "imagePipelineArn",
    "imagePipeline",
)
_NOT_UPDATED = (
    "name",
    "tags",
    "imageTags",
)  # imageTags are of what a pipeline makes, and carry the fingerprint


class Resources:
    """The resources of one image, in the region of a service."""

    def __init__(
        self, service: Service, tags: Mapping[str, str], log: Callable[[str], None], check: Callable[[], None]
    ) -> None:
        self._service, self._tags, self._log, self._check = service, dict(tags), log, check

    def component(self, wanted: Component) -> str:
        """The ARN of the version of a component that has this content. Raises BakeError."""
        with _lock(self._service.region, f"component {wanted.name}"):
            return self._versioned(
                wanted.name,
                lambda: self._component_versions(wanted.name),
                wanted.content,
                lambda version: self._create_component(wanted, version),
            )

    def recipe(self, name: str, request: Body, *, is_container: bool) -> str:
        """The ARN of the version of a recipe that has this content. Raises BakeError."""
        kind = "Container" if is_container else "Image"
        content = digest_of(request)

        def known() -> dict[str, str]:
            key = f"{kind.lower()}RecipeSummaryList"
            listed = self._list(f"List{kind}Recipes", name, key, {"owner": "Self"})
            return {each["arn"]: each.get("tags", {}).get(CONTENT, "") for each in listed}

        def create(version: str) -> str:
            body = {**request, "name": name, "semanticVersion": version, "tags": self._tagged(content)}
            member = f"{kind.lower()}RecipeArn"
            return self._create(f"Create{kind}Recipe", f"Get{kind}Recipe", f"recipe {name}", member, body)

        with _lock(self._service.region, f"recipe {name}"):
            return self._versioned(name, known, content, create)

    def named(self, kind: Kind, name: str, request: Body) -> str:
        """The ARN of a resource of this name, which is as the request says. Raises BakeError."""
        content = digest_of(request)
        with _lock(self._service.region, f"{kind.noun} {name}"):
            arn = self._find(kind, name)
            if arn is None:
                body = {**request, "name": name, "tags": self._tagged(content)}
                try:
                    arn = self._create(kind.create, kind.get, f"{kind.noun} {name}", kind.arn, body)
                    self._log(f"created {kind.noun} {arn}")
                    return arn
                except Refused as refused:
                    if refused.code != EXISTS or (arn := self._find(kind, name)) is None:
                        raise
            self._update(kind, arn, request, content)
            return arn

    def rehearse(self, components: list[Component], name: str, named: list[tuple[Kind, Body]]) -> None:
        """Asks whether what is absent could be made, so that all that is wrong is said before anything is.

        Raises BakeError.
        """
        problems: list[Refused] = []
        for each in components:
            versions = self._component_versions(each.name)
            if each.content not in versions.values():
                body = self._component_body(each, _after(versions))
                problems += self._rehearsed("CreateComponent", f"component {each.name}", body)
        for kind, request in named:
            if self._find(kind, name) is None:
                problems += self._rehearsed(kind.create, f"{kind.noun} {name}", {**request, "name": name})
        if problems:
            message = "\n".join(problem.message for problem in problems)
            raise BakeError(message, hint=problems[0].hint)

    def _rehearsed(self, operation: str, about: str, body: Body) -> list[Refused]:
        request = {**body, "dryRun": True, "clientToken": token("rehearsal", operation, body)}
        try:
            self._service.call(operation, about, request, self._check)
        except Refused as refused:
            return [] if refused.code in (DRY_RUN, EXISTS) else [refused]
        return []

    def _versioned(
        self,
        name: str,
        known: Callable[[], dict[str, str]],
        content: str,
        create: Callable[[str], str],
    ) -> str:
        """The version that has this content, else a new one after the highest. `known` is ARN to content."""
        for _ in range(_NEXT_TO_TRY):
            versions = known()
            for arn, said in versions.items():
                if said == content:
                    return arn
            try:
                arn = create(_after(versions))
            except Refused as refused:
                if refused.code != EXISTS:
                    raise
                continue  # somebody else made a version meanwhile, perhaps of the same content
            self._log(f"created {arn}")
            return arn
        raise BakeError(f"others make versions of {name} all the time", hint="try again later")

    def _component_versions(self, name: str) -> dict[str, str]:
        listed = self._list("ListComponents", name, "componentVersionList", {"owner": "Self"})
        found = {}
        for each in listed:
            said = _CONTENT_IN_TEXT.search(each.get("description", ""))
            found[str(each["arn"])] = said[1] if said else ""
        return found

    def _create_component(self, wanted: Component, version: str) -> str:
        body = self._component_body(wanted, version)
        member = "componentBuildVersionArn"
        arn = self._create("CreateComponent", "GetComponent", f"component {wanted.name}", member, body)
        return arn.rpartition("/")[0]

    def _component_body(self, wanted: Component, version: str) -> Body:
        return {
            **wanted.request,
            "name": wanted.name,
            "semanticVersion": version,
            "description": f"Made by imgbake, content {wanted.content}",
            "tags": self._tagged(wanted.content),
        }

    def _list(self, operation: str, name: str, key: str, request: Body) -> list[Body]:
        filters = [{"name": "name", "values": [name]}]
        found = self._service.all(operation, name, key, {**request, "filters": filters})
        return [each for each in found if each.get("name") == name]

    def _find(self, kind: Kind, name: str) -> str | None:
        found = self._list(kind.list, name, kind.listed, {})
        return str(found[0]["arn"]) if found else None

    def _update(self, kind: Kind, arn: str, request: Body, content: str) -> None:
        found = self._service.call(kind.get, arn, {kind.arn: arn}, self._check)[kind.got]
        if found.get("tags", {}).get(CONTENT) == content and _holds(found, request):
            return
        body = {name: value for name, value in request.items() if name not in _NOT_UPDATED}
        if kind is PIPELINE and "imageTags" in request:
            body["imageTags"] = request["imageTags"]
        body[kind.arn] = arn
        asked = {**body, "clientToken": token(kind.update, body, found.get("dateUpdated", ""))}
        self._service.call(kind.update, arn, asked, self._check)
        tags = self._tagged(content)
        self._service.call("TagResource", arn, {"resourceArn": arn, "tags": tags}, self._check)
        self._log(f"updated {kind.noun} {arn}")

    def _create(self, operation: str, get: str, about: str, member: str, body: Body) -> str:
        """The ARN of what was made. `member` is its name in answers and requests. Raises Refused.

        A token is remembered longer than what was made by it: then it names what somebody has deleted.
        """
        for attempt in range(_NEXT_TO_TRY):
            request = {**body, "clientToken": token(operation, body, attempt)}
            arn = str(self._service.call(operation, about, request, self._check)[member])
            if self._service.has(get, member, arn):
                return arn
        raise BakeError(f"{about} is deleted as soon as it is made", hint="try again later")

    def _tagged(self, content: str) -> dict[str, str]:
        return {**self._tags, CONTENT: content}


def digest_of(value: Any) -> str:
    """The digest of a request."""
    return digest.of_bytes(msgspec.json.encode(value, order="sorted"))


def token(*values: Any) -> str:
    """A client token, the same for the same values."""
    return digest_of(values).partition(":")[2]


def _after(versions: Mapping[str, str]) -> str:
    """The version that follows the highest of these ARNs."""
    numbers = [
        tuple(map(int, found.groups()))
        for arn in versions
        if (found := _VERSION.fullmatch(arn.split("/")[2])) is not None
    ]
    if not numbers:
        return "1.0.0"
    major, minor, patch = max(numbers)
    return f"{major}.{minor}.{patch + 1}"


def _holds(found: Any, wanted: Any) -> bool:
    """Is all that is wanted there? What the service adds by itself makes no difference."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            _holds(found.get(name), value) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(_holds, found, wanted))
    return bool(found == wanted)


def _lock(*key: str) -> threading.Lock:
    """Held while something of a name is looked for and made, so that images side by side make it once."""
    name = (key[0], key[1])
    with _guard:
        return _locks.setdefault(name, threading.Lock())
