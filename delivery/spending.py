"""What an environment costs now, by what really runs in it; what an experiment or a canary adds; what nobody uses.

Prices come from the dated table of `infra/prices.csv`. What depends on use (runs, requests, storage, transfer) is not
in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from contract.release import Release, Rollout
from contract.signals import signal
from delivery.engine import cost
from delivery.engine.cost import Cost, Resource
from delivery.environment import Environment
from infra.prices import HOURS_PER_MONTH, price
from stacks.settings import ServingSettings

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Extra:
    """What a move would add: so much a month while it lasts, or so much each time."""

    model: str
    what: str
    usd: float
    per: str


@dataclass(frozen=True, slots=True)
class Spending:
    """What is paid now, and what moves would add."""

    now: Cost
    extras: tuple[Extra, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """An endpoint, how old it is, and how often it was asked since a day."""

    endpoint: str
    made: datetime
    invocations: float
    monthly: float
    released: bool


@dataclass(frozen=True, slots=True)
class Idle:
    """An endpoint that nobody asked for so long, and what it costs a month."""

    endpoint: str
    days: int
    monthly: float
    released: bool


def spending(environment: Environment) -> Spending:
    """Everything that is there all the time, by the cloud's own word."""
    region = environment.settings.region
    releases = environment.releases.read().models
    extras = [
        each
        for model, settings in environment.settings.models.items()
        if model in releases
        for each in extras_of(model, releases[model], settings.serving, region)
    ]
    return Spending(cost.monthly(running(environment), region), tuple(extras))


def extras_of(model: str, release: Release, serving: ServingSettings, region: str) -> Iterator[Extra]:
    """What an experiment adds while it lasts, and what a canary adds each time."""
    if serving.form == "serverless":
        return
    hour = price(region, "endpoint", serving.instance).usd
    challenger = release.challenger
    if challenger is not None:
        now = hour * HOURS_PER_MONTH * challenger.instances
        yield Extra(model, f"experiment '{release.experiment}', running", now, "month")
    else:
        yield Extra(model, "an experiment, one more instance", hour * HOURS_PER_MONTH, "month")
    rollout = Rollout()
    hours = (2 * rollout.bake_seconds + rollout.termination_wait_seconds) / 3600
    fleet = release.champion.instances
    what = f"a canary, {fleet} more instance{'s' if fleet != 1 else ''} for {hours * 60:.0f} minutes"
    yield Extra(model, what, hour * fleet * hours, "time")


# What runs, as the cloud says it, in the words of the provider's types --------------------------------------


def running(environment: Environment) -> list[Resource]:
    return [
        *endpoints(environment),
        *scaling(environment),
        *alarms(environment),
        *fixed(environment),
        *network(environment),
    ]


def endpoints(environment: Environment) -> Iterator[Resource]:
    for endpoint in names(environment):
        live = environment.sagemaker.describe_endpoint(EndpointName=endpoint)
        config = environment.sagemaker.describe_endpoint_config(EndpointConfigName=live["EndpointConfigName"])
        counts = {each["VariantName"]: each for each in live.get("ProductionVariants", ())}
        yield "aws_sagemaker_endpoint", {"endpoint_config_name": live["EndpointConfigName"]}
        yield (
            "aws_sagemaker_endpoint_configuration",
            {
                "name": live["EndpointConfigName"],
                "production_variants": [variant(each, counts) for each in config["ProductionVariants"]],
                "shadow_production_variants": [
                    variant(each, {}) for each in config.get("ShadowProductionVariants", ())
                ],
            },
        )


def variant(config: dict[str, Any], live: dict[str, Any]) -> dict[str, Any]:
    """A variant with the instances it has now."""
    known = live.get(config["VariantName"], {})
    count = known.get("CurrentInstanceCount", config.get("InitialInstanceCount"))
    return {
        "variant_name": config["VariantName"],
        "instance_type": config.get("InstanceType"),
        "initial_instance_count": count,
    }


def names(environment: Environment) -> list[str]:
    """The endpoints of this environment, those that no release names as well."""
    prefix = f"{environment.settings.names.of()}-"
    pages = environment.sagemaker.get_paginator("list_endpoints").paginate(NameContains=prefix)
    return sorted(
        each["EndpointName"] for page in pages for each in page["Endpoints"] if each["EndpointName"].startswith(prefix)
    )


