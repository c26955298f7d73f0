"""Components with commands as the target has them: layers, configuration, formats, platforms."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, ClassVar

import pytest

from imgbake.testing import busybox
from imgbake.testing.busybox import OnBusybox, phases, printed
from imgbake.testing.conformance import PluginConformance
from imgbake_oci.running import surroundings
from imgbake_oci.tests.baked import Baked, baked, write_layout
from imgbake_sandbox import emulation
from imgbake_sandbox.identity import candidates

BUSYBOX = shutil.which("busybox") or ""
ONE = '[components.a]\nbuild = "mkdir /a; echo x > /a/x; ln /a/x /a/y; ln -s x /a/z"\n'


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layout of a base with busybox."""
    try:
        return busybox.bake(tmp_path_factory.mktemp("busybox"))
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def other_users() -> None:
    """Skips where who runs the tests has no ids for users besides root."""
    if next(candidates()).kind == "single":
        pytest.skip("needs subordinate ids: see subuid(5)")


@pytest.fixture
def app(tmp_path: Path, base: Path) -> OnBusybox:
    folder = tmp_path / "app"
    folder.mkdir()
    return OnBusybox(folder, base)


def on(app: OnBusybox, config: dict[str, Any]) -> OnBusybox:
    """The project on a base with this configuration, written by hand."""
    layout = app.root / "base"
    write_layout(layout, {"": [Baked(app.base).tar(0)]}, config=config)
    return OnBusybox(app.root, layout)


@pytest.mark.skipif(not BUSYBOX, reason="busybox is not installed")
class TestConformance(PluginConformance):
    """A component that runs commands is held to what all are held to."""

    recipe: ClassVar[str] = """
    [components.base]
    files = [{ from = "busybox", to = "/bin/", mode = "0755" }, { from = "app.txt", to = "/app.txt" }]

    [components.first]
    shell = ["/bin/busybox", "ash", "-c"]
    caches = ["/cache"]
    build = ["busybox mkdir -p /etc", "echo $RANDOM >> /cache/x; busybox cat /app.txt > /etc/first"]
    validate = "busybox test -s /etc/first"

    [components.second]
    shell = ["/bin/busybox", "ash", "-c"]
    files = [{ from = "app.txt", to = "/etc/second" }]
    build = "echo more >> /etc/second; busybox sleep 0.1; busybox chmod 4755 /etc/first"
    test = "busybox grep -q more /etc/second"

    [images.app]
    base = "scratch"
    components = ["base", "first", "second"]
    targets = ["here"]

    [targets.here]
    uses = "oci"
    """
    files: ClassVar[dict[str, str | bytes]] = {
        "busybox": Path(BUSYBOX).read_bytes() if BUSYBOX else b"",
        "app.txt": "hello\n",
    }


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_a_layer_is_written_and_read_in_every_format(
    app: OnBusybox, tmp_path: Path, compression: str
) -> None:
    env = {"IMGBAKE_CACHE_DIR": str(tmp_path / "cache")}
    keys = f'targets = ["t"]\n[targets.t]\nuses = "oci"\ncompression = "{compression}"\n'
    app.bake(ONE, keys, env=env)
    found = baked(app, target="t")
    assert found.files() == {"a/x": "x\n", "a/y": "x\n"}
    assert found.manifest()["layers"][-1]["mediaType"].endswith(
        {"gzip": "tar+gzip", "zstd": "tar+zstd", "none": "tar"}[compression]
    )
    (tmp_path / "cache/runners").rename(tmp_path / "gone")  # so that it is extracted
    ran = app.bake(ONE + '[components.b]\nbuild = "cat /a/y /a/z"\n', keys, env=env)
    assert (phases(ran), printed(ran)) == (["b: build"], ["x", "x"])


def test_everything_bears_the_time_that_is_asked_for(app: OnBusybox) -> None:
    app.bake(ONE, env={"SOURCE_DATE_EPOCH": "1700000000"})
    assert {member.mtime for member in baked(app).members().values()} == {1_700_000_000}
    app.bake(ONE)
    assert {member.mtime for member in baked(app).members().values()} == {0}


