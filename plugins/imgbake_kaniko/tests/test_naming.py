"""Names: never two things by one, and always such as registries and clusters take."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from imgbake_kaniko import naming
from imgbake_kaniko.options import Options
from imgbake_oci.reference import parse_tag

NAMES = st.one_of(
    st.text("ab._-A", min_size=1, max_size=8), st.text(min_size=1, max_size=20).filter(str.isprintable)
)


@given(st.tuples(NAMES, NAMES), st.tuples(NAMES, NAMES))
def test_two_pairs_never_share_a_name(one: tuple[str, str], other: tuple[str, str]) -> None:
    assume(one != other)
    assert naming.joined(*one) != naming.joined(*other)


@given(NAMES, NAMES)
def test_every_name_is_one_of_a_repository(environment: str, project: str) -> None:
    name = naming.joined(environment, project)
    assert parse_tag(f"registry.example.com/{name}:latest").repository == name


@pytest.mark.parametrize(
    ("environment", "project", "name"),
    [
        ("prod", "shop", "prod__shop"),
        ("a-b", "c", "a-b__c"),
        ("a", "b-c", "a__b-c"),
        ("Prod", "my__shop", "prod__my-shop__50726f64.6d795f5f73686f70"),
    ],
)
def test_the_name_holds_both(environment: str, project: str, name: str) -> None:
    assert naming.joined(environment, project) == name


def test_environment_and_project_are_target_and_image_unless_they_are_said() -> None:
    default = Options(registry="r.example.com/team")
    said = Options(registry="r.example.com/team/", environment="prod", project="web")
    assert [each.familiar for each in naming.references("shop", "container", default)] == [
        "r.example.com/team/container__shop"
    ]
    assert [each.familiar for each in naming.references("shop", "container", said)] == [
        "r.example.com/team/prod__web"
    ]


@given(st.text(min_size=1), st.text(min_size=1), st.text("0123456789abcdef", min_size=8, max_size=64))
def test_objects_have_names_by_rfc_1123(image: str, target: str, run: str) -> None:
    name = naming.object_name(image, target, run)
    assert len(f"{name}-clean-x") <= 63
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)
    assert name.endswith(run[:8])
