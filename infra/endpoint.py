"""What answers requests: models, a content-named configuration, the endpoint, its guards and its scaling.

The content's hash stands in the logical names too: a new configuration is a new resource that starts with the weights
of the release file, never a replacement that would inherit the ignored values of the old one. It is made before the
endpoint moves, and the old one goes last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from contract.release import CHAMPION, Variant
from contract.signals import SAGEMAKER, signal
from infra.alarms import AlarmSpec, declare, watched
from infra.component import Component
from infra.runbooks import Runbooks
from infra.serving import Plan, Scaling, capture, deployment, guard_dimensions, guard_names

# What the traffic controller and autoscaling own once the endpoint lives.
LIVE = ("initialVariantWeight", "initialInstanceCount")
COUNT = "sagemaker:variant:DesiredInstanceCount"


@dataclass(frozen=True, slots=True)
class EndpointArgs:
    plan: Plan
    role_arn: pulumi.Input[str]
    key_arn: pulumi.Input[str]
    capture_bucket: str
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_ids: Sequence[pulumi.Input[str]]
    thresholds: Mapping[str, float]
    topic_arn: pulumi.Input[str]
    ready: Sequence[pulumi.Resource]
    runbooks: Runbooks


class Endpoint(Component):
    """One model's endpoint, exactly as its release says."""

    def __init__(self, args: EndpointArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{args.plan.model}-endpoint", opts)
        self.args = args
        self.plan = args.plan
        self.models: dict[str, aws.sagemaker.Model] = {}
        self.config = self._config(self.plan)
        self.kept = [self._config(each) for each in self.plan.fallbacks]
        self.guards = self._guards()
        self.endpoint = self._endpoint()
        self._scale()
        self.finish({"name": self.endpoint.name})

    def _model(self, plan: Plan, variant: Variant) -> aws.sagemaker.Model:
        """The model behind a variant; configurations that share it share the resource."""
        name = plan.model_name(variant)
        if name not in self.models:
            network: Any = None
            if plan.form.in_network:
                network = {
                    "subnets": list(self.args.subnet_ids),
                    "security_group_ids": list(self.args.security_group_ids),
                }
            container: Any = plan.container(variant)
            self.models[name] = aws.sagemaker.Model(
                f"{plan.model}-{variant.name}-{plan.model_hash(variant)}",
                name=name,
                execution_role_arn=self.args.role_arn,
                primary_container=container,
                enable_network_isolation=plan.form.isolated,
                vpc_config=network,
                opts=self.own(depends_on=list(self.args.ready), delete_before_replace=False),
            )
        return self.models[name]

    def _config(self, plan: Plan) -> aws.sagemaker.EndpointConfiguration:
        release = plan.release
        production: Any = [plan.variant(each, self._model(plan, each).name) for each in release.variants]
        shadow: Any = None
        captured: Any = capture(plan, self.args.capture_bucket, self.args.key_arn)
        owned = [f"productionVariants[*].{each}" for each in LIVE]
        if release.shadow is not None:
            shadow = [plan.variant(release.shadow, self._model(plan, release.shadow).name)]
            owned += [f"shadowProductionVariants[*].{each}" for each in LIVE]
        return aws.sagemaker.EndpointConfiguration(
            f"{plan.model}-{plan.config_hash}",
            name=plan.config_name,
            kms_key_arn=None if plan.form.kind == "serverless" else self.args.key_arn,
            production_variants=production,
            shadow_production_variants=shadow,
            data_capture_config=captured,
            async_inference_config=self._asynchronous(),
            opts=self.own(ignore_changes=owned, delete_before_replace=False),
        )

    def _asynchronous(self) -> Any:
        if self.plan.form.kind != "async":
            return None
        place = f"s3://{self.args.capture_bucket}/async/{self.plan.names.endpoint(self.plan.model)}"
        return {
            "client_config": {"max_concurrent_invocations_per_instance": self.plan.form.concurrency},
            "output_config": {
                "s3_output_path": f"{place}/answers",
                "s3_failure_path": f"{place}/failures",
                "kms_key_id": self.args.key_arn,
                "notification_config": {"error_topic": self.args.topic_arn},
            },
        }

    def _guards(self) -> list[aws.cloudwatch.MetricAlarm]:
        """Alarms on the new configuration alone, so that the old fleet's errors do not roll the new one back."""
        endpoint = self.plan.names.endpoint(self.plan.model)
        guards = []
        rollout = self.plan.release.rollout
        for key, name in zip(rollout.alarms, guard_names(self.plan.names, self.plan.model, rollout), strict=True):
            given = signal(key)
            dimensions = guard_dimensions(endpoint, self.config.name)
            spec = AlarmSpec(name, given, watched(given, self.args.thresholds), dimensions, self.args.runbooks)
            label = name.removeprefix(f"{self.plan.names.of()}-")
            guards.append(declare(label, spec, [], self.own()))
        return guards

    def _endpoint(self) -> aws.sagemaker.Endpoint:
        return aws.sagemaker.Endpoint(
            self.plan.model,
            name=self.plan.names.endpoint(self.plan.model),
            endpoint_config_name=self.config.name,
            deployment_config=self._deployment(),
            opts=self.own(depends_on=self.guards),
        )

    def _deployment(self) -> Any:
        """Blue/green; serverless endpoints take none."""
        if self.plan.form.kind == "serverless":
            return None
        return deployment(self.plan.release.rollout, [each.name for each in self.guards])

    def _scale(self) -> None:
        scaling = self.plan.form.scaling
        if scaling is None or self.plan.form.kind == "serverless":
            return
        target = self._target(scaling)
        self._follow_load(target, scaling)
        self._follow_clock(target, scaling)

    def _target(self, scaling: Scaling) -> aws.appautoscaling.Target:
        """Made after the endpoint and removed before it: AWS refuses either the other way round."""
        return aws.appautoscaling.Target(
            self.plan.model,
            service_namespace="sagemaker",
            scalable_dimension=COUNT,
            resource_id=f"endpoint/{self.plan.names.endpoint(self.plan.model)}/variant/{CHAMPION}",
            min_capacity=scaling.least,
            max_capacity=scaling.most,
            opts=self.own(depends_on=[self.endpoint]),
        )

    def _follow_load(self, target: aws.appautoscaling.Target, scaling: Scaling) -> None:
        aws.appautoscaling.Policy(
            self.plan.model,
            name=self.plan.names.of(self.plan.model, "load"),
            policy_type="TargetTrackingScaling",
            service_namespace=target.service_namespace,
            scalable_dimension=target.scalable_dimension,
            resource_id=target.resource_id,
            target_tracking_scaling_policy_configuration=self._load(scaling),
            opts=self.own(),
        )

    def _load(self, scaling: Scaling) -> Any:
        common = {"target_value": scaling.requests_per_instance, "scale_in_cooldown": 300, "scale_out_cooldown": 60}
        if self.plan.form.kind == "async":
            backlog = {
                "namespace": SAGEMAKER,
                "metric_name": "ApproximateBacklogSizePerInstance",
                "statistic": "Average",
                "dimensions": [{"name": "EndpointName", "value": self.plan.names.endpoint(self.plan.model)}],
            }
            return common | {"customized_metric_specification": backlog}
        kind = {"predefined_metric_type": "SageMakerVariantInvocationsPerInstance"}
        return common | {"predefined_metric_specification": kind}

    def _follow_clock(self, target: aws.appautoscaling.Target, scaling: Scaling) -> None:
        for name, each in scaling.schedule.items():
            aws.appautoscaling.ScheduledAction(
                f"{self.plan.model}-{name}",
                name=self.plan.names.of(self.plan.model, name),
                service_namespace=target.service_namespace,
                scalable_dimension=target.scalable_dimension,
                resource_id=target.resource_id,
                schedule=each.at,
                scalable_target_action={"min_capacity": each.least, "max_capacity": each.most},
                opts=self.own(),
            )
