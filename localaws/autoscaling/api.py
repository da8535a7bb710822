"""Application Auto Scaling's API: targets, policies with their alarms, scheduled actions, activities, tags."""

import uuid
from collections.abc import Mapping
from typing import Any

from localaws import resources
from localaws.autoscaling.capacity import PREDEFINED, CapacityError, dimension, dimensions_of
from localaws.autoscaling.scaler import ACTION, ACTIVITIES, POLICY, TARGET, Scaler, key_of
from localaws.errors import AwsError, ValidationException
from localaws.events.recurrence import Recurrence, RecurrenceError
from localaws.gateway import Operation, Request, Service
from localaws.store import Body, Resource

LOW_SHARE = 0.9  # a target-tracking policy scales in below this share of its target
HIGH_PERIODS, LOW_PERIODS = 3, 15


def service(scaler: Scaler) -> Service:
    api = _Api(scaler)
    operations: dict[str, Operation] = {
        "RegisterScalableTarget": api.register,
        "DeregisterScalableTarget": api.deregister,
        "DescribeScalableTargets": lambda request: api.listing(request, TARGET, "ResourceIds", "ResourceId"),
        "PutScalingPolicy": api.put_policy,
        "DeleteScalingPolicy": api.delete_policy,
        "DescribeScalingPolicies": lambda request: api.listing(request, POLICY, "PolicyNames", "PolicyName"),
        "PutScheduledAction": api.put_action,
        "DeleteScheduledAction": api.delete_action,
        "DescribeScheduledActions": lambda request: api.listing(
            request, ACTION, "ScheduledActionNames", "ScheduledActionName"
        ),
        "DescribeScalingActivities": api.activities,
        "TagResource": api.tag,
        "UntagResource": api.untag,
        "ListTagsForResource": api.tags,
    }
    return Service("application-autoscaling", operations, complete=True)


def missing(message: str) -> AwsError:
    return AwsError(message, code="ObjectNotFoundException")


