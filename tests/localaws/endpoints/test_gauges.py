"""How busy the machines behind endpoints are is read in real time, however fast the clock runs."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from localaws.endpoints import gauges
from localaws.endpoints.gauges import AT_LEAST, Gauges


@pytest.fixture
def published() -> list[tuple[str, float]]:
    return []


@pytest.fixture
def endpoints(published: list[tuple[str, float]]) -> Any:
    """One endpoint with one instance that began long ago."""
    meter = SimpleNamespace(instance=lambda name, value: published.append((name, value)))
    instance = SimpleNamespace(id="i-1", born=time.monotonic() - 100, servers=())
    variant = SimpleNamespace(instances=[instance], meter=meter)
    live = SimpleNamespace(fleets=[SimpleNamespace(everyone=[variant])])
    return SimpleNamespace(all=lambda: [live])


def test_minutes_that_pass_within_a_moment_repeat_the_last_reading(
    endpoints: Any, published: list[tuple[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = iter([(50.0, 0.0), (51.0, 0.0)])
    monkeypatch.setattr(gauges, "usage", lambda _: next(readings))
    measure = Gauges(endpoints).measure
    for _ in range(100):
        measure()
    busy = {value for name, value in published if name == "CPUUtilization"}
    assert len(published) == 200
    assert list(busy) == [pytest.approx(50, rel=0.01)]


def test_a_minute_that_really_passed_is_read_anew(
    endpoints: Any, published: list[tuple[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = iter([(50.0, 0.0), (50.0 + 30 * AT_LEAST, 0.0)])
    monkeypatch.setattr(gauges, "usage", lambda _: next(readings))
    now = time.monotonic()
    measure = Gauges(endpoints).measure
    measure()
    monkeypatch.setattr(gauges.time, "monotonic", lambda: now + 60 * AT_LEAST)
    measure()
    assert published[2] == ("CPUUtilization", pytest.approx(50, rel=0.01))
