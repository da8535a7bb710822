"""The composition root: everything an embedded AWS is made of, wired in one place."""

from __future__ import annotations

from dataclasses import dataclass

from localaws import behind, sagemaker
from localaws.aws import Clients
from localaws.gateway import Gateway
from localaws.plane import Plane, Settings
from localaws.ports import Clock, RunError, Runner, Running, RunSpec, WallClock
from localaws.server import Server
from localaws.store import Store


@dataclass
class App:
    """A running embedded AWS."""

    plane: Plane
    server: Server

    @property
    def url(self) -> str:
        return self.server.url

    def stop(self) -> None:
        """End every process it started, then stop listening."""
        for close in reversed(self.plane.closers):
            close()
        self.server.stop()
        self.plane.store.close()


def start(settings: Settings, *, clock: Clock | None = None, runner: Runner | None = None) -> App:
    """Listen and serve; `clock` and `runner` replace the ones the settings ask for."""
    server = Server(settings.host, settings.port)
    plane = compose(settings, server.url, clock=clock, runner=runner)
    server.start(plane.gateway)
    return App(plane, server)


def compose(settings: Settings, url: str, *, clock: Clock | None = None, runner: Runner | None = None) -> Plane:
    store = Store(settings.state)
    gateway = Gateway(store, behind.remote(settings.behind) if settings.behind else behind.moto())
    if not settings.behind:
        gateway.account_of = behind.moto_account
    plane = Plane(settings, store, clock or WallClock(), runner or NoRunner(), gateway, Clients(url), url)
    gateway.register(sagemaker.service(plane))
    return plane


class NoRunner:
    """Says that nothing can be run."""

    def run(self, spec: RunSpec) -> Running:
        raise RunError(f"Nothing here can run {spec.image}.")
