"""A component's build as a program for any user: extracts a base, runs a script, captures the layer.

    python -m imgbake_sandbox.tests.builds KIND PLACE SCRIPT BASE...

KIND is an identity's, PLACE a folder of the user, BASE the files of layers. Prints what came of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from imgbake_sandbox.chores import Chores
from imgbake_sandbox.identity import Identity, candidates
from imgbake_sandbox.rootfs import Rootfs
from imgbake_sandbox.spec import Command, Spec
from imgbake_sandbox.tars import Format
from imgbake_sandbox.tests.people import as_ordinary


class Built(msgspec.Struct, frozen=True):
    """The layer that a build made, and what its command printed."""

    code: int
    out: str
    layer: Path
    diff_id: str
    members: int
    devices: tuple[str, ...]


def build(identity: Identity, place: Path, script: str, base: Sequence[Path]) -> dict[str, Any]:
    """Builds, and leaves the layer in `place`, its folder among the extracted ones."""
    chores = Chores(identity)
    rootfs = Rootfs(place, chores)
    blobs = {f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}": path for path in base}
    upper, work, layer = place / "upper", place / "work", place / "layer.tar.gz"
    upper.mkdir()
    work.mkdir()
    with rootfs.held(list(blobs), blobs.__getitem__) as lowers:
        command = Command(("/bin/sh", "-c", script))
        spec = Spec(identity=identity, lowers=lowers, upper=upper, work=work, commands=(command,))
        ran = subprocess.run(
            spec.command(place / "spec"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        captured = chores.capture(upper, lowers, layer, Format("gzip", 1), 0)
    rootfs.adopt(captured.packed.digest, upper, captured.extracted)
    chores.remove(upper, work)
    return {
        "code": ran.returncode,
        "out": ran.stdout,
        "layer": str(layer),
        "diff_id": captured.packed.diff_id,
        "members": captured.extracted.members,
        "devices": captured.devices,
    }


def built(kind: str, place: Path, script: str, base: Sequence[Path], user: pwd.struct_passwd | None) -> Built:
    """Builds as this user, or as ourselves. Fails with what the build printed."""
    words = ["-P", "-m", __name__, kind, str(place), script, *map(str, base)]
    if user:
        os.chown(place, user.pw_uid, user.pw_gid)
        done = as_ordinary(words, user)
    else:
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return msgspec.convert(json.loads(done.stdout), Built, dec_hook=lambda kind, value: kind(value))


def main() -> None:
    kind, place, script, *base = sys.argv[1:]
    identity = next(each for each in candidates() if each.kind == kind)
    sys.stdout.write(json.dumps(build(identity, Path(place), script, [Path(path) for path in base])))


if __name__ == "__main__":
    main()
