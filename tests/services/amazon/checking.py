"""What is asked of operations that moto hasn't, checked against botocore's model."""

from __future__ import annotations

from typing import Any

from moto.ec2.exceptions import EC2ClientError

from ..image_builder.model import problems


def read(response: Any) -> dict[str, Any]:
    """The parameters of a request, all right by the model. Raises EC2ClientError."""
    from moto.core.utils import get_service_model

    operation = get_service_model("ec2").operation_model(response._get_action())
    values = dict(response.params)
    for problem in problems(operation.input_shape, _plain(values)):
        raise EC2ClientError("InvalidParameterValue", str(problem.message))
    return values


def _plain(value: Any) -> Any:
    """Moments as they came."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.isoformat() if hasattr(value, "isoformat") else value
