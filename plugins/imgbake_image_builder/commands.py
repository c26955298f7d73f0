"""`imgbake image-builder`: what Image Builder can do, and what it knows of an image."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import typer

from imgbake.api import BakeError
from imgbake_image_builder.systems import SYSTEMS

_ARN_PARTS = 6

Format = Annotated[Literal["text", "json"], typer.Option("--format", help="How to print it.")]

app = typer.Typer(
    help="What EC2 Image Builder can do, and knows of images.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def group() -> None:
    """What EC2 Image Builder can do, and knows of images."""


@app.command("os-list")
def os_list(format: Format = "text") -> None:
    """List the operating systems that it supports, as the option `os` of a target names them."""
    if format == "json":
        typer.echo(json.dumps([{"os": each.name, "platform": each.platform} for each in SYSTEMS], indent=2))
        return
    width = max(len(each.name) for each in SYSTEMS)
    for each in SYSTEMS:
        typer.echo(f"{each.name:<{width}}  {each.platform}")


@app.command()
def packages(
    image: Annotated[str, typer.Argument(metavar="ARN", help="An image of Image Builder.")],
    profile: Annotated[str, typer.Option(help="The profile of AWS's configuration.")] = "",
    format: Format = "text",
) -> None:
    """List the packages that Image Builder has found in an image, with their versions."""
    from imgbake_image_builder import history
    from imgbake_image_builder.service import service

    parts = image.split(":")
    if parts[2:3] != ["imagebuilder"] or len(parts) < _ARN_PARTS:
        hint = "`imgbake build --format json` says it, as `image` of the artifact's facts"
        raise BakeError(f"'{image}' is no ARN of an image of Image Builder", hint=hint)
    found = list(history.packages(service(parts[3], profile), image))
    if format == "json":
        typer.echo(json.dumps(found, indent=2))
        return
    for each in found:
        typer.echo(f"{each['packageName']} {each['packageVersion']}")
