"""Events on their way: taken at once, delivered in order by one thread, never failing whoever sent them."""

import logging
import queue
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from localaws.clock import Clock

log = logging.getLogger(__name__)

Event = dict[str, Any]
DEFAULT_BUS = "default"


@dataclass(frozen=True)
class Posted:
    """An event in its envelope, and the bus it was put on."""

    account: str
    region: str
    event: Event
    bus: str = DEFAULT_BUS


@dataclass
class Courier:
    """Hands each event to every receiver in the order it was posted; an event on its way holds a stepped clock."""

    clock: Clock
    receivers: list[Callable[[Posted], None]] = field(default_factory=list)
    _queue: queue.SimpleQueue[Callable[[], None] | None] = field(default_factory=queue.SimpleQueue)

    def __post_init__(self) -> None:
        threading.Thread(target=self._work, name="courier", daemon=True).start()

    def emit(
        self,
        account: str,
        region: str,
        *,
        source: str,
        detail_type: str,
        detail: Mapping[str, Any],
        resources: Iterable[str] = (),
    ) -> None:
        """Tell EventBridge what happened to one of our own resources."""
        event = envelope(
            account,
            region,
            source=source,
            detail_type=detail_type,
            detail=detail,
            resources=resources,
            at=self.clock.now(),
        )
        self.post(Posted(account, region, event))

    def post(self, posted: Posted) -> None:
        self.carry(lambda: self._hand_out(posted), f"the event {posted.event['detail-type']}")

    def carry(self, errand: Callable[[], object], name: str) -> None:
        """Do something after everything posted so far; a failure is logged and goes no further."""
        done = self.clock.hold(name)

        def run() -> None:
            try:
                errand()
            except Exception:
                log.exception("%s could not be delivered", name)
            finally:
                done()

        self._queue.put(run)

    def close(self) -> None:
        self._queue.put(None)

    def _hand_out(self, posted: Posted) -> None:
        for receive in self.receivers:
            try:
                receive(posted)
            except Exception:
                log.exception("a receiver failed on the event %s", posted.event["detail-type"])

    def _work(self) -> None:
        while (run := self._queue.get()) is not None:
            run()


def envelope(
    account: str,
    region: str,
    *,
    source: str,
    detail_type: str,
    detail: Mapping[str, Any],
    resources: Iterable[str],
    at: float,
) -> Event:
    """An event as EventBridge shows it to rules and targets."""
    moment = datetime.fromtimestamp(at, UTC)
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": account,
        "time": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        "region": region,
        "resources": list(resources),
        "detail": dict(detail),
    }
