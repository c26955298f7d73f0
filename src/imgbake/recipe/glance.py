"""What commands need of a recipe that they don't otherwise read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imgbake.errors import UsageError
from imgbake.files.regular import read_file


def project_table(file: Path) -> dict[str, Any]:
    """The table [project] as it is written. Raises FileNotFoundError where there is no recipe, and
    UsageError where it can't be read."""
    import tomllib  # takes as long as much of the rest

    try:
        table = tomllib.loads(read_file(file).decode("utf-8-sig")).get("project", {})
    except FileNotFoundError:
        raise
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} can't be read: {error}", hint="see `imgbake check`") from None
    except OSError as error:
        raise UsageError(f"{file} can't be read: {error.strerror}") from None
    return table if isinstance(table, dict) else {}
