"""The trigger `kubernetes`: objects of a cluster whose annotation says which tag their containers follow."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from imgbake.api import Moved, ResolveContext, Trigger, hookimpl


class KubernetesOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of a trigger with `uses = "kubernetes"`."""

    kube_context: Annotated[
        str, msgspec.Meta(description="The context of the kubeconfig; the current one when left out.")
    ] = ""
    namespaces: Annotated[
        tuple[str, ...],
        msgspec.Meta(min_length=1, description="The namespaces whose objects are looked at."),
    ] = ("default",)


class Kubernetes:
    """Sets the image of containers whose object asks for it, as `image.openshift.io/triggers` describes.

    Deployments, StatefulSets, DaemonSets and CronJobs with that annotation are looked at: a JSON list of
    `{"from": {"kind": "ImageStreamTag", "name": "NAME:TAG"}, "fieldPath": "…", "paused": false}`.
    """

    kind: ClassVar[str] = "kubernetes"
    version: ClassVar[int] = 1

    def __init__(self, options: KubernetesOptions) -> None:
        self._options = options

    def fire(self, moved: Moved, ctx: ResolveContext) -> str:
        from imgbake_triggers.cluster import follow

        changed = [
            name
            for namespace in self._options.namespaces
            for name in follow(moved, namespace, self._options.kube_context, ctx.check)
        ]
        return f"set the image of {', '.join(changed)}" if changed else "every object has the image already"


@hookimpl
def imgbake_triggers() -> list[type[Trigger]]:
    """The kind `kubernetes`."""
    return [Kubernetes]
