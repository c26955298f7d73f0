"""What is made in an account while an image is baked, and costs: for the reader of a plan. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from imgbake.api import Blueprint
from imgbake_image_builder import recipes
from imgbake_image_builder.options import AmiOptions, Options


def makes(blueprint: Blueprint, options: Options) -> Iterator[str]:
    """A line for each."""
    here = recipes.region(blueprint, options) or "the region of AWS's configuration"
    kind = options.instance_types[0] if options.instance_types else "a type that Image Builder chooses"
    regions = ", ".join(each.region for each in options.distribution) or here
    yield f"an instance of {kind} in {here}"
    if options.tests.image_tests_enabled:
        yield f"another in {here}, of what was baked, to test it"
    if isinstance(options, AmiOptions):
        yield f"an AMI with its snapshots in {regions}{_shared(options)}"
    else:
        yield f"an image in repository '{options.repository}' of ECR in {regions}"
    yield "EC2 Image Builder, which itself costs nothing"


def _shared(options: AmiOptions) -> str:
    accounts = {account for each in options.distribution for account in each.target_account_ids}
    return f", for {1 + len(accounts)} accounts" if accounts else ""
