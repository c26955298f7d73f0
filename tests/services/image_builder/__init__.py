"""An emulator of EC2 Image Builder, for tests of what talks to it. See README.md beside this file."""

from __future__ import annotations

from .clock import Clock, ManualClock
from .faults import (
    ComponentFails,
    Denied,
    DistributionFails,
    Error,
    Expired,
    Lost,
    ScanFinds,
    Slow,
    Throttle,
)
from .server import ImageBuilder

__all__ = [
    "Clock",
    "ComponentFails",
    "Denied",
    "DistributionFails",
    "Error",
    "Expired",
    "ImageBuilder",
    "Lost",
    "ManualClock",
    "ScanFinds",
    "Slow",
    "Throttle",
]
