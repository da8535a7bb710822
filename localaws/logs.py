"""A log stream that is written line by line and sent in batches."""

from __future__ import annotations

import threading
from typing import Any

from localaws.aws import Clients
from localaws.clock import Clock

BATCH = 1000  # events of one call


class LogStream:
    """One stream of one log group; lines wait until `flush` or until a batch is full."""

    def __init__(self, clients: Clients, clock: Clock, account: str, region: str, *, group: str, stream: str) -> None:
        self.group, self.stream = group, stream
        self._logs = clients.get("logs", account, region)
        self._clock = clock
        self._waiting: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._made = False

    def write(self, line: str) -> None:
        with self._lock:
            self._waiting.append({"timestamp": int(self._clock.now() * 1000), "message": line or " "})
            full = len(self._waiting) >= BATCH
        if full:
            self.flush()

    def flush(self) -> None:
        with self._lock:
            events = self._waiting.copy()
            self._waiting.clear()
        if not events:
            return
        for start in range(0, len(events), BATCH):
            self._send(events[start : start + BATCH])

    def _send(self, events: list[dict[str, Any]]) -> None:
        for _ in range(2):  # a group that was deleted meanwhile is made again
            self._make()
            try:
                self._logs.put_log_events(logGroupName=self.group, logStreamName=self.stream, logEvents=events)
            except self._logs.exceptions.ResourceNotFoundException:
                self._made = False
            else:
                return

    def _make(self) -> None:
        if self._made:
            return
        taken = self._logs.exceptions.ResourceAlreadyExistsException
        for call, names in (
            (self._logs.create_log_group, {"logGroupName": self.group}),
            (self._logs.create_log_stream, {"logGroupName": self.group, "logStreamName": self.stream}),
        ):
            try:
                call(**names)
            except taken:
                continue
        self._made = True
