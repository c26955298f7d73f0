"""Arguments: given, by environment, by default, missing; and secrets, which are nowhere to be found."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from imgbake.testing.http import HttpServer
from imgbake.testing.project import Project
from tests.features.terminal import Terminal

SECRET = "s3cr3t-Value-42"
RECIPE = """
[args]
token = { secret = true, env = "SHOP_TOKEN" }

[tasks.use]
run = "echo got $TOKEN; echo $TOKEN >&2; printf %s $TOKEN | base64; printf %s $TOKEN | wc -c > out.txt"
env = { TOKEN = "{{ token }}" }
inputs = ["in.txt"]
outputs = ["out.txt"]

[tasks.fail]
run = "echo {{ token }}; exit 1"
"""


def test_a_missing_argument_is_told_with_how_to_give_it(project: Project) -> None:
    project.recipe(
        '[args]\nwho = { help = "whom to greet", env = "WHO" }\n[tasks.a]\nrun = "echo {{ who }}"\n'
    )
    ran = project.run("run")
    assert ran.code == 2
    assert (
        "missing argument 'who' (whom to greet), which task:a needs: give --arg who=VALUE, or WHO"
        in ran.stderr
    )


def test_on_a_terminal_what_is_missing_is_asked_for(project: Project) -> None:
    project.recipe("""
        [args]
        who = { help = "whom to greet" }
        where = { choices = ["north", "south"] }
        pw = { secret = true }
        [tasks.greet]
        run = "echo to {{ who }} {{ where }} with ${#PW}"
        env = { PW = "{{ pw }}" }
    """)
    terminal = Terminal(project.root, sys.executable, "-m", "imgbake", "run", "--progress", "plain")
    answers = {
        b"who (whom to greet): ": b"me\n",
        b"where (one of north, south): ": b"south\n",
        b"pw: ": f"{SECRET}\n".encode(),
    }
    said = b""
    for question, answer in answers.items():
        said += terminal.says(question)
        terminal.types(answer)
    said += terminal.says(b"1 ran")
    assert terminal.ends() == 0, said
    assert f"to me south with {len(SECRET)}" in said.decode() and SECRET not in said.decode()


def test_who_does_not_answer_is_told_on_a_line_of_its_own(project: Project) -> None:
    project.recipe('[args.who]\n[tasks.greet]\nrun = "echo {{ who }}"\n')
    terminal = Terminal(project.root, sys.executable, "-m", "imgbake", "run")
    terminal.says(b"who: ")
    terminal.types(b"\x04")  # Ctrl-D
    terminal.says(b"\nerror: interrupted")
    assert terminal.ends() == 130


def test_what_needs_no_missing_argument_can_be_run(project: Project) -> None:
    project.recipe('[args.who]\nhelp = "x"\n[tasks.a]\nrun = "echo {{ who }}"\n[tasks.b]\nrun = "true"\n')
    assert project.make("b").outcomes() == {"task:b": "ran"}


def test_the_command_line_wins_over_the_environment_over_the_default(project: Project) -> None:
    project.recipe('[args]\nv = { default = "d", env = "V" }\n[tasks.a]\nrun = "echo {{ v }}"\n')
    assert "| d" in project.make().stderr
    assert "| e" in project.make(env={"V": "e"}).stderr
    assert "| g" in project.make("--arg", "v=g", env={"V": "e"}).stderr


def test_an_environment_variable_that_decided_is_watched(project: Project) -> None:
    project.recipe('[tasks.a]\nrun = "echo {{ env.V }} > out"\noutputs = ["out"]\n')
    project.make(env={"V": "1"})
    assert project.make(env={"V": "1"}).outcomes() == {"task:a": "cached"}
    assert project.make(env={"V": "2"}).outcomes() == {"task:a": "ran"}


def test_an_unknown_argument_and_one_without_a_value_are_refused(project: Project) -> None:
    project.recipe('[args]\nversion = "1"\n[tasks.a]\nrun = "true"\n')
    ran = project.run("run", "--arg", "verson=2")
    assert ran.code == 2 and "did you mean 'version'?" in ran.stderr
    ran = project.run("run", "--arg", "version")
    assert ran.code == 2 and "write --arg version=VALUE" in ran.stderr
    assert (
        "error: --arg =2 has no name\n  hint: write --arg NAME=VALUE"
        in project.run("run", "--arg", "=2").stderr
    )


@pytest.mark.parametrize("given", ["argument", "environment"])
def test_a_secret_is_in_no_file_and_no_output(project: Project, given: str, tmp_path: Path) -> None:
    project.recipe(RECIPE)
    project.write("in.txt")
    args = ["--arg", f"token={SECRET}"] if given == "argument" else []
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")} | ({} if args else {"SHOP_TOKEN": SECRET})
    printed = []
    for command in (
        ["run", "use"], ["run", "use"], ["run", "-B", "--progress", "json", "--format", "json", "use"],
        ["run", "fail"], ["plan", "use"], ["explain", "use"], ["list"], ["check"],
    ):  # fmt: skip
        ran = project.run(*command, *args, env=env)
        printed += [ran.stdout, ran.stderr]
    printed.append(project.run("log", "use", *args, env=env).stdout)
    assert project.read("out.txt").strip() == str(len(SECRET))
    assert "***" in printed[-1]
    assert not [text for text in printed if SECRET in text or "czNjcjN0LVZhbHVlLTQy" in text]
    assert not _files_with(tmp_path, SECRET)


def test_a_secret_that_changed_rebuilds_nothing(project: Project) -> None:
    project.recipe(RECIPE)
    project.write("in.txt")
    project.make("use", "--arg", "token=one")
    assert project.make("use", "--arg", "token=two").outcomes() == {"task:use": "cached"}


def test_a_password_in_a_url_is_in_no_record_and_no_output(project: Project, tmp_path: Path) -> None:
    project.recipe(
        '[tasks.get]\nuses = "http"\nurl = "http://bob:{{ env.PASSWORD }}@127.0.0.1:9/x"\nattempts = 1\n'
        '[tasks.say]\nrun = "echo http://bob:{{ env.PASSWORD }}@127.0.0.1:9/x; false"\n'
    )
    env = {"PASSWORD": SECRET, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    printed = [
        project.run(*command, env=env) for command in (["run", "-k"], ["plan"], ["list"], ["explain", "say"])
    ]
    printed.append(project.run("log", "say", env=env))
    assert not [ran for ran in printed if SECRET in ran.stdout + ran.stderr]
    assert not _files_with(tmp_path, SECRET)


def _files_with(folder: Path, text: str) -> list[Path]:
    return [
        path for path in folder.rglob("*")
        if path.is_file() and path.name != "imgbake.toml" and text.encode() in path.read_bytes()
    ]  # fmt: skip


def test_what_is_there_needs_no_secrets_that_made_it(project: Project) -> None:
    project.recipe(
        "[args]\ntoken = { secret = true }\n"
        '[tasks.a]\nrun = "cp in out"\nenv = { T = "{{ token }}" }\ninputs = ["in"]\noutputs = ["out"]\n'
        '[components.c]\nfiles = [{ from = "task:a", to = "/" }]\n'
        '[images.i]\nbase = "scratch"\ncomponents = ["c"]\n'
    )
    project.write("in", "1")
    lacking = "missing argument 'token', which task:a needs"
    ran = project.run("lower", "i")
    assert ran.code == 2 and lacking in ran.stderr
    project.build("--arg", "token=x")
    assert project.run("lower", "i").code == project.run("export", "i", "-o", "out.oci").code == 0
    assert project.run("explain", "a").stdout.startswith("task:a: fresh")
    assert "needs arguments" not in project.run("plan", "i").stdout + project.run("list").stdout
    assert set(project.build().outcomes().values()) == {"cached"}
    (project.root / "out").unlink()
    assert project.make().outcomes() == {"task:a": "restored"}
    assert lacking in project.run("build", "--no-input", "-B").stderr
    project.write("in", "2")
    assert "needs: token" in project.run("plan", "i").stdout
    assert "in changed" in project.run("explain", "a").stdout
    assert lacking in project.run("build", "--no-input").stderr


def test_a_base_that_an_argument_names_waits_for_it(project: Project) -> None:
    project.recipe('[args]\nregistry = {}\n[images.i]\nbase = "{{ registry }}/python:3"\n')
    states = {step["node"]: step["state"] for step in project.run("list", "--format", "json").json}
    assert states == {
        "base:{{ registry }}/python:3": "needs arguments",
        "image:i@oci": "needs arguments",
    }
    for words, node in (
        (["lock"], "base:{{ registry }}/python:3"),
        (["lower", "i"], "image:i@oci"),
        (["build", "--no-input"], "image:i@oci"),
    ):
        ran = project.run(*words)
        told = f"missing argument 'registry', which {node} needs: give --arg registry=VALUE"
        assert (ran.code, ran.stderr) == (2, f"error: {told}\n")


def test_no_image_is_lowered_without_the_arguments_that_it_reads(project: Project) -> None:
    project.recipe('[args]\nv = {}\n[images.i]\nbase = "scratch"\nlabels = { version = "{{ v }}" }\n')
    ran = project.run("lower", "i")
    assert ran.code == 2 and "missing argument 'v', which image:i@oci needs" in ran.stderr
    assert '"version": "1"' in project.run("lower", "i", "--arg", "v=1").stdout


def test_a_server_is_not_asked_with_a_secret_that_nobody_gave(project: Project) -> None:
    with HttpServer() as server:
        server.put("/x", b"content")
        project.recipe(
            "[args]\ntoken = { secret = true }\n"
            f'[tasks.a]\nuses = "http"\nurl = "{server.url}/x"\nrefresh = true\n'
            'headers = { Authorization = "{{ token }}" }\n'
        )
        project.make("--arg", "token=x")
        asked = len(server.requests)
        assert project.run("explain", "a").stdout.startswith("task:a: needs arguments\n")
        assert len(server.requests) == asked
