"""The operations side of the embedded AWS, wired: clock, alarms, events, schedules, scaling, faults, permissions."""

from localaws.clock_page import clock_page
from localaws.plane import Plane


def install(plane: Plane) -> None:
    """Register the services, pages and guards of the operations side."""
    plane.gateway.pages["/_localaws/clock"] = clock_page(plane.clock)
    plane.closers.append(plane.courier.close)
