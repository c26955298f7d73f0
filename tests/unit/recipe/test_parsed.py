"""Parsed TOML, kept by content: a cache that may be lost or damaged at any time."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from imgbake.recipe import parsed

TEXT = '[tasks.a]\nrun = "x"\ninputs = ["é", "\\u0041"]\nn = 1\nf = 1.0\nt = true\n'


def test_what_is_kept_is_what_was_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = parsed.parse(TEXT, tmp_path)
    assert first == tomllib.loads(TEXT)
    monkeypatch.setattr(tomllib, "loads", None)
    again = parsed.parse(TEXT, tmp_path)
    assert again == first
    assert [type(value) for value in again["tasks"]["a"].values()] == [str, list, int, float, bool]


def test_another_text_is_parsed_anew(tmp_path: Path) -> None:
    parsed.parse(TEXT, tmp_path)
    assert parsed.parse(TEXT + "\n[b]", tmp_path)["b"] == {}


def test_damage_is_noticed_in_every_byte(tmp_path: Path) -> None:
    expected = parsed.parse(TEXT, tmp_path)
    (file,) = tmp_path.iterdir()
    data = file.read_bytes()
    for position in range(len(data)):
        file.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        assert parsed.parse(TEXT, tmp_path) == expected
        file.write_bytes(data[:position])
        assert parsed.parse(TEXT, tmp_path) == expected


@pytest.mark.parametrize(
    "text",
    [
        'url = "https://user:hunter2@host/x"',
        'url = "https:\\u002f\\u002fuser:hunter2@host/x"',
        'a = ["ftp://u:hunter2@h"]',
        'url = "https://hunter2@host"',
    ],
)
def test_passwords_are_not_kept(tmp_path: Path, text: str) -> None:
    parsed.parse(text, tmp_path)
    assert b"hunter2" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    "text", ["d = 2020-01-01", "t = 2020-01-01T00:00:00", "n = nan", "i = 99999999999999999999"]
)
def test_what_would_come_back_otherwise_is_not_kept(tmp_path: Path, text: str) -> None:
    first, again = parsed.parse(text, tmp_path), parsed.parse(text, tmp_path)
    assert repr(again) == repr(first) == repr(tomllib.loads(text))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert parsed.parse(TEXT, tmp_path / "file") == tomllib.loads(TEXT)
    assert parsed.parse(TEXT, tmp_path / "file" / "deeper") == tomllib.loads(TEXT)
    assert parsed.parse(TEXT, None) == tomllib.loads(TEXT)


def test_others_cannot_read_it(tmp_path: Path) -> None:
    parsed.parse(TEXT, tmp_path / "new")
    (file,) = (tmp_path / "new").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_folder_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsed, "_MOST_BYTES", 1000)
    for number in range(40):
        parsed.parse(f"{TEXT}# {number}", tmp_path)
        for age, path in enumerate(tmp_path.iterdir()):
            os.utime(path, ns=(age, age))
    assert len(list(tmp_path.iterdir())) < 20


def test_errors_are_errors_every_time(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(tomllib.TOMLDecodeError):
            parsed.parse("a = ", tmp_path)
