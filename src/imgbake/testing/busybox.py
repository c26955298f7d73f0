"""A small base that commands run on, baked by imgbake itself, and projects with an image on it.

base = bake(tmp_path_factory.mktemp("busybox"))     # once: it takes half a second
project = OnBusybox(tmp_path, base)
ran = project.bake('''
    [components.hello]
    build = "echo hello | tee /etc/motd"
''')
assert (phases(ran), printed(ran)) == (["hello: build"], ["hello"])
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
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
_PHASE = re.compile(r"^\S+ \| -- (\S+: (?:build|validate|test))$", re.MULTILINE)
_OUTPUT = re.compile(r"^\S+ \| (?!-- |\$ )(.*)$", re.MULTILINE)


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


class OnBusybox(Project):
    """A project with one image, `app`, of components on a base."""

    def __init__(self, root: Path, base: Path) -> None:
        super().__init__(root)
        self.base = base

    def image(self, components: str, keys: str = "") -> None:
        """Writes a recipe of these tables of components, and the image of all of them.

        `keys` are more lines of the image's table, and tables after it.
        """
        names = json.dumps(_COMPONENT.findall(components))
        self.recipe(f'{components}\n[images.app]\nbase = "oci:{self.base}"\ncomponents = {names}\n{keys}\n')

    def bake(self, components: str, keys: str = "", *args: str, env: Mapping[str, str] | None = None) -> Ran:
        """Writes the recipe and builds the image, which must succeed. `args` are for `imgbake build`."""
        self.image(components, keys)
        return self.build(*args, env=env)

    def fail(self, components: str, keys: str = "", *args: str, env: Mapping[str, str] | None = None) -> Ran:
        """Writes the recipe and builds the image, which must fail, and not by a bug."""
        self.image(components, keys)
        ran = self.run("build", "--progress", "plain", *args, env=env)
        assert ran.code == 1, f"exit code {ran.code}\n{ran.stdout}\n{ran.stderr}"
        assert "Traceback" not in ran.stderr, ran.stderr
        return ran


def phases(ran: Ran) -> list[str]:
    """The phases of components that ran in a build with `--progress plain`, such as "hello: build"."""
    return _PHASE.findall(ran.stderr)


def printed(ran: Ran) -> list[str]:
    """The lines that commands printed in such a build."""
    return _OUTPUT.findall(ran.stderr)
