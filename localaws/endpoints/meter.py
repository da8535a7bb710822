"""The metrics of one variant, under AWS's names, units and dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localaws.metrics.series import metric_key

if TYPE_CHECKING:
    from localaws.endpoints.instance import Site

NAMESPACE = "AWS/SageMaker"
INSTANCES = "/aws/sagemaker/Endpoints"
COUNTS = (
    "Invocations",
    "InvocationsPerInstance",
    "Invocation4XXErrors",
    "Invocation5XXErrors",
    "InvocationModelErrors",
)
TIMES = ("ModelLatency", "OverheadLatency")


class Meter:
    """Publishes what happened to requests: per endpoint and variant, and again with the configuration's name.

    The second set lets an alarm look at one side of a deployment alone.
    """

    def __init__(self, site: Site) -> None:
        self._metrics = site.plane.watch.metrics(site.scope.account, site.scope.region)
        plain = {"EndpointName": site.endpoint, "VariantName": site.variant}
        self._dimensions = (plain, {**plain, "EndpointConfigName": site.config})
        self._keys = {
            name: [metric_key(NAMESPACE, name, dimensions) for dimensions in self._dimensions]
            for name in (*COUNTS, *TIMES)
        }
        self._instances_of = plain

    def invoked(self, status: int, *, model: float, overhead: float, instances: int) -> None:
        """One request: the container's status (0 when it gave none), seconds in the model and seconds around it."""
        counts = (
            1.0,
            1.0 / max(instances, 1),
            1.0 if 400 <= status < 500 else 0.0,
            1.0 if status >= 500 or status == 0 else 0.0,
            0.0 if 200 <= status < 300 else 1.0,
        )
        for name, value in zip(COUNTS, counts, strict=True):
            self._put(name, value, "None")
        self._put("ModelLatency", model * 1e6, "Microseconds")
        self._put("OverheadLatency", overhead * 1e6, "Microseconds")

    def count(self, name: str, value: float = 1.0, unit: str = "None") -> None:
        self._put(name, value, unit)

    def took(self, name: str, seconds: float) -> None:
        self._put(name, seconds * 1e6, "Microseconds")

    def instance(self, name: str, value: float, unit: str = "Percent") -> None:
        """How one of the machines is doing."""
        self._metrics.put(metric_key(INSTANCES, name, self._instances_of), [(value, 1)], unit=unit)

    def _put(self, name: str, value: float, unit: str) -> None:
        keys = self._keys.get(name)
        if keys is None:
            keys = self._keys[name] = [metric_key(NAMESPACE, name, dimensions) for dimensions in self._dimensions]
        for key in keys:
            self._metrics.put(key, [(value, 1)], unit=unit)
