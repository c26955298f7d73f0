"""The built-in tasks: commands, git, http and ftp. Each kind is a small module of its own."""

from __future__ import annotations

from imgbake.api import Step, hookimpl


@hookimpl
def imgbake_steps() -> list[type[Step]]:
    """The four kinds."""
    from imgbake_tasks.ftp import Ftp
    from imgbake_tasks.git import Git
    from imgbake_tasks.http import Http
    from imgbake_tasks.script import Script

    return [Script, Git, Http, Ftp]
