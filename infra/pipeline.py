"""How a model comes to be registered: the pipelines that train or take over one, and what starts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from contract.signals import HOUR, PIPELINES, signal
from infra import definitions
from infra.component import Component
from infra.names import Names
from infra.runbooks import Runbooks

COOL_DOWN = "drift"  # the signal whose runbook tells of the cool-down


@dataclass(frozen=True, slots=True)
class PipelineArgs:
    names: Names
    model: str
    training: definitions.Training
    pipeline_role_arn: pulumi.Input[str]
    scheduler_role_arn: pulumi.Input[str]
    events_role_arn: pulumi.Input[str]
    key_arn: pulumi.Input[str]
    schedule_group: pulumi.Input[str]
    schedule: str | None
    retrain_signals: Sequence[str]
    retrain_alarms: Sequence[str]
    retrain_on: Sequence[pulumi.Resource]
    cool_down_hours: int
    ready: Sequence[pulumi.Resource]
    runbooks: Runbooks


class Pipeline(Component):
    """One model's training and promotion pipelines, the schedule, and the rule from alarms to a new run."""

    def __init__(self, args: PipelineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{args.model}-training", opts)
        self.args = args
        self.pipeline = self._training()
        self.promotion = self._promotion()
        self._schedule()
        self._retrain_on_alarm()
        self.finish({"arn": self.pipeline.arn})

    def _training(self) -> aws.sagemaker.Pipeline:
        name = self.args.names.training_pipeline(self.args.model)
        return self._pipeline("train", name, "Trains and registers", definitions.training(self.args.training))

    def _promotion(self) -> aws.sagemaker.Pipeline:
        """What another environment trained is judged on this one's data and registered here."""
        name = self.args.names.promotion_pipeline(self.args.model)
        return self._pipeline("promote", name, "Takes over", definitions.promotion(self.args.training))

    def _pipeline(self, what: str, name: str, does: str, definition: Mapping[str, Any]) -> aws.sagemaker.Pipeline:
        return aws.sagemaker.Pipeline(
            f"{self.args.model}-{what}",
            pipeline_name=name,
            pipeline_display_name=name,
            pipeline_description=f"{does} {self.args.model}",
            pipeline_definition=self.json(definition),
            role_arn=self.args.pipeline_role_arn,
            opts=self.own(depends_on=list(self.args.ready)),
        )

    def _schedule(self) -> None:
        if self.args.schedule is None:
            return
        aws.scheduler.Schedule(
            f"{self.args.model}-train",
            name=self.args.names.of(self.args.model, "train", kind="schedule"),
            group_name=self.args.schedule_group,
            schedule_expression=self.args.schedule,
            kms_key_arn=self.args.key_arn,
            flexible_time_window={"mode": "OFF"},
            target={
                "arn": self.pipeline.arn,
                "role_arn": self.args.scheduler_role_arn,
                "sagemaker_pipeline_parameters": {"pipeline_parameters": started_by("schedule")},
            },
            opts=self.own(),
        )

    def _retrain_on_alarm(self) -> None:
        if not self.args.retrain_alarms:
            return
        name, trigger = self.args.names.of(self.args.model, "retrain"), self._trigger()
        pattern = {
            "source": ["aws.cloudwatch"],
            "detail-type": ["CloudWatch Alarm State Change"],
            "detail": {"alarmName": [trigger], "state": {"value": ["ALARM"]}},
        }
        rule = aws.cloudwatch.EventRule(
            f"{self.args.model}-retrain",
            name=name,
            description=f"Drift or lost quality of {self.args.model} starts its training",
            event_pattern=self.json(pattern),
            opts=self.own(),
        )
        aws.cloudwatch.EventTarget(
            f"{self.args.model}-retrain",
            rule=rule.name,
            target_id="train",
            arn=self.pipeline.arn,
            role_arn=self.args.events_role_arn,
            sagemaker_pipeline_target={"pipeline_parameter_lists": started_by("alarm")},
            opts=self.own(),
        )

    def _trigger(self) -> str:
        """The alarm that stands for "train again": drift or lost quality, but not while a run was started lately.

        Runs of every cause cool it down: what was trained an hour ago need not be trained again. When the cool-down is
        over and an alarm still stands, this fires once more.
        """
        names, model = self.args.names, self.args.model
        resting, trigger = names.alarm(model, "trained_lately"), names.alarm(model, "retrain")
        lately = f"A run of {model} was started in the last {self.args.cool_down_hours} hours"
        rests = f"{lately}: drift or lost quality starts no other."
        again = f"Drift or lost quality of {model}: it is trained again."
        cooling = aws.cloudwatch.MetricAlarm(
            f"{model}-trained-lately",
            name=resting,
            alarm_description=self.args.runbooks.behind(rests, [signal(COOL_DOWN)]),
            namespace=PIPELINES,
            metric_name="ExecutionStarted",
            dimensions={"PipelineName": names.training_pipeline(model)},
            statistic="Sum",
            comparison_operator="GreaterThanOrEqualToThreshold",
            threshold=1,
            period=HOUR,
            evaluation_periods=self.args.cool_down_hours,
            datapoints_to_alarm=1,
            treat_missing_data="notBreaching",
            opts=self.own(),
        )
        any_of = " OR ".join(f'ALARM("{each}")' for each in self.args.retrain_alarms)
        aws.cloudwatch.CompositeAlarm(
            f"{model}-retrain",
            alarm_name=trigger,
            alarm_description=self.args.runbooks.behind(again, [*map(signal, self.args.retrain_signals)]),
            alarm_rule=f'({any_of}) AND NOT ALARM("{resting}")',
            opts=self.own(depends_on=[cooling, *self.args.retrain_on]),
        )
        return trigger


def started_by(what: str) -> Any:
    """A run that no person asked for says so, as its author and as its reason."""
    return [{"name": "Author", "value": what}, {"name": "Reason", "value": what}]
