"""Amazon's own components, images and workflows, of which every account has some."""

from __future__ import annotations

import json

from .arns import Arn
from .clock import date
from .store import Resource, Store
from .workflows import MANAGED

COMPONENTS = {
    "amazon-cloudwatch-agent-linux": ("Linux", "build"),
    "amazon-cloudwatch-agent-windows": ("Windows", "build"),
    "aws-cli-version-2-linux": ("Linux", "build"),
    "aws-cli-version-2-windows": ("Windows", "build"),
    "docker-ce-linux": ("Linux", "build"),
    "python-3-linux": ("Linux", "build"),
    "reboot-linux": ("Linux", "build"),
    "reboot-test-linux": ("Linux", "test"),
    "simple-boot-test-linux": ("Linux", "test"),
    "simple-boot-test-windows": ("Windows", "test"),
    "stig-build-linux-high": ("Linux", "build"),
    "update-linux": ("Linux", "build"),
    "update-windows": ("Windows", "build"),
}
IMAGES = {
    "amazon-linux-2-arm64": "Linux",
    "amazon-linux-2-x86": "Linux",
    "amazon-linux-2023-arm64": "Linux",
    "amazon-linux-2023-x86": "Linux",
    "red-hat-enterprise-linux-9-x86": "Linux",
    "ubuntu-server-22-lts-x86": "Linux",
    "ubuntu-server-24-lts-arm64": "Linux",
    "ubuntu-server-24-lts-x86": "Linux",
    "windows-server-2022-english-full-base-x86": "Windows",
    "macos-sequoia-15-arm64": "macOS",
}
"""A few of the many."""


def stock(store: Store, region: str, now: float) -> None:
    """Gives a region what is Amazon's."""
    store.stocked.add(region)
    about = {"owner": "Amazon", "dateCreated": date(now)}
    for name, (platform, phase) in COMPONENTS.items():
        step = {"name": "Run", "action": "UpdateOS"}
        document = {"schemaVersion": "1.0", "phases": [{"name": phase, "steps": [step]}]}
        more = {
            "platform": platform,
            "type": phase.upper(),
            "parameters": [],
            "data": json.dumps(document),
            "state": {"status": "ACTIVE"},
        }
        _add(store, Arn(region, "aws", "component", name, "1.0.0", 1), {**about, **more})
    for name, platform in IMAGES.items():
        more = {
            "platform": platform,
            "type": "AMI",
            "imageSource": "AMAZON_MANAGED",
            "state": {"status": "AVAILABLE"},
            "outputResources": {},
        }
        _add(store, Arn(region, "aws", "image", name, "2026.1.1", 1), {**about, **more})
    for name, (kind, steps) in MANAGED.items():
        listed = [{"name": step, "action": action} for step, action in steps]
        data = json.dumps({"name": name, "schemaVersion": "1.0", "steps": listed})
        arn = Arn(region, "aws", f"workflow/{kind}", name, "1.0.2", 1)
        _add(store, arn, {**about, "type": kind.upper(), "data": data})


def _add(store: Store, arn: Arn, body: dict[str, object]) -> None:
    store.add(Resource(arn, {"name": arn.name, "version": arn.version, **body}))
