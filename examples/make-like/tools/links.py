"""links.py FOLDER: says which links of the site lead nowhere."""

import re
import sys
from pathlib import Path

site = Path(sys.argv[1])
broken = [
    f"{page}: {link}"
    for page in sorted(site.rglob("*.html"))
    for link in re.findall(r'href="([^":]+)"', page.read_text(encoding="utf-8"))
    if not (page.parent / link).exists()
]
print(*broken, sep="\n") if broken else print("every link leads somewhere")
sys.exit(1 if broken else 0)
