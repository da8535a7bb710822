"""Statistics by their CloudWatch names: `Average`, `p99.9`, `tm(10%:90%)`, `PR(:300)` and the rest."""

import functools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from localaws.metrics.distribution import Distribution, Sorted

BASIC = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")


class StatisticError(Exception):
    """No such statistic."""


Statistic = Callable[[Distribution], float | None]


def _average(d: Distribution) -> float | None:
    return d.total / d.count if d.count else None


_BASIC: dict[str, Statistic] = {
    "SampleCount": lambda d: d.count,
    "Average": _average,
    "Sum": lambda d: d.total,
    "Minimum": lambda d: d.minimum if d.count else None,
    "Maximum": lambda d: d.maximum if d.count else None,
}

_SHORT = re.compile(r"(p|tm|tc|ts|wm)(\d{1,3}(?:\.\d{1,10})?)", re.IGNORECASE)
_BOUND = r"(?:\d+(?:\.\d+)?%?|-\d+(?:\.\d+)?)?"
_RANGED = re.compile(rf"(PR|TM|TC|TS|WM)\(({_BOUND}):({_BOUND})\)", re.IGNORECASE)


@functools.cache
def statistic(name: str) -> Statistic:
    """The function behind a statistic's name; an unknown name is a `StatisticError`."""
    if name in _BASIC:
        return _BASIC[name]
    if name.upper() == "IQM":
        return _ranged("TM", _Bound(25, percent=True), _Bound(75, percent=True))
    if (short := _SHORT.fullmatch(name)) and 0 <= float(short[2]) <= 100:
        kind, upper = short[1].upper(), float(short[2])
        return _percentile(upper) if kind == "P" else _ranged(kind, None, _Bound(upper, percent=True))
    if ranged := _RANGED.fullmatch(name):
        low, high = _bound(ranged[2]), _bound(ranged[3])
        if low or high:
            return _ranged(ranged[1].upper(), low, high)
    raise StatisticError(
        f"The value {name} for parameter Stat is not supported: use one of {', '.join(BASIC)}, a percentile such as "
        "p99 or p99.9, or a trimmed statistic such as tm90, TM(10%:90%), WM(:95%), TC(0.5:10), TS(80%:), PR(:300), IQM"
    )


@dataclass(frozen=True)
class _Bound:
    number: float
    percent: bool

    def value(self, values: Sorted) -> float:
        return values.quantile(self.number / 100) if self.percent else self.number


def _bound(text: str) -> _Bound | None:
    return _Bound(float(text.rstrip("%")), text.endswith("%")) if text else None


def _percentile(percent: float) -> Statistic:
    return _on_values(lambda values: values.quantile(percent / 100))


def _ranged(kind: str, low: _Bound | None, high: _Bound | None) -> Statistic:
    def measure(values: Sorted) -> float:
        bottom = low.value(values) if low else -math.inf
        top = high.value(values) if high else math.inf
        kept = values.between(bottom, top)
        match kind:
            case "TM":
                return kept.mean()
            case "TC":
                return kept.count
            case "TS":
                return kept.total()
            case "WM":
                return values.clipped(bottom, top).mean()
            case _:
                return 100 * kept.count / values.count

    return _on_values(measure)


def _on_values(measure: Callable[[Sorted], float]) -> Statistic:
    def of(distribution: Distribution) -> float | None:
        if not (distribution.valued and distribution.values):
            return None
        answer = measure(distribution.sorted())
        return None if math.isnan(answer) else answer

    return of
