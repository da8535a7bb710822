"""How people are told: one topic for alarms, one for packages that wait for a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.component import Component
from infra.names import Names


@dataclass(frozen=True, slots=True)
class AlertsArgs:
    names: Names
    key_arn: pulumi.Input[str]
    emails: Sequence[str]
    pager: pulumi.Input[str] | None


class Alerts(Component):
    """Encrypted topics, who listens to them, and the rule that says a package is waiting."""

    def __init__(self, args: AlertsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("alerts", opts)
        self.args = args
        self.policies: list[aws.sns.TopicPolicy] = []
        self.alerts = self._topic("alerts", args.names.alerts)
        self.approvals = self._topic("approvals", args.names.approvals)
        self._listen()
        self._tell_of_waiting_packages()
        self.finish({"alerts": self.alerts.arn, "approvals": self.approvals.arn})

    def _topic(self, label: str, name: str) -> aws.sns.Topic:
        topic = aws.sns.Topic(label, name=name, kms_master_key_id=self.args.key_arn, opts=self.own())
        statements = policies.topic(self.args.names, name)
        text = self.json(policies.document(statements))
        self.policies.append(aws.sns.TopicPolicy(label, arn=topic.arn, policy=text, opts=self.own()))
        return topic

    def _listen(self) -> None:
        for number, email in enumerate(self.args.emails):
            for topic, label in ((self.alerts, "alerts"), (self.approvals, "approvals")):
                aws.sns.TopicSubscription(
                    f"{label}-email-{number}", topic=topic.arn, protocol="email", endpoint=email, opts=self.own()
                )
        if self.args.pager is not None:
            aws.sns.TopicSubscription(
                "pager",
                topic=self.alerts.arn,
                protocol="https",
                endpoint=self.args.pager,
                endpoint_auto_confirms=True,
                opts=self.own(),
            )

    def _tell_of_waiting_packages(self) -> None:
        names = self.args.names
        pattern = {
            "source": ["aws.sagemaker"],
            "detail-type": ["SageMaker Model Package State Change"],
            "detail": {
                "ModelApprovalStatus": ["PendingManualApproval"],
                "ModelPackageGroupName": [{"prefix": f"{names.of()}-"}],
            },
        }
        rule = aws.cloudwatch.EventRule(
            "waiting-package",
            name=names.of("waiting-package"),
            description="A model version waits for approval",
            event_pattern=self.json(pattern),
            opts=self.own(),
        )
        aws.cloudwatch.EventTarget(
            "waiting-package", rule=rule.name, target_id="approvals", arn=self.approvals.arn, opts=self.own()
        )
