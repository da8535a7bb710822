"""What an endpoint should look like, from settings and a release, without declaring anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from contract.release import Release
from infra.serving import Form, Plan, Scaling, Scheduled
from stacks.releases import read_releases
from stacks.settings import Settings


def form_of(given: Any, network: str) -> Form:
    """A model's serving settings as the endpoint understands them."""
    scaling = None
    if given.scaling is not None:
        scheduled = {name: Scheduled(each.at, each.least, each.most) for name, each in given.scaling.schedule.items()}
        scaling = Scaling(given.scaling.least, given.scaling.most, given.scaling.requests_per_instance, scheduled)
    return Form(
        kind=given.form,
        instance=given.instance,
        capture_percent=given.capture_percent,
        isolated=given.isolated,
        environment=given.environment,
        scaling=scaling,
        memory_mb=given.memory_mb,
        concurrency=given.concurrency,
        network=network,
    )


def plan_of(settings: Settings, model: str, release: Release) -> Plan:
    """The names and contents behind an endpoint when it serves a release."""
    network = settings.network
    where = network.kind if network.kind != "existing" else ",".join(sorted(network.subnet_ids))
    return Plan(settings.names, model, release, form_of(settings.models[model].serving, where))


def declared_configurations(settings: Settings, root: Path) -> dict[str, str]:
    """The configuration each model's endpoint should serve, as its release says now."""
    releases = read_releases(settings.environment, root)
    return {
        name: plan_of(settings, name, releases.models[name]).config_name
        for name in settings.models
        if name in releases.models
    }
