"""A project whose image is baked in the cluster of the tests."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from imgbake.testing.project import Project, Ran
from imgbake_docker.tests import trees
from imgbake_kaniko.executor import KANIKO

_PATIENCE = 180  # seconds, for a machine that does much besides

OURS = "imgbake-app-kaniko-"  # and not what other tests have killed on purpose


class InCluster(Project):
    """A project with one image, `app`, for the target `kaniko`."""

    def __init__(self, root: Path, cluster: Any, base: str) -> None:
        super().__init__(root)
        self.cluster, self.base = cluster, base
        self.tag = f"{cluster.registry}/{root.name}/app:1"
        self._before = self._on_node()

    def image(self, components: str, keys: str = "", options: str = "", targets: str = '["kaniko"]') -> None:
        names = json.dumps([line[12:-1] for line in components.split() if line.startswith("[components.")])
        folder = json.dumps(str(self.cluster.folder / "volumes"))
        own = {
            "executor": f'"{self.cluster.executor}"',
            "uploader": f'"{self.cluster.uploader}"',
            "insecure_registries": f'["{self.cluster.registry}"]',
            "start_timeout": str(_PATIENCE),
            "volume": f"{{ hostPath = {{ path = {folder} }} }}",
        }
        said = {line.partition(" =")[0] for line in options.splitlines()}
        lines = [f"{key} = {value}\n" for key, value in own.items() if key not in said]
        self.recipe(
            f'[targets.kaniko]\nuses = "kaniko"\ntags = ["{self.tag}"]\n{"".join(lines)}{options}\n'
            f'{components}\n[images.app]\nbase = "{self.base}"\ntargets = {targets}\n'
            f"components = {names}\n{keys}\n"
        )

    def run(self, *args: str, env: Any = None) -> Ran:
        return super().run(*args, env={"KUBECONFIG": str(self.cluster.kubeconfig), **(env or {})})

    def until_running(self, container: str = KANIKO) -> subprocess.Popen[str]:
        """Starts a build, and waits until a container runs."""
        process = self.start("build", env={"KUBECONFIG": str(self.cluster.kubeconfig)})
        until = time.monotonic() + _PATIENCE
        while not any(_is_running(pod, container) for pod in self.cluster.objects("pods")):
            assert time.monotonic() < until
            time.sleep(0.2)
        return process

    def pulled(self) -> tuple[dict[str, tuple[Any, ...]], dict[str, Any]]:
        """The tree and the configuration of the image that was pushed."""
        to = self.root / "pulled.tar"
        to.unlink(missing_ok=True)
        copy = ["skopeo", "copy", "--quiet", "--src-tls-verify=false", f"docker://{self.tag}"]
        subprocess.run([*copy, f"docker-archive:{to}"], check=True)
        return trees.image(to)

    def left_on_node(self) -> set[str]:
        """The folders of volumes that this project has left."""
        return self._on_node() - self._before

    def _on_node(self) -> set[str]:
        return {path.name for path in (self.cluster.folder / "volumes").glob(f"{OURS}*")}

    def left(self) -> list[str]:
        """What is left in the cluster, once it has had the time to remove it."""
        until = time.monotonic() + _PATIENCE
        while (found := self.in_cluster()) and time.monotonic() < until:
            time.sleep(0.3)
        return found

    def in_cluster(self) -> list[str]:
        """What of ours is in the cluster now."""
        kinds = ("jobs", "pods", "secrets", "persistentvolumeclaims", "persistentvolumes")
        return [
            f"{kind}/{each['metadata']['name']}"
            for kind in kinds
            for each in self.cluster.objects(kind)
            if OURS in each["metadata"]["name"]
        ]


def _is_running(pod: Any, container: str) -> bool:
    return pod["metadata"]["name"].startswith(OURS) and any(
        each["name"] == container and "running" in each["state"]
        for each in pod["status"].get("containerStatuses", ())
    )
