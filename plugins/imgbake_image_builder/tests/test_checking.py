"""What is wrong with documents that users have written, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgbake.testing.project import Project
from imgbake_image_builder import checking
from imgbake_image_builder.modules import MODULES
from imgbake_image_builder.tests.projects import Baked

GOOD = """\
name: hardening
description: As a user has it
schemaVersion: 1.0
parameters:
  - Level:
      type: string
      default: "1"
constants:
  - Folder:
      type: string
      value: /opt/hardening
phases:
  - name: build
    steps:
      - name: download
        action: WebDownload
        maxAttempts: 3
        inputs:
          - source: https://example.com/hardening.zip
            destination: "{{ Folder }}/hardening.zip"
            checksum: aa
            algorithm: SHA256
      - name: run
        action: ExecuteBash
        timeoutSeconds: -1
        onFailure: Continue
        loop:
          name: scope
          forEach: [a, b]
        inputs:
          commands:
            - |
              unzip {{ build.download.outputs[0].destination }}
              echo {{ Level }} {{ scope.index }} {{ loop.value }}
      - name: reboot
        action: Reboot
        onFailure: Abort
        inputs:
          delaySeconds: 60
      - name: update
        action: UpdateOS
  - name: validate
    steps:
      - name: there
        action: Assert
        inputs:
          and:
            - fileExists: "{{ Folder }}/hardening.zip"
            - stringEquals: "1"
              value: "1"
      - name: seen
        action: ExecuteBinary
        if:
          not:
            binaryExists: oscap
          then: Skip
        inputs:
          path: /bin/cat
          arguments: ["{{ build.download.inputs[0].destination }}"]
  - name: test
    steps:
      - name: permissions
        action: SetFilePermissions
        inputs:
          - path: /etc/shop.toml
            permissions: 0600
