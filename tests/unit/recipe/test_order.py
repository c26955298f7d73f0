"""Names that need names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imgbake.recipe.order import cycles, needed_first


def test_what_is_needed_comes_first_and_once() -> None:
    needs = {"a": ["c", "b"], "b": ["c"], "c": [], "d": ["gone", "a"]}
    assert needed_first(["a", "b"], needs) == ["c", "b", "a"]
    assert needed_first(["d", "c"], needs) == ["c", "b", "a", "d"]


def test_long_chains_need_no_stack() -> None:
    needs = {str(number): [str(number + 1)] for number in range(10_000)}
    needs["10000"] = []
    assert needed_first(["0"], needs)[0] == "10000"
    assert cycles(needs) == []
    needs["10000"] = ["0"]
    assert len(cycles(needs)[0]) == 10_001


def test_cycles_are_named() -> None:
    assert cycles({"a": ["b"], "b": ["c"], "c": ["b"], "d": ["d"], "e": ["a"]}) == [("b", "c"), ("d",)]


graphs = st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=3))


@given(graphs)
def test_an_order_exists_when_there_is_no_cycle(needs: dict[str, list[str]]) -> None:
    order = needed_first(needs, needs)
    assert sorted(order) == sorted(needs)
    wrong = [
        (name, other)
        for name in order
        for other in needs[name]
        if other in needs and order.index(other) >= order.index(name)
    ]
    found = cycles(needs)
    assert bool(wrong) == bool(found)
    for cycle in found:
        assert all(other in needs[name] for name, other in zip(cycle, [*cycle[1:], cycle[0]], strict=True))
