"""The emulator as a program of its own, and its control API."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.services.image_builder import Clock, ImageBuilder
from tests.services.image_builder.tests.samples import Samples

FOLDER = Path(__file__).parents[1]


def control(service: ImageBuilder, method: str, name: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(f"{service.url}/_emulator/{name}", data, method=method)) as answer:
        return json.load(answer)


def test_faults_come_and_go(service: ImageBuilder, account: Samples) -> None:
    control(service, "POST", "faults", {"fault": "throttle", "operation": "ListImages", "times": 1})
    assert control(service, "GET", "faults")[0]["operation"] == "ListImages"
    with pytest.raises(account.client.exceptions.TooManyRequestsException):
        account.client.list_images()
    control(service, "POST", "faults", {"fault": "denied"})
    control(service, "DELETE", "faults")
    assert account.client.list_images()["imageVersionList"] == []


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ({"fault": "flood"}, "flood"),
        ({"fault": "slow"}, "seconds"),
        ({"fault": "denied", "who": 1}, "who"),
        ("x", "object"),
    ],
)
def test_a_fault_that_there_is_not_is_refused(service: ImageBuilder, fault: Any, problem: str) -> None:
    with pytest.raises(HTTPError) as refused:
        control(service, "POST", "faults", fault)
    assert problem in json.load(refused.value)["error"]


def test_requests_are_remembered(service: ImageBuilder, account: Samples) -> None:
    account.component("one")
    with pytest.raises(account.client.exceptions.DryRunOperationException):
        account.component("two", dryRun=True)
    first, second = control(service, "GET", "requests")
    assert (first["operation"], first["region"], first["params"]["name"]) == (
        "CreateComponent",
        "us-east-1",
        "one",
    )
    assert second["error"] == "DryRunOperationException"
    control(service, "DELETE", "requests")
    assert service.calls == []


def test_the_clock_goes_on(service: ImageBuilder, account: Samples) -> None:
    image = account.started()
    control(service, "POST", "clock", {"seconds": 60})
    assert account.status(image) == "AVAILABLE"


def test_everything_is_forgotten(service: ImageBuilder, account: Samples) -> None:
    account.component()
    control(service, "POST", "reset")
    assert account.client.list_components()["componentVersionList"] == []


def test_by_the_world_s_clock_an_image_goes_on_by_itself() -> None:
    pace = dict.fromkeys(("PENDING", "CREATING", "BUILDING", "TESTING", "DISTRIBUTING", "INTEGRATING"), 0.01)
    with ImageBuilder(clock=Clock(), pace=pace) as service:
        account = Samples(service.client())
        image = account.started()
        waiter = account.client.get_waiter("image_available")
        waiter.wait(imageBuildVersionArn=image, WaiterConfig={"Delay": 0.02, "MaxAttempts": 500})


@pytest.mark.parametrize("words", [[str(FOLDER)], ["-m", "tests.services.image_builder"]])
def test_it_is_started_by_its_folder_or_as_a_module(words: list[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, *words, "--port", "0", "--manual-clock"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=FOLDER.parents[2],
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert process.stdout is not None
    with process:
        url = process.stdout.readline().split()[-1]
        with urlopen(f"{url}/_emulator/clock") as answer:
            assert json.load(answer)["manual"]
        process.send_signal(signal.SIGINT)
    assert process.returncode == 0
