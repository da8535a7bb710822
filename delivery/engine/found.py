"""Whether something the program declares is already there: by its known name, and under which id it can be adopted.

Only kinds whose creation fails or doubles when the thing exists are here. Everything else is written over by a create
(alarms, policies, rules, dashboards), so an interrupted run leaves nothing to adopt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from delivery.engine.cloud import Cloud

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ByName:
    """Ask one call for one name; being refused means that it is not there."""

    service: str
    call: str
    argument: str
    name: str
    id: Callable[[Values, Mapping[str, Any]], str] | None = None

    def find(self, cloud: Cloud, values: Values) -> str | None:
        name = str(values[self.name])
        ask = getattr(cloud.client(self.service), self.call)
        try:
            answer = ask(**{self.argument: name})
        except ClientError as problem:
            if is_absence(problem):
                return None
            raise
        return self.id(values, answer) if self.id else name


def is_absence(problem: ClientError) -> bool:
    """How AWS says that there is no such thing: many codes, and texts where a code is shared."""
    error = problem.response["Error"]
    code, text = error.get("Code", ""), error.get("Message", "").lower()
    said = ("NotFound", "NoSuch", "404", "NonExist")
    return any(each in code for each in said) or any(
        each in text for each in ("could not find", "does not exist", "not found", "cannot find")
    )


def key(cloud: Cloud, values: Values) -> str | None:
    """A key has no name: ours is known by its description, and not on its way out."""
    client = cloud.client("kms")
    for page in client.get_paginator("list_keys").paginate():
        for each in page["Keys"]:
            found = client.describe_key(KeyId=each["KeyId"])["KeyMetadata"]
            if found["Description"] == values["description"] and found["KeyState"] == "Enabled":
                return str(each["KeyId"])
    return None


@dataclass(frozen=True, slots=True)
class Listed:
    """Look through all there are: what is ours carries the name we gave it."""

    service: str
    call: str
    member: str
    name: str
    id: str

    def find(self, cloud: Cloud, values: Values) -> str | None:
        pages = cloud.client(self.service).get_paginator(self.call).paginate()
        ours = (each for page in pages for each in page[self.member] if each[self.name] == values["name"])
        return next((str(each[self.id]) for each in ours), None)


def log_group(cloud: Cloud, values: Values) -> str | None:
    found = cloud.client("logs").describe_log_groups(logGroupNamePrefix=values["name"])["logGroups"]
    return next((str(each["logGroupName"]) for each in found if each["logGroupName"] == values["name"]), None)


def policy(cloud: Cloud, values: Values) -> str | None:
    arn = f"arn:aws:iam::{cloud.account}:policy/{values['name']}"
    return ByName("iam", "get_policy", "PolicyArn", "arn").find(cloud, {"arn": arn})


def identity_provider(cloud: Cloud, values: Values) -> str | None:
    host = str(values["url"]).removeprefix("https://")
    arn = f"arn:aws:iam::{cloud.account}:oidc-provider/{host}"
    return ByName("iam", "get_open_id_connect_provider", "OpenIDConnectProviderArn", "arn").find(cloud, {"arn": arn})


def schedule(cloud: Cloud, values: Values) -> str | None:
    try:
        cloud.client("scheduler").get_schedule(Name=values["name"], GroupName=values["group_name"])
    except ClientError as problem:
        if is_absence(problem):
            return None
        raise
    return f"{values['group_name']}/{values['name']}"


def trail(cloud: Cloud, values: Values) -> str | None:
    found = cloud.client("cloudtrail").describe_trails(trailNameList=[values["name"]])["trailList"]
    return str(found[0]["TrailARN"]) if found else None


def budget(cloud: Cloud, values: Values) -> str | None:
    try:
        cloud.client("budgets").describe_budget(AccountId=cloud.account, BudgetName=values["name"])
    except ClientError as problem:
        if is_absence(problem):
            return None
        raise
    return f"{cloud.account}:{values['name']}"


def budget_action(cloud: Cloud, values: Values) -> str | None:
    """Actions have ids of their own; a budget of ours has one of a kind."""
    name = values["budget_name"]
    asked = cloud.client("budgets").get_paginator("describe_budget_actions_for_budget")
    try:
        pages = list(asked.paginate(AccountId=cloud.account, BudgetName=name))
    except ClientError as problem:
        if is_absence(problem):
            return None
        raise
    actions = [each for page in pages for each in page["Actions"] if each["ActionType"] == values["action_type"]]
    return f"{cloud.account}:{actions[0]['ActionId']}:{name}" if actions else None


def association(cloud: Cloud, values: Values) -> str | None:
    """A subnet's table; where either is not made yet, nothing joins them."""
    subnet, table = values.get("subnet_id"), values.get("route_table_id")
    if subnet is None or table is None:
        return None
    joined = [{"Name": "association.subnet-id", "Values": [subnet]}]
    found = cloud.client("ec2").describe_route_tables(RouteTableIds=[table], Filters=joined)["RouteTables"]
    return f"{subnet}/{table}" if found else None


def repository(cloud: Cloud, values: Values) -> str | None:
    try:
        cloud.client("ecr").describe_repositories(repositoryNames=[values["name"]])
    except ClientError as problem:
        if is_absence(problem):
            return None
        raise
    return str(values["name"])


