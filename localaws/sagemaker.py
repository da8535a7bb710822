"""The SageMaker control plane: the tables of its modules, put together.

A module that owns operations has `operations(plane) -> Mapping[str, Operation]`; a later module wins over an
earlier one, so what executes replaces what only stores. What none of them has is moto's, or a typed 501.
"""

from __future__ import annotations

from localaws import (
    cards,
    component_metrics,
    endpoints,
    execution,
    features,
    mlflow,
    models,
    monitoring,
    pipelines,
    processing,
    registry,
    search,
    stored,
    tags,
    training,
    transform,
    tuning,
)
from localaws.gateway import Operation, Service
from localaws.plane import Plane

LEVELS: dict[str, str] = {}  # what is done with each operation, for the coverage page


def service(plane: Plane) -> Service:
    table: dict[str, Operation] = {}
    for module, level in MODULES:
        operations = module.operations(plane)
        table |= operations
        LEVELS.update(dict.fromkeys(operations, level))
    return Service("sagemaker", table)


MODULES = (
    (stored, "stored"),
    (component_metrics, "stored"),
    (models, "stored"),
    (registry, "stored"),
    (cards, "stored"),
    (pipelines, "stored"),
    (tags, "stored"),
    (search, "stored"),
    (features, "executed"),
    (mlflow, "executed"),
    (monitoring, "executed"),
    (training, "executed"),
    (processing, "executed"),
    (transform, "executed"),
    (tuning, "executed"),
    (execution, "executed"),
    (endpoints, "executed"),
)
