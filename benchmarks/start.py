"""How long it takes to start: --version, shell completion, and a small recipe with nothing to do.

Each is compared with `python -c 'import typer'` in the same environment, the least that a command line
made with Typer can take.
"""

from __future__ import annotations

import sys
from pathlib import Path

import measuring
from measuring import Contestant, alternate, judge, ratio, show

TYPER = "python -c 'import typer'"
VERSION = "imgbake --version"
COMPLETION = "completion of `imgbake bu`"
UNCHANGED = "imgbake build, unchanged"
RECIPE = """\
[project]
name = "small"

[tasks.page]
run = "cat in.txt > page.html"
inputs = ["in.txt"]
outputs = ["page.html"]

[components.site]
files = [{ from = "task:page", to = "/srv/www/" }]

[images.site]
base = "scratch"
components = ["site"]
"""


def main() -> None:
    """Measures, and prints."""
    arguments = measuring.options(__doc__, 31).parse_args()
    with measuring.workplace(arguments) as folder:
        contestants = _contestants(folder)
        ours = contestants[-1]
        for _ in range(2):  # makes the image, then proves that nothing moved
            measuring.run(ours.command, ours.folder, ours.env)
        figures = alternate(contestants, arguments.rounds)
        show("Start", figures, TYPER)
        judge("--version", ratio(figures, VERSION, TYPER), 1.5)
        judge("completion", ratio(figures, COMPLETION, TYPER), 1.5)
        judge("unchanged build", ratio(figures, UNCHANGED, TYPER), 2.5)


def _contestants(folder: Path) -> list[Contestant]:
    (folder / "in.txt").write_text("<h1>Hello</h1>\n")
    (folder / "imgbake.toml").write_text(RECIPE)
    imgbake = measuring.imgbake()
    completing = {"_IMGBAKE_COMPLETE": "complete_bash", "COMP_WORDS": "imgbake bu", "COMP_CWORD": "1"}
    env = {"XDG_CACHE_HOME": str(folder / "cache")}
    return [
        Contestant("python -c pass", [sys.executable, "-c", "pass"], folder),
        Contestant(TYPER, [sys.executable, "-c", "import typer"], folder),
        Contestant(VERSION, [imgbake, "--version"], folder),
        Contestant(COMPLETION, [imgbake], folder, completing),
        Contestant(UNCHANGED, [imgbake, "build"], folder, env),
    ]


if __name__ == "__main__":
    main()