def scaling(environment: Environment) -> Iterator[Resource]:
    pages = (
        environment.client("application-autoscaling")
        .get_paginator("describe_scalable_targets")
        .paginate(ServiceNamespace="sagemaker")
    )
    for each in (target for page in pages for target in page["ScalableTargets"]):
        bounds = {"min_capacity": each["MinCapacity"], "max_capacity": each["MaxCapacity"]}
        yield "aws_appautoscaling_target", {"resource_id": each["ResourceId"], **bounds}


def alarms(environment: Environment) -> Iterator[Resource]:
    cloudwatch = environment.client("cloudwatch")
    prefix = f"{environment.settings.names.of()}-"
    kinds = {"MetricAlarms": "aws_cloudwatch_metric_alarm", "CompositeAlarms": "aws_cloudwatch_composite_alarm"}
    pages = cloudwatch.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix=prefix, AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    for page in pages:
        for answered, kind in kinds.items():
            for each in page.get(answered, ()):
                yield kind, {"name": each["AlarmName"]}
    for page in cloudwatch.get_paginator("list_dashboards").paginate(DashboardNamePrefix=prefix):
        for each in page["DashboardEntries"]:
            yield "aws_cloudwatch_dashboard", {"name": each["DashboardName"]}


def fixed(environment: Environment) -> Iterator[Resource]:
    """Keys, and the tracking server."""
    kms, known = environment.client("kms"), environment.settings.names
    for alias in (known.key_alias, known.evidence_key_alias):
        try:
            kms.describe_key(KeyId=alias)
        except ClientError:
            continue
        yield "aws_kms_key", {"alias": alias}
    if environment.settings.tracking.kind == "server" and environment.outputs.tracking_arn:
        yield "aws_sagemaker_mlflow_tracking_server", {"tracking_server_size": environment.settings.tracking.size}


def network(environment: Environment) -> Iterator[Resource]:
    """The doors of a network of our own."""
    if environment.settings.network.kind != "create":
        return
    wanted = [{"Name": "tag:Name", "Values": [f"{environment.settings.names.of()}*"]}]
    for page in environment.client("ec2").get_paginator("describe_vpc_endpoints").paginate(Filters=wanted):
        for each in page["VpcEndpoints"]:
            kind = {"vpc_endpoint_type": each["VpcEndpointType"], "subnet_ids": each.get("SubnetIds", ())}
            yield "aws_vpc_endpoint", kind


# What nobody uses ---------------------------------------------------------------------------------------


def idle(seen: list[Seen], now: datetime, days: int) -> list[Idle]:
    """The endpoints that are old enough to be judged and were not asked once; the dearest first."""
    found = [
        Idle(each.endpoint, min(days, (now - each.made).days), each.monthly, each.released)
        for each in seen
        if each.invocations == 0 and now - each.made >= days * DAY
    ]
    return sorted(found, key=lambda each: -each.monthly)


def seen(environment: Environment, days: int) -> list[Seen]:
    """Every endpoint of the environment, with its requests of the last days by CloudWatch's count."""
    now = environment.now()
    served = {environment.settings.names.endpoint(model) for model in environment.releases.read().models}
    costs = cost.monthly([*endpoints(environment)], environment.settings.region).lines
    found = []
    for endpoint in names(environment):
        live = environment.sagemaker.describe_endpoint(EndpointName=endpoint)
        monthly = sum(each.floor for each in costs if each.what.startswith(f"{live['EndpointConfigName']} "))
        variants = [each["VariantName"] for each in live.get("ProductionVariants", ())]
        asked = sum(invocations(environment, endpoint, each, now, days) for each in variants)
        found.append(Seen(endpoint, live["CreationTime"], asked, monthly, endpoint in served))
    return found


def invocations(environment: Environment, endpoint: str, variant_: str, now: datetime, days: int) -> float:
    known = signal("invocations")
    answer = environment.client("cloudwatch").get_metric_statistics(
        Namespace=known.namespace,
        MetricName=known.name,
        Dimensions=[{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant_}],
        StartTime=now - days * DAY,
        EndTime=now,
        Period=int(DAY.total_seconds()),
        Statistics=["Sum"],
    )
    return float(sum(each["Sum"] for each in answer["Datapoints"]))
