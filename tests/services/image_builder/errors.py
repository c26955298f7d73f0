"""What the service answers when it does not do what it is asked."""

from __future__ import annotations

UNMODELLED = {
    "ExpiredTokenException": 403,
    "InternalFailure": 500,
    "UnknownOperationException": 404,
    "NotImplementedException": 501,
    "MissingAuthenticationTokenException": 403,
    "SerializationException": 400,
}
"""The status of errors that any service of AWS answers, and no model names."""


class Refused(Exception):  # the protocol's word for it is a code, not a class
    """An error of the service: its code, such as `ResourceNotFoundException`, and what it says."""

    def __init__(self, code: str, message: str, status: int = 0) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status


class Dropped(Exception):
    """The connection is closed without an answer."""


def invalid(parameter: str, why: str) -> Refused:
    """A value that is not allowed, in the service's words."""
    return Refused(
        "InvalidParameterValueException",
        f"The value supplied for parameter '{parameter}' is not valid. {why}",
    )


def combination(why: str) -> Refused:
    """Parameters that don't go together."""
    return Refused("InvalidParameterCombinationException", why)


def missing(what: object) -> Refused:
    """A resource that is not there."""
    return Refused("ResourceNotFoundException", f"The resource with ARN '{what}' does not exist.")


def exists(kind: str, arn: object) -> Refused:
    """A resource that is there already."""
    return Refused(
        "ResourceAlreadyExistsException", f"The following resource '{kind}' already exists: '{arn}'."
    )


def depended_on(arn: object, by: object) -> Refused:
    """A resource that can't be deleted before another is."""
    return Refused(
        "ResourceDependencyException",
        f"Resource dependency error: The resource ARN '{arn}' has other resources depended on it: '{by}'.",
    )
