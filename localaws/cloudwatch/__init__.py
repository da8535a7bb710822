"""CloudWatch's API over the metric store and the alarms of this account and region."""

from collections.abc import Callable, Mapping
from typing import Any

from localaws.alarms.watchman import Watchman
from localaws.cloudwatch import alarms, dashboards, metrics, tags
from localaws.errors import AwsError, ValidationException
from localaws.gateway import Operation, Request, Service
from localaws.plane import Plane


def service(plane: Plane, watchman: Watchman) -> Service:
    """All of CloudWatch that is built; what is not answers a typed 501."""
    table: dict[str, Operation] = {
        **metrics.operations(plane.watch),
        **alarms.operations(watchman),
        **dashboards.operations(plane.clock),
        **tags.operations(),
    }
    return Service("cloudwatch", {name: _in_its_words(operation) for name, operation in table.items()}, complete=True)


def _in_its_words(operation: Operation) -> Operation:
    """CloudWatch calls a request that breaks its shape ValidationError."""

    def run(request: Request) -> Any:
        try:
            return operation(request)
        except ValidationException as error:
            raise AwsError(error.message, code="ValidationError") from error

    return run


Table = Mapping[str, Callable[[Request], Mapping[str, Any]]]
