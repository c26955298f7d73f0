"""How the programs of the sandbox are started: fast, and by nothing but what is installed.

`-I -S` leaves out site-packages and everything of the user's environment, which is most of Python's start;
the folder of this package comes last on the path, so that nothing near it replaces the standard library.
"""

from __future__ import annotations

import os
import sys

_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_CODE = "import sys; sys.path.append(sys.argv.pop(1)); from imgbake_sandbox.{} import main; main()"


def arguments(module: str, *words: str, python: str = "") -> list[str]:
    """The command that calls `main` of a module of this package, with these words as sys.argv[1:]."""
    code = _CODE.format(module)
    return [python or sys.executable, "-I", "-S", "-X", "utf8", "-c", code, _FOLDER, *words]
