"""Where metric data is kept: one series per namespace, name, dimensions and unit; read in clock-aligned periods."""

import bisect
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from localaws.metrics.distribution import Distribution

MINUTE, HOUR, DAY = 60, 3600, 86400
RETENTION = ((3 * HOUR, MINUTE), (15 * DAY, 5 * MINUTE), (63 * DAY, HOUR))  # older than this: only this fine
FORGOTTEN = 455 * DAY
LISTED = 14 * DAY  # a series without newer data is no longer listed


class MetricKey(NamedTuple):
    """What makes two data belong to one metric."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]


def metric_key(namespace: str, name: str, dimensions: Mapping[str, str] | None = None) -> MetricKey:
    return MetricKey(namespace, name, tuple(sorted((dimensions or {}).items())))


@dataclass(slots=True)
class Series:
    """The buckets of one metric in one unit, by the second they begin."""

    starts: list[int] = field(default_factory=list)
    buckets: dict[int, Distribution] = field(default_factory=dict)
    compacted: float = 0.0

    def bucket(self, start: int) -> Distribution:
        found = self.buckets.get(start)
        if found is None:
            found = self.buckets[start] = Distribution()
            if not self.starts or start > self.starts[-1]:
                self.starts.append(start)
            else:
                bisect.insort(self.starts, start)
        return found

    def between(self, begin: float, end: float) -> Iterator[tuple[int, Distribution]]:
        """Buckets that begin in [begin, end)."""
        for start in self.starts[bisect.bisect_left(self.starts, begin) : bisect.bisect_left(self.starts, end)]:
            yield start, self.buckets[start]

    def compact(self, now: float) -> None:
        """Make coarser what became old since the last time, and forget the oldest."""
        before, self.compacted = self.compacted, now
        for limit, grain in RETENTION:
            self._coarsen(before - limit - grain, now - limit, grain)
        for start in self._take(-math.inf, now - FORGOTTEN):
            del self.buckets[start]

    def _coarsen(self, begin: float, end: float, grain: int) -> None:
        """Merge buckets that begin in [begin, end) into ones of that grain."""
        moved = [(start, self.buckets.pop(start)) for start in self._take(begin, end)]
        for start, bucket in moved:
            self.bucket(start - start % grain).merge(bucket)

    def _take(self, begin: float, end: float) -> list[int]:
        """The starts in [begin, end), which are no longer listed."""
        low, high = bisect.bisect_left(self.starts, begin), bisect.bisect_left(self.starts, end)
        taken = self.starts[low:high]
        del self.starts[low:high]
        return taken


def grain_at(age: float) -> int:
    """How fine data of an age are kept, in seconds."""
    return max((grain for limit, grain in RETENTION if age > limit), default=1)


class Metrics:
    """All series of one account and region."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._series: dict[MetricKey, dict[str, Series]] = {}
        self._names: dict[str, dict[str, list[MetricKey]]] = {}
        self._lock = threading.RLock()

    def put(
        self,
        key: MetricKey,
        values: Iterable[tuple[float, float]],
        *,
        unit: str = "None",
        at: float | None = None,
        resolution: int = 1,
    ) -> None:
        """Add values with their counts at one instant (now, when not given)."""
        with self._lock:
            bucket = self._bucket(key, unit, at, resolution)
            for value, count in values:
                bucket.add(value, count)

    def put_set(
        self,
        key: MetricKey,
        statistics: tuple[float, float, float, float],
        *,
        unit: str = "None",
        at: float | None = None,
        resolution: int = 1,
    ) -> None:
        """Add a statistic set: count, sum, minimum, maximum."""
        with self._lock:
            self._bucket(key, unit, at, resolution).add_set(*statistics)

    def _bucket(self, key: MetricKey, unit: str, at: float | None, resolution: int) -> Distribution:
        now = self._now()
        moment = int(now if at is None else at)
        units = self._series.get(key)
        if units is None:
            units = self._series[key] = dict[str, Series]()
            self._names.setdefault(key.namespace, {}).setdefault(key.name, []).append(key)
        series = units.setdefault(unit, Series(compacted=now))
        if now - series.compacted > HOUR:
            series.compact(now)
        return series.bucket(moment - moment % max(resolution, grain_at(series.compacted - moment)))

    def periods(
        self, key: MetricKey, period: int, begin: float, end: float, *, unit: str | None = None, phase: int = 0
    ) -> list[tuple[int, Distribution]]:
        """What came in each period of [begin, end) that has data; they start at multiples of `period`, plus `phase`."""
        with self._lock:
            merged: dict[int, Distribution] = {}
            for name, series in self._series.get(key, {}).items():
                if unit in (None, name):
                    for start, bucket in series.between(begin, end):
                        slot = start - (start - phase) % period
                        merged.setdefault(slot, Distribution()).merge(bucket)
            return sorted(merged.items())

    def units(self, key: MetricKey) -> list[str]:
        with self._lock:
            return sorted(self._series.get(key, {}))

    def newest(self, key: MetricKey) -> float | None:
        """When the newest datum of a metric was, if there is any."""
        with self._lock:
            return max(
                (series.starts[-1] for series in self._series.get(key, {}).values() if series.starts), default=None
            )

    def listed(
        self, namespace: str | None = None, name: str | None = None, since: float | None = None
    ) -> list[MetricKey]:
        """Metrics that got data lately, in a steady order."""
        with self._lock:
            horizon = self._now() - LISTED if since is None else since
            spaces = [namespace] if namespace else sorted(self._names)
            return [
                key
                for space in spaces
                for metric, keys in sorted(self._names.get(space, {}).items())
                if name in (None, metric)
                for key in sorted(keys)
                if (self.newest(key) or 0) >= horizon
            ]
