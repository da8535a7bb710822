"""How the machines behind endpoints are doing: processor and memory of their processes, once a minute."""

from __future__ import annotations

import os
import time
from pathlib import Path

from localaws.endpoints.instance import Instance
from localaws.endpoints.live import Endpoints

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
MEMORY = os.sysconf("SC_PHYS_PAGES") * PAGE


class Gauges:
    """Publishes `/aws/sagemaker/Endpoints` for all variants."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._seen: dict[str, tuple[float, float]] = {}  # instance -> real time, processor seconds

    def measure(self) -> None:
        variants = [v for live in self._endpoints.all() for fleet in list(live.fleets) for v in fleet.everyone]
        for variant in variants:
            for instance in variant.instances:
                processor, memory = usage(instance)
                now = time.monotonic()
                then, before = self._seen.get(instance.id, (instance.born, 0.0))
                self._seen[instance.id] = (now, processor)
                variant.meter.instance("CPUUtilization", 100 * max(processor - before, 0.0) / max(now - then, 1e-3))
                variant.meter.instance("MemoryUtilization", 100 * memory / MEMORY)


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
