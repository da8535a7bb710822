"""The SageMaker control plane: the tables of its modules, put together.

A module that owns operations has `operations(plane) -> Mapping[str, Operation]`; a later module wins over an
earlier one, so what executes replaces what only stores. What none of them has is moto's, or a typed 501.
"""

from __future__ import annotations

from localaws import (
    cards,
    endpoints,
    execution,
    features,
    mlflow,
    models,
    monitoring,
    pipelines,
    processing,
    registry,
    stored,
    tags,
    training,
    transform,
    tuning,
)
from localaws.gateway import Operation, Service
from localaws.plane import Plane


def service(plane: Plane) -> Service:
    table: dict[str, Operation] = {}
    for module in MODULES:
        table |= module.operations(plane)
    return Service("sagemaker", table)


MODULES = (
    stored,
    models,
    endpoints,
    registry,
    cards,
    features,
    mlflow,
    monitoring,
    training,
    processing,
    transform,
    tuning,
    pipelines,
    execution,
    tags,
)
