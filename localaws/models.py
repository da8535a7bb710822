"""Models and endpoint configurations: what an endpoint is made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from localaws import kinds, resources
from localaws.errors import ValidationException
from localaws.gateway import Operation, Request
from localaws.plane import Plane
from localaws.store import Body, Scope


def operations(plane: Plane) -> Mapping[str, Operation]:
    now = plane.clock.now
    return {
        **resources.operations(kinds.MODEL, now),
        **resources.operations(kinds.ENDPOINT_CONFIG, now),
        "CreateModel": lambda request: create_model(request, now()),
        "CreateEndpointConfig": lambda request: create_config(request, now()),
    }


def create_model(request: Request, now: float) -> dict[str, Any]:
    params = request.params
    if ("PrimaryContainer" in params) == bool(params.get("Containers")):
        raise ValidationException("One of PrimaryContainer or Containers must be provided, and only one.")
    for container in containers(params):
        _check_container(request.scope, container)
    return resources.create(kinds.MODEL, request, now)


def containers(model: Mapping[str, Any]) -> list[Body]:
    """The containers of a model, however it was given."""
    return [model["PrimaryContainer"]] if "PrimaryContainer" in model else list(model.get("Containers", ()))


def _check_container(scope: Scope, container: Mapping[str, Any]) -> None:
    package = container.get("ModelPackageName")
    if package:
        resources.find(kinds.MODEL_PACKAGE, scope, package)
    elif "Image" not in container:
        raise ValidationException("Either Image or ModelPackageName must be provided for a container.")


def create_config(request: Request, now: float) -> dict[str, Any]:
    params = request.params
    variants, shadows = params["ProductionVariants"], params.get("ShadowProductionVariants", [])
    _check_names([*variants, *shadows])
    for variant in (*variants, *shadows):
        _check_variant(request.scope, variant)
    if shadows and (len(variants), len(shadows)) != (1, 1):
        raise ValidationException(
            "With a shadow variant there must be exactly one production variant and one shadow variant."
        )
    body = resources.without(params, "Tags")
    body["ProductionVariants"] = [_complete(variant) for variant in variants]
    if shadows:
        body["ShadowProductionVariants"] = [_complete(variant) for variant in shadows]
    name = params["EndpointConfigName"]
    row = resources.add(kinds.ENDPOINT_CONFIG, request.scope, name, body, now=now, tags=params.get("Tags", ()))
    return {"EndpointConfigArn": row.arn}


def _check_names(variants: Iterable[Mapping[str, Any]]) -> None:
    twice = [name for name, count in Counter(variant["VariantName"] for variant in variants).items() if count > 1]
    if twice:
        raise ValidationException(f"Variant names must be unique within an endpoint configuration: {', '.join(twice)}.")


def _check_variant(scope: Scope, variant: Mapping[str, Any]) -> None:
    name = variant["VariantName"]
    if "ModelName" in variant:
        resources.find(kinds.MODEL, scope, variant["ModelName"])
    serverless, instances = variant.get("ServerlessConfig"), variant.get("InstanceType")
    if serverless and instances:
        raise ValidationException(f"Variant {name}: ServerlessConfig and InstanceType exclude each other.")
    if serverless is None and instances is None and "InstancePools" not in variant:
        raise ValidationException(f"Variant {name}: one of InstanceType or ServerlessConfig must be provided.")
    if serverless and serverless["MemorySizeInMB"] % 1024:
        raise ValidationException(f"Variant {name}: MemorySizeInMB must be a multiple of 1024, up to 6144.")


def _complete(variant: Mapping[str, Any]) -> Body:
    """With the defaults that AWS documents and answers."""
    defaults: Body = {"InitialVariantWeight": 1.0}
    if "InstanceType" in variant and "ManagedInstanceScaling" not in variant:
        defaults["InitialInstanceCount"] = 1
    return {**defaults, **variant}
