"""The command that starts the emulator."""

from __future__ import annotations

import argparse
import contextlib
import threading

from .clock import Clock, ManualClock
from .emulator import ACCOUNT, PACE
from .server import ImageBuilder


def main() -> None:
    """Serves until Ctrl-C."""
    given = _arguments().parse_args()
    clock = ManualClock() if given.manual_clock else Clock()
    pace = dict.fromkeys(PACE, given.seconds) if given.seconds is not None else {}
    pace |= dict(given.pace)
    options = {"clock": clock, "pace": pace, "account": given.account, "cloud": given.cloud}
    with ImageBuilder(host=given.host, port=given.port, **options) as emulator:
        print(f"EC2 Image Builder is at {emulator.url}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="image_builder", description="An emulator of EC2 Image Builder.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=4570, help="0 is any that is free")
    parser.add_argument("--account", default=ACCOUNT, metavar="ID")
    parser.add_argument("--seconds", type=float, help="how long an image is in each state")
    parser.add_argument("--pace", type=_pace, action="append", default=[], metavar="STATE=SECONDS")
    parser.add_argument("--manual-clock", action="store_true", help="time goes on by POST /_emulator/clock")
    parser.add_argument("--cloud", default="", metavar="URL", help="where EC2, SSM, ECR and S3 are (moto's)")
    return parser


def _pace(text: str) -> tuple[str, float]:
    state, _, seconds = text.partition("=")
    if state not in PACE:
        raise argparse.ArgumentTypeError(f"{state} is no state; there are {', '.join(PACE)}")
    return state, float(seconds)
