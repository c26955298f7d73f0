"""How machine images' bases are written."""

from __future__ import annotations

import pytest

from imgbake.api import BakeError
from imgbake_aws import bases


@pytest.mark.parametrize(
    ("reference", "asked"),
    [
        ("ami-0123456789abcdef0", bases.Asked("id", "ami-0123456789abcdef0")),
        ("ssm:/a/b", bases.Asked("ssm", "/a/b")),
        ("ssm:/a/b,region=eu-west-1", bases.Asked("ssm", "/a/b", "eu-west-1")),
        (
            "filter:owner=self, name=a b*,region=eu-west-1",
            bases.Asked("filter", "", "eu-west-1", {"owner": "self", "name": "a b*"}),
        ),
    ],
)
def test_references_are_taken_apart(reference: str, asked: bases.Asked) -> None:
    assert bases.parse(reference) == asked


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("debian", "'debian' names no AMI"),
        ("ami-12", "names no AMI"),
        ("ssm:", "names no parameter"),
        ("ssm:/a,owner=b", "'owner=b' is no condition"),
        ("filter:name=a", "says no owner"),
        ("filter:owner=a", "says no name"),
        ("filter:owner=a,nam=b", "'nam=b' is no condition"),
    ],
)
def test_others_are_refused(reference: str, message: str) -> None:
    with pytest.raises(BakeError, match=message) as caught:
        bases.parse(reference)
    assert caught.value.hint
