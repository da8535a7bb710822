"""The numbers that all workers share: a slot of 64-bit counters each, in memory made before they were forked.

A worker writes only its own slot, anybody reads all of them, and a worker started again goes on counting in its slot.
"""

from __future__ import annotations

import enum
import mmap
import time
from bisect import bisect_left

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
STALE_MILLISECONDS = 10_000  # a worker that did not turn its loop for this long is not well
BYTES = 8


class Field(enum.IntEnum):
    """What each counter of a slot counts."""

    READY = 0
    HEARTBEAT = 1  # milliseconds of the monotonic clock
    IN_FLIGHT = 2
    OK = 3
    REFUSED = 4  # 4xx
    FAILED = 5  # 5xx
    ROWS = 6
    BYTES_IN = 7
    BYTES_OUT = 8
    MICROSECONDS = 9
    FIRST_BUCKET = 10


WIDTH = Field.FIRST_BUCKET + len(BOUNDS) + 1


class Board:
    """All slots, and two numbers that belong to nobody: whether we drain, and the generation of the set of models."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._memory = mmap.mmap(-1, (workers * WIDTH + 2) * BYTES)
        self.cells = memoryview(self._memory).cast("Q")
        self._draining = workers * WIDTH
        self._generation = self._draining + 1
        self.started = time.time()

    @property
    def draining(self) -> bool:
        return bool(self.cells[self._draining])

    def drain(self) -> None:
        self.cells[self._draining] = 1

    @property
    def generation(self) -> int:
        return self.cells[self._generation]

    def next_generation(self) -> None:
        self.cells[self._generation] += 1

    def get(self, worker: int, field: Field) -> int:
        return self.cells[worker * WIDTH + field]

    def total(self, field: int) -> int:
        return sum(self.cells[field::WIDTH][: self.workers])

    def clear(self, worker: int) -> None:
        """A worker is gone: it neither serves nor has requests in flight."""
        for field in (Field.READY, Field.HEARTBEAT, Field.IN_FLIGHT):
            self.cells[worker * WIDTH + field] = 0

    def well(self) -> int:
        """How many workers can predict now."""
        now = milliseconds()
        return sum(
            self.get(worker, Field.READY) == 1 and now - self.get(worker, Field.HEARTBEAT) < STALE_MILLISECONDS
            for worker in range(self.workers)
        )


class Slot:
    """One worker's own counters."""

    def __init__(self, board: Board, worker: int) -> None:
        self.cells = board.cells[worker * WIDTH : (worker + 1) * WIDTH]

    def ready(self) -> None:
        self.beat()
        self.cells[Field.READY] = 1

    def beat(self) -> None:
        self.cells[Field.HEARTBEAT] = milliseconds()

    def began(self) -> None:
        self.cells[2] += 1

    def ended(self, status: int, rows: int, bytes_in: int, bytes_out: int, seconds: float) -> None:
        cells = self.cells
        cells[2] -= 1
        cells[3 if status < 400 else 4 if status < 500 else 5] += 1
        cells[6] += rows
        cells[7] += bytes_in
        cells[8] += bytes_out
        cells[9] += int(seconds * 1e6)
        cells[10 + bisect_left(BOUNDS, seconds)] += 1


def milliseconds() -> int:
    return time.monotonic_ns() // 1_000_000
