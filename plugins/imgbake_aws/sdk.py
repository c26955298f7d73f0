"""AWS as its own tools find it: the credential chain, profiles, AWS_ENDPOINT_URL; and what it says.

The SDK is imported when it is asked for something.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from imgbake.api import BakeError

Client = Any
"""A client of boto3, which comes without types."""

_TRIES = 8
_HASTY = {"connect_timeout": 5, "read_timeout": 20}  # seconds
_FILES = {"AWS_CONFIG_FILE": "~/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials"}
_PLACES = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_EC2",
    "AWS_ENDPOINT_URL_ECR",
    "AWS_ENDPOINT_URL_IMAGEBUILDER",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_SSM",
    "AWS_ENDPOINT_URL_STS",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    *_FILES,
    "HOME",
)
_DENIED = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")
_OVER = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")
_SERVICE = re.compile(r"([a-z0-9-]+):[A-Z]")  # at the beginning of what is asked
_MISSING = re.compile(r"not authorized to perform: ([\w-]+:\w+)(?: on resource: ([^\s,;]+))?")


_sessions: dict[tuple[str, ...], Any] = {}
_clients: dict[tuple[object, ...], Client] = {}
_guard = threading.Lock()


class Role(NamedTuple):
    """A role that is assumed, with what its owner wants to hear; none without an ARN."""

    arn: str = ""
    external_id: str = ""


NOBODY_ELSE = Role()


def client(
    service: str, region: str = "", profile: str = "", *, is_hasty: bool = False, role: Role = NOBODY_ELSE
) -> Client:
    """A client of a service; without a region, of the one that AWS's configuration names.

    It is made once, and all come from one session, which finds credentials once and reads what a service
    offers once; but for this, each takes a fifth of a second. A hasty one gives up soon. Credentials of a
    role are renewed before they end. Raises BakeError.
    """
    _sdk()
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    named = region or os.environ.get("AWS_REGION") or None  # which all SDKs read but this one
    tries = 1 if is_hasty else _TRIES
    limits = _HASTY if is_hasty else {}
    config = Config(retries={"mode": "adaptive", "max_attempts": tries}, **limits)
    of = profile, *role, *_surroundings()
    key = service, named, tries, of
    try:
        with _guard:  # a session makes one client at a time
            if of not in _sessions:
                _sessions[of] = _session(profile, role, named)
            if key not in _clients:
                _clients[key] = _sessions[of].client(service, region_name=named, config=config)
            return _clients[key]
    except BotoCoreError as error:
        hint = "AWS_REGION or `region` of a profile says where; AWS_PROFILE says which profile"
        raise BakeError(f"AWS can't be used: {error}", hint=hint) from None
    except ValueError as error:
        hint = "AWS_ENDPOINT_URL takes an address, such as http://127.0.0.1:5000"
        raise BakeError(f"AWS can't be used: {error}", hint=hint) from None


def world() -> list[str]:
    """What says which AWS is meant, and where: variables, and when its configuration was written.

    Nothing of credentials, which are renewed all the time; whose they are is seen by what AWS answers.
    """
    return [*(os.environ.get(name, "") for name in _PLACES), _written("AWS_CONFIG_FILE")]


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
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        NoCredentialsError,
        ParamValidationError,
        SSOError,
        TokenRetrievalError,
    )
    from botocore.parsers import ResponseParserError

    try:
        yield
    except NoCredentialsError:
        hint = "set AWS_PROFILE or AWS_ACCESS_KEY_ID, or run where a role gives them"
        raise BakeError(f"{what}: there are no credentials for AWS", hint=hint) from None
    except ClientError as error:
        said = error.response.get("Error", {})
        code, message = said.get("Code", ""), said.get("Message", "")
        hint = _hint(what, code, message, error.operation_name)
        raise BakeError(f"{what}: AWS refused: {code}: {message}", hint=hint) from None
    except (SSOError, TokenRetrievalError) as error:
        raise BakeError(f"{what}: there is no session: {error}", hint="`aws sso login` begins one") from None
    except ParamValidationError as error:
        wrong = "; ".join(str(error).splitlines()[1:])
        raise BakeError(f"{what}: AWS would refuse it: {wrong}") from None
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


def _hint(what: str, code: str, message: str, operation: str) -> str:
    """What to do about a refusal."""
    if allowed := allowing(message):
        return allowed
    if code in _OVER:
        return "log in again: the session of AWS is over"
    if code not in _DENIED:
        return ""
    service = _SERVICE.match(what)
    return f"allow the action {service[1] + ':' if service else ''}{operation} to whoever runs imgbake"


def code_of(error: Exception) -> str:
    """The code of an error that a client raised, empty for another."""
    response = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code", ""))


def _session(profile: str, role: Role, region: str | None) -> Any:
    """A session of a profile, or of a role that it may assume."""
    import boto3

    own = boto3.Session(profile_name=profile or None)
    if not role.arn:
        return own
    import botocore.session
    from botocore.credentials import (
        AssumeRoleCredentialFetcher,
        CredentialResolver,
        DeferredRefreshableCredentials,
    )

    extra = {"RoleSessionName": "imgbake", **({"ExternalId": role.external_id} if role.external_id else {})}
    create = partial(own.client, region_name=region)  # without a region, STS can't be asked either
    source = own.get_credentials()
    fetcher = AssumeRoleCredentialFetcher(create, source, role.arn, extra_args=extra)
    renewed = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
    provider = SimpleNamespace(METHOD="assume-role", load=lambda: renewed)
    session = botocore.session.Session(profile=profile or None)
    session.register_component("credential_provider", CredentialResolver([provider]))
    return boto3.Session(botocore_session=session)


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


def _surroundings() -> list[str]:
    """All that the SDK reads when a session begins."""
    variables = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith("AWS_")]
    return [*variables, os.environ.get("HOME", ""), *map(_written, _FILES)]


def _written(variable: str) -> str:
    """When a file of AWS's configuration was written, empty if there is none."""
    named = os.environ.get(variable, _FILES[variable])
    try:
        return str(Path(named).expanduser().stat().st_mtime_ns) if named else ""
    except (OSError, RuntimeError):
        return ""


def _sdk() -> Any:
    try:
        import boto3
    except ImportError:
        hint = "`pip install 'imgbake[aws]'`, or boto3 beside imgbake"
        raise BakeError("AWS's SDK for Python is not installed", hint=hint) from None
    return boto3
