"""Metric data queries: metrics and expressions that refer to one another, answered as lines."""

from collections.abc import Sequence
from dataclasses import dataclass

from localaws.metrics.expression import Context, ExpressionError, Line, Lines, Value, evaluate, names, uses_metrics
from localaws.metrics.search import search_test
from localaws.metrics.series import MetricKey, Metrics
from localaws.metrics.statistic import statistic

MOST_SEARCHED = 500  # lines one SEARCH may bring


@dataclass(frozen=True)
class MetricStat:
    """One statistic of one metric."""

    key: MetricKey
    period: int
    stat: str
    unit: str | None = None


@dataclass(frozen=True)
class Query:
    """A metric, or an expression over other queries."""

    id: str
    metric: MetricStat | None = None
    expression: str = ""
    label: str = ""
    period: int = 0
    returned: bool = True


def read(metrics: Metrics, stat: MetricStat, begin: float, end: float, *, phase: int = 0, label: str = "") -> Line:
    """One statistic as a line."""
    measure = statistic(stat.stat)
    measured = (
        (at, measure(found))
        for at, found in metrics.periods(stat.key, stat.period, begin, end, unit=stat.unit, phase=phase)
    )
    return Line(label or stat.key.name, stat.period, {at: value for at, value in measured if value is not None})


def answer(metrics: Metrics, queries: Sequence[Query], begin: float, end: float, *, phase: int = 0) -> dict[str, Lines]:
    """The lines of every query whose data is to be returned."""
    asked = _Asked(metrics, queries, begin, end, phase)
    return {query.id: asked.lines(query) for query in queries if query.returned}


class _Asked:
    """The queries of one request, each computed once."""

    def __init__(self, metrics: Metrics, queries: Sequence[Query], begin: float, end: float, phase: int) -> None:
        self.metrics = metrics
        self.queries = {query.id: query for query in queries}
        self.begin, self.end, self.phase = begin, end, phase
        self.values: dict[str, Value] = {}
        self.open: list[str] = []

    def lines(self, query: Query) -> Lines:
        value = self.value(query.id)
        if isinstance(value, float):
            raise ExpressionError(f"Expression '{query.expression}' must return a time series; it returns a number")
        if isinstance(value, Line):
            return (_labelled(value, query.label or (query.id if query.expression else value.label)),)
        return tuple(_labelled(line, f"{query.label} {line.label}".strip()) for line in value)

    def value(self, name: str) -> Value:
        if name not in self.values:
            if name in self.open:
                raise ExpressionError(f"the queries refer to each other in a circle: {' -> '.join([*self.open, name])}")
            self.open.append(name)
            self.values[name] = self._compute(self.queries[name])
            self.open.pop()
        return self.values[name]

    def _compute(self, query: Query) -> Value:
        if query.metric:
            return read(self.metrics, query.metric, self.begin, self.end, phase=self.phase, label=query.label)
        metric_ids = [other.id for other in self.queries.values() if other.metric]
        wanted = names(query.expression) & self.queries.keys()
        if uses_metrics(query.expression):
            wanted |= set(metric_ids)
        named = {name: self.value(name) for name in sorted(wanted)}
        return evaluate(
            query.expression,
            Context(named, metric_ids, int(self.begin), int(self.end), self._period(query), self._search),
        )

    def _period(self, query: Query) -> int:
        """The coarsest period among what the expression uses, or its own."""
        inner = [self.queries[name] for name in names(query.expression) if name in self.queries]
        periods = [other.metric.period if other.metric else self._period(other) for other in inner]
        return query.period or max(periods, default=60)

    def _search(self, text: str, stat: str, period: int) -> Lines:
        test = search_test(text)
        found = [key for key in self.metrics.listed() if test(key)][:MOST_SEARCHED]
        asked = (MetricStat(key, period, stat) for key in found)
        return tuple(read(self.metrics, one, self.begin, self.end, label=_described(one.key)) for one in asked)


def _described(key: MetricKey) -> str:
    return " ".join([*(value for _, value in key.dimensions), key.name])


def _labelled(line: Line, label: str) -> Line:
    return Line(label, line.period, line.points)
