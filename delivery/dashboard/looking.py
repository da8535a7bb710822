"""Where the page looks: one environment, one model, the clients to ask with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from contract import places
from contract.signals import Signal
from delivery.dossier import Stored
from delivery.environment import Environment
from infra.names import Names

SPAN = timedelta(days=7)
Asked = tuple[str, Signal, dict[str, str], str]  # a label, a signal, its dimensions, a statistic
POINTS = 168  # of a series at most: an hour each in a week


@dataclass(frozen=True, slots=True)
class Series:
    """One line over time."""

    name: str
    times: tuple[datetime, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Look:
    """One model of one environment, asked about with whatever credentials there are."""

    environment: Environment
    model: str

    @property
    def names(self) -> Names:
        return self.environment.settings.names

    @property
    def endpoint(self) -> str:
        return self.names.endpoint(self.model)

    def client(self, service: str) -> Any:
        return self.environment.client(service)

    def bucket(self, purpose: Any) -> str:
        """Buckets are named, not looked up: an auditor may read no parameters."""
        return self.names.bucket(purpose)

    def document(self, purpose: str, key: str) -> dict[str, Any]:
        return Stored(self.client("s3")).document(f"s3://{self.bucket(purpose)}/{key}")

    def keys(self, purpose: str, prefix: str, ending: str) -> list[tuple[str, datetime]]:
        """The objects below a prefix, newest first."""
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=self.bucket(purpose), Prefix=prefix)
        found = [
            (each["Key"], each["LastModified"])
            for page in pages
            for each in page.get("Contents", ())
            if each["Key"].endswith(ending)
        ]
        return sorted(found, key=lambda each: each[1], reverse=True)

    @property
    def windows(self) -> str:
        return places.windows_prefix(self.endpoint)

    def series(self, asked: list[Asked], span: timedelta = SPAN) -> list[Series]:
        """Metric lines over a span."""
        until = self.environment.now()
        period = max(60, round(span.total_seconds() / POINTS / 60) * 60)
        queries = [
            {
                "Id": f"q{number}",
                "Label": label,
                "MetricStat": {
                    "Metric": {
                        "Namespace": signal.namespace,
                        "MetricName": signal.name,
                        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
                    },
                    "Period": period,
                    "Stat": statistic,
                },
            }
            for number, (label, signal, dimensions, statistic) in enumerate(asked)
        ]
        return list(self._lines(queries, until - span, until + timedelta(seconds=period))) if queries else []

    def _lines(self, queries: list[dict[str, Any]], since: datetime, until: datetime) -> Iterator[Series]:
        pages = (
            self.client("cloudwatch")
            .get_paginator("get_metric_data")
            .paginate(MetricDataQueries=queries, StartTime=since, EndTime=until, ScanBy="TimestampAscending")
        )
        gathered: dict[str, tuple[str, list[datetime], list[float]]] = {}
        for page in pages:
            for each in page["MetricDataResults"]:
                _, times, values = gathered.setdefault(each["Id"], (each["Label"], [], []))
                times += each["Timestamps"]
                values += each["Values"]
        for query in queries:
            label, times, values = gathered.get(query["Id"], (query["Label"], [], []))
            yield Series(label, tuple(times), tuple(values))
