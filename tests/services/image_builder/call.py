"""One call of an operation: what it is asked, and the account that it is asked of."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .arns import Arn
from .clock import date
from .cloud import Cloud, Trouble
from .errors import Refused, combination, invalid
from .state_machine import Builds
from .store import Resource, Store

Values = dict[str, Any]
Reader = Callable[[Values], Iterable[str]]
_PAGE = 25
_KEPT_APART = {"clientToken", "dryRun", "semanticVersion"}


@dataclass(frozen=True)
class Call:
    """What an operation works with."""

    operation: str
    params: Values
    region: str
    account: str
    store: Store
    builds: Builds
    cloud: Cloud
    now: float

    @property
    def today(self) -> str:
        """The moment of the call."""
        return date(self.now)

    def arn(self, kind: str, name: str, version: str = "", build: int = 0) -> Arn:
        """The name of a resource of the account in this region."""
        return Arn(self.region, self.account, kind, name, version, build)

    def get(self, parameter: str) -> Resource:
        """The resource that a parameter names."""
        return self.named(self.params[parameter], parameter)

    def named(self, arn: str, parameter: str = "arn") -> Resource:
        """A resource that must be in this region, and be ours or Amazon's."""
        wanted = Arn.read(arn)
        if wanted.region != self.region:
            raise invalid(parameter, f"'{arn}' is in another region than {self.region}")
        if wanted.owner.isdigit() and wanted.owner != self.account:
            raise Refused("ForbiddenException", f"'{arn}' belongs to another account.")
        return self.store.get(wanted)

    def body(self, *leaving_out: str) -> Values:
        """The parameters as the body of a resource that is made now."""
        left_out = _KEPT_APART | set(leaving_out)
        about = {key: value for key, value in self.params.items() if key not in left_out}
        return {"dateCreated": self.today, "tags": {}, **about}

    def ready(self) -> None:
        """Nothing is wrong: a dry run ends here."""
        if self.params.get("dryRun"):
            raise Refused(
                "DryRunOperationException",
                "The dry run operation of the resource was successful, and no resources or mutations were "
                "actually performed due to the dry run flag in the request.",
            )

    def one_of(self, *names: str) -> str:
        """The one parameter that is given; refused unless it is exactly one."""
        given = [name for name in names if name in self.params]
        if len(given) != 1:
            raise combination(f"Exactly one of {' and '.join(names)} must be specified.")
        return given[0]

    def text(self, data: str, uri: str) -> str:
        """A document that is in the request, or in S3."""
        if self.one_of(data, uri) == data:
            return str(self.params[data])
        if not self.params[uri].startswith("s3://"):
            raise invalid(uri, f"'{uri}' must be an s3:// URI")
        try:
            return self.cloud.read(self.region, self.params[uri])
        except Trouble as trouble:
            raise invalid(uri, str(trouble)) from None

    def page(self, key: str, items: list[Values], filters: dict[str, Reader] | None = None) -> Values:
        """A page of a list, of what the request's filters leave."""
        kept = [item for item in items if self._is_wanted(item, filters or {})]
        begin, size = self._begin(), self.params.get("maxResults", _PAGE)
        found: Values = {key: kept[begin : begin + size]}
        if begin + size < len(kept):
            token = json.dumps([self._question(), begin + size])
            found["nextToken"] = base64.urlsafe_b64encode(token.encode()).decode()
        return found

    def _is_wanted(self, item: Values, filters: dict[str, Reader]) -> bool:
        for wanted in self.params.get("filters", []):
            read = filters.get(wanted.get("name", ""))
            if read is None:
                known = ", ".join(sorted(filters))
                raise invalid("filters", f"'{wanted.get('name')}' is no filter; there are {known}")
            if not set(read(item)) & set(wanted.get("values", [])):
                return False
        return True

    def _begin(self) -> int:
        token = self.params.get("nextToken")
        if token is None:
            return 0
        try:
            question, begin = json.loads(base64.urlsafe_b64decode(token))
        except (ValueError, TypeError, binascii.Error):
            question, begin = None, 0
        if question != self._question():
            raise Refused("InvalidPaginationTokenException", "The pagination token is not valid.")
        return int(begin)

    def _question(self) -> str:
        """What a token belongs to: the request, whatever its page."""
        asked = {key: value for key, value in self.params.items() if key not in ("nextToken", "maxResults")}
        text = json.dumps([self.operation, self.region, asked], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def by(*names: str) -> dict[str, Reader]:
    """Filters on members of the same name."""

    def reader(name: str) -> Reader:
        def read(item: Values) -> Iterable[str]:
            value = item.get(name, ())
            return [value] if isinstance(value, str) else value

        return read

    return {name: reader(name) for name in names}


def owned(resources: list[Resource], owner: str | None, account: str) -> list[Resource]:
    """Those that belong to whom a list is asked for: the account itself, unless it says otherwise."""
    wanted = {"Self": account, "Amazon": "aws", None: account}.get(owner, "")
    return [resource for resource in resources if resource.arn.owner == wanted]
