"""When people are told: alarms built from the table of signals, grouped so that one trouble tells once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from contract.signals import EXPERIMENT, OURS, PIPELINES, SLICE, TABLE, VARIANT, Signal, Watch, signal
from infra.component import Component
from infra.names import Names
from infra.runbooks import Runbooks

# What belongs together: (name, meaning, signals).
GROUPS = (
    (
        "unhealthy",
        "The endpoint fails, is slow, is full or is silent",
        ("errors", "latency", "saturation", "no_traffic"),
    ),
    ("wrong", "The model may be wrong", ("drift", "prediction_drift", "data_quality", "quality_loss")),
)
# A container's processor use is not published for serverless endpoints; a monitor's signals need a monitor.
INSTANCE_SIGNALS = ("saturation",)


@dataclass(frozen=True, slots=True)
class AlarmSpec:
    """One alarm: a signal, on which dimensions, judged how."""

    name: str
    signal: Signal
    watch: Watch
    dimensions: Mapping[str, pulumi.Input[str]]
    runbooks: Runbooks

    @property
    def description(self) -> str:
        return self.runbooks.behind(self.signal.alarm_means, [self.signal])


@dataclass(frozen=True, slots=True)
class AlarmsArgs:
    names: Names
    model: str
    variants: Sequence[str]
    experiment: str | None
    monitored: bool
    has_instances: bool
    thresholds: Mapping[str, float]
    silent: Sequence[str]
    topic_arn: pulumi.Input[str]
    runbooks: Runbooks


def watched(given: Signal, thresholds: Mapping[str, float]) -> Watch:
    """How the table judges a signal, with the model's own threshold where it has one."""
    if given.watch is None:
        raise ValueError(f"signal '{given.key}' is not watched: contract/signals.py gives it no watch")
    watch = given.watch
    threshold = thresholds.get(given.key, watch.threshold)
    return Watch(
        watch.comparison, threshold, watch.period_seconds, watch.periods, watch.breaching_periods, watch.missing
    )


def specs(args: AlarmsArgs) -> Iterator[AlarmSpec]:
    """The alarms a model needs, given what serves it and whether it is monitored."""
    endpoint = args.names.endpoint(args.model)
    for each in TABLE:
        if each.watch is None or each.key in args.silent:
            continue
        if each.namespace == OURS and not args.monitored:
            continue
        if each.key in INSTANCE_SIGNALS and not args.has_instances:
            continue
        for variant, dimensions in places(each, args, endpoint):
            name = args.names.alarm(args.model, each.key, variant)
            yield AlarmSpec(name, each, watched(each, args.thresholds), dimensions, args.runbooks)


def places(
    each: Signal, args: AlarmsArgs, endpoint: str
) -> Iterator[tuple[str | None, Mapping[str, pulumi.Input[str]]]]:
    """On which dimensions a signal is watched: per variant, per experiment, per endpoint or per pipeline."""
    if each.namespace == PIPELINES:
        yield None, {"PipelineName": args.names.training_pipeline(args.model)}
    elif not args.variants:
        return
    elif each.dimensions == SLICE:
        return  # declared as the guards of a rollout, beside the endpoint
    elif each.dimensions == VARIANT:
        for variant in args.variants:
            yield variant, {"EndpointName": endpoint, "VariantName": variant}
    elif each.dimensions == EXPERIMENT:
        if args.experiment is not None:
            yield None, {"EndpointName": endpoint, "Experiment": args.experiment}
    else:
        yield None, {"EndpointName": endpoint}


def declare(
    label: str,
    spec: AlarmSpec,
    actions: Sequence[pulumi.Input[str]],
    opts: pulumi.ResourceOptions,
) -> aws.cloudwatch.MetricAlarm:
    """One alarm as a resource; percentiles go by their own argument."""
    statistic: dict[str, Any] = (
        {"extended_statistic": spec.signal.statistic}
        if spec.signal.statistic.startswith("p")
        else {"statistic": spec.signal.statistic}
    )
    return aws.cloudwatch.MetricAlarm(
        label,
        name=spec.name,
        alarm_description=spec.description,
        namespace=spec.signal.namespace,
        metric_name=spec.signal.name,
        dimensions=spec.dimensions,
        comparison_operator=spec.watch.comparison,
        threshold=spec.watch.threshold,
        period=spec.watch.period_seconds,
        evaluation_periods=spec.watch.periods,
        datapoints_to_alarm=spec.watch.breaching_periods,
        treat_missing_data=spec.watch.missing,
        alarm_actions=list(actions),
        ok_actions=list(actions),
        opts=opts,
        **statistic,
    )


class Alarms(Component):
    """One model's alarms, and the groups that tell people."""

    def __init__(self, args: AlarmsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{args.model}-alarms", opts)
        self.args = args
        self.specs = list(specs(args))
        self.alarms = {spec.name: self._alarm(spec) for spec in self.specs}
        self._groups()
        self.finish({})

    def named(self, key: str) -> list[str]:
        """The alarms on a signal."""
        return [spec.name for spec in self.specs if spec.signal.key == key]

    def _alarm(self, spec: AlarmSpec) -> aws.cloudwatch.MetricAlarm:
        grouped = any(spec.signal.key in keys for _, _, keys in GROUPS)
        label = spec.name.removeprefix(f"{self.args.names.of()}-")
        # A group refuses to lose a member it still names: the group changes first, the member goes after.
        opts = self.own(delete_before_replace=False)
        return declare(label, spec, [] if grouped else [self.args.topic_arn], opts)

    def _groups(self) -> None:
        for name, meaning, keys in GROUPS:
            members = [each for each in self.specs if each.signal.key in keys]
            if members:
                self._group(name, meaning, sorted(members, key=lambda each: keys.index(each.signal.key)))

    def _group(self, name: str, meaning: str, members: Sequence[AlarmSpec]) -> None:
        rule = " OR ".join(f'ALARM("{member.name}")' for member in members)
        told = f"{meaning}. Open the dashboard {self.args.names.dashboard(self.args.model)}."
        aws.cloudwatch.CompositeAlarm(
            f"{self.args.model}-{name}",
            alarm_name=self.args.names.alarm(self.args.model, name),
            alarm_description=self.args.runbooks.behind(told, [member.signal for member in members]),
            alarm_rule=rule,
            alarm_actions=[self.args.topic_arn],
            ok_actions=[self.args.topic_arn],
            opts=self.own(depends_on=[self.alarms[member.name] for member in members]),
        )


__all__ = ["AlarmSpec", "Alarms", "AlarmsArgs", "declare", "signal", "specs", "watched"]
