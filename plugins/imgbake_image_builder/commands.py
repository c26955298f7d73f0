"""`imgbake image-builder`: what Image Builder can do."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import typer

from imgbake_image_builder.systems import SYSTEMS

app = typer.Typer(
    help="What EC2 Image Builder can do.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def group() -> None:
    """What EC2 Image Builder can do."""


@app.command("os-list")
def os_list(
    format: Annotated[Literal["text", "json"], typer.Option("--format", help="How to print it.")] = "text",
) -> None:
    """List the operating systems that it supports, as the option `os` of a target names them."""
    if format == "json":
        typer.echo(json.dumps([{"os": each.name, "platform": each.platform} for each in SYSTEMS], indent=2))
        return
    width = max(len(each.name) for each in SYSTEMS)
    for each in SYSTEMS:
        typer.echo(f"{each.name:<{width}}  {each.platform}")
