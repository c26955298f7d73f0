"""What is made of Packer's lines, of old versions and new ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgbake.api import Layer
from imgbake_packer.reporting import Report
from imgbake_packer.tests.blueprints import blueprint

LAYER = Layer("app.web", build=("true", "make \\\n  all"), validate=("check",))
OLD, NEW = "1,,ui,message,    amazon-ebs.shop: ", "1,,ui,say,==> amazon-ebs.shop: "


def told(*lines: str) -> tuple[Report, list[str]]:
    """A report that took these lines, and its log."""
    log: list[str] = []
    report = Report(blueprint(LAYER), Path("/work"), log.append)
    for line in lines:
        report.take(line)
    return report, log


@pytest.mark.parametrize("said", [OLD, NEW])
def test_a_command_is_named(said: str) -> None:
    report, log = told(
        "1,,ui,say,==> amazon-ebs.shop: Connected to SSH!",
        f"{said}imgbake: app.web build 1",
        f"{said}imgbake: app.web build 2",
        f"{said}one%!(PACKER_COMMA) two\\nthree",
        "1,amazon-ebs.shop,error,Script exited with non-zero exit status: 3",
    )
    failure = report.failure(1)
    assert failure.message == "component 'app.web': build: `make \\ …` exited with code 3"
    assert log == ["Connected to SSH!", "-- app.web: build", "$ true", "$ make \\", "one, two", "three"]
    assert failure.tail[-1] == "three"


def test_what_comes_after_a_script_is_not_its_fault() -> None:
    report, _ = told(
        f"{OLD}imgbake: app.web validate 1",
        f"{OLD}imgbake: end",
        "1,,ui,say,==> amazon-ebs.shop: Waiting for AMI to become ready...",
        "1,,ui,error,==> amazon-ebs.shop: Error waiting for AMI: it failed",
        "1,,ui,say,==> amazon-ebs.shop: Terminating the source AWS instance...",
        "1,amazon-ebs.shop,error,Error waiting for AMI: it failed",
    )
    message = report.failure(1).message
    assert message == "Packer failed while it was at “Waiting for AMI to become ready...”: " + (
        "Error waiting for AMI: it failed"
    )


def test_what_is_often_wrong_has_a_hint() -> None:
    report, _ = told("1,amazon-ebs.shop,error,InvalidAMIID.NotFound: The image id does not exist")
    assert "belong to a region" in report.failure(1).hint


def test_what_is_not_allowed_is_named_with_its_resource() -> None:
    said = "UnauthorizedOperation: User: arn:aws:iam::1:user/a is not authorized to perform: "
    report, _ = told(f"1,amazon-ebs.shop,error,{said}ec2:RunInstances on resource: arn:aws:ec2:x because")
    assert (
        report.failure(1).hint == "allow the action ec2:RunInstances on arn:aws:ec2:x to whoever runs imgbake"
    )


def test_each_fault_of_a_template_has_its_place() -> None:
    two = "\\n\\n".join(
        [
            "Error: Unsupported argument",
            "  on /work/image.pkr.json line 3:\\n  (source code not available)",
            "No nope.",
            "Error: Unknown source null.b",
            "  on  line 0:\\n  (source code not available)",
            "Known: a",
        ]
    )
    message = told(f"1,,ui,error,{two}\\n\\n")[0].failure(1).message
    assert "image.pkr.json:3: Unsupported argument: No nope.; Unknown source null.b: Known: a" in message


def test_several_faults_under_one_headline_are_all_said() -> None:
    faults = "* Region us-east-1 is unknown\\n* Throughput is too low"
    where = "  on /work/image.pkr.json line 31:\\n  (source code not available)"
    report, _ = told(f"1,,ui,error,Error: 2 error(s) occurred:\\n\\n{faults}\\n\\n{where}\\n\\n")
    wanted = "image.pkr.json:31: 2 error(s) occurred: * Region us-east-1 is unknown * Throughput is too low"
    assert wanted in report.failure(1).message


def test_a_line_that_is_none_of_packers_is_logged() -> None:
    assert told("panic: runtime error")[1] == ["panic: runtime error"]
