"""How the machines behind endpoints are doing: processor and memory of their processes, once a minute."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from localaws.endpoints.instance import Instance
from localaws.endpoints.live import Endpoints

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
MEMORY = os.sysconf("SC_PHYS_PAGES") * PAGE


AT_LEAST = 1.0  # real seconds between two readings: a clock that hurries has minutes of milliseconds


@dataclass(frozen=True, slots=True)
class Reading:
    """An instance at one real instant: processor seconds so far, and both shares in percent."""

    at: float
    processor: float
    busy: float = 0.0
    memory: float = 0.0


class Gauges:
    """Publishes `/aws/sagemaker/Endpoints` for all variants."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._seen: dict[str, Reading] = {}

    def measure(self) -> None:
        variants = [v for live in self._endpoints.all() for fleet in list(live.fleets) for v in fleet.everyone]
        for variant in variants:
            for instance in variant.instances:
                reading = self._read(instance)
                variant.meter.instance("CPUUtilization", reading.busy)
                variant.meter.instance("MemoryUtilization", reading.memory)

    def _read(self, instance: Instance) -> Reading:
        """How it is now, or how it was a moment ago."""
        now, before = time.monotonic(), self._seen.get(instance.id)
        if before is not None and now - before.at < AT_LEAST:
            return before
        processor, memory = usage(instance)
        since, spent = (before.at, before.processor) if before else (instance.born, 0.0)
        busy = 100 * max(processor - spent, 0.0) / max(now - since, 1e-3)
        reading = self._seen[instance.id] = Reading(now, processor, busy, 100 * memory / MEMORY)
        return reading


def usage(instance: Instance) -> tuple[float, float]:
    """Processor seconds and resident bytes of an instance's processes, their own children included."""
    processor = memory = 0.0
    for server in instance.servers:
        for pid in _family(server.pid):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            processor += (int(fields[11]) + int(fields[12])) / TICKS
            memory += int(fields[21]) * PAGE
    return processor, memory


def _family(pid: int) -> list[int]:
    found = [pid] if pid else []
    for parent in found:
        for listed in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(word) for word in listed.read_text().split()]
            except OSError:
                continue
    return found
