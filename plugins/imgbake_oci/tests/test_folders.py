"""What layers say of folders, and how paths are followed through them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbake.api import BakeError
from imgbake_oci import folders
from imgbake_oci.compression import Damaged
from imgbake_oci.folders import Added, Folders, added_by
from imgbake_oci.tarfiles import Head, Kind

KINDS: tuple[Kind, ...] = ("dir", "symlink")


def _head(path: str, kind: Kind = "dir", mode: int = 0o755, link: str = "") -> Head:
    return Head(path, kind, mode, 0, 0, 0, link, 0)


def _stack(*layers: Added) -> Folders:
    stack = Folders()
    for layer in layers:
        stack.add(layer)
    return stack


def test_a_layer_above_has_the_last_word() -> None:
    below = Added({"a": (0o700, 1, 1), "b": (0o755, 0, 0)}, {"c": "b"})
    above = Added({"a": (0o755, 0, 0), "c": (0o711, 0, 0)}, {"b": "a"})
    stack = _stack(below, above)
    assert stack.attributes("a") == (0o755, 0, 0)
    assert stack.attributes("b") is None
    assert (stack.resolve("b"), stack.resolve("c")) == ("a", "c")


def test_whiteouts_hide_what_is_below_them_and_nothing_of_their_own_layer() -> None:
    below = Added({"a": (0o700, 0, 0), "a/b": (0o700, 0, 0), "ab": (0o700, 0, 0)}, {"a/l": "b"})
    gone = _stack(below, added_by([_head(".wh.a", "file")]))
    assert [gone.attributes(path) for path in ("a", "a/b", "ab")] == [None, None, (0o700, 0, 0)]
    assert gone.resolve("a/l") == "a/l"
    emptied = _stack(below, added_by([_head("a/.wh..wh..opq", "file"), _head("a/new")]))
    assert [emptied.attributes(path) for path in ("a", "a/b", "a/new")] == [
        (0o700, 0, 0),
        None,
        (0o755, 0, 0),
    ]


def test_paths_that_climb_stay_in_the_image() -> None:
    said = added_by([_head("../../etc/"), _head("/usr"), _head("./opt/../srv"), _head("./")])
    assert set(said.folders) >= {"etc", "usr", "srv"}
    stack = _stack(Added({}, {"up": "../../../etc", "root": "/", "loop": "loop2", "loop2": "/loop"}))
    assert stack.resolve("up/x") == "etc/x"
    assert stack.resolve("root/a") == "a"
    with pytest.raises(BakeError, match="round in circles"):
        stack.resolve("loop/x")


def test_a_layer_with_too_many_names_is_refused_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_MOST_NAMES", 100)
    endless = (_head(f"d{number}", kind) for number in range(10**9) for kind in KINDS)
    with pytest.raises(Damaged, match="more than 100"):
        added_by(endless)


_NAMES = st.sampled_from(["a", "b", "c"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join)
_TARGETS = st.tuples(st.sampled_from(["", "/", "../", "./"]), _PATHS).map("".join)


@given(links=st.dictionaries(_PATHS, _TARGETS, max_size=4), path=_PATHS)
def test_links_are_followed_as_the_kernel_does(
    tmp_path_factory: pytest.TempPathFactory, links: dict[str, str], path: str
) -> None:
    root = tmp_path_factory.mktemp("root")
    placed = {}
    for link, target in links.items():
        place = root / link
        if any((root / other).is_symlink() for other in _above(link)) or place.is_dir():
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(f"{root}{target}" if target.startswith("/") else target)
        placed[link] = target
    stack = _stack(Added({}, placed))
    try:
        found = stack.resolve(path)
    except BakeError:
        with pytest.raises((OSError, RuntimeError)):
            (root / path).resolve(strict=True)
    else:
        expected = Path(root / path).resolve()
        if expected.is_relative_to(root) and not _climbs(placed):
            assert root / found == expected


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]


def _climbs(links: dict[str, str]) -> bool:
    """Does a link leave the root? In an image `..` of the root is the root; in our folder it isn't."""
    return any(target.startswith("../") and "/" not in link for link, target in links.items())