class _Api:
    """The operations, over the targets, policies and actions that the store keeps."""

    def __init__(self, scaler: Scaler) -> None:
        self.scaler = scaler

    # -- targets ----------------------------------------------------------------------------------------------------

    def register(self, request: Request) -> dict[str, Any]:
        params, scope, now = request.params, request.scope, self.scaler.clock.now()
        key = key_of(params)
        old = scope.get(TARGET, key)
        body = (old.body if old else {}) | resources.without(params, "Tags")
        for member in ("MinCapacity", "MaxCapacity"):
            if member not in body:
                raise ValidationException(
                    f"{member} is required when a scalable target is registered for the first time."
                )
        if body["MinCapacity"] > body["MaxCapacity"]:
            raise ValidationException(
                f"Maximum capacity cannot be less than minimum capacity: {body['MaxCapacity']} < {body['MinCapacity']}"
            )
        if old:
            row = scope.update(TARGET, key, body)
        else:
            self._check_resource(request)
            body |= {
                "ScalableTargetARN": scope.arn(f"scalable-target/{uuid.uuid4().hex[:26]}", "application-autoscaling"),
                "CreationTime": now,
                "RoleARN": _role(request.account, params),
                "SuspendedState": {
                    "DynamicScalingInSuspended": False,
                    "DynamicScalingOutSuspended": False,
                    "ScheduledScalingSuspended": False,
                }
                | params.get("SuspendedState", {}),
            }
            row = scope.add(TARGET, key, body["ScalableTargetARN"], body, created=now, tags=params.get("Tags", {}))
        cause = f"capacity bounds {body['MinCapacity']} to {body['MaxCapacity']} were registered"
        self.scaler.keep_within_bounds(scope, row.body, cause)
        return {"ScalableTargetARN": row.arn}

    def _check_resource(self, request: Request) -> None:
        """A SageMaker resource must be there; other services' targets are kept, and nothing here acts on them."""
        params = request.params
        if params["ServiceNamespace"] != "sagemaker":
            return
        try:
            dimension(
                self.scaler.clients,
                request.account,
                request.region,
                resource=params["ResourceId"],
                scalable=params["ScalableDimension"],
            ).current()
        except CapacityError as error:
            raise ValidationException(str(error)) from error
        except Exception as error:
            raise ValidationException(f"{params['ResourceId']} cannot be scaled: {error}") from error

    def deregister(self, request: Request) -> dict[str, Any]:
        scope, key = request.scope, key_of(request.params)
        self._target(request)
        for kind in (POLICY, ACTION):
            for row in scope.all(kind):
                if key_of(row.body) == key:
                    self._drop(request, row)
        scope.remove(TARGET, key)
        return {}

    def _target(self, request: Request) -> Resource:
        params = request.params
        row = request.scope.get(TARGET, key_of(params))
        if row is None:
            raise missing(
                f"No scalable target registered for service namespace: {params['ServiceNamespace']}, resource ID: "
                f"{params['ResourceId']}, scalable dimension: {params['ScalableDimension']}"
            )
        return row

    def listing(self, request: Request, kind: str, names: str, name: str) -> dict[str, Any]:
        params = request.params

        def wanted(body: Body) -> bool:
            same = ("ServiceNamespace", "ResourceId", "ScalableDimension")
            return all(params.get(member, body[member]) == body[member] for member in same) and (
                not params.get(names) or body[name] in params[names]
            )

        return resources.page([row.body for row in request.scope.all(kind) if wanted(row.body)], request, size=50)

    # -- policies ---------------------------------------------------------------------------------------------------

    def put_policy(self, request: Request) -> dict[str, Any]:
        params, scope, now = request.params, request.scope, self.scaler.clock.now()
        self._target(request)
        key = f"{key_of(params)}|{params['PolicyName']}"
        old = scope.get(POLICY, key)
        body = (old.body if old else {}) | params
        body.setdefault("PolicyType", "StepScaling")
        _check_policy(body)
        if old is None:
            where = f"resource/{params['ServiceNamespace']}/{params['ResourceId']}:policyName/{params['PolicyName']}"
            arn = scope.arn(f"scalingPolicy:{uuid.uuid4()}:{where}", "autoscaling")
            body |= {"PolicyARN": arn, "CreationTime": now, "Alarms": []}
        else:
            self._drop_alarms(request, old.body)
        if body["PolicyType"] == "TargetTrackingScaling":
            body["Alarms"] = self._put_alarms(request, body)
        if old is None:
            scope.add(POLICY, key, body["PolicyARN"], body, created=now)
        else:
            scope.update(POLICY, key, lambda _: body)
        return {"PolicyARN": body["PolicyARN"], "Alarms": body["Alarms"]}

    def _put_alarms(self, request: Request, policy: Body) -> list[dict[str, str]]:
        """The two alarms through which a target-tracking policy works, visible like any other."""
        tracking = policy["TargetTrackingScalingPolicyConfiguration"]
        cloudwatch = self.scaler.clients.get("cloudwatch", request.account, request.region)
        kinds = [("AlarmHigh", "GreaterThanThreshold", tracking["TargetValue"], HIGH_PERIODS)]
        if not tracking.get("DisableScaleIn"):
            kinds.append(("AlarmLow", "LessThanThreshold", tracking["TargetValue"] * LOW_SHARE, LOW_PERIODS))
        made = []
        for kind, comparison, threshold, periods in kinds:
            name = f"TargetTracking-{policy['ResourceId']}-{kind}-{uuid.uuid4()}"
            cloudwatch.put_metric_alarm(
                AlarmName=name,
                AlarmDescription=f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy['PolicyARN']}.",
                AlarmActions=[policy["PolicyARN"]],
                ComparisonOperator=comparison,
                Threshold=threshold,
                EvaluationPeriods=periods,
                **_measured_metric(policy),
            )
            made.append({"AlarmName": name, "AlarmARN": request.scope.arn(f"alarm:{name}", "cloudwatch")})
        return made

    def delete_policy(self, request: Request) -> dict[str, Any]:
        params = request.params
        row = request.scope.get(POLICY, f"{key_of(params)}|{params['PolicyName']}")
        if row is None:
            raise missing(
                f"No scaling policy found for resource ID: {params['ResourceId']}, name: {params['PolicyName']}"
            )
        self._drop(request, row)
        return {}

    def _drop(self, request: Request, row: Resource) -> None:
        if row.kind == POLICY:
            self._drop_alarms(request, row.body)
        self.scaler.agenda.drop(row.arn)
        request.scope.remove(row.kind, row.name)

    def _drop_alarms(self, request: Request, policy: Body) -> None:
        cloudwatch = self.scaler.clients.get("cloudwatch", request.account, request.region)
        for alarm in policy.get("Alarms", []):
            try:
                cloudwatch.delete_alarms(AlarmNames=[alarm["AlarmName"]])
            except cloudwatch.exceptions.ClientError:
                continue  # somebody deleted it already

    # -- scheduled actions ------------------------------------------------------------------------------------------

    def put_action(self, request: Request) -> dict[str, Any]:
        params, scope, now = request.params, request.scope, self.scaler.clock.now()
        self._target(request)
        key = f"{key_of(params)}|{params['ScheduledActionName']}"
        old = scope.get(ACTION, key)
        body = (old.body if old else {}) | params
        if "Schedule" not in body:
            raise ValidationException("Schedule is required when a scheduled action is put for the first time.")
        try:
            Recurrence(body["Schedule"], now, body.get("Timezone", "UTC"), body.get("StartTime"), body.get("EndTime"))
        except RecurrenceError as error:
            raise ValidationException(str(error)) from error
        if old is None:
            where = f"resource/{params['ServiceNamespace']}/{params['ResourceId']}"
            name = f"scheduledActionName/{params['ScheduledActionName']}"
            arn = scope.arn(f"scheduledAction:{uuid.uuid4()}:{where}:{name}", "autoscaling")
            row = scope.add(ACTION, key, arn, {**body, "ScheduledActionARN": arn, "CreationTime": now}, created=now)
        else:
            row = scope.update(ACTION, key, body)
        self.scaler.plan(scope, row)
        return {}

    def delete_action(self, request: Request) -> dict[str, Any]:
        params = request.params
        row = request.scope.get(ACTION, f"{key_of(params)}|{params['ScheduledActionName']}")
        if row is None:
            raise missing(f"No scheduled action found: {params['ScheduledActionName']} of {params['ResourceId']}")
        self._drop(request, row)
        return {}

    # -- activities and tags ----------------------------------------------------------------------------------------

    def activities(self, request: Request) -> dict[str, Any]:
        params = request.params
        items = [item for row in request.scope.all(ACTIVITIES) for item in row.body["Items"]]
        same = ("ServiceNamespace", "ResourceId", "ScalableDimension")
        shown = [item for item in items if all(params.get(member, item[member]) == item[member] for member in same)]
        shown.sort(key=lambda item: item["StartTime"], reverse=True)
        return resources.page(shown, request, size=50)

    def tag(self, request: Request) -> dict[str, Any]:
        request.scope.tag(_tagged(request), request.params["Tags"])
        return {}

    def untag(self, request: Request) -> dict[str, Any]:
        request.scope.untag(_tagged(request), request.params["TagKeys"])
        return {}

    def tags(self, request: Request) -> dict[str, Any]:
        return {"Tags": request.scope.tags(_tagged(request))}


