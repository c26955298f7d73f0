"""Image streams: named tags that point to exact images, and remember what they pointed to before."""

from __future__ import annotations

PREFIX = "stream:"
"""What names one, wherever a registry's reference could stand as well, begins with this."""
