"""Every request is read by the model: what it forbids is refused, and what it allows is understood."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.services.image_builder.clock import ManualClock
from tests.services.image_builder.emulator import Answer, Emulator
from tests.services.image_builder.model import Values, model
from tests.services.image_builder.operations import OPERATIONS
from tests.services.image_builder.tests.samples import document

MODEL = model()
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/imagebuilder/aws4_request, ..."}
NAMES = sorted(MODEL.operations)
quick = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


def send(emulator: Emulator, operation: str, params: Values) -> Answer:
    """Sends parameters as the model says, whatever they are."""
    http = MODEL.operation(operation).http
    path, query, body = http["requestUri"], [], {}
    for name, value in params.items():
        member = MODEL.shape(operation).members.get(name)
        where = member.serialization.get("location") if member is not None else None
        if where == "uri":
            path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
        elif where == "querystring":
            query += [(name, item) for item in (value if isinstance(value, list) else [value])]
        else:
            body[name] = value
    target = f"{path}?{urlencode(query)}" if query else path
    return emulator.answer(http["method"], target, SIGNED, json.dumps(body).encode())


def said(answer: Answer) -> str:
    return f"{answer.headers.get('x-amzn-ErrorType')}: {json.loads(answer.body).get('message')}"


def allowed(shape: Any) -> st.SearchStrategy[Any]:
    """Values that a shape allows."""
    match shape.type_name:
        case "structure":
            members = {name: allowed(member) for name, member in shape.members.items()}
            needed = {name: members.pop(name) for name in shape.required_members}
            return st.fixed_dictionaries(needed, optional=members)
        case "list":
            least = shape.metadata.get("min", 0)
            return st.lists(
                allowed(shape.member), min_size=least, max_size=min(least + 1, shape.metadata.get("max", 99))
            )
        case "map":
            return st.dictionaries(allowed(shape.key), allowed(shape.value), min_size=1, max_size=2)
        case "boolean":
            return st.booleans()
        case "integer" | "long":
            return st.integers(shape.metadata.get("min", 0), shape.metadata.get("max", 99))
        case "timestamp":
            return st.integers(0, 2**31)
        case _:
            return texts(shape)


def texts(shape: Any) -> st.SearchStrategy[str]:
    about = shape.metadata
    if about.get("enum"):
        return st.sampled_from(about["enum"])
    least, most = about.get("min", 0), about.get("max", 100)
    if shape.name in ("InlineComponentData", "InlineWorkflowData"):
        return st.sampled_from([document("build"), document("test"), "steps: []"])
    if about.get("pattern"):
        found = st.from_regex(re.compile(about["pattern"], re.ASCII), fullmatch=True)
        return found.filter(lambda text: least <= len(text) <= most)
    return st.text(st.characters(codec="ascii"), min_size=least, max_size=min(most, least + 20))


@pytest.fixture(scope="module")
def emulator() -> Emulator:
    return Emulator(clock=ManualClock())


@pytest.mark.parametrize("operation", NAMES)
def test_what_is_required_is_required(emulator: Emulator, operation: str) -> None:
    required = MODEL.shape(operation).required_members
    problems = " ".join(problem.message for problem in MODEL.problems(operation, {}))
    assert all(f"'{name}' is required" in problems for name in required)
    if required and "{" not in MODEL.operation(operation).http["requestUri"]:
        assert send(emulator, operation, {}).status == 400


def strings(shape: Any, kind: str) -> Iterator[tuple[str, Any]]:
    for name, member in shape.members.items():
        if member.type_name == "string" and member.metadata.get(kind):
            yield name, member


@quick
@given(data=st.data())
def test_what_does_not_match_its_pattern_is_refused(data: st.DataObject) -> None:
    operation = data.draw(
        st.sampled_from([name for name in NAMES if any(strings(MODEL.shape(name), "pattern"))])
    )
    name, member = data.draw(st.sampled_from(list(strings(MODEL.shape(operation), "pattern"))))
    wrong = data.draw(
        st.text(max_size=30).filter(lambda text: not re.fullmatch(member.metadata["pattern"], text))
    )
    problems = [problem.message for problem in MODEL.problems(operation, {name: wrong})]
    assert any(f"'{name}'" in problem for problem in problems if "is required" not in problem)


@quick
@given(data=st.data())
def test_what_is_no_word_of_an_enumeration_is_refused(data: st.DataObject) -> None:
    operation = data.draw(
        st.sampled_from([name for name in NAMES if any(strings(MODEL.shape(name), "enum"))])
    )
    name, member = data.draw(st.sampled_from(list(strings(MODEL.shape(operation), "enum"))))
    wrong = data.draw(st.text().filter(lambda text: text not in member.metadata["enum"]))
    problems = [problem.message for problem in MODEL.problems(operation, {name: wrong})]
    assert any(f"'{name}' must be one of" in problem for problem in problems)


@settings(quick, max_examples=40)
@given(data=st.data())
def test_nothing_that_the_model_allows_breaks_the_emulator(data: st.DataObject) -> None:
    emulator = Emulator(clock=ManualClock())
    operation = data.draw(st.sampled_from(NAMES))
    params = data.draw(allowed(MODEL.shape(operation)))
    assert not list(MODEL.problems(operation, params))
    answer = send(emulator, operation, params)
    assert "InternalFailure" not in said(answer)
    assert "SerializationException" not in said(answer)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"name": "golden", "colour": "red"}, "colour is not a parameter of CreateImageRecipeRequest"),
        ({"name": 5}, "name must be of type string, not number"),
        ({"components": {}}, "components must be of type list, not structure"),
        ({"blockDeviceMappings": [{"ebs": {"volumeSize": 0}}]}, "blockDeviceMappings[0].ebs.volumeSize"),
        ({"blockDeviceMappings": [{"ebs": {"iops": 99}}]}, "must have a value of at least 100"),
        ({"blockDeviceMappings": [{"ebs": {"encrypted": 1}}]}, "must be of type boolean, not number"),
        ({"tags": {"aws:mine": "x"}}, "'tags.key' must match pattern"),
        ({"description": ""}, "'description' must have a length of at least 1"),
        ({"semanticVersion": "1.0"}, "'semanticVersion' must match pattern"),
    ],
)
def test_a_problem_says_where_it_is(given: Values, problem: str) -> None:
    assert any(problem in str(found) for found in MODEL.problems("CreateImageRecipe", given))


def test_the_readme_names_what_is_not_served() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    (line,) = (line for line in readme.splitlines() if line.startswith("- These operations answer 501"))
    assert sorted(re.findall(r"`(\w+)`", line)) == sorted(set(NAMES) - set(OPERATIONS))


def test_null_is_not_given(emulator: Emulator) -> None:
    assert send(emulator, "ListComponents", {"nextToken": None, "filters": None}).status == 200


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff"])
def test_a_body_that_is_no_object_is_refused(emulator: Emulator, body: bytes) -> None:
    answer = emulator.answer("POST", "/ListComponents", SIGNED, body)
    assert answer.status == 400
    assert said(answer).startswith("SerializationException")


def test_an_unsigned_request_is_refused(emulator: Emulator) -> None:
    assert emulator.answer("POST", "/ListComponents", {}, b"{}").status == 403


def test_a_path_of_no_operation_is_refused(emulator: Emulator) -> None:
    assert emulator.answer("PUT", "/ListComponents", SIGNED, b"{}").status == 404


@pytest.mark.parametrize("operation", sorted(set(NAMES) - set(OPERATIONS)))
@settings(max_examples=1, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_an_operation_that_is_not_served_says_so(data: st.DataObject, operation: str) -> None:
    answer = send(Emulator(), operation, data.draw(allowed(MODEL.shape(operation))))
    assert answer.status == 501
    assert said(answer) == f"NotImplementedException: The emulator does not serve {operation}."
