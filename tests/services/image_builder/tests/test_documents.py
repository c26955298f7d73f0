"""The rules of component documents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.services.image_builder.documents import ACTIONS, read
from tests.services.image_builder.errors import Refused
from tests.services.image_builder.tests.samples import document

STEP: dict[str, Any] = {"name": "One", "action": "ExecuteBash", "inputs": {"commands": ["true"]}}


def with_step(**more: Any) -> str:
    return json.dumps({"schemaVersion": 1.0, "phases": [{"name": "build", "steps": [{**STEP, **more}]}]})


def test_there_are_thirty_actions() -> None:
    assert len(ACTIONS) == 30


@pytest.mark.parametrize(
    ("phases", "kind"), [(["test"], "TEST"), (["build"], "BUILD"), (["build", "test"], "BUILD")]
)
def test_only_tests_make_a_test(phases: list[str], kind: str) -> None:
    assert read(document(*phases)).kind == kind


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("phases: [", "not YAML"),
        ("- a", "must be a mapping"),
        (document("build", schemaVersion=2), "schemaVersion must be 1.0"),
        (document(), "at least one phase"),
        (document("deploy"), "'deploy' is no phase"),
        (document("build", "build"), "the phase 'build' is there twice"),
        (document("build", colour="red"), "can't have 'colour'"),
        (document("build", parameters=[{"ab": {"type": "string"}}]), "3 to 128 letters"),
        (document("build", parameters=[{"Port": {"type": "number"}}]), "must be of type string"),
        (document("build", constants=[{"Port": {"type": "string"}}]), "has no value"),
        (
            document(
                "build",
                parameters=[{"Port": {"type": "string"}}],
                constants=[{"Port": {"type": "string", "value": "1"}}],
            ),
            "'Port' is declared twice",
        ),
        (with_step(action="ExecuteBsh"), "'ExecuteBsh' is no action"),
        (with_step(inputs={}), "Action ExecuteBash has no inputs"),
        (with_step(inputs=["true"]), "must be a mapping"),
        (with_step(action="CopyFile"), "inputs of CopyFile must be a list"),
        (with_step(timeoutSeconds=0), "timeoutSeconds must be positive"),
        (with_step(timeoutSeconds=-2), "timeoutSeconds must be positive"),
        (with_step(maxAttempts=0), "maxAttempts must be at least 1"),
        (with_step(onFailure="Panic"), "onFailure must be"),
        (with_step(loop={}), "either for or forEach"),
        (with_step(loop={"for": {"start": 1, "end": 3, "updateBy": 0}}), "never ends"),
        (with_step(loop={"for": {"start": 1, "end": 3, "updateBy": -1}}), "never ends"),
        (with_step(loop={"for": {"start": 1}}), "start, end and updateBy"),
        (with_step(name=""), "has no name"),
    ],
)
def test_a_document_that_breaks_a_rule_is_refused(data: str, problem: str) -> None:
    with pytest.raises(Refused, match=problem):
        read(data)


@pytest.mark.parametrize(
    "step",
    [
        {"timeoutSeconds": -1, "maxAttempts": 3, "onFailure": "Ignore"},
        {"loop": {"name": "each", "forEach": ["a", "b"]}},
        {"loop": {"for": {"start": 3, "end": 1, "updateBy": -1}}},
        {"action": "Reboot", "inputs": None},
        {"action": "UpdateOS", "inputs": {"exclude": ["kernel"]}},
        {"action": "S3Download", "inputs": [{"source": "s3://a/b", "destination": "/c"}]},
        {"if": {"fileExists": "/a"}},
    ],
)
def test_what_documents_can_do(step: dict[str, Any]) -> None:
    assert read(with_step(**step)).phases["build"]


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(Refused) as refused:
        read(with_step(timeoutSeconds=0, maxAttempts=0, onFailure="x"))
    assert all(name in refused.value.message for name in ("timeoutSeconds", "maxAttempts", "onFailure"))
