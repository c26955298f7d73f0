"""`python3 -m greeter`: serves, or checks that a server is well."""

from __future__ import annotations

import argparse
import sys
from urllib.request import urlopen
from wsgiref.simple_server import make_server

from greeter import application


def main() -> int:
    """Parses the command line and does what it asks."""
    parser = argparse.ArgumentParser(prog="greeter")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--check", action="store_true", help="ask a running server, and say how it is")
    given = parser.parse_args()
    if given.check:
        return 0 if _is_well(given.port) else 1
    with make_server("", given.port, application) as server:
        print(f"serving on port {given.port}")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("bye")
    return 0


def _is_well(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


sys.exit(main())
