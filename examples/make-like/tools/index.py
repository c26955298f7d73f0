"""index.py TITLES TO: writes the page that leads to all others."""

import html
import json
import sys
from pathlib import Path

titles, to = map(Path, sys.argv[1:])
items = "\n".join(
    f'<li><a href="pages/{name}.html">{html.escape(title)}</a></li>'
    for name, title in json.loads(titles.read_text(encoding="utf-8")).items()
)
to.parent.mkdir(parents=True, exist_ok=True)
to.write_text(f'<!doctype html>\n<meta charset="utf-8">\n<ul>\n{items}\n</ul>\n', encoding="utf-8")
