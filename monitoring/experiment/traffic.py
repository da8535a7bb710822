"""What CloudWatch and the endpoint say of a look: requests, errors and slow answers per variant, and the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contract import signals
from monitoring.experiment.experiment import Experiment, Guardrail
from monitoring.experiment.looks import Tally

PERCENTILES = ("p10", "p25", "p50", "p75", "p90", "p95", "p99")


@dataclass(frozen=True)
class Traffic:
    """Reads one endpoint's own metrics; the clients are boto3's."""

    cloudwatch: Any
    sagemaker: Any
    endpoint: str

    def requests(self, variant: str, since: datetime, until: datetime) -> int:
        return round(self._sum("invocations", variant, "Sum", since, until))

    def guardrails(
        self, experiment: Experiment, champion: str, variant: str, since: datetime, until: datetime
    ) -> dict[str, Tally]:
        """Bad requests among all, per guardrail of the experiment."""
        requests = self.requests(variant, since, until)
        found = {}
        for guardrail in experiment.guardrails:
            if guardrail.kind == "errors":
                bad = round(self._sum("errors", variant, "Sum", since, until))
                found[guardrail.name] = Tally(max(requests, bad), bad)
            else:
                found[guardrail.name] = self._slow(guardrail, champion, variant, since, until)
        return found

    def _slow(self, guardrail: Guardrail, champion: str, variant: str, since: datetime, until: datetime) -> Tally:
        """Answers beyond the limit; without a limit of its own, beyond the champion's p99 in the look before."""
        limit = guardrail.beyond or self._sum("latency", champion, "p99", since - (until - since), since)
        answers = round(self._sum("latency", variant, "SampleCount", since, until))
        if not limit or not answers:
            return Tally()
        return Tally(answers, min(answers, round(self._sum("latency", variant, f"TC({limit:g}:)", since, until))))

    def latency(self, variant: str, since: datetime, until: datetime) -> dict[str, float]:
        """Percentiles of the time inside the container, in microseconds; none without traffic."""
        found = {each: self._sum("latency", variant, each, since, until) for each in PERCENTILES}
        return {name: value for name, value in found.items() if value}

    def served(self, variant: str, since: datetime, until: datetime) -> dict[str, Any]:
        """How a variant answered between two instants: requests, errors among them, and percentiles of the latency."""
        requests, errors = (round(self._sum(key, variant, "Sum", since, until)) for key in ("invocations", "errors"))
        return {"requests": requests, "errors": errors, "latency": self.latency(variant, since, until)}

    def weights(self, since: datetime) -> dict[str, float] | None:
        """The weights in force since an instant; none when they, or anything else of the endpoint, changed after it."""
        found = self.sagemaker.describe_endpoint(EndpointName=self.endpoint)
        changed: datetime = found["LastModifiedTime"]
        if changed.astimezone(UTC) > since:
            return None
        return {each["VariantName"]: float(each["CurrentWeight"]) for each in found["ProductionVariants"]}

    def _sum(self, key: str, variant: str, statistic: str, since: datetime, until: datetime) -> float:
        known = signals.signal(key)
        dimensions: Mapping[str, str] = {"EndpointName": self.endpoint, "VariantName": variant}
        found = self.cloudwatch.get_metric_statistics(
            Namespace=known.namespace,
            MetricName=known.name,
            Dimensions=[{"Name": name, "Value": dimensions[name]} for name in known.dimensions],
            StartTime=since,
            EndTime=until,
            Period=max(60, round((until - since).total_seconds())),
            **(
                {"Statistics": [statistic]}
                if statistic in ("Sum", "SampleCount")
                else {"ExtendedStatistics": [statistic]}
            ),
        )
        values = [
            each.get(statistic, each.get("ExtendedStatistics", {}).get(statistic)) for each in found["Datapoints"]
        ]
        return float(sum(each for each in values if each is not None))