def test_the_history_names_every_component(app: OnBusybox) -> None:
    app.bake(ONE + '[components.b]\nvalidate = "true"\n[components.c]\nbuild = "true"\n')
    history = [
        (entry["created_by"].rpartition(" ")[2], entry.get("empty_layer", False))
        for entry in baked(app).config()["history"]
    ]
    assert history[-3:] == [("a", False), ("b", True), ("c", False)]
    assert len(baked(app).layers()) == sum(not empty for _, empty in history)


def test_a_base_may_say_everything_or_nothing_of_how_it_is_run(app: OnBusybox) -> None:
    assert printed(on(app, {}).bake('[components.a]\nbuild = "pwd; id -u; echo $HOME"\n')) == [
        "/",
        "0",
        "/root",
    ]


@pytest.mark.parametrize(
    ("said", "env", "workdir"),
    [
        ({}, {"NEW": "1"}, "/"),
        ({"Env": None, "WorkingDir": "", "User": None}, {"NEW": "1"}, "/"),
        ({"Env": ["A=1", "B=x=y"], "WorkingDir": "/srv/"}, {"A": "1", "B": "x=y", "NEW": "1"}, "/srv"),
        ({"Env": ["NEW=0", "A=1"], "WorkingDir": "srv"}, {"NEW": "1", "A": "1"}, "/srv"),
        ({"Env": ["ALONE", "=x", ""], "WorkingDir": "//a/../b"}, {"ALONE": "", "NEW": "1"}, "/b"),
        ({"WorkingDir": "../.."}, {"NEW": "1"}, "/"),
    ],
)
def test_what_a_configuration_gives_to_commands(
    said: dict[str, Any], env: dict[str, str], workdir: str
) -> None:
    found = surroundings(said, {"NEW": "1"})
    assert (found.env, found.workdir, found.user) == (env, workdir, "")


@pytest.mark.usefixtures("other_users")
def test_a_base_with_a_strange_configuration_works_in_every_phase(app: OnBusybox) -> None:
    strange = on(app, {"Env": ["ALONE", "=x", "B=1"], "WorkingDir": "srv/app", "User": "app"})
    script = "pwd; id -un; echo $B"
    ran = strange.bake(f'[components.a]\nbuild = "{script}"\nvalidate = "{script}"\ntest = "{script}"\n')
    assert printed(ran) == ["/srv/app", "app", "1"] * 3


def test_commands_run_for_this_machine_alone(app: OnBusybox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulation, "HANDLERS", app.root / "no emulators")
    layout = app.root / "base"

    def for_another(document: Any) -> None:
        document["architecture"] = "riscv64"

    write_layout(layout, {"": [Baked(app.base).tar(0)]}, for_another)
    ran = OnBusybox(app.root, layout).fail('[components.a]\nbuild = "true"\n')
    assert "component 'a' can't run its commands for linux/riscv64 on" in ran.stderr


def test_two_targets_agree_on_what_is_in_the_image(app: OnBusybox) -> None:
    keys = (
        'targets = ["one", "two"]\n[targets.one]\nuses = "oci"\n'
        '[targets.two]\nuses = "oci"\ncompression = "zstd"\n'
    )
    app.bake(ONE, keys)
    one, two = (baked(app, target=name).config()["rootfs"]["diff_ids"] for name in ("one", "two"))
    assert one == two


def test_an_exported_image_is_whole(app: OnBusybox, tmp_path: Path) -> None:
    app.bake(ONE)
    assert app.run("export", "app", "-o", str(tmp_path / "out"), "--format", "oci").code == 0
    assert Baked(tmp_path / "out").files() == {"a/x": "x\n", "a/y": "x\n"}


def test_an_image_stands_on_one_whose_components_ran(app: OnBusybox) -> None:
    app.image(ONE)
    text = app.read("imgbake.toml")
    app.recipe(
        text
        + '[components.upper]\nbuild = "rm /a/x; cat /a/y"\n'
        + '[images.upper]\nbase = "image:app"\ncomponents = ["upper"]\n'
    )
    ran = app.build()
    assert (phases(ran), printed(ran)) == (["a: build", "upper: build"], ["x"])
    assert baked(app, "upper").files() == {"a/.wh.x": ""}
    assert baked(app, "upper").layers()[:2] == baked(app).layers()


def test_a_layer_in_the_way_of_nothing_is_made_while_others_are_cached(app: OnBusybox) -> None:
    app.bake(ONE)
    graph = json.loads(app.run("plan", "--format", "json").stdout)
    assert {step["action"] for step in graph} == {"cached"}
