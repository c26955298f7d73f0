"""The command that starts the cloud."""

from __future__ import annotations

import argparse
import contextlib
import threading

from imgbake.testing.registry import Registry

from .server import Amazon


def main() -> None:
    """Serves until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="amazon", description="AWS on this computer: moto, and what it lacks."
    )
    parser.add_argument("--port", type=int, default=0, help="0 is any that is free")
    parser.add_argument(
        "--registry", action="append", default=[], metavar="REGION", help="a region whose ECR has a registry"
    )
    parser.add_argument("--copies-take", type=float, default=0, metavar="SECONDS", help="how long AMIs take")
    given = parser.parse_args()
    cloud = Amazon(given.port)
    cloud.copies_take = given.copies_take
    with contextlib.ExitStack() as stack, contextlib.suppress(KeyboardInterrupt):
        for region in given.registry:
            cloud.registry(stack.enter_context(Registry()).host, region)
        print(f"AWS is at {cloud.url}", flush=True)
        threading.Event().wait()
