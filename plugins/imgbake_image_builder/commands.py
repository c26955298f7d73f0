"""`imgbake image-builder`: what Image Builder can do, and what it knows of an image."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from imgbake.api import BakeError
from imgbake_image_builder.systems import SYSTEMS

if TYPE_CHECKING:
    from imgbake_image_builder.service import Service

_ARN_PARTS = 6

Arn = Annotated[str, typer.Argument(metavar="ARN", help="An image of Image Builder.")]
Profile = Annotated[str, typer.Option(help="The profile of AWS's configuration.")]
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
def packages(image: Arn, profile: Profile = "", format: Format = "text") -> None:
    """List the packages that Image Builder has found in an image, with their versions."""
    from imgbake_image_builder import history

    found = list(history.packages(_service(image, profile), image))
    _print(found, [f"{each['packageName']} {each['packageVersion']}" for each in found], format)


@app.command()
def findings(image: Arn, profile: Profile = "", format: Format = "text") -> None:
    """List the vulnerabilities that scans have found in an image, the worst first."""
    from imgbake_image_builder import failing, history

    found = failing.worst_first(history.findings(_service(image, profile), image))
    _print(found, [failing.finding(each) for each in found], format)


def _service(image: str, profile: str) -> Service:
    """Image Builder in the region of an image. Raises BakeError for what is no image's ARN."""
    from imgbake_image_builder.service import service

    parts = image.split(":")
    if parts[2:3] != ["imagebuilder"] or len(parts) < _ARN_PARTS:
        hint = "`imgbake build --format json` says it, as `image` of the artifact's facts"
        raise BakeError(f"'{image}' is no ARN of an image of Image Builder", hint=hint)
    return service(parts[3], profile)


def _print(found: list[dict[str, Any]], lines: list[str], format: str) -> None:
    if format == "json":
        typer.echo(json.dumps(found, indent=2, default=str))
    elif lines:
        typer.echo("\n".join(lines))
