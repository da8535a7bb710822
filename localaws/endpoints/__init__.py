"""Endpoints: real server processes behind one name, with traffic, capture, metrics and safe updates.

`deployment.py`, `routing.py` and `capture.py` decide and do nothing else. `instance.py`, `variant.py` and `fleet.py`
are processes, from one copy up to a whole configuration; `live.py` is an endpoint with its fleets, `rollout.py` updates
it. `control.py` and `runtime.py` are the two APIs.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from localaws.endpoints.control import Control
from localaws.endpoints.health import HealthWatch
from localaws.endpoints.live import Endpoints, LiveEndpoint
from localaws.endpoints.runtime import Runtime
from localaws.gateway import Operation, Service
from localaws.plane import Plane


def end_now(live: LiveEndpoint) -> None:
    live.end(LAST_GRACE)


LAST_GRACE = 2.0  # real seconds that containers have when the whole server stops


def operations(plane: Plane) -> Mapping[str, Operation]:
    """The control plane's operations; also registers the runtime API and brings back what the store remembers."""
    endpoints = Endpoints()
    control, runtime, health = Control(plane, endpoints), Runtime(plane, endpoints), HealthWatch(endpoints)
    plane.gateway.register(Service("sagemaker-runtime", runtime.operations(), complete=True))

    def close() -> None:
        health.close()
        runtime.close()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(end_now, endpoints.all()))

    plane.closers.append(close)
    control.resume()
    return control.operations()
