"""AWS on this computer: moto with what it lacks for taking AMIs and containers to regions.

Copies of AMIs that take their time, are known by client tokens, carry tags and cross accounts; deprecation
and fast launch; versions of launch templates that stand on others; registries behind ECR; and regions that
are down, or refuse.
What moto doesn't know is checked against botocore's model.
"""

from __future__ import annotations

from .registries import EcrRegistry
from .server import Amazon, Fault, running

__all__ = ["Amazon", "EcrRegistry", "Fault", "running"]