"""


def _problems(text: str, platform: str = "Linux", **params: str) -> list[str]:
    return [
        f"{problem.where.line if problem.where else 0}: {problem.message}"
        for problem in checking.check("d.yaml", text, params, platform)
    ]


def test_a_document_that_is_right_has_no_problems() -> None:
    assert _problems(GOOD, Level="2") == []


def test_there_are_thirty_modules() -> None:
    assert len(MODULES) == 30


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("schemaVersion: 1.0", "schemaVersion: 2.0", "3: 'schemaVersion' must be 1.0"),
        ("schemaVersion: 1.0\n", "", "1: the document has no 'schemaVersion'"),
        ("name: hardening", "nmae: hardening", "1: a document has no 'nmae'"),
        ("  - Level:", "  - L:", "5: 'L' can't be a name"),
        ("type: string\n      default", "type: int\n      default", "6: a parameter's type"),
        ("  - Folder:", "  - Level:", "9: the name 'Level' is taken"),
        ("      value: /opt/hardening\n", "", "9: the constant 'Folder' has no 'value'"),
        ("  - name: build\n", "  - name: biuld\n", "13: Image Builder runs no phase 'biuld'"),
        ("  - name: test\n", "  - name: build\n", "there is a phase 'build' already"),
        ("      - name: run\n", "      - name: download\n", "23: the phase has a step 'download' already"),
        ("action: ExecuteBash\n", "action: ExecuteBahs\n", "24: there is no action module 'ExecuteBahs'"),
        ("action: ExecuteBash\n", "action: ExecutePowerShell\n", "ExecutePowerShell does not run on Linux"),
        ("timeoutSeconds: -1", "timeoutSeconds: 0", "25: 'timeoutSeconds' is no time"),
        ("onFailure: Continue", "onFailure: continue", "26: 'onFailure' can't be 'continue'"),
        ("maxAttempts: 3", "maxAttempts: 0", "17: 'maxAttempts' must be a number from 1 on"),
        ("            algorithm: SHA256\n", "", "takes 'checksum' and 'algorithm' together"),
        ("algorithm: SHA256", "algorithm: CRC", "there is no algorithm 'CRC'"),
        ("- source: https", "- sauce: https", "an input of WebDownload has no 'sauce'"),
        ("- source: https", "- sauce: https", "WebDownload needs 'source'"),
        ("  - path: /etc/shop.toml\n    ", "  path: /etc/shop.toml\n", "must be a list"),
        ("delaySeconds: 60", "delaySeconds: soon", "'delaySeconds' must be a number"),
        ("forEach: [a, b]", "for: {start: 0, end: 5, updateBy: 0}", "'updateBy' can't be 0"),
        ("forEach: [a, b]", "for: {start: 0, end: 5, updateBy: -1}", "the loop never ends"),
        ("forEach: [a, b]", "each: [a, b]", "a loop has either 'for' or 'forEach'"),
        ("{{ Level }}", "{{ Levle }}", "nothing is named 'Levle'"),
        ("{{ scope.index }}", "{{ other.index }}", "the step has no loop 'other'"),
        ("build.download.outputs", "build.dwnload.outputs", "no step build.dwnload comes before this one"),
        ("outputs[0].destination", "outputs[0].stdout", "build.download gives no 'stdout'"),
        ("path: /etc/shop.toml", 'path: "{{ build.run.outputs.stdout }}"', "build.run can't be seen"),
        ("description: As", "description: {{ Level }} As", "2: this is no YAML"),
        ("- name: reboot\n", "- name: '{{ Level }}'\n", "is not put in here"),
        ("fileExists", "fileExits", "there is no operator 'fileExits'"),
        ("        action: UpdateOS\n", "", "the step has no 'action'"),
        ('arguments: ["', 'arguments: [a: "', "'arguments' is a list of texts"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found(before: str, after: str, problem: str) -> None:
    assert before in GOOD
    found = _problems(GOOD.replace(before, after, 1))
    assert any(problem in each for each in found), found


@pytest.mark.parametrize(
    "text", ["", "- a", "a", "phases: []\nschemaVersion: 1.0", "{a: 1, a: 1}", "a: [", "? [a]\n: b"]
)
def test_what_is_no_document_is_said_to_be_none(text: str) -> None:
    assert _problems(text)


def test_parameters_must_be_those_of_the_document() -> None:
    assert _problems(GOOD, Lvl="2") == [
        "0: d.yaml: the document has no parameter 'Lvl', which the recipe gives"
    ]


def test_check_finds_all_of_them_in_one_run_before_any_call(project: Baked) -> None:
    bad = GOOD.replace("ExecuteBash", "ExecuteBahs").replace("{{ Level }}", "{{ Levle }}")
    project.write("docs/hardening.yaml", bad)
    project.image('[components.hard]\ndocument = "docs/hardening.yaml"\nparams = { Lvel = "2" }')
    for verb in ("check", "build"):
        ran = project.run(verb)
        assert ran.code == 2
        assert "docs/hardening.yaml:24:17: there is no action module 'ExecuteBahs'" in ran.stderr
        assert " 24 |         action: ExecuteBahs\n    |                 ^^^^^^^^^^^\n" in ran.stderr
        assert "'Levle'" in ran.stderr and "'Lvel'" in ran.stderr and "3 errors in the recipe" in ran.stderr
    assert project.asked() == []


def test_a_document_of_a_user_is_baked_with_its_parameters(project: Baked) -> None:
    project.write("hardening.yaml", GOOD)
    project.image('[components.hard]\ndocument = "hardening.yaml"\nparams = { Level = "2" }')
    project.build()
    assert next(project.requests("CreateComponent"))["data"] == GOOD
    (used,) = next(project.requests("CreateImageRecipe"))["components"]
    assert used["parameters"] == [{"name": "Level", "value": ["2"]}]
    assert project.build().outcomes()["image:app@ami"] == "cached"
    project.write("hardening.yaml", GOOD + "# more\n")
    assert "hardening.yaml" in project.run("explain", "image:app@ami").stdout
    assert project.build().outcomes()["image:app@ami"] == "ran"


def test_a_component_is_used_once_whatever_its_version(project: Baked) -> None:
    arn = "arn:aws:imagebuilder:us-east-1:aws:component/update-linux/"
    project.image(
        f'[components.one]\ndocument = "{arn}x.x.x"\n[components.two]\ndocument = "{arn}1.0.2"\n'
        f'[components.three]\ndocument = "arn:aws:nothing"\n[components.four]\ndocument = "{arn}1.x.2"'
    )
    said = project.fail(code=2)
    assert "this is the component that 'one' is" in said and "3 errors" in said
    assert project.asked() == []


def test_an_unsupported_system_is_an_error_that_lists_the_others(project: Baked) -> None:
    project.image()
    project.recipe(project.read("imgbake.toml").replace("Ubuntu 22.04", "Ubuntu 16.04"))
    said = project.fail(code=2)
    assert "does not support the operating system 'Ubuntu 16.04'" in said
    assert "Ubuntu 18.04" in said and "Windows Server 2012 R2" in said and "macOS 14" in said


def test_the_systems_are_listed(tmp_path: Path) -> None:
    project = Project(tmp_path)
    ran = project.run("image-builder", "os-list")
    assert ran.code == 0 and "Red Hat Enterprise Linux 9" in ran.stdout
    listed = project.run("image-builder", "os-list", "--format", "json").json
    assert {"os": "macOS 14", "platform": "macOS"} in listed and len(listed) == 21
