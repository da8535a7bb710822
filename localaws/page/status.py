"""Everything the status page shows, gathered from the store, the metrics and the clock."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from localaws.alarms.watchman import period_of
from localaws.metrics.query import MetricStat, read
from localaws.metrics.series import MINUTE, MetricKey
from localaws.plane import Plane
from localaws.store import Body, Resource, Scope
from localaws.watch import ALARM

SHOWN = 40  # jobs and metrics at most
SPAN = 60 * MINUTE
COUNTED = ("Invocation", "Error", "Count", "Failed", "Matched", "Triggered")
EXACT = ("InvocationsPerInstance",)


@dataclass(frozen=True)
class JobKind:
    """How a kind of work is shown: what it is called, and where its log is."""

    kind: str
    word: str
    name: str
    status: str
    group: str = ""


JOBS = (
    JobKind("training-job", "training", "TrainingJobName", "TrainingJobStatus", "/aws/sagemaker/TrainingJobs"),
    JobKind(
        "processing-job", "processing", "ProcessingJobName", "ProcessingJobStatus", "/aws/sagemaker/ProcessingJobs"
    ),
    JobKind("transform-job", "transform", "TransformJobName", "TransformJobStatus", "/aws/sagemaker/TransformJobs"),
    JobKind("hyper-parameter-tuning-job", "tuning", "HyperParameterTuningJobName", "HyperParameterTuningJobStatus"),
    JobKind("pipeline-execution", "pipeline", "PipelineExecutionDisplayName", "PipelineExecutionStatus"),
)


class Status:
    """One picture of an embedded AWS."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane

    def shown(self) -> dict[str, Any]:
        scopes = self.plane.store.scopes()
        jobs = [job for scope in scopes for kind in JOBS for job in self._jobs(scope, kind)]
        jobs.sort(key=lambda job: job["created"], reverse=True)
        return {
            "clock": self.plane.clock.describe(),
            "endpoints": [one for scope in scopes for one in self._endpoints(scope)],
            "jobs": jobs[:SHOWN],
            "alarms": [self._alarm(scope, row) for scope in scopes for row in scope.all(ALARM)],
            "metrics": [line for scope in scopes for line in self._metrics(scope)][:SHOWN],
            "processes": self.plane.runner.names(),
        }

    def _endpoints(self, scope: Scope) -> Iterator[dict[str, Any]]:
        for row in scope.all("endpoint"):
            body = row.body
            variants = body.get("ProductionVariants", [])
            total = sum(variant.get("CurrentWeight", 0) for variant in variants)
            shadows = body.get("ShadowProductionVariants", [])
            yield {
                **_place(scope),
                "name": row.name,
                "status": body.get("EndpointStatus", ""),
                "reason": body.get("FailureReason", ""),
                "config": body.get("EndpointConfigName", ""),
                "group": f"/aws/sagemaker/Endpoints/{row.name}",
                "variants": [_variant(variant, total) for variant in variants],
                "shadows": [_variant(variant, 0) for variant in shadows],
                "pending": body.get("PendingDeploymentSummary", {}).get("EndpointConfigName", ""),
            }

    def _jobs(self, scope: Scope, kind: JobKind) -> Iterator[dict[str, Any]]:
        for row in scope.all(kind.kind)[-SHOWN:]:
            name = row.body.get(kind.name, row.name)
            yield {
                **_place(scope),
                "kind": kind.word,
                "name": name,
                "status": row.body.get(kind.status, ""),
                "detail": row.body.get("SecondaryStatus", ""),
                "reason": row.body.get("FailureReason", "") or row.body.get("ExitMessage", ""),
                "created": row.created,
                "group": kind.group,
                "prefix": f"{name}/" if kind.group else "",
            }

    def _alarm(self, scope: Scope, row: Resource) -> dict[str, Any]:
        body = row.body
        rule = (
            body.get("AlarmRule")
            or f"{_named(body)} {_sign(body)} {body.get('Threshold'):,.10g} over {period_of(body)} s"
        )
        return {
            **_place(scope),
            "name": row.name,
            "state": body["StateValue"],
            "reason": body["StateReason"],
            "since": body["StateTransitionedTimestamp"],
            "rule": rule,
        }

    def _metrics(self, scope: Scope) -> Iterator[dict[str, Any]]:
        metrics = self.plane.watch.metrics(scope.account, scope.region)
        now = self.plane.clock.now()
        keys = metrics.listed(since=now - SPAN)
        for key in sorted(keys, key=_interest)[:SHOWN]:
            stat = "Sum" if key.name not in EXACT and any(word in key.name for word in COUNTED) else "Average"
            line = read(metrics, MetricStat(key, MINUTE, stat), now - SPAN, now + 1)
            yield {
                **_place(scope),
                "namespace": key.namespace,
                "name": key.name,
                "dimensions": [value for _, value in key.dimensions],
                "stat": stat,
                "unit": ", ".join(unit for unit in metrics.units(key) if unit != "None"),
                "points": sorted(line.points.items()),
            }


def _place(scope: Scope) -> dict[str, str]:
    return {"account": scope.account, "region": scope.region}


def _variant(variant: Body, total: float) -> dict[str, Any]:
    weight = variant.get("CurrentWeight", 0)
    return {
        "name": variant["VariantName"],
        "weight": weight,
        "share": weight / total if total else 0,
        "count": variant.get("CurrentInstanceCount"),
        "desired": variant.get("DesiredInstanceCount"),
    }


def _interest(key: MetricKey) -> tuple[bool, MetricKey]:
    """Metrics of endpoints and our own first, the bookkeeping of events last."""
    return (key.namespace in {"AWS/Events", "AWS/Scheduler"}, key)


def _named(body: Body) -> str:
    if "MetricName" in body:
        return f"{body.get('Statistic') or body.get('ExtendedStatistic')} of {body['MetricName']}"
    returned: Iterable[Body] = (found for found in body["Metrics"] if found.get("ReturnData", True))
    return str(next(iter(returned)).get("Expression", "metric"))


def _sign(body: Body) -> str:
    comparison = body["ComparisonOperator"]
    sign = ">" if comparison.startswith("Greater") else "<"
    return f"{sign}=" if "OrEqual" in comparison else sign
