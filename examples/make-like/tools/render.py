"""render.py FOLDER TO: makes HTML of the pages: headings, paragraphs, lists, `code` and [links](to.html)."""

import html
import re
import sys
from pathlib import Path


def block(text):
    if heading := re.match(r"(#{1,3}) (.*)", text):
        level = len(heading[1])
        return f"<h{level}>{inline(heading[2])}</h{level}>"
    if text.startswith("- "):
        items = "".join(f"<li>{inline(line[2:])}</li>\n" for line in text.splitlines())
        return f"<ul>\n{items}</ul>"
    return f"<p>{inline(text)}</p>"


def inline(text):
    text = html.escape(text, quote=False)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    return re.sub(r"\[([^]]+)\]\(([^)]+)\)", r'<a href="\2">\1</a>', text)


folder, to = map(Path, sys.argv[1:])
for page in sorted(folder.rglob("*.md")):
    blocks = re.split(r"\n\s*\n", page.read_text(encoding="utf-8").strip())
    target = to / f"{page.stem}.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    body = "\n".join(map(block, blocks))
    target.write_text(f'<!doctype html>\n<meta charset="utf-8">\n{body}\n', encoding="utf-8")
