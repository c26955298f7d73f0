"""Bugs, in plugins or in us, as errors that say whose they are and which lines to look at."""

from __future__ import annotations

from types import FrameType

from imgbake.engine.project import Project
from imgbake.errors import PluginError


def told(node: str, error: Exception, project: Project) -> PluginError:
    """What is told of an exception that nobody foresaw: of the deepest plugin on the way to it, else of
    the node."""
    import traceback

    calls = list(traceback.walk_tb(error.__traceback__))
    packages = project.plugins.packages()
    theirs = [call for call in calls if _package(call[0]) in packages]
    lines = [_line(*call) for call in dict.fromkeys([*theirs[-1:], calls[-1]])]
    hint = f"this is a bug: please report it, with this: {', '.join(lines)}"
    named = _package(theirs[-1][0]) if theirs else node
    return PluginError(named, f"failed unexpectedly: {project.secrets.mask(repr(error))}", hint=hint)


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _line(frame: FrameType, number: int) -> str:
    return f"{frame.f_code.co_filename}:{number} in {frame.f_code.co_name}"
