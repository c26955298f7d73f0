"""Which files of a context a build can see."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imgbake.api import BakeError
from imgbake_dockerfile import (
    Base,
    Context,
    DockerfileError,
    context,
    parse,
    parse_ignore,
    plan,
    reached,
)
from imgbake_dockerfile.reach import could_reach

_TREE = (
    "Dockerfile",
    "README.md",
    "app/main.go",
    "app/main_test.go",
    "app/web/index.html",
    "app/web/vendor/lib.js",
    "conf/a.toml",
    "conf/b.toml",
    "docs/guide.md",
    "docs/img/logo.png",
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path in _TREE:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    return tmp_path


def _reached(root: Path, lines: str, ignore: str = "") -> list[str]:
    """The paths, those of folders with a slash and those of links with an @."""
    build = plan(parse(f"FROM scratch\n{lines}\n"), bases=lambda reference, platform: Base())
    marks = {"folder": "/", "symlink": "@", "file": "", "special": "!"}
    found = reached(build, Context(root, parse_ignore(ignore)))
    return [path + marks[kind] for path, kind in found]


def _files(root: Path, lines: str, ignore: str = "") -> list[str]:
    return [path for path in _reached(root, lines, ignore) if path[-1] not in "/@!"]


@pytest.mark.parametrize(
    ("lines", "could"),
    [
        ("RUN make", False),
        ("COPY app conf/*.toml /x/", False),
        ("COPY app /x/\nCOPY . /y/", True),
        ("COPY *.md /x/", True),
        ("COPY ./new /x/", True),
        ("RUN --mount=type=bind,target=/x make", True),
        ("RUN --mount=type=bind,source=app,target=/x make", False),
        ("COPY --parents ./app/./web /x/", False),
    ],
)
def test_a_file_at_the_top_could_be_seen_where_an_instruction_takes_all_or_a_pattern(
    lines: str, could: bool
) -> None:
    build = plan(parse(f"FROM scratch\n{lines}\n"), bases=lambda reference, platform: Base())
    assert could_reach(build, "new") is could


def test_nothing_is_seen_without_a_copy(root: Path) -> None:
    assert _reached(root, "RUN make\nCOPY <<EOF /etc/x\nEOF\nADD https://example.com/x /") == []


@pytest.mark.parametrize(
    "line", ["COPY . /", "COPY / /", "ADD ./ /", "RUN --mount=target=/src make", "COPY $E /"]
)
def test_the_whole_context(root: Path, line: str) -> None:
    assert _files(root, f"ENV E=\n{line}") == sorted(_TREE)


def test_a_file_and_a_folder(root: Path) -> None:
    assert _reached(root, "COPY README.md conf /to/") == ["README.md", "conf/", "conf/a.toml", "conf/b.toml"]
    assert _reached(root, "RUN --mount=source=conf,target=/c make") == ["conf/", "conf/a.toml", "conf/b.toml"]


def test_what_is_not_there_is_not_seen(root: Path) -> None:
    assert _reached(root, "COPY missing README.md/x conf/a.toml/ /to/") == ["conf/a.toml"]


@pytest.mark.parametrize(
    ("source", "files"),
    [
        ("*.md", ["README.md"]),
        ("*/*.md", ["docs/guide.md"]),
        ("conf/?.toml", ["conf/a.toml", "conf/b.toml"]),
        ("conf/[^a].toml", ["conf/b.toml"]),
        ("do*", ["docs/guide.md", "docs/img/logo.png"]),
        ("*/img", ["docs/img/logo.png"]),
        ("app/*", ["app/main.go", "app/main_test.go", "app/web/index.html", "app/web/vendor/lib.js"]),
        ("**/*.go", ["app/main.go", "app/main_test.go"]),
        ("[", []),
        ("../conf/a*", ["conf/a.toml"]),
    ],
)
def test_wildcards(root: Path, source: str, files: list[str]) -> None:
    assert _files(root, f'COPY ["{source}", "/to/"]') == files


def test_exclude_counts_for_what_is_below_a_source(root: Path) -> None:
    assert _files(root, "COPY --exclude=*_test.go --exclude=**/vendor app /a") == [
        "app/main.go",
        "app/web/index.html",
    ]
    assert _files(root, "COPY --exclude=* --exclude=!web/vendor app /a") == ["app/web/vendor/lib.js"]
    # BuildKit copies a source that is named, whatever is excluded.
    assert _files(root, "COPY --exclude=*.md *.md docs /a") == ["README.md", "docs/img/logo.png"]


def test_parents(root: Path) -> None:
    assert _reached(root, "COPY --parents app/*.go docs/img /to/") == [
        "app/",
        "app/main.go",
        "app/main_test.go",
        "docs/",
        "docs/img/",
        "docs/img/logo.png",
    ]
    assert _files(root, "COPY --parents app/./**/*.js /to/") == ["app/web/vendor/lib.js"]
    assert _files(root, "COPY --parents --exclude=**/vendor app/./web /to/") == ["app/web/index.html"]


def test_what_is_ignored_is_not_seen(root: Path) -> None:
    ignore = "**/*.md\napp/web\n!app/web/vendor\n*.toml\nconf\n"
    assert _reached(root, "COPY . /", ignore) == [
        "Dockerfile",
        "app/",
        "app/main.go",
        "app/main_test.go",
        "app/web/",
        "app/web/vendor/",
        "app/web/vendor/lib.js",
        "docs/",
        "docs/img/",
        "docs/img/logo.png",
    ]
    assert _files(root, "COPY app/web conf README.md /to/", ignore) == ["app/web/vendor/lib.js"]


def test_folders_are_only_entered_where_something_can_be_seen(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered: list[str] = []
    listing = context._entries

    def entries(root: str, folder: str) -> list[os.DirEntry[str]]:
        entered.append(folder)
        return listing(root, folder)

    monkeypatch.setattr(context, "_entries", entries)
    _files(root, "COPY . /", "app\ndocs\n!docs/img/*.png\n!conf/**\n")
    assert sorted(entered) == ["", "conf", "docs", "docs/img"]
    entered.clear()
    _files(root, "COPY conf app/*.go /\nCOPY --parents docs/*.md /\nCOPY --exclude=web app /")
    assert set(entered) == {"", "app", "conf", "docs"}


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
def test_folders_that_cannot_be_read(root: Path) -> None:
    (root / "app/web").chmod(0)
    try:
        assert _files(root, "COPY app /", "**/web") == ["app/main.go", "app/main_test.go"]
        with pytest.raises(BakeError, match="app/web can't be read"):
            _files(root, "COPY app /")
    finally:
        (root / "app/web").chmod(0o755)


def test_links_are_followed_to_a_source_and_kept_below_it(root: Path) -> None:
    (root / "settings").symlink_to("conf")
    (root / "conf/guide").symlink_to("../docs/guide.md")
    assert _reached(root, "COPY settings/a.toml /") == ["conf/a.toml", "settings@"]
    assert _reached(root, "COPY settings /") == [
        "conf/",
        "conf/a.toml",
        "conf/b.toml",
        "conf/guide@",
        "settings@",
    ]
    assert _reached(root, "COPY set*/*.toml conf/gui* /") == ["conf/guide@", "docs/guide.md"]
    assert _reached(root, "COPY settings/b* /") == ["conf/b.toml", "settings@"]


def test_links_do_not_lead_out_of_the_context(root: Path) -> None:
    (root / "up").symlink_to("../../../../conf/a.toml")
    (root / "root").symlink_to("/docs/img")
    assert _files(root, "COPY up root /") == ["conf/a.toml", "docs/img/logo.png"]


def test_links_to_what_is_ignored_find_nothing(root: Path) -> None:
    (root / "link").symlink_to("conf/a.toml")
    assert _reached(root, "COPY link /", "conf") == ["link@"]
    assert _reached(root, "COPY link /", "link") == []


def test_links_in_a_circle(root: Path) -> None:
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")
    with pytest.raises(BakeError, match="lead in a circle"):
        _reached(root, "COPY one /")
    assert "one@" in _reached(root, "COPY . /")


def test_empty_folders_and_what_is_no_file(root: Path) -> None:
    (root / "conf/empty").mkdir()
    os.mkfifo(root / "conf/pipe")
    assert _reached(root, "COPY conf /") == [
        "conf/",
        "conf/a.toml",
        "conf/b.toml",
        "conf/empty/",
        "conf/pipe!",
    ]


def test_names_that_are_no_utf8(root: Path) -> None:
    name = os.fsdecode(b"conf/\xff.toml")
    (root / name).write_text("")
    assert name in _files(root, "COPY conf/*.toml /")
    build = plan(parse("FROM scratch\nCOPY conf /\n"))
    found = reached(build, Context(root, parse_ignore(b"conf/\xff.toml\n")))
    assert name in [one.path for one in found]  # BuildKit copies it: no such pattern reaches it


def test_names_that_can_be_none_lead_to_nothing(root: Path) -> None:
    assert _files(root, "COPY conf\0 /\nRUN --mount=source=conf\0,target=/c x") == []


def test_unknown_variables_see_everything(root: Path) -> None:
    build = plan(parse("FROM debian\nCOPY $WHERE /\n"))
    assert (
        len([one for one in reached(build, Context(root, parse_ignore("docs"))) if one.kind == "file"]) == 8
    )


def test_patterns_that_are_malformed(root: Path) -> None:
    with pytest.raises(DockerfileError, match=r"line 2: the pattern 'a\[' is malformed"):
        _files(root, "COPY --exclude=a[ app /")
