"""The operations side of the embedded AWS, wired: clock, alarms, events, schedules, scaling, faults, permissions."""

from localaws import cloudwatch, page
from localaws.alarms.actions import notify
from localaws.alarms.watchman import Watchman
from localaws.autoscaling import api
from localaws.autoscaling.scaler import Scaler
from localaws.clock_page import clock_page
from localaws.events import bus, scheduler
from localaws.events.targets import Targets
from localaws.faults.injection import Faults
from localaws.iam.guard import permissions
from localaws.logfilters import service as logfilters
from localaws.plane import Plane


def install(plane: Plane) -> None:
    """Register the services, pages and guards of the operations side."""
    watchman = Watchman(plane.clock, plane.store, plane.watch, plane.courier)
    plane.gateway.register(cloudwatch.service(plane, watchman))
    plane.gateway.register(logfilters.service(plane))
    targets = Targets(plane.clients, plane.clock)
    bridge = bus.Bridge(plane.clock, plane.store, plane.courier, targets, plane.watch)
    plane.gateway.register(bus.service(bridge))
    schedules = scheduler.Scheduler(plane.clock, plane.store, plane.courier, targets, plane.watch)
    plane.gateway.register(scheduler.service(schedules))
    scaler = Scaler(plane.clock, plane.store, plane.clients, plane.courier, plane.watch)
    plane.gateway.register(api.service(scaler))
    watchman.actors["arn:aws:autoscaling:"] = scaler.act
    watchman.actors["arn:aws:sns:"] = notify(plane.clients)
    watchman.start()
    bridge.start()
    schedules.start()
    scaler.start()
    faults = Faults(plane.clock)
    plane.gateway.guards.append(faults.guard)
    plane.gateway.pages["/_localaws/faults"] = faults.page(plane.runner)
    if plane.settings.enforce_iam:
        plane.gateway.guards.append(permissions(plane.clock))
    plane.gateway.pages["/_localaws/clock"] = clock_page(plane.clock)
    page.install(plane)
    plane.closers.append(plane.courier.close)
