"""Documents as YAML."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbake.api import Json
from imgbake_kaniko.yaml_document import yaml

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_a_reader_of_yaml_gets_back_what_was_written(value: Json) -> None:
    reader = pytest.importorskip("yaml")
    assert reader.safe_load(yaml(value)) == value
