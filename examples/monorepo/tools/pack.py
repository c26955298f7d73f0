"""pack.py FOLDER TO: packs a service as a zip that Python runs. The same files give the same bytes."""

import sys
import zipfile
from pathlib import Path

folder, to = map(Path, sys.argv[1:])
to.parent.mkdir(parents=True, exist_ok=True)
with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
    for path in sorted(folder.rglob("*.py")):
        entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), (1980, 1, 1, 0, 0, 0))
        entry.external_attr = 0o644 << 16
        archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
