"""GET /metrics: the board in Prometheus's text form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from inference.board import BOUNDS, Board, Field

if TYPE_CHECKING:
    from prometheus_client.core import Metric

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class BoardCollector:
    """Reads all workers' counters, so any worker answers for the whole container."""

    def __init__(self, board: Board, models: Sequence[tuple[str, str]]) -> None:
        self._board = board
        self._models = models

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        total = self._board.total
        requests = CounterMetricFamily("slipway_requests", "Requests answered.", labels=["outcome"])
        for outcome, field in (("ok", Field.OK), ("refused", Field.REFUSED), ("failed", Field.FAILED)):
            requests.add_metric([outcome], total(field))
        yield requests
        yield CounterMetricFamily("slipway_predictions", "Rows predicted.", value=total(Field.ROWS))
        yield CounterMetricFamily("slipway_received_bytes", "Bytes of request bodies.", value=total(Field.BYTES_IN))
        yield CounterMetricFamily("slipway_sent_bytes", "Bytes of answer bodies.", value=total(Field.BYTES_OUT))
        yield GaugeMetricFamily("slipway_requests_in_flight", "Requests being answered.", value=total(Field.IN_FLIGHT))
        yield GaugeMetricFamily("slipway_workers", "Workers this container runs.", value=self._board.workers)
        yield GaugeMetricFamily("slipway_workers_well", "Workers that can predict now.", value=self._board.well())
        yield GaugeMetricFamily("slipway_start_time_seconds", "When the container started.", value=self._board.started)
        info = GaugeMetricFamily("slipway_model_info", "1 for each model served.", labels=["name", "version"])
        for name, version in self._models:
            info.add_metric([name, version], 1)
        yield info
        counts = [total(Field.FIRST_BUCKET + at) for at in range(len(BOUNDS) + 1)]
        buckets = [(f"{bound:g}", sum(counts[: at + 1])) for at, bound in enumerate(BOUNDS)]
        seconds = HistogramMetricFamily("slipway_request_seconds", "Time from a whole request to its answer.")
        seconds.add_metric([], [*buckets, ("+Inf", sum(counts))], total(Field.MICROSECONDS) / 1e6)
        yield seconds


def render(board: Board, models: Sequence[tuple[str, str]]) -> bytes:
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(BoardCollector(board, models))
    return generate_latest(registry)
