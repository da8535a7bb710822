"""The group all schedules of an environment stand in."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.component import Component
from infra.names import Names


@dataclass(frozen=True, slots=True)
class SchedulesArgs:
    names: Names


class Schedules(Component):
    """One schedule group, so that everything timed can be listed and removed together."""

    def __init__(self, args: SchedulesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("schedules", opts)
        self.group = aws.scheduler.ScheduleGroup("schedules", name=args.names.schedules, opts=self.own()).name
        self.finish({"group": self.group})
