"""As `enter`, for all sandboxes of an imgbake: becomes `forking`."""

from __future__ import annotations

import os
import sys

from imgbake_sandbox import enter, records
from imgbake_sandbox.failure import NOT_MADE, Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_MOST = 1 << 16  # bytes of a message


def main() -> NoReturn:
    """Becomes the server, or says why not.

    Arguments: the descriptor of a socket, whose first message holds the records of an identity; and the
    process that must live for this one to.
    """
    connection, parent = int(sys.argv[1]), sys.argv[2]
    try:
        maps = records.Records(os.read(connection, _MOST))
        enter.become("forking", str(connection), parent, maps=maps, kept=connection)
    except Failure as failure:
        os.write(
            connection, records.encode([("failed", failure.stage, str(failure.number), failure.message)])
        )
    finally:
        os._exit(NOT_MADE)
