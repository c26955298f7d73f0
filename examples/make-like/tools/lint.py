"""lint.py FOLDER: says what is wrong with the pages."""

import sys
from pathlib import Path


def faults(page):
    lines = page.read_text(encoding="utf-8").splitlines()
    if not lines or not lines[0].startswith("# "):
        yield 1, "a page begins with its title: # Title"
    for number, line in enumerate(lines, 1):
        if line != line.rstrip():
            yield number, "spaces at the end of the line"


found = [
    f"{page}:{number}: {fault}"
    for page in sorted(Path(sys.argv[1]).rglob("*.md"))
    for number, fault in faults(page)
]
print(*found, sep="\n") if found else print("the pages are well")
sys.exit(1 if found else 0)
