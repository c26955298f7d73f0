"""The history of names: what a rollback goes by."""

from __future__ import annotations

from pathlib import Path

from imgbake.engine.pointers import Move, Pointers


def move(before: str, after: str, pointer: str = "a:1", distribution: str = "prod") -> Move:
    return Move(distribution, "eu", pointer, before, after, 0.0)


def test_a_change_is_all_that_moved_since_the_last_complete_one(tmp_path: Path) -> None:
    pointers = Pointers(tmp_path / "pointers")
    assert pointers.last("prod") == []
    for each in (move("", "1"), move("", "1", "b:1")):
        pointers.moving(each)
    assert pointers.unfinished("prod") == [move("", "1", "b:1"), move("", "1")]
    pointers.complete("prod")
    assert pointers.unfinished("prod") == []
    pointers.moving(move("1", "2"))
    assert Pointers(tmp_path / "pointers").last("prod") == [move("1", "2")]


def test_what_was_put_back_is_not_put_back_again(tmp_path: Path) -> None:
    pointers = Pointers(tmp_path / "pointers")
    for each in (move("", "1"), move("1", "2")):
        pointers.moving(each)
        pointers.complete("prod")
    pointers.undone(move("1", "2"))
    assert pointers.last("prod") == [move("", "1")]
    pointers.undone(move("", "1"))
    assert pointers.last("prod") == []


def test_distributions_have_histories_of_their_own(tmp_path: Path) -> None:
    pointers = Pointers(tmp_path / "pointers")
    pointers.moving(move("", "1"))
    pointers.moving(move("", "1", distribution="test"))
    pointers.complete("test")
    assert pointers.unfinished("prod") == [move("", "1")] and pointers.unfinished("test") == []


def test_a_line_that_was_cut_short_costs_no_other(tmp_path: Path) -> None:
    pointers = Pointers(tmp_path / "pointers")
    pointers.moving(move("", "1"))
    whole = (tmp_path / "pointers").read_bytes()
    (tmp_path / "pointers").write_bytes(whole + whole[:20])
    pointers.moving(move("1", "2"))
    assert pointers.unfinished("prod") == [move("1", "2"), move("", "1")]


def test_a_name_holds_what_it_means_and_meant_before(tmp_path: Path) -> None:
    pointers = Pointers(tmp_path / "pointers")
    assert pointers.held() == {}
    for each in (move("", "1"), move("1", "2"), move("2", "3")):
        pointers.moving(each)
        pointers.complete("prod")
    pointers.moving(move("", "3", "b:1"))
    assert pointers.held() == {"2": ["eu a:1"], "3": ["eu a:1", "eu b:1"]}


def test_a_name_that_was_put_back_holds_what_it_means_again(tmp_path: Path) -> None:
    pointers = Pointers(tmp_path / "pointers")
    for each in (move("", "1"), move("1", "2"), move("2", "3")):
        pointers.moving(each)
    pointers.undone(move("2", "3"))
    assert pointers.held() == {"1": ["eu a:1"], "2": ["eu a:1"]}
    pointers.undone(move("1", "2"))
    assert pointers.held() == {"1": ["eu a:1"]}


def test_a_name_that_others_moved_holds_what_it_was_found_to_mean(tmp_path: Path) -> None:
    pointers = Pointers(tmp_path / "pointers")
    pointers.moving(move("x", "1"))
    pointers.moving(move("y", "2"))
    assert pointers.held() == {"y": ["eu a:1"], "2": ["eu a:1"]}