@dataclass(frozen=True, slots=True)
class Tagged:
    """Things of EC2 have no names of their own: ours carry a Name tag that stands once per environment."""

    call: str
    member: str
    id: str

    def find(self, cloud: Cloud, values: Values) -> str | None:
        name = (values.get("tags") or {}).get("Name")
        if name is None:
            return None
        ask = getattr(cloud.client("ec2"), self.call)
        argument = "Filter" if self.call == "describe_flow_logs" else "Filters"
        answer = ask(**{argument: [{"Name": "tag:Name", "Values": [name]}]})
        alive = [each for each in answer[self.member] if each.get("State", "available") not in ("deleted", "deleting")]
        return str(alive[0][self.id]) if alive else None


FINDERS: Mapping[str, Callable[[Cloud, Values], str | None]] = {
    "aws_s3_bucket": ByName("s3", "head_bucket", "Bucket", "bucket").find,
    "aws_kms_key": key,
    "aws_kms_alias": Listed("kms", "list_aliases", "Aliases", "AliasName", "AliasName").find,
    "aws_iam_role": ByName("iam", "get_role", "RoleName", "name").find,
    "aws_iam_policy": policy,
    "aws_iam_openid_connect_provider": identity_provider,
    "aws_ecr_repository": repository,
    "aws_cloudwatch_log_group": log_group,
    "aws_scheduler_schedule_group": ByName("scheduler", "get_schedule_group", "Name", "name").find,
    "aws_scheduler_schedule": schedule,
    "aws_cloudtrail": trail,
    "aws_budgets_budget": budget,
    "aws_budgets_budget_action": budget_action,
    "aws_ce_anomaly_monitor": Listed("ce", "get_anomaly_monitors", "AnomalyMonitors", "MonitorName", "MonitorArn").find,
    "aws_ce_anomaly_subscription": Listed(
        "ce", "get_anomaly_subscriptions", "AnomalySubscriptions", "SubscriptionName", "SubscriptionArn"
    ).find,
    "aws_sagemaker_model": ByName("sagemaker", "describe_model", "ModelName", "name").find,
    "aws_sagemaker_endpoint_configuration": ByName(
        "sagemaker", "describe_endpoint_config", "EndpointConfigName", "name"
    ).find,
    "aws_sagemaker_endpoint": ByName("sagemaker", "describe_endpoint", "EndpointName", "name").find,
    "aws_sagemaker_pipeline": ByName("sagemaker", "describe_pipeline", "PipelineName", "pipeline_name").find,
    "aws_sagemaker_model_package_group": ByName(
        "sagemaker", "describe_model_package_group", "ModelPackageGroupName", "model_package_group_name"
    ).find,
    "aws_sagemaker_feature_group": ByName(
        "sagemaker", "describe_feature_group", "FeatureGroupName", "feature_group_name"
    ).find,
    "aws_sagemaker_mlflow_tracking_server": ByName(
        "sagemaker", "describe_mlflow_tracking_server", "TrackingServerName", "tracking_server_name"
    ).find,
    "aws_vpc": Tagged("describe_vpcs", "Vpcs", "VpcId").find,
    "aws_subnet": Tagged("describe_subnets", "Subnets", "SubnetId").find,
    "aws_route_table": Tagged("describe_route_tables", "RouteTables", "RouteTableId").find,
    "aws_route_table_association": association,
    "aws_security_group": Tagged("describe_security_groups", "SecurityGroups", "GroupId").find,
    "aws_vpc_endpoint": Tagged("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId").find,
    "aws_flow_log": Tagged("describe_flow_logs", "FlowLogs", "FlowLogId").find,
    "aws_vpc_security_group_ingress_rule": Tagged(
        "describe_security_group_rules", "SecurityGroupRules", "SecurityGroupRuleId"
    ).find,
    "aws_vpc_security_group_egress_rule": Tagged(
        "describe_security_group_rules", "SecurityGroupRules", "SecurityGroupRuleId"
    ).find,
}


def strays(cloud: Cloud, prefix: str, known: set[str]) -> Iterator[tuple[str, str]]:
    """Models and configurations of ours that neither the program nor the state knows and no endpoint uses."""
    client = cloud.client("sagemaker")
    used = configs_in_use(client, prefix)
    for page in client.get_paginator("list_endpoint_configs").paginate(NameContains=prefix):
        for each in page["EndpointConfigs"]:
            name = each["EndpointConfigName"]
            if name.startswith(prefix) and name not in known | used:
                yield "endpoint-config", name
    serving = models_of(client, used)
    for page in client.get_paginator("list_models").paginate(NameContains=prefix):
        for each in page["Models"]:
            name = each["ModelName"]
            if name.startswith(prefix) and name not in known | serving:
                yield "model", name


def configs_in_use(client: Any, prefix: str) -> set[str]:
    names = [
        each["EndpointName"]
        for page in client.get_paginator("list_endpoints").paginate(NameContains=prefix)
        for each in page["Endpoints"]
    ]
    return {client.describe_endpoint(EndpointName=name)["EndpointConfigName"] for name in names}


def models_of(client: Any, configs: set[str]) -> set[str]:
    found = set()
    for name in configs:
        config = client.describe_endpoint_config(EndpointConfigName=name)
        variants = [*config["ProductionVariants"], *config.get("ShadowProductionVariants", ())]
        found |= {each["ModelName"] for each in variants}
    return found


def remove(cloud: Cloud, kind: str, name: str) -> None:
    client = cloud.client("sagemaker")
    if kind == "endpoint-config":
        client.delete_endpoint_config(EndpointConfigName=name)
    else:
        client.delete_model(ModelName=name)
