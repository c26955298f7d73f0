from __future__ import annotations

import msgspec
import pytest

from imgbake.errors import StepError
from imgbake_tasks.script import Script, ScriptOptions
from imgbake_tasks.tests.taskbench import Bench, options


def script(**values: object) -> Script:
    return Script(options(ScriptOptions, **values))


def test_a_text_is_a_shell_script(bench: Bench) -> None:
    bench.run(script(run="mkdir out\necho one > out/a\necho two | cat >> out/a"))
    assert bench.files("out") == {"a": "one\ntwo\n"}


def test_a_script_ends_at_its_first_failing_line(bench: Bench) -> None:
    with pytest.raises(StepError):
        bench.run(script(run="false\ntouch late"))
    assert not (bench.root / "late").exists()


def test_a_list_is_one_program_and_no_shell(bench: Bench) -> None:
    bench.run(script(run=["touch", "$HOME; echo"]))
    assert (bench.root / "$HOME; echo").exists()


def test_another_shell(bench: Bench) -> None:
    bench.run(script(run="f = open('made', 'w')\nf.write('yes')", shell=["python3", "-c"]))
    assert (bench.root / "made").read_text() == "yes"


def test_stdin_is_closed(bench: Bench) -> None:
    bench.run(script(run="cat > got"))
    assert (bench.root / "got").read_text() == ""


def test_env_holds_secrets_that_the_log_does_not(bench: Bench) -> None:
    bench.secrets = {"token": "s3cret-value"}
    bench.run(script(run='test ${#TOKEN} = 12; echo "it is $TOKEN"', env={"TOKEN": "{{ token }}"}))
    assert bench.lines == ["it is ***"]


def test_cwd(bench: Bench) -> None:
    (bench.root / "sub").mkdir()
    bench.run(script(run="touch here", cwd="sub"))
    assert (bench.root / "sub/here").exists()


def test_a_cwd_that_is_not_there(bench: Bench) -> None:
    with pytest.raises(StepError, match="no folder nowhere"):
        bench.run(script(run="true", cwd="nowhere"))


@pytest.mark.parametrize("cwd", ["..", "/tmp", "a/../../b", "~/x"])
def test_a_cwd_outside_is_refused(cwd: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="must stay inside the project"):
        script(run="true", cwd=cwd)


def test_a_symlink_out_of_the_project_is_refused(bench: Bench) -> None:
    (bench.root / "out").symlink_to("/tmp")
    with pytest.raises(StepError, match="outside the project"):
        bench.run(script(run="true", cwd="out"))


def test_what_decides_is_looked_at(bench: Bench) -> None:
    looked = bench.look(script(run="true", pass_env=["CI"], tools=["sh"]))
    assert (looked.env, looked.tools, looked.parts, looked.volatile) == (("CI",), ("sh",), {}, False)


@pytest.mark.parametrize(
    "wrong", [{"run": ""}, {"run": []}, {"run": "true", "shell": []}, {"run": "a", "rum": 1}]
)
def test_wrong_options(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        script(**wrong)
