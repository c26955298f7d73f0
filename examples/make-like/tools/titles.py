"""titles.py FOLDER TO: collects the titles of the pages."""

import json
import sys
from pathlib import Path

folder, to = map(Path, sys.argv[1:])
titles = {
    page.stem: page.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    for page in sorted(folder.rglob("*.md"))
}
to.parent.mkdir(parents=True, exist_ok=True)
to.write_text(json.dumps(titles, indent=1) + "\n", encoding="utf-8")
