"""Machine images, in a cloud on this computer: 50 AMIs in 3 regions, and 20 at once.

nothing changed        an unchanged build of 50 AMIs, to one `packer build` of a template with all of them;
                       and how many times it asks which AMIs there are
20 at once, Packer     20 templates whose build takes a fixed time, with -j 20, to one of them alone
20 at once, EC2 Image  the same by the target image-builder, in an emulator whose builds take that time
Builder

The cloud is moto's server, which works in no time: in a real one each AMI takes minutes.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import measuring
from measuring import Contestant, alternate, judge, ratio, run, show

OURS, PACKER, ONE, ALL = "imgbake build", "packer build", "one image", "20 images, -j 20"
EMULATOR = Path(__file__).resolve().parents[1] / "tests" / "services" / "image_builder"
REGIONS = ("us-east-1", "eu-west-1", "eu-central-1")
AMIS, AT_ONCE = 50, 20
BUILD_TIME = 20  # seconds
BASE = "ami-1e749f67"  # one that moto knows

_MOTO = """
import sys
from moto.ec2.responses import EC2Response
from moto.server import main

answer = EC2Response.describe_images

def counted(self):
    if self._get_param("Owners", []):  # Packer asks by ids
        with open(sys.argv[1], "a") as file:
            file.write(self.region + "\\n")
    return answer(self)

EC2Response.describe_images = counted
main(sys.argv[2:])
"""
_SLOW = """
source "null" "slow" { communicator = "none" }
build {
  sources = ["source.null.slow"]
  provisioner "shell-local" { inline = ["sleep %d"] }
}
"""


def main() -> None:
    """Measures, and prints."""
    arguments = measuring.options(__doc__, 3).parse_args()
    with measuring.workplace(arguments) as folder:
        if measuring.tool("packer"):
            _measure_unchanged(folder / "amis", arguments.rounds)
            _measure_packer(folder / "packer", arguments.rounds)
        _measure_image_builder(folder / "image-builder", arguments.rounds)


def _measure_unchanged(folder: Path, rounds: int) -> None:
    folder.mkdir(parents=True)
    names = [f"app{number}" for number in range(AMIS)]
    images = "".join(f'[images.{name}]\nbase = {{ ami = "{BASE}" }}\ntargets = ["ami"]\n' for name in names)
    options = f'communicator = "none"\nami_regions = {json.dumps(REGIONS[1:])}'
    (folder / "imgbake.toml").write_text(
        f'[targets.ami]\nuses = "packer"\nregion = "{REGIONS[0]}"\n{options}\n{images}'
    )
    asked = folder / "asked"
    with _cloud(asked) as env:
        (folder / "all.pkr.json").write_text(_template(names, env["AWS_ENDPOINT_URL"]))
        ours = Contestant(OURS, [measuring.imgbake(), "build", "--progress", "quiet"], folder, env)
        peer = Contestant(PACKER, ["packer", "build", "-color=false", "all.pkr.json"], folder, env)
        for _ in range(2):  # bakes them, and sees that all is there
            run(ours.command, folder, env)
        asked.unlink(missing_ok=True)
        figures = alternate([ours, peer], rounds)
        questions = len(asked.read_text().splitlines()) / rounds
    title = f"{AMIS} AMIs in {len(REGIONS)} regions: nothing changed, to baking them with Packer"
    show(title, figures, OURS)
    judge("packer build, to ours", ratio(figures, PACKER, OURS), 10, at_least=True)
    judge("questions which AMIs there are, in each build", questions, len(REGIONS), unit="")


def _measure_packer(folder: Path, rounds: int) -> None:
    folder.mkdir(parents=True)
    (folder / "slow.pkr.hcl").write_text(_SLOW % BUILD_TIME)
    image = 'template = "slow.pkr.hcl"\ninputs = ["slow.pkr.hcl"]\n'
    _write_images(folder, 'uses = "packer"', image)
    _measure_at_once("Packer", folder, {"XDG_CACHE_HOME": str(folder / "cache")}, rounds)


def _measure_image_builder(folder: Path, rounds: int) -> None:
    folder.mkdir(parents=True)
    options = (
        f'uses = "image-builder"\nregion = "{REGIONS[0]}"\nos = "Ubuntu 22.04"\ninstance_profile = "baker"'
    )
    image = f'base = {{ ami = "{BASE}" }}\ncomponents = ["app"]\n'
    _write_images(folder, options, image, '[components.app]\nbuild = "make install"\n')
    with _cloud(folder / "asked") as env, _image_builder(env["AWS_ENDPOINT_URL"]) as (address, pid):
        began, worked = time.perf_counter(), measuring.cpu(pid)
        _measure_at_once("Image Builder", folder, env | {"AWS_ENDPOINT_URL_IMAGEBUILDER": address}, rounds)
        busy = (measuring.cpu(pid) - worked) / (time.perf_counter() - began)
    print(f"  the emulator was busy for {busy:.0%} of the time")


def _write_images(folder: Path, target: str, image: str, more: str = "") -> None:
    images = "".join(f'[images.app{number}]\ntargets = ["machine"]\n{image}' for number in range(AT_ONCE))
    (folder / "imgbake.toml").write_text(f"[targets.machine]\n{target}\n{more}{images}")


def _measure_at_once(what: str, folder: Path, env: dict[str, str], rounds: int) -> None:
    build = [measuring.imgbake(), "build", "-B", "--progress", "quiet", "-j", str(AT_ONCE)]
    figures = alternate(
        [Contestant(ONE, [*build, "app0"], folder, env), Contestant(ALL, build, folder, env)], rounds
    )
    show(f"{AT_ONCE} images at once with {what}, each of {BUILD_TIME} s", figures, ONE)
    judge(f"{ALL}, to one", ratio(figures, ALL, ONE), 1.3)


def _template(names: list[str], endpoint: str) -> str:
    """One template with all of the AMIs, which Packer bakes at the same time."""
    source = {
        "region": REGIONS[0],
        "ami_regions": REGIONS[1:],
        "source_ami": BASE,
        "instance_type": "t3.small",
        "communicator": "none",
        "custom_endpoint_ec2": endpoint,
        "skip_region_validation": True,
        "skip_metadata_api_check": True,
    }
    sources = {name: source | {"ami_name": f"{name} by packer {{{{timestamp}}}}"} for name in names}
    build = {"sources": [f"source.amazon-ebs.{name}" for name in names]}
    return json.dumps({"source": {"amazon-ebs": sources}, "build": build})


@contextlib.contextmanager
def _cloud(asked: Path) -> Iterator[dict[str, str]]:
    """The environment that leads to an empty account; each listing of its AMIs is a line in a file."""
    with _server("-c", _MOTO, str(asked), "-H", "127.0.0.1", "-p") as (address, _):
        yield {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_REGION": REGIONS[0],
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "XDG_CACHE_HOME": str(asked.parent / "cache"),
        }


@contextlib.contextmanager
def _image_builder(cloud: str) -> Iterator[tuple[str, int]]:
    """The emulator, whose builds take a fixed time and all else none; its address and its process."""
    pace = ["--seconds", "0.1", "--pace", f"BUILDING={BUILD_TIME}"]
    with _server(str(EMULATOR), *pace, "--cloud", cloud, "--port") as server:
        yield server


@contextlib.contextmanager
def _server(*command: str) -> Iterator[tuple[str, int]]:
    """A server in Python, told a port by its last argument; its address and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [sys.executable, *command, str(port)]
    server = subprocess.Popen(started, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", server.pid
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
