"""Names, compared without regard to spelling."""

from __future__ import annotations

import pytest

from imgbake.recipe import names


@pytest.mark.parametrize("name", ["a", "A1", "a.b-c_d", "7zip"])
def test_names(name: str) -> None:
    assert names.is_name(name)


@pytest.mark.parametrize("name", ["", "-a", ".a", "_a", "a b", "a/b", "é", "a\n", "a@b", "a:b"])
def test_no_names(name: str) -> None:
    assert not names.is_name(name)


def test_spellings_of_one_name() -> None:
    assert names.doubles(["my-app", "My_App", "myapp", "MY APP", "other"]) == [
        ("my-app", "My_App"),
        ("my-app", "MY APP"),
    ]


def test_numbers_are_not_run_together() -> None:
    assert not names.doubles(["t1_12", "t11_2", "t112"])


def test_suggestions_look_at_the_spelling_first() -> None:
    assert names.suggest("My_App", ["my-app", "My_Apps"]) == "did you mean 'my-app'?"
    assert names.suggest("my-ap", ["my-app"]) == "did you mean 'my-app'?"
