"""What an auditor and whoever pays ask for: a trail, a budget that acts, an anomaly watch, and features that stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.component import Component
from infra.names import Names


@dataclass(frozen=True, slots=True)
class Budget:
    monthly_usd: float
    stops_training: bool


@dataclass(frozen=True, slots=True)
class FeatureGroup:
    """A table of features; AWS makes a new one for every change, so change is refused."""

    record_id: str
    event_time: str
    features: Mapping[str, str]
    online: bool


@dataclass(frozen=True, slots=True)
class GovernanceArgs:
    names: Names
    key_arn: pulumi.Input[str]
    trail: bool
    log_days: int
    budget: Budget | None
    anomaly_usd: float | None
    feature_groups: Mapping[str, FeatureGroup]
    feature_role_arn: pulumi.Input[str]
    training_role_name: pulumi.Input[str]
    topic_arn: pulumi.Input[str]
    audited_buckets: Sequence[str]
    ready: Sequence[pulumi.Resource]


class Governance(Component):
    """Trail, budget, anomaly watch and feature groups of one environment."""

    def __init__(self, args: GovernanceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("governance", opts)
        self.args = args
        self._trail()
        self._budget()
        self._anomalies()
        self.feature_groups = {name: self._features(name, each) for name, each in args.feature_groups.items()}
        self.finish({})

    def _trail(self) -> None:
        """Who called what, in every region, and every read of captured traffic and evidence."""
        if not self.args.trail:
            return
        names = self.args.names
        group = aws.cloudwatch.LogGroup(
            "trail",
            name=names.log_group("trail"),
            kms_key_id=self.args.key_arn,
            retention_in_days=self.args.log_days,
            opts=self.own(),
        )
        role = aws.iam.Role(
            "trail",
            name=names.of("trail", kind="role"),
            assume_role_policy=self.json(policies.document(policies.trusted_service(names, "cloudtrail"))),
            opts=self.own(),
        )
        aws.iam.RolePolicy(
            "trail",
            role=role.name,
            name="write",
            policy=self.json(policies.document(policies.trail(names))),
            opts=self.own(),
        )
        topic, allowed = self._told_of_deliveries()
        aws.cloudtrail.Trail(
            "trail",
            name=names.of("trail"),
            s3_bucket_name=names.bucket("logs"),
            s3_key_prefix="trail",
            kms_key_id=self.args.key_arn,
            is_multi_region_trail=True,
            include_global_service_events=True,
            enable_log_file_validation=True,
            cloud_watch_logs_group_arn=pulumi.Output.concat(group.arn, ":*"),
            cloud_watch_logs_role_arn=role.arn,
            sns_topic_name=topic.name,
            event_selectors=[
                {
                    "read_write_type": "All",
                    "include_management_events": True,
                    "data_resources": [
                        {
                            "type": "AWS::S3::Object",
                            "values": [f"arn:aws:s3:::{each}/" for each in self.args.audited_buckets],
                        }
                    ],
                }
            ],
            opts=self.own(depends_on=[allowed, *self.args.ready]),
        )

    def _told_of_deliveries(self) -> tuple[aws.sns.Topic, aws.sns.TopicPolicy]:
        """A topic of its own: the trail tells of a file every few minutes, which nobody wants to be woken by."""
        name = self.args.names.of("trail")
        topic = aws.sns.Topic("trail", name=name, kms_master_key_id=self.args.key_arn, opts=self.own())
        statements = policies.topic(self.args.names, name, ("cloudtrail",))
        policy = self.json(policies.document(statements))
        return topic, aws.sns.TopicPolicy("trail", arn=topic.arn, policy=policy, opts=self.own())

    def _budget(self) -> None:
        budget = self.args.budget
        if budget is None:
            return
        declared = aws.budgets.Budget(
            "monthly",
            name=self.args.names.of("monthly"),
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(budget.monthly_usd),
            limit_unit="USD",
            cost_filters=[
                {"name": "TagKeyValue", "values": [f"user:slipway:environment${self.args.names.environment}"]}
            ],
            notifications=[
                {
                    "comparison_operator": "GREATER_THAN",
                    "threshold": percent,
                    "threshold_type": "PERCENTAGE",
                    "notification_type": kind,
                    "subscriber_sns_topic_arns": [self.args.topic_arn],
                }
                for percent, kind in ((80, "ACTUAL"), (100, "FORECASTED"))
            ],
            opts=self.own(),
        )
        if budget.stops_training:
            self._stop_training(declared)

    def _stop_training(self, budget: aws.budgets.Budget) -> None:
        """Over the budget, the training role may start nothing more; what serves goes on."""
        names = self.args.names
        stop = aws.iam.Policy(
            "over-budget",
            name=names.of("over-budget"),
            policy=self.json(policies.document(policies.over_budget(names))),
            opts=self.own(),
        )
        role = aws.iam.Role(
            "budget",
            name=names.of("budget", kind="role"),
            assume_role_policy=self.json(policies.document(policies.trusted_service(names, "budgets"))),
            opts=self.own(),
        )
        aws.iam.RolePolicy(
            "budget",
            role=role.name,
            name="attach",
            policy=self.json(policies.document(policies.budget(names))),
            opts=self.own(),
        )
        aws.budgets.BudgetAction(
            "stop-training",
            budget_name=budget.name,
            action_type="APPLY_IAM_POLICY",
            approval_model="AUTOMATIC",
            notification_type="ACTUAL",
            execution_role_arn=role.arn,
            action_threshold={"action_threshold_type": "PERCENTAGE", "action_threshold_value": 100},
            definition={
                "iam_action_definition": {"policy_arn": stop.arn, "roles": [self.args.training_role_name]},
            },
            subscribers=[{"address": self.args.topic_arn, "subscription_type": "SNS"}],
            opts=self.own(),
        )

    def _anomalies(self) -> None:
        if self.args.anomaly_usd is None:
            return
        names = self.args.names
        monitor = aws.costexplorer.AnomalyMonitor(
            "cost",
            name=names.of("cost"),
            monitor_type="DIMENSIONAL",
            monitor_dimension="SERVICE",
            opts=self.own(),
        )
        aws.costexplorer.AnomalySubscription(
            "cost",
            name=names.of("cost"),
            frequency="IMMEDIATE",
            monitor_arn_lists=[monitor.arn],
            subscribers=[{"type": "SNS", "address": self.args.topic_arn}],
            threshold_expression={
                "dimension": {
                    "key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE",
                    "match_options": ["GREATER_THAN_OR_EQUAL"],
                    "values": [str(self.args.anomaly_usd)],
                }
            },
            opts=self.own(),
        )

    def _features(self, name: str, group: FeatureGroup) -> aws.sagemaker.FeatureGroup:
        """Protected: a changed feature would replace the group and lose what the online store holds."""
        names = self.args.names
        online: Any = {"enable_online_store": True, "security_config": {"kms_key_id": self.args.key_arn}}
        return aws.sagemaker.FeatureGroup(
            name,
            feature_group_name=names.of(name),
            record_identifier_feature_name=group.record_id,
            event_time_feature_name=group.event_time,
            role_arn=self.args.feature_role_arn,
            feature_definitions=[
                {"feature_name": feature, "feature_type": kind} for feature, kind in group.features.items()
            ],
            offline_store_config={
                "s3_storage_config": {
                    "s3_uri": f"s3://{names.bucket('data')}/features",
                    "kms_key_id": self.args.key_arn,
                }
            },
            online_store_config=online if group.online else None,
            opts=self.own(protect=True, depends_on=list(self.args.ready)),
        )