def _tagged(request: Request) -> str:
    arn = request.params["ResourceARN"]
    if request.store.by_arn(arn) is None:
        raise AwsError(f"The specified resource doesn't exist: {arn}", code="ResourceNotFoundException")
    return arn


def _role(account: str, params: Mapping[str, Any]) -> str:
    kind = "SageMakerEndpoint" if params["ServiceNamespace"] == "sagemaker" else params["ServiceNamespace"]
    name = f"AWSServiceRoleForApplicationAutoScaling_{kind}"
    path = "aws-service-role/sagemaker.application-autoscaling.amazonaws.com"
    return params.get("RoleARN", f"arn:aws:iam::{account}:role/{path}/{name}")


def _measured_metric(policy: Body) -> dict[str, Any]:
    """The metric members of a target-tracking alarm."""
    tracking = policy["TargetTrackingScalingPolicyConfiguration"]
    custom = tracking.get("CustomizedMetricSpecification")
    if custom and "Metrics" in custom:
        return {"Metrics": [_with_period(found) for found in custom["Metrics"]]}
    if custom:
        unit = {"Unit": custom["Unit"]} if "Unit" in custom else {}
        members = {name: custom[name] for name in ("MetricName", "Namespace", "Statistic")}
        return {**members, "Dimensions": custom.get("Dimensions", []), "Period": 60, **unit}
    name, statistic, namespace, period = PREDEFINED[tracking["PredefinedMetricSpecification"]["PredefinedMetricType"]]
    dimensions = dimensions_of(policy["ResourceId"])
    return {
        "MetricName": name,
        "Statistic": statistic,
        "Namespace": namespace,
        "Period": period,
        "Dimensions": dimensions,
    }


def _with_period(found: dict[str, Any]) -> dict[str, Any]:
    if "MetricStat" not in found:
        return found
    return {**found, "MetricStat": {"Period": 60, **found["MetricStat"]}}


def _check_policy(body: Body) -> None:
    if body["PolicyType"] == "PredictiveScaling":
        raise ValidationException(
            "Predictive scaling is not built in the embedded AWS: it needs weeks of load to learn from."
        )
    if body["PolicyType"] == "StepScaling":
        found = body.get("StepScalingPolicyConfiguration")
        if not found or not found.get("StepAdjustments"):
            raise ValidationException(
                "StepScalingPolicyConfiguration with StepAdjustments is required for StepScaling."
            )
        return
    tracking = body.get("TargetTrackingScalingPolicyConfiguration")
    if not tracking:
        raise ValidationException("TargetTrackingScalingPolicyConfiguration is required for TargetTrackingScaling.")
    ways = {"PredefinedMetricSpecification", "CustomizedMetricSpecification"} & tracking.keys()
    if len(ways) != 1:
        raise ValidationException(
            "Exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification must be specified."
        )
    kind = tracking.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    if kind and kind not in PREDEFINED:
        raise ValidationException(
            f"The metric {kind} is not built in the embedded AWS; there are {', '.join(PREDEFINED)}."
        )
    if tracking["TargetValue"] <= 0:
        raise ValidationException(f"TargetValue must be above 0, and it is {tracking['TargetValue']}.")
