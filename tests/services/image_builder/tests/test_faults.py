"""What goes wrong when a test says so."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from tests.services.image_builder import (
    ComponentFails,
    Denied,
    DistributionFails,
    Error,
    Expired,
    ImageBuilder,
    Lost,
    ManualClock,
    Slow,
    Throttle,
)
from tests.services.image_builder.tests.samples import Samples, to


def code(call: Any, **given: Any) -> str:
    """The code of the error that a call meets, or OK."""
    try:
        call(**given)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "OK"


def test_so_many_calls_are_throttled(service: ImageBuilder, account: Samples) -> None:
    service.faults.add(Throttle(operation="ListImages", times=2))
    assert code(account.client.list_components) == "OK"
    assert [code(account.client.list_images) for _ in range(3)] == ["TooManyRequestsException"] * 2 + ["OK"]


def test_all_above_a_rate_is_throttled(service: ImageBuilder, account: Samples) -> None:
    assert isinstance(service.clock, ManualClock)
    service.faults.add(Throttle(per_second=2))
    assert [code(account.client.list_images) for _ in range(3)] == ["OK", "OK", "TooManyRequestsException"]
    service.clock.advance(1)
    assert code(account.client.list_images) == "OK"


def test_botocore_retries_what_is_throttled(service: ImageBuilder) -> None:
    service.faults.add(Throttle(times=1))
    client = service.client(config=Config(retries={"mode": "standard", "total_max_attempts": 2}))
    assert client.list_images()["imageVersionList"] == []
    assert service.calls == ["ListImages"] * 2


def test_a_missing_permission_names_action_and_resource(service: ImageBuilder, account: Samples) -> None:
    service.faults.add(Denied(operation="ListImages"))
    with pytest.raises(ClientError) as refused:
        account.client.list_images()
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    assert "is not authorized to perform: imagebuilder:ListImages on resource: arn:aws:imagebuilder:" in str(
        refused.value
    )


def test_a_session_is_over(service: ImageBuilder, account: Samples) -> None:
    service.faults.add(Expired(times=1))
    assert [code(account.client.list_images) for _ in range(2)] == ["ExpiredTokenException", "OK"]


def test_the_service_fails(service: ImageBuilder, account: Samples) -> None:
    service.faults.add(Error(times=1))
    with pytest.raises(account.client.exceptions.ServiceException) as refused:
        account.client.list_images()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    service.faults.add(Error(code="ServiceQuotaExceededException", operation="CreateComponent"))
    with pytest.raises(account.client.exceptions.ServiceQuotaExceededException):
        account.component()


def test_a_region_is_lost(service: ImageBuilder, account: Samples) -> None:
    service.faults.add(Lost(region="eu-west-1"))
    with pytest.raises(ConnectionClosedError):
        service.client("eu-west-1").list_images()
    assert code(account.client.list_images) == "OK"
    service.faults.clear()
    service.faults.add(Lost(region="eu-west-1", answer=True))
    assert code(service.client("eu-west-1").list_images) == "ServiceUnavailableException"


def test_an_answer_takes_its_time(service: ImageBuilder, account: Samples) -> None:
    service.faults.add(Slow(seconds=0.2, times=1))
    begin = time.monotonic()
    account.client.list_images()
    assert time.monotonic() - begin >= 0.2


def distributed(service: ImageBuilder, account: Samples, **more: Any) -> str:
    assert isinstance(service.clock, ManualClock)
    wide = account.distribution(to("us-east-1", "eu-west-1", "ap-south-1", **more))
    image = account.started(distributionConfigurationArn=wide)
    service.clock.advance(60)
    return image


def test_a_region_fails_and_the_others_get_their_image(service: ImageBuilder, account: Samples) -> None:
    service.faults.add(DistributionFails(region="eu-west-1", message="too many AMIs", times=1))
    image = distributed(service, account)
    found = account.get(image)
    failures = found["state"]["failureContext"]["distributionFailure"]["regionFailures"]
    assert failures == [{"region": "eu-west-1", "status": "FAILED", "errorMessage": "too many AMIs"}]
    assert [ami["region"] for ami in found["outputResources"]["amis"]] == ["us-east-1", "ap-south-1"]
    account.client.retry_image(imageBuildVersionArn=image)
    assert isinstance(service.clock, ManualClock)
    service.clock.advance(60)
    regions = [ami["region"] for ami in account.get(image)["outputResources"]["amis"]]
    assert regions == ["us-east-1", "ap-south-1", "eu-west-1"]


def test_what_fails_after_the_copy_names_its_step(service: ImageBuilder, account: Samples) -> None:
    service.faults.add(DistributionFails(region="eu-west-1", step="PUT_SSM_PARAMETERS", message="no"))
    image = distributed(service, account, ssmParameterConfigurations=[{"parameterName": "/golden"}])
    context = account.get(image)["state"]["failureContext"]
    assert (context["imageStatus"], context["failedStep"]) == (
        "INTEGRATING",
        "ApplyOutputImageConfigurations",
    )
    (failure,) = context["distributionFailure"]["regionFailures"]
    assert (failure["region"], failure["imageConfigurationStep"]) == ("eu-west-1", "PUT_SSM_PARAMETERS")


def test_nothing_reaches_a_lost_region(service: ImageBuilder, account: Samples) -> None:
    service.faults.add(Lost(region="ap-south-1"))
    (failure,) = account.get(distributed(service, account))["state"]["failureContext"]["distributionFailure"][
        "regionFailures"
    ]
    assert failure["region"] == "ap-south-1"


def test_a_component_that_is_not_used_fails_nothing(service: ImageBuilder, account: Samples) -> None:
    service.faults.add(ComponentFails(component="other"))
    service.faults.add(ComponentFails(component="hardening", step="Two"))
    assert account.status(distributed(service, account)) == "AVAILABLE"
