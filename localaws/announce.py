"""State changes as EventBridge events, the way SageMaker sends them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from localaws.events.courier import Courier
from localaws.shapes import operation_model
from localaws.store import Scope

DESCRIBED_BY = {
    "SageMaker Training Job State Change": "DescribeTrainingJob",
    "SageMaker Processing Job State Change": "DescribeProcessingJob",
    "SageMaker Transform Job State Change": "DescribeTransformJob",
    "SageMaker HyperParameter Tuning Job State Change": "DescribeHyperParameterTuningJob",
    "SageMaker Endpoint State Change": "DescribeEndpoint",
    "SageMaker Endpoint Deployment State Change": "DescribeEndpoint",
    "SageMaker Model Package State Change": "DescribeModelPackage",
    "SageMaker Feature Group State Change": "DescribeFeatureGroup",
    "SageMaker Model Card State Change": "DescribeModelCard",
}


def announce(courier: Courier, scope: Scope, kind: str, body: Mapping[str, Any], arns: list[str]) -> None:
    """Tell EventBridge that a resource changed."""
    detail = detail_of(kind, body, scope, arns)
    courier.emit(scope.account, scope.region, source="aws.sagemaker", detail_type=kind, detail=detail, resources=arns)


def detail_of(kind: str, body: Mapping[str, Any], scope: Scope, arns: list[str]) -> dict[str, Any]:
    """What the event carries: the members of Describe with times in milliseconds, and the tags as a map."""
    operation = DESCRIBED_BY.get(kind)
    shape = operation_model("sagemaker", operation).output_shape if operation else None
    if shape is None:
        return dict(body)
    detail = _shown(shape, body)
    tags = scope.tags(arns[0]) if arns else {}
    return detail | ({"Tags": tags} if tags else {})


def _shown(shape: Shape, value: Any) -> Any:
    match shape:
        case StructureShape():
            members = shape.members
            return {
                name: _shown(members[name], inner)
                for name, inner in value.items()
                if name in members and inner is not None
            }
        case ListShape():
            return [_shown(shape.member, inner) for inner in value]
        case MapShape():
            return {key: _shown(shape.value, inner) for key, inner in value.items()}
        case Shape(type_name="timestamp"):
            return int(value * 1000)
        case _:
            return value
