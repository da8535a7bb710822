"""The composition root: everything an embedded AWS is made of, wired in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from localaws import anomalies, behind, budgets, component_metrics, features, jobs, operations, sagemaker
from localaws.aws import Clients
from localaws.clock import Clock, Mode
from localaws.events.courier import Courier
from localaws.faults.injection import losing
from localaws.faults.processes import Processes
from localaws.gateway import Gateway
from localaws.iam import simulate
from localaws.plane import Plane, Settings
from localaws.ports import Runner
from localaws.runner.local import LocalRunner
from localaws.server import Server
from localaws.store import Store
from localaws.watch import Watch


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
        self.plane.clock.close()
        self.plane.store.close()


def start(settings: Settings, *, clock: Clock | None = None, runner: Runner | None = None) -> App:
    """Listen and serve; `clock` and `runner` replace the ones the settings ask for."""
    server = Server(settings.host, settings.port)
    plane = compose(settings, server.url, clock=clock, runner=runner)
    server.start(losing(plane.gateway))
    return App(plane, server)


def compose(settings: Settings, url: str, *, clock: Clock | None = None, runner: Runner | None = None) -> Plane:
    store = Store(settings.state)
    clock = clock or Clock.from_text(settings.clock)
    closers: list[Callable[[], None]] = []
    application = behind.remote(settings.behind) if settings.behind else behind.moto()
    if not settings.behind and settings.state:
        application, close = behind.remembered(application, settings.state, clock)
        closers.append(close)
    elif not settings.behind:
        application = behind.forgotten(application)
    gateway = Gateway(store, application)
    if not settings.behind:
        gateway.account_of = behind.moto_account
        gateway.register(simulate.service())
    watch, courier = Watch(clock, store), Courier(clock)
    if runner is None:
        runner = local_runner(settings)
        closers.append(runner.close)
    processes = Processes(runner)
    plane = Plane(
        settings,
        store,
        clock,
        processes,
        gateway,
        Clients(url, enforce_iam=settings.enforce_iam),
        url,
        watch,
        courier,
        closers=closers,
    )
    if clock.mode is not Mode.REAL and not settings.behind:
        closers.append(behind.follow(clock))
    gateway.register(sagemaker.service(plane))
    gateway.register(features.runtime(plane))
    gateway.register(component_metrics.service(plane))
    gateway.register(budgets.service(plane))
    gateway.register(anomalies.service(plane))
    gateway.pages["/_localaws/interrupt"] = jobs.interruptions(plane)
    operations.install(plane)
    return plane


def local_runner(settings: Settings) -> LocalRunner:
    return LocalRunner(
        [settings.containers],
        interpreter=Path(settings.interpreter) if settings.interpreter else None,
        backend=settings.backend,
    )
