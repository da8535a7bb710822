"""What an environment costs in a month, floor and ceiling, and what a change makes of it; from the dated table.

Only what is there all the time is counted: instances behind endpoints, doors of the network, keys, alarms, dashboards,
tracking. Runs (training, monitoring, batch), requests, storage and transfer depend on use and are not in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from infra.prices import price

Resource = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Line:
    """One reason to pay: at least and at most, in US dollars a month."""

    what: str
    floor: float
    ceiling: float


@dataclass(frozen=True, slots=True)
class Cost:
    """All lines of one environment."""

    lines: tuple[Line, ...] = ()
    as_of: date | None = None

    @property
    def floor(self) -> float:
        return sum(each.floor for each in self.lines)

    @property
    def ceiling(self) -> float:
        return sum(each.ceiling for each in self.lines)


@dataclass(frozen=True, slots=True)
class Change:
    """Before and after."""

    before: Cost
    after: Cost

    @property
    def text(self) -> str:
        sign = self.after.floor - self.before.floor
        top = self.after.ceiling - self.before.ceiling
        return (
            f"{self.after.floor:,.0f} to {self.after.ceiling:,.0f} USD a month "
            f"({sign:+,.0f} at least, {top:+,.0f} at most; prices of {self.after.as_of})"
        )


# The rules: a Terraform type and what one of it costs ------------------------------------------------


def fixed(item: str) -> float:
    return price("eu-west-1", "other", item).monthly


def monthly(resources: Iterable[Resource], region: str) -> Cost:
    """The cost of resources, as declared or as the state holds them."""
    known = in_use(list(resources))
    targets = [values for kind, values in known if kind == "aws_appautoscaling_target"]
    lines = [line for kind, values in known for line in lines_of(kind, values, targets, region)]
    merged: dict[str, Line] = {}
    for line in lines:
        before = merged.get(line.what, Line(line.what, 0, 0))
        merged[line.what] = Line(line.what, before.floor + line.floor, before.ceiling + line.ceiling)
    return Cost(tuple(sorted(merged.values(), key=lambda each: -each.ceiling)), price(region, "other", "kms-key").as_of)


def in_use(resources: list[Resource]) -> list[Resource]:
    """Without configurations that are only kept to go back to: they cost nothing until an endpoint stands on them."""
    served = " ".join(
        str(each.get("endpoint_config_name")) for kind, each in resources if kind == "aws_sagemaker_endpoint"
    )
    return [
        (kind, each)
        for kind, each in resources
        if kind != "aws_sagemaker_endpoint_configuration" or str(each["name"]).rpartition("-")[2] in served
    ]


def lines_of(kind: str, values: Mapping[str, Any], targets: list[Mapping[str, Any]], region: str) -> Iterator[Line]:
    match kind:
        case "aws_sagemaker_endpoint_configuration":
            for variant in [
                *(values.get("production_variants") or ()),
                *(values.get("shadow_production_variants") or ()),
            ]:
                yield from instances(values, variant, targets, region)
        case "aws_vpc_endpoint" if values.get("vpc_endpoint_type") == "Interface":
            zones = len(values.get("subnet_ids") or ()) or 1
            each = price(region, "other", "interface-endpoint").monthly * zones
            yield Line("interface endpoints", each, each)
        case "aws_kms_key":
            yield Line("keys", fixed("kms-key"), fixed("kms-key"))
        case "aws_cloudwatch_metric_alarm":
            yield Line("alarms", fixed("alarm"), fixed("alarm"))
        case "aws_cloudwatch_composite_alarm":
            yield Line("alarms", fixed("composite-alarm"), fixed("composite-alarm"))
        case "aws_cloudwatch_dashboard":
            yield Line("dashboards", fixed("dashboard"), fixed("dashboard"))
        case "aws_sagemaker_mlflow_tracking_server":
            size = values.get("tracking_server_size") or "Small"
            each = price(region, "other", f"mlflow-{size}").monthly
            yield Line("tracking", each, each)
        case _:
            return


def instances(
    config: Mapping[str, Any], variant: Mapping[str, Any], targets: list[Mapping[str, Any]], region: str
) -> Iterator[Line]:
    """A variant's instances: as many as it starts with, or between the bounds of its scaling."""
    kind = variant.get("instance_type")
    if not kind:
        return
    count = float(variant.get("initial_instance_count") or 1)
    bounds = next((each for each in targets if is_about(each, config, variant)), None)
    least = float(bounds["min_capacity"]) if bounds else count
    most = float(bounds["max_capacity"]) if bounds else count
    hourly = price(region, "endpoint", kind).monthly
    yield Line(f"{config['name']} {variant['variant_name']} on {kind}", hourly * least, hourly * most)


def is_about(target: Mapping[str, Any], config: Mapping[str, Any], variant: Mapping[str, Any]) -> bool:
    """Whether a scaling target is for this variant: configurations are named after their endpoint."""
    _, endpoint, _, name = str(target.get("resource_id", "///")).split("/")
    return name == variant["variant_name"] and str(config["name"]).rpartition("-")[0] == endpoint


# Where resources come from ---------------------------------------------------------------------------


def declared(document: Mapping[str, Any]) -> Iterator[Resource]:
    for kind, each in document.get("resource", {}).items():
        for values in each.values():
            yield kind, values


def held(state: Mapping[str, Any]) -> Iterator[Resource]:
    for each in state.get("resources", ()):
        for instance in each["instances"]:
            yield each["type"], instance["attributes"]
