"""The metrics and alarm states of every account and region, for the other services.

Endpoints and jobs put their metrics here (`metrics(...).put(metric_key(namespace, name, dimensions), values)`, each
value with how often it came); deployments ask here whether an alarm is in ALARM.
"""

import threading

from localaws.clock import Clock
from localaws.metrics.series import Metrics
from localaws.store import Store

ALARM = "alarm"  # the kind of an alarm's resource, metric and composite alike


class Watch:
    """Metrics by account and region, and the states of alarms."""

    def __init__(self, clock: Clock, store: Store) -> None:
        self.clock = clock
        self.store = store
        self._metrics: dict[tuple[str, str], Metrics] = {}
        self._lock = threading.Lock()

    def metrics(self, account: str, region: str) -> Metrics:
        with self._lock:
            return self._metrics.setdefault((account, region), Metrics(self.clock.now))

    def alarm_state(self, account: str, region: str, name: str) -> str | None:
        """OK, ALARM or INSUFFICIENT_DATA; None when there is no such alarm."""
        found = self.store.scope(account, region).get(ALARM, name)
        return found.body["StateValue"] if found else None
