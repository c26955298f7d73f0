"""A small base that commands run on, baked by imgbake itself, and projects with an image on it.

folder = bake(tmp_path_factory.mktemp("busybox"))     # once: it takes half a second
project = Project(tmp_path)
project.recipe(image(folder, '''
    [components.hello]
    build = "echo hello > /etc/motd"
'''))
assert phases(project.build()) == ["hello: build"]
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

from imgbake.testing.project import Project, Ran

PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"
GROUP = "root:x:0:\napp:x:1000:\nextra:x:2000:app\n"

_RECIPE = """
[components.busybox]
files = [
  { from = "root", to = "/" },
  { from = "program", to = "/bin/busybox", mode = "0755" },
  { from = "home", to = "/home/", owner = "1000:1000" },
]

[images.busybox]
base = "scratch"
components = ["busybox"]
env = { GREETING = "hello" }
"""
_COMPONENT = re.compile(r"^\s*\[components\.([^\].]+)\]", re.MULTILINE)
_PHASE = re.compile(r"-- (\S+): (build|validate|test)$", re.MULTILINE)


def bake(folder: Path) -> Path:
    """Bakes a base in a folder and returns its OCI layout: busybox with a link for each of its commands.

    It has the users root and app (1000), whose home is /home/app and who is in the group extra (2000) too.
    Its environment has GREETING. Raises FileNotFoundError where no busybox is installed.
    """
    program = shutil.which("busybox")
    if program is None:
        raise FileNotFoundError("busybox is not installed")
    project = Project(folder)
    project.recipe(_RECIPE)
    project.write("program", Path(program).read_bytes())
    project.write("root/etc/passwd", PASSWD)
    project.write("root/etc/group", GROUP)
    project.write("home/app/notes", "old\n")
    (project.root / "root/bin").mkdir()
    for name in subprocess.check_output([program, "--list"], text=True).split():
        if name != "busybox":
            (project.root / "root/bin" / name).symlink_to("busybox")
    project.build(env={"IMGBAKE_CACHE_DIR": str(folder / "cache")})
    return folder / ".imgbake/images/busybox/oci"


def image(base: Path, components: str, keys: str = "") -> str:
    """A recipe: these tables of components, and the image `app` of all of them on a layout.

    `keys` are more lines of the image's table, and tables after it.
    """
    names = json.dumps(_COMPONENT.findall(components))
    return f'{components}\n[images.app]\nbase = "oci:{base}"\ncomponents = {names}\n{keys}\n'


def phases(ran: Ran) -> list[str]:
    """The phases of components that ran in a build with `--progress plain`, such as "hello: build"."""
    return [f"{component}: {phase}" for component, phase in _PHASE.findall(ran.stderr)]
