"""The target `kaniko`, in a cluster, by what every plugin is held to."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from imgbake.testing.conformance import PluginConformance


class TestConformance(PluginConformance):
    """What every plugin is held to. What was killed here may still be in the cluster afterwards."""

    files: ClassVar[dict[str, str]] = {"app.txt": "hello"}
    interruptions: ClassVar[int] = 1

    @pytest.fixture(autouse=True)
    def furnish(self, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
        type(self).recipe = f"""
            [targets.cluster]
            uses = "kaniko"
            tags = ["{cluster.registry}/conformance:1"]
            executor = "{cluster.executor}"
            uploader = "{cluster.uploader}"
            insecure_registries = ["{cluster.registry}"]
            volume = {{ hostPath = {{ path = "{cluster.folder}/volumes" }} }}

            [components.app]
            files = [{{ from = "app.txt", to = "/srv/app.txt" }}]

            [images.app]
            base = "scratch"
            components = ["app"]
            targets = ["cluster"]
            labels = {{ a = "b" }}
        """
