from __future__ import annotations

import os
import shutil

import pytest


@pytest.fixture
def mksquashfs() -> None:
    """Skips a test where squashfs-tools are not installed, or fails it where they are required."""
    if shutil.which("mksquashfs") is None or shutil.which("unsquashfs") is None:
        missing = "squashfs-tools are not installed"
        if os.environ.get("IMGBAKE_REQUIRE_SERVICES"):
            pytest.fail(missing)
        pytest.skip(missing)
