"""How live traffic is judged: our own container, run every window by a schedule through a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra import definitions
from infra.component import Component
from infra.names import Names


@dataclass(frozen=True, slots=True)
class MonitorArgs:
    names: Names
    model: str
    monitor: definitions.Monitor
    schedule: str
    pipeline_role_arn: pulumi.Input[str]
    scheduler_role_arn: pulumi.Input[str]
    key_arn: pulumi.Input[str]
    schedule_group: pulumi.Input[str]
    ready: Sequence[pulumi.Resource]


class Monitor(Component):
    """The monitor pipeline of one endpoint and the schedule that starts it."""

    def __init__(self, args: MonitorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{args.model}-monitor", opts)
        self.args = args
        self.pipeline = self._pipeline()
        self._schedule()
        self.finish({"arn": self.pipeline.arn})

    def _pipeline(self) -> aws.sagemaker.Pipeline:
        name = self.args.names.monitor_pipeline(self.args.model)
        return aws.sagemaker.Pipeline(
            f"{self.args.model}-monitor",
            pipeline_name=name,
            pipeline_display_name=name,
            pipeline_description=f"Judges the traffic of {self.args.model}",
            pipeline_definition=self.json(definitions.monitor(self.args.monitor)),
            role_arn=self.args.pipeline_role_arn,
            opts=self.own(depends_on=list(self.args.ready)),
        )

    def _schedule(self) -> None:
        aws.scheduler.Schedule(
            f"{self.args.model}-monitor",
            name=self.args.names.of(self.args.model, "monitor", kind="schedule"),
            group_name=self.args.schedule_group,
            schedule_expression=self.args.schedule,
            kms_key_arn=self.args.key_arn,
            flexible_time_window={"mode": "OFF"},
            target={
                "arn": self.pipeline.arn,
                "role_arn": self.args.scheduler_role_arn,
                "sagemaker_pipeline_parameters": {"pipeline_parameters": [{"name": "WindowEnd", "value": "now"}]},
            },
            opts=self.own(),
        )
