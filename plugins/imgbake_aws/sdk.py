"""AWS as its own tools find it: the credential chain, profiles, AWS_ENDPOINT_URL; and what it says.

The SDK is imported when it is asked for something.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Any

from imgbake.api import BakeError

Client = Any
"""A client of boto3, which comes without types."""

_TRIES = 8
_MISSING = re.compile(r"not authorized to perform: ([\w-]+:\w+)(?: on resource: ([^\s,;]+))?")


def client(service: str, region: str = "", profile: str = "") -> Client:
    """A client of a service; without a region, of the one that AWS's configuration names.

    Raises BakeError.
    """
    boto3 = _sdk()
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    named = region or os.environ.get("AWS_REGION") or None  # which all SDKs read but this one
    config = Config(retries={"mode": "adaptive", "max_attempts": _TRIES})
    try:
        session = boto3.Session(profile_name=profile or None, region_name=named)
        return session.client(service, config=config)
    except BotoCoreError as error:
        hint = "AWS_REGION or `region` of a profile says where; AWS_PROFILE says which profile"
        raise BakeError(f"AWS can't be used: {error}", hint=hint) from None


def endpoint(service: str, profile: str = "") -> str:
    """Another address of a service that the environment or the configuration names, else nothing."""
    if os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return ""
    named = os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or os.environ.get("AWS_ENDPOINT_URL")
    return named or _configured(service, profile)


@contextlib.contextmanager
def asking(what: str) -> Iterator[None]:
    """What AWS refuses inside of the block becomes a BakeError that says what it was asked."""
    _sdk()
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except NoCredentialsError:
        hint = "set AWS_PROFILE or AWS_ACCESS_KEY_ID, or run where a role gives them"
        raise BakeError(f"{what}: there are no credentials for AWS", hint=hint) from None
    except ClientError as error:
        said = error.response.get("Error", {})
        code, message = said.get("Code", ""), said.get("Message", "")
        hint = allowing(message)
        if not hint and code in ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException"):
            hint = f"allow the action {error.operation_name} to whoever runs imgbake"
        raise BakeError(f"{what}: AWS refused: {code}: {message}", hint=hint) from None
    except BotoCoreError as error:
        raise BakeError(f"{what}: AWS can't be reached: {error}") from None
    except ResponseParserError:
        hint = "is a proxy between us, or does AWS_ENDPOINT_URL lead to something else?"
        raise BakeError(f"{what}: the answer is none of AWS's", hint=hint) from None


def allowing(said: str) -> str:
    """What to allow, where AWS says in its usual words what is missing; else nothing."""
    found = _MISSING.search(said)
    if found is None:
        return ""
    resource = f" on {found[2]}" if found[2] else ""
    return f"allow the action {found[1]}{resource} to whoever runs imgbake"


def code_of(error: Exception) -> str:
    """The code of an error that a client raised, empty for another."""
    response = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code", ""))


def _configured(service: str, profile: str) -> str:
    """An address that stands in AWS's configuration file."""
    try:
        import botocore.session
    except ImportError:
        return ""
    from botocore.exceptions import BotoCoreError

    try:
        session = botocore.session.Session(profile=profile or None)
        scoped = session.get_scoped_config()
        named = session.full_config.get("services", {}).get(scoped.get("services"), {}).get(service, {})
        return str(named.get("endpoint_url") or scoped.get("endpoint_url") or "")
    except (BotoCoreError, AttributeError):
        return ""


def _sdk() -> Any:
    try:
        import boto3
    except ImportError:
        hint = "`pip install 'imgbake[aws]'`, or boto3 beside imgbake"
        raise BakeError("AMIs need AWS's SDK for Python", hint=hint) from None
    return boto3
