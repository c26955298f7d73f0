"""Is all still in ECR, and do tags mean it? Asked of a settled distribution, where no file has moved here.

This module is loaded by itself, for little else is done then. What it can't tell, it doesn't: the
distribution then looks at everything, and says what is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgbake_aws.sites import Site

_AT_ONCE = 16


def question(site: Site, home: str, repository: str, means: Mapping[str, str]) -> str:
    """What `are_in_ecr` is to be asked: do these names of a repository of the registry `home` mean this?"""
    import msgspec

    from imgbake_aws import sdk

    asked = {"site": msgspec.to_builtins(site), "home": home, "repository": repository, "means": dict(means)}
    return json.dumps({**asked, "world": sdk.world()})


def are_in_ecr(questions: Sequence[str]) -> list[bool]:
    """Of each question: do all names mean what they should, and is the same AWS meant now?

    One request for each name, and for each region one for a password.
    """
    import msgspec

    from imgbake.api import BakeError
    from imgbake_aws import sdk

    try:
        world = sdk.world()
        asked = [json.loads(question) for question in questions]
        return [each["world"] == world and is_so for each, is_so in zip(asked, _answers(asked), strict=True)]
    except (BakeError, OSError, ValueError, KeyError, TypeError, msgspec.MsgspecError):
        return [False] * len(questions)


def _answers(asked: Sequence[Mapping[str, Any]]) -> list[bool]:
    from concurrent.futures import ThreadPoolExecutor

    import msgspec

    from imgbake_aws.sites import Site
    from imgbake_copy.asking import found_by
    from imgbake_oci.amazon import Registries, issuer
    from imgbake_oci.reference import Reference
    from imgbake_oci.registry import Client, Retries

    registries = Registries()
    sites = [msgspec.structs.replace(msgspec.convert(each["site"], Site), is_hasty=True) for each in asked]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        hosts = pool.map(registries.host, sites, [each["home"] for each in asked])
        places = [Reference(host, each["repository"]) for host, each in zip(hosts, asked, strict=True)]
    wanted: dict[str, dict[str, str]] = {}
    with Client(retries=Retries(attempts=1)) as client:
        for site, place, each in zip(sites, places, asked, strict=True):
            client.issue(place, issuer(registries, site))
            wanted.setdefault(place.name, {}).update(each["means"])
        found = found_by(client, wanted)
    return [
        each["means"].items() <= found[place.name].items() for place, each in zip(places, asked, strict=True)
    ]
