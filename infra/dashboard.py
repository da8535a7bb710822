"""What people look at: a CloudWatch dashboard per model, drawn from the table of signals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from contract.signals import EXPERIMENT, FEATURE, PIPELINES, SLICE, TABLE, VARIANT, Signal
from infra.component import Component
from infra.names import Names

WIDTH, HEIGHT, PER_ROW = 8, 6, 3


@dataclass(frozen=True, slots=True)
class DashboardArgs:
    names: Names
    model: str
    variants: Sequence[str]
    experiment: str | None


def metrics(given: Signal, args: DashboardArgs) -> list[list[Any]]:
    """The lines of one graph: one per variant, or the only one there is."""
    endpoint = ["EndpointName", args.names.endpoint(args.model)]
    style = {"stat": given.statistic}
    if given.namespace == PIPELINES:
        return [[given.namespace, given.name, "PipelineName", args.names.training_pipeline(args.model), style]]
    if given.dimensions == VARIANT:
        return [[given.namespace, given.name, *endpoint, "VariantName", each, style] for each in args.variants]
    if given.dimensions == EXPERIMENT:
        experiment = [given.namespace, given.name, *endpoint, "Experiment", args.experiment, style]
        return [experiment] if args.experiment else []
    return [[given.namespace, given.name, *endpoint, style]]


def widgets(args: DashboardArgs) -> Iterator[dict[str, Any]]:
    """A graph per signal, three in a row, its threshold drawn in."""
    drawn = [each for each in TABLE if each.dimensions not in (FEATURE, SLICE) and metrics(each, args)]
    for number, each in enumerate(drawn):
        properties: dict[str, Any] = {
            "title": each.says.rstrip("."),
            "region": args.names.region,
            "metrics": metrics(each, args),
            "period": each.watch.period_seconds if each.watch else 300,
            "view": "timeSeries",
        }
        if each.watch:
            properties["annotations"] = {"horizontal": [{"label": each.key, "value": each.watch.threshold}]}
        row, column = divmod(number, PER_ROW)
        yield {
            "type": "metric",
            "x": column * WIDTH,
            "y": row * HEIGHT,
            "width": WIDTH,
            "height": HEIGHT,
            "properties": properties,
        }


class Dashboard(Component):
    """One model's dashboard."""

    def __init__(self, args: DashboardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{args.model}-dashboard", opts)
        aws.cloudwatch.Dashboard(
            args.model,
            dashboard_name=args.names.dashboard(args.model),
            dashboard_body=self.json({"widgets": list(widgets(args))}),
            opts=self.own(),
        )
        self.finish({})
