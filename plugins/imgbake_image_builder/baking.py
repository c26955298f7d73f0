"""One image: its files staged, its resources brought up to date, baked, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from imgbake.api import Artifact, BakeError, Blueprint, Lowered, RunContext, digest
from imgbake_aws import outcome, presence, tags
from imgbake_image_builder import (
    distributions,
    failing,
    history,
    lowering,
    recipes,
    resources,
    systems,
)
from imgbake_image_builder.components import PHASES
from imgbake_image_builder.options import AmiOptions, Options
from imgbake_image_builder.resources import Body, Component, Resources
from imgbake_image_builder.running import Image, Running, Start
from imgbake_image_builder.service import Service, service
from imgbake_image_builder.staging import Bucket
from imgbake_image_builder.words import camel

_LONGEST_DATA = 16000  # characters of a document in a request


def bake(blueprint: Blueprint, lowered: Lowered, options: Options, ctx: RunContext) -> Artifact:
    """Bakes an image. Raises BakeError."""
    _refuse_secrets(blueprint, ctx)
    found = service(recipes.region(blueprint, options), options.profile)
    bucket = Bucket(options, found.region, ctx)
    bucket.files(blueprint)
    plan = _Plan(blueprint, lowered, options, found, bucket, ctx)
    image = plan.bake()
    if image.status != "AVAILABLE":
        names = {lowering.resource_name(each.component).lower(): each.component for each in blueprint.layers}
        raise failing.failure(image, blueprint, names, history.tell(found, image, ctx.log, ctx.check))
    return _ami(image, options) if isinstance(options, AmiOptions) else _container(image)


class _Plan:
    """All that Image Builder is asked for one image."""

    def __init__(
        self,
        blueprint: Blueprint,
        lowered: Lowered,
        options: Options,
        found: Service,
        bucket: Bucket,
        ctx: RunContext,
    ) -> None:
        self._blueprint, self._options, self._service = blueprint, options, found
        self._bucket, self._ctx = bucket, ctx
        self._name = lowering.resource_name(ctx.project, blueprint.image, blueprint.target)
        how = (lowering.INFRASTRUCTURE, lowering.PIPELINE)  # it is baked, and not what
        what = {name: text for name, text in lowered.documents.items() if name not in how}
        self._ours = tags.ours(ctx.project, blueprint.image, blueprint.target, tags.lowered(what))
        known = {name: value for name, value in self._ours.items() if name != tags.LOWERED}
        self._tags = _revealed({**options.tags, **known}, ctx.reveal)
        self._resources = Resources(found, self._tags, ctx.log, ctx.check)

    def bake(self) -> Image:
        """The image, when it has ended."""
        options, make = self._options, self._resources
        wanted = self._components()
        infrastructure = self._revealed(self._infrastructure())
        distribution = self._revealed(self._distribution())
        both = [(resources.INFRASTRUCTURE, infrastructure), (resources.DISTRIBUTION, distribution)]
        make.rehearse(list(wanted.values()), self._name, both)
        arns = {name: make.component(each) for name, each in wanted.items()}
        request = self._recipe(arns)
        recipe = make.recipe(self._name, request, is_container=not isinstance(options, AmiOptions))
        image = self._revealed(lowering.image_request(options))
        run: Body = {
            **image,
            **({"executionRole": options.execution_role} if options.execution_role else {}),
            f"{'image' if isinstance(options, AmiOptions) else 'container'}RecipeArn": recipe,
            **{kind.arn: make.named(kind, self._name, body) for kind, body in both},
        }
        moved = [self._blueprint.base.digest] if recipes.follows_base(self._blueprint, options) else []
        fingerprint = resources.digest_of([request, distribution, image, *moved])
        built = resources.digest_of([request, image, *moved])
        running = Running(self._service, fingerprint, built, self._ctx)
        return running.bake(recipe, self._starting(run), self._is_usable, self._distributing(run))

    def _infrastructure(self) -> Body:
        """The machines. With `--keep` one that fails stays, but for a pipeline, which has others to run."""
        found = lowering.infrastructure(self._options)
        if not self._ctx.keep:
            return found
        if self._options.pipeline is not None:
            self._ctx.log("a pipeline keeps no machine by --keep, but by `terminate_instance_on_failure`")
            return found
        return {**found, "terminateInstanceOnFailure": False}

    def _starting(self, run: Body) -> Start:
        """What starts the image: by itself, or by a pipeline, which is brought up to date at once."""
        options = self._options
        if options.pipeline is None:
            operation, about, body = "CreateImage", self._name, {**run, **self._logging("log_group_name")}
        else:
            request = {**run, **lowering.pipeline_request(options), "imageTags": self._tags}
            request |= self._logging("image_log_group_name", "pipeline_log_group_name")
            arn = self._resources.named(resources.PIPELINE, self._name, self._revealed(request))
            operation, about, body = "StartImagePipelineExecution", arn, {resources.PIPELINE.arn: arn}

        return self._start(operation, about, body)

    def _distributing(self, run: Body) -> Callable[[str], Start] | None:
        """What brings an image that is there to where this one goes; a role of ours has to do it."""
        options, kind = self._options, resources.DISTRIBUTION
        if not isinstance(options, AmiOptions) or options.pipeline is not None or not options.execution_role:
            return None

        def distribute(source: str) -> Start:
            request = {
                "sourceImage": source,
                **{name: run[name] for name in (kind.arn, "executionRole")},
                **self._logging("log_group_name"),
            }
            return self._start("DistributeImage", source, request)

        return distribute

    def _start(self, operation: str, about: str, body: Body) -> Start:
        """What starts an image by a request."""

        def start(token: str, tags: dict[str, str]) -> str:
            request = {**body, "tags": {**self._tags, **tags}, "clientToken": token}
            return str(self._service.call(operation, about, request, self._ctx.check)["imageBuildVersionArn"])

        return start

    def _components(self) -> dict[str, Component]:
        """Those of ours, by their name in the recipe."""
        blueprint, options = self._blueprint, self._options
        system = systems.find(options.os)
        texts = lowering.component_documents(blueprint, options, limits=True)
        found = {}
        for layer in recipes.used(blueprint):
            text = texts.get(lowering.document_name(layer))
            if text is None:
                continue
            name = lowering.resource_name(layer.component)
            request: Body = {"platform": system.platform, "supportedOsVersions": [system.supported]}
            if len(text) <= _LONGEST_DATA:
                request["data"] = text
            elif options.bucket:
                request["uri"] = self._bucket.text(text)
            else:
                message = f"component '{layer.component}': its document has {len(text)} characters"
                hint = f"more than {_LONGEST_DATA} come by way of a bucket: write `bucket` of the target"
                raise BakeError(message, hint=hint)
            found[layer.component] = Component(name, request)
        return found

    def _recipe(self, arns: Mapping[str, str]) -> Body:
        request = recipes.request(self._blueprint, self._options)
        uses = [
            {**each, "componentArn": arns.get(each["componentArn"], each["componentArn"])}
            for each in request.get("components", ())
        ]
        return self._revealed({**request, **({"components": uses} if uses else {})})

    def _distribution(self) -> Body:
        """Where the image goes, with the tags by which our AMIs are known."""
        listed = distributions.listed(self._blueprint, self._options)
        for each in listed:
            each["region"] = each["region"] or self._service.region
            if ami := each.get("amiDistributionConfiguration"):
                ami["amiTags"] = {**ami.get("amiTags", {}), **self._ours}
        return {"distributions": listed}

    def _is_usable(self, image: Image) -> bool:
        if not isinstance(self._options, AmiOptions):
            return True
        regions = _regions(image)
        return bool(regions) and presence.are_there(regions, self._options.profile, self._ctx)

    def _logging(self, *names: str) -> Body:
        said = self._options.logging
        groups = {
            "log_group_name": said.image_log_group_name if said else None,
            "image_log_group_name": said.image_log_group_name if said else None,
            "pipeline_log_group_name": said.pipeline_log_group_name if said else None,
        }
        found = {camel(name): groups[name] for name in names if groups[name]}
        return {"loggingConfiguration": found} if found else {}

    def _revealed(self, value: Body) -> Body:
        found: Body = _revealed(value, self._ctx.reveal)
        return found


def _refuse_secrets(blueprint: Blueprint, ctx: RunContext) -> None:
    """A document can be read by many, so it may not hold a secret."""
    for layer in blueprint.layers:
        for phase in PHASES:
            for command in getattr(layer, phase):
                if ctx.reveal(command) != command:
                    message = f"component '{layer.component}': a command of its phase {phase} names a secret"
                    hint = "documents can be read by many: let the machine fetch it, by its instance profile"
                    raise BakeError(message, hint=hint)


def _revealed(value: Any, reveal: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return reveal(value)
    if isinstance(value, dict):
        return {name: _revealed(each, reveal) for name, each in value.items()}
    return [_revealed(each, reveal) for each in value] if isinstance(value, list) else value


def _regions(image: Image) -> dict[str, str]:
    """The AMIs in our own account by region, that of the region where it was baked first."""
    home, account = image.arn.split(":")[3:5]
    made = image.get("outputResources", {}).get("amis", ())
    ours = {
        each["region"]: each["image"]
        for each in made
        if each.get("image") and each.get("accountId", account) == account
    }
    return {region: ours[region] for region in sorted(ours, key=lambda each: (each != home, each))}


def _ami(image: Image, options: AmiOptions) -> Artifact:
    """The AMIs as an artifact."""
    regions = _regions(image)
    if not regions:
        raise BakeError(f"{image.arn} is available, and names no AMI of this account")
    amis = [
        {name: each[name] for name in ("region", "image", "accountId", "name") if name in each}
        for each in image["outputResources"]["amis"]
    ]
    facts = {"image": image.arn, "amis": amis}
    return outcome.artifact(regions, next(iter(regions)), options.profile, facts)


def _container(image: Image) -> Artifact:
    """The container images as an artifact."""
    made = image.get("outputResources", {}).get("containers", ())
    uris = {each["region"]: list(each.get("imageUris", ())) for each in made}
    listed = [uri for each in uris.values() for uri in each]
    if not listed:
        raise BakeError(f"{image.arn} is available, and names no container image")
    content = digest.of_bytes(msgspec.json.encode([image.arn, uris], order="sorted"))
    return Artifact("container", content, listed[0], {"image": image.arn, "uris": uris})
