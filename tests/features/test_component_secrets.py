"""Secrets of components: where they are needed, and nowhere else."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from imgbake.testing.busybox import OnBusybox, phases, printed
from imgbake.testing.project import Ran
from imgbake_oci.tests.baked import baked

SECRET = "correct-horse+battery"
ARGS = '[args]\ntoken = { secret = true, env = "TOKEN" }\n'


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The secret, and a cache to look through."""
    return {"TOKEN": SECRET, "IMGBAKE_CACHE_DIR": str(tmp_path / "cache")}


def assert_nowhere(app: OnBusybox, ran: Ran) -> None:
    """Checks all that a build left and said: files, their names, extended attributes aside, and output."""
    forms = [SECRET.encode(), base64.b64encode(SECRET.encode())]
    for path in (app.root.parent).rglob("*"):
        assert SECRET not in str(path)
        if path.is_symlink():
            assert SECRET not in str(path.readlink())
        elif path.is_file():
            data = path.read_bytes()
            assert not any(form in data for form in forms), path
    for layer in range(len(baked(app).layers())):
        assert SECRET.encode() not in baked(app).tar(layer)
    assert SECRET not in ran.stdout + ran.stderr


@pytest.mark.usefixtures("other_users")
def test_a_secret_is_a_file_of_the_commands_user(app: OnBusybox, env: dict[str, str]) -> None:
    ran = app.bake(
        ARGS
        + """
        [components.a]
        user = "app"
        secrets = ["token"]
        build = "stat -c '%a %u %g %F' /run/secrets/token; wc -c < /run/secrets/token; ls /run/secrets"
        """,
        env=env,
    )
    assert printed(ran) == ["400 1000 1000 regular file", str(len(SECRET)), "token"]
    assert_nowhere(app, ran)


def test_a_secret_is_masked_when_it_is_printed(app: OnBusybox, env: dict[str, str]) -> None:
    ran = app.bake(
        ARGS
        + """
        [components.a]
        secrets = ["token"]
        build = ["cat /run/secrets/token; echo", "base64 /run/secrets/token"]
        """,
        env=env,
    )
    assert printed(ran) == ["***", "***"]
    assert_nowhere(app, ran)
    assert SECRET not in app.run("log", "app").stdout


def test_a_secret_in_a_command_is_put_in_when_it_runs(app: OnBusybox, env: dict[str, str]) -> None:
    ran = app.bake(
        ARGS
        + """
        [components.a]
        build = ["x={{ token }}; echo ${#x}", "echo {{ token }} | rev | cut -c1-3"]
        """,
        env=env,
    )
    assert printed(ran) == [str(len(SECRET)), SECRET[::-1][:3]]
    assert "$ x={{ token }}; echo ${#x}" in ran.stderr
    assert_nowhere(app, ran)


def test_a_failing_command_does_not_tell_it(app: OnBusybox, env: dict[str, str]) -> None:
    ran = app.fail(ARGS + '[components.a]\nbuild = "echo {{ token }} >&2; exit 3"\n', env=env)
    assert "`echo {{ token }} >&2; exit 3` exited with code 3" in ran.stderr
    assert SECRET not in ran.stderr + ran.stdout
    for path in app.root.parent.rglob("*"):
        assert path.is_symlink() or not path.is_file() or SECRET.encode() not in path.read_bytes(), path


def test_it_is_in_the_environment_of_no_process(app: OnBusybox, env: dict[str, str]) -> None:
    ran = app.bake(
        ARGS
        + """
        [components.a]
        secrets = ["token"]
        build = "env; cat /proc/self/environ /proc/1/environ | tr '\\\\0' '\\\\n'; cat /proc/1/cmdline"
        """,
        env=env,
    )
    assert "***" not in ran.stderr and SECRET not in ran.stderr


def test_other_components_do_not_see_it(app: OnBusybox, env: dict[str, str]) -> None:
    ran = app.bake(
        ARGS
        + """
        [components.a]
        secrets = ["token"]
        build = "test -s /run/secrets/token"
        [components.b]
        build = "ls -d /run/secrets || true"
        """,
        env=env,
    )
    assert "No such file" in printed(ran)[0]


def test_it_is_there_for_checks_and_tests(app: OnBusybox, env: dict[str, str]) -> None:
    script = "wc -c < /run/secrets/token"
    ran = app.bake(
        ARGS + f'[components.a]\nsecrets = ["token"]\nvalidate = "{script}"\ntest = "{script}"\n', env=env
    )
    assert printed(ran) == [str(len(SECRET))] * 2


def test_another_value_runs_nothing(app: OnBusybox, env: dict[str, str]) -> None:
    text = ARGS + '[components.a]\nsecrets = ["token"]\nbuild = "true"\n[components.b]\nbuild = "true"\n'
    app.bake(text, env=env)
    other = {**env, "TOKEN": "another value"}
    assert app.bake(text, env=other).outcomes()["image:app@oci"] == "cached"
    assert phases(app.bake(text + 'workdir = "/etc"\n', env=other)) == ["b: build"]


def test_a_secret_of_several_lines(app: OnBusybox, env: dict[str, str]) -> None:
    value = "-----BEGIN KEY-----\nabcdefgh\n-----END KEY-----\n"
    ran = app.bake(
        ARGS
        + """
        [components.a]
        secrets = ["token"]
        build = "wc -lc < /run/secrets/token; cat /run/secrets/token"
        """,
        env={**env, "TOKEN": value},
    )
    assert printed(ran)[0].split() == ["3", str(len(value))]
    assert "abcdefgh" not in ran.stderr


def test_a_secret_that_is_too_long_for_the_kernel(app: OnBusybox, env: dict[str, str]) -> None:
    text = ARGS + '[components.a]\nsecrets = ["token"]\nbuild = "wc -c < /run/secrets/token"\n'
    longest = 128 * 1024 - len("IMGBAKE_SECRET_token=") - 1
    ran = app.fail(text, "", "--arg", f"token={'x' * (longest + 1)}", env=env)
    assert "the secret 'token' is longer than 128 KiB" in ran.stderr
    ran = app.bake(text, "", "--arg", f"token={'x' * longest}", env=env)
    assert printed(ran) == [str(longest)]


def test_a_secret_that_nobody_gave_is_asked_for_before_anything_runs(app: OnBusybox) -> None:
    app.image(ARGS + '[components.a]\nsecrets = ["token"]\nbuild = "true"\n')
    ran = app.run("build", "--no-input", "--progress", "plain")
    assert ran.code == 2 and "token" in ran.stderr and phases(ran) == []


def test_a_secret_can_be_removed_or_changed_by_nobody(app: OnBusybox, env: dict[str, str]) -> None:
    ran = app.bake(
        ARGS
        + """
        [components.a]
        secrets = ["token"]
        build = "echo x > /run/secrets/token; rm -f /run/secrets/token; wc -c < /run/secrets/token"
        """,
        env=env,
    )
    assert printed(ran)[-1] == str(len(SECRET))
