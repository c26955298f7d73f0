"""What the documents say is so: commands are run, recipes read, and lists compared with the code.

In a document, a block whose first line is ```LANGUAGE FILE is a file, and a ```console block is a
session: lines that begin with `$ ` are commands, and those after one are what it prints. `…` stands
for any text, alone on a line for any lines. Times and digests may differ.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from imgbake import contract, errors, events, hookspecs
from imgbake.testing.project import Project

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *ROOT.glob("examples/**/README.md")])


class Block(NamedTuple):
    """A fenced block of a document."""

    language: str
    file: str  # what it is the content of, if it is
    text: str


class Command(NamedTuple):
    """A command of a session, and what it prints."""

    command: str
    printed: str


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_the_sessions_of_a_document_print_what_it_says(page: str, tmp_path: Path) -> None:
    folder = tmp_path
    for block in _blocks(ROOT / page):
        if block.file:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.language == "console":
            for command in _commands(block.text):
                if command.command.startswith("cd "):
                    folder = folder / command.command.removeprefix("cd ")
                    continue
                printed = _printed(command.command, folder)
                assert _matches(command.printed, printed), f"$ {command.command}\n{printed}"


def _blocks(page: Path) -> Iterator[Block]:
    fences = re.finditer(r"^```(\w*) ?(.*)\n((?:.*\n)*?)```$", page.read_text(), re.MULTILINE)
    return (Block(*fence.groups()) for fence in fences)


def _commands(session: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
        command, _, printed = part.partition("\n")
        while command.endswith("\\"):
            more, _, printed = printed.partition("\n")
            command = f"{command}\n{more}"
        yield Command(command, printed)


def _printed(command: str, folder: Path) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    ran = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path, "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return ran.stdout


def _matches(expected: str, printed: str) -> bool:
    pattern = "".join(
        r"(?:.*\n)*" if line.strip() == "…" else re.escape(line.rstrip()).replace("…", ".*") + r"\s*\n"
        for line in _timeless(expected).splitlines()
    )
    return re.fullmatch(pattern, _timeless(printed)) is not None


def _timeless(text: str) -> str:
    """The text without what differs from one run, or one machine, to the next."""
    text = re.sub(r"sha256:[0-9a-f…]+", "sha256:#", text)
    text = re.sub(r"\b\d+(?:\.\d+)? (?:ms|s|min)\b(?: ago)?|just now", "# s", text)
    return text.replace("nothing to do: ", "")  # a build that follows a change at once looks once more


RECIPES = [
    pytest.param(block.text, id=f"{page}-{number}")
    for page in ("tasks", "docker", "dockerfiles", "buildkit", "distribution", "streams")
    for number, block in enumerate(_blocks(DOCS / f"{page}.md"))
    if block.language == "toml"
]


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_recipes_of_a_page_are_right(recipe: str, project: Project) -> None:
    project.recipe(recipe)
    ran = project.run("check")
    assert ran.code == 0, ran.stderr


def test_the_reference_is_current() -> None:
    from imgbake import entry_points
    from imgbake.plugins import Plugins
    from imgbake.recipe import reference

    own = [each for each in entry_points.found("imgbake") if each.distribution.startswith("imgbake ")]
    page = reference.reference(Plugins(own))
    assert (DOCS / "recipe.md").read_text() == page, "`imgbake run docs` writes it anew"


def test_the_plugin_guide_shows_the_code_of_the_example() -> None:
    example = ROOT / "examples/squashfs-plugin"
    code = {line for path in [*example.rglob("*.py"), example / "pyproject.toml"] for line in _lines(path)}
    shown = [block for block in _blocks(DOCS / "plugins.md") if block.language in ("python", "toml")]
    assert len(shown) >= 4
    assert [line for block in shown for line in block.text.splitlines() if line.rstrip() not in code] == []


def _lines(path: Path) -> list[str]:
    return ["", *path.read_text().splitlines()]


def test_every_hook_is_in_the_plugin_guide_with_its_signature() -> None:
    guide = (DOCS / "plugins.md").read_text()
    hooks = [hook for name, hook in vars(hookspecs).items() if name.startswith("imgbake_")]
    assert hooks
    assert [line for line in map(_signature, hooks) if line not in guide] == []


def _signature(function: object) -> str:
    line = inspect.getsource(function).partition("def ")[2].partition("\n")[0]  # type: ignore[arg-type]  # a function
    return "def " + line.partition("  #")[0].removesuffix(":")


@pytest.mark.parametrize(
    "protocol",
    [contract.Step, contract.Format, contract.DescribingContext, contract.Target, contract.Askable,
     contract.Destination, contract.Exporter, contract.Pinnable, contract.PartsContext,
     contract.RunContext, contract.ResolveContext, contract.Blobs, contract.Shelf, events.Observer],
)  # fmt: skip
def test_every_method_that_plugins_meet_is_in_their_guide(protocol: type) -> None:
    guide = (DOCS / "plugins.md").read_text()
    names = [name for name in vars(protocol) if not name.startswith("_") and name != "version"]
    assert names
    assert [name for name in names if f"`{name}" not in guide] == []


def test_every_event_is_in_the_plugin_guide() -> None:
    guide = (DOCS / "plugins.md").read_text()
    tags = [cls.__struct_config__.tag for cls in events.Event.__subclasses__()]
    assert tags
    assert [tag for tag in tags if f"`{tag}`" not in guide] == []


def test_the_words_of_the_glossary_are_those_of_the_code() -> None:
    glossary = (DOCS / "architecture.md").read_text().partition("## Words")[2]
    in_code = [line.split("|")[-2] for line in glossary.splitlines() if line.startswith("| ")]
    names = re.findall(r"`([\w.]+)\.(\w+)`", " ".join(in_code))
    assert len(names) > 15
    for module, name in names:
        assert hasattr(importlib.import_module(f"imgbake.{module}"), name), f"{module}.{name}"


def test_every_module_is_on_the_architecture_page() -> None:
    page = (DOCS / "architecture.md").read_text()
    known = [re.compile(name.replace("*", r"\w+")) for name in re.findall(r"`([a-z_]+\*?)`", page)]
    core = ROOT / "src/imgbake"
    modules = {path.relative_to(core).parts[0].removesuffix(".py") for path in core.rglob("*.py")}
    absent = [name for name in modules if not any(each.fullmatch(name) for each in known)]
    assert sorted(set(absent) - {"__init__"}) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", re.sub(r"`[^`]*`", "", text))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_exit_code_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    codes = {cls.exit_code for cls in vars(errors).values() if hasattr(cls, "exit_code")}
    assert [code for code in sorted({0, *codes}) if f"| {code} |" not in readme] == []


def test_every_command_is_in_the_readme() -> None:
    from typer.main import get_command

    from imgbake.cli.commands import app

    readme = (ROOT / "README.md").read_text()
    commands = get_command(app).commands  # type: ignore[attr-defined]  # a group has them
    assert [name for name in commands if f"| `imgbake {name}" not in readme] == []


def test_a_reference_that_cannot_be_made_is_left_as_it_is(project: Project) -> None:
    project.recipe((ROOT / "imgbake.toml").read_text())
    project.write("docs/recipe.md", "whole\n")
    project.write("bin/python3", "#!/bin/sh\necho half\nexit 1\n").chmod(0o755)
    path = os.pathsep.join([str(project.root / "bin"), os.environ["PATH"]])
    assert project.run("run", "docs", env={"PATH": path}).code == 1
    assert project.read("docs/recipe.md") == "whole\n"
