"""Endpoints: real server processes behind one name, with traffic, capture, metrics and safe updates.

`deployment.py`, `routing.py` and `capture.py` decide and do nothing else. `instance.py`, `variant.py` and `fleet.py`
are processes, from one copy up to a whole configuration; `live.py` is an endpoint with its fleets, `rollout.py` updates
it. `control.py` and `runtime.py` are the two APIs.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from localaws.endpoints.asynchronous import AsyncRuntime
from localaws.endpoints.control import Control
from localaws.endpoints.gauges import Gauges
from localaws.endpoints.health import HealthWatch
from localaws.endpoints.live import Endpoints, LiveEndpoint
from localaws.endpoints.runtime import Runtime
from localaws.gateway import Operation, Service
from localaws.pages import json_page
from localaws.plane import Plane


def flush(endpoints: Endpoints) -> dict[str, int]:
    """Write the capture gathered so far now, instead of when it is due."""
    for live in endpoints.all():
        live.captured.write()
    return {"endpoints": len(endpoints.all())}


def end_now(live: LiveEndpoint) -> None:
    live.end(LAST_GRACE)


LAST_GRACE = 2.0  # real seconds that containers have when the whole server stops


def operations(plane: Plane) -> Mapping[str, Operation]:
    """The control plane's operations; also registers the runtime API and brings back what the store remembers."""
    endpoints = Endpoints()
    control, runtime = Control(plane, endpoints), Runtime(plane, endpoints)
    later, gauges = AsyncRuntime(plane, endpoints, runtime), Gauges(endpoints)
    health = HealthWatch(endpoints, later.pump_all)
    served = {**runtime.operations(), **later.operations()}
    plane.gateway.register(Service("sagemaker-runtime", served, complete=True))
    plane.gateway.pages["/_localaws/flush"] = json_page(lambda _method, _body: flush(endpoints))
    plane.clock.every(60, gauges.measure, "the processes of endpoints")
    plane.clock.every(60, later.measure, "the backlogs of endpoints")

    def close() -> None:
        health.close()
        runtime.close()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(end_now, endpoints.all()))

    control.on_deleted.append(later.forget)
    plane.closers.append(close)
    control.resume()
    return control.operations()
