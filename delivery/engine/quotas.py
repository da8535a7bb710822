"""Whether the account's quotas hold what is declared: asked first, an endpoint would wait an hour and then fail."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from delivery.engine.cloud import Cloud
from delivery.engine.cost import Resource, in_use, is_about

ENDPOINT, TRAINING, SPOT, PROCESSING = (
    "endpoint usage",
    "training job usage",
    "spot training job usage",
    "processing job usage",
)
PIPELINE = "aws_sagemaker_pipeline"


def needed(resources: list[Resource]) -> Mapping[str, int]:
    """Instances by the name of their quota, at the most that is declared at once."""
    return {**behind_endpoints(resources), **in_jobs(resources)}


def behind_endpoints(resources: list[Resource]) -> Mapping[str, int]:
    """Twice what endpoints have at the most, because a deployment runs two fleets at once."""
    known = in_use(resources)
    targets = [values for kind, values in known if kind == "aws_appautoscaling_target"]
    count: Counter[str] = Counter()
    for kind, config in known:
        if kind == "aws_sagemaker_endpoint_configuration":
            for variant in config.get("production_variants") or ():
                if variant.get("instance_type"):
                    count[f"{variant['instance_type']} for {ENDPOINT}"] += 2 * at_most(config, variant, targets)
    return count


def at_most(config: Mapping[str, Any], variant: Mapping[str, Any], targets: list[Mapping[str, Any]]) -> int:
    bounds = next((each for each in targets if is_about(each, config, variant)), None)
    return int(bounds["max_capacity"]) if bounds else int(variant.get("initial_instance_count") or 1)


def in_jobs(resources: list[Resource]) -> Mapping[str, int]:
    """What the largest job of each kind takes; pipelines run at their own times."""
    most: dict[str, int] = {}
    for kind, values in resources:
        if kind == PIPELINE:
            for quota, count in jobs(json.loads(values["pipeline_definition"])):
                most[quota] = max(most.get(quota, 0), count)
    return most


def jobs(definition: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for step in definition["Steps"]:
        given = step.get("Arguments", {})
        if step["Type"] == "Training":
            machine = given["ResourceConfig"]
            use = SPOT if given.get("EnableManagedSpotTraining") else TRAINING
            yield f"{machine['InstanceType']} for {use}", int(machine["InstanceCount"])
        if step["Type"] == "Processing":
            machine = given["ProcessingResources"]["ClusterConfig"]
            yield f"{machine['InstanceType']} for {PROCESSING}", int(machine["InstanceCount"])


def granted(cloud: Cloud) -> Mapping[str, float]:
    """The account's quotas on instances; empty where the service cannot be asked."""
    try:
        pages = cloud.client("service-quotas").get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
        return {each["QuotaName"]: each["Value"] for page in pages for each in page["Quotas"]}
    except ClientError:
        return {}


def shortages(wanted: Mapping[str, int], quotas: Mapping[str, float]) -> list[str]:
    """Where the account would not grant what is declared, and how to ask for more."""
    return [
        f"{quota}: {count} instances are needed at once, the account's quota is {quotas[quota]:.0f}. Ask for "
        f"'{quota}' in Service Quotas, or lower scaling.most, training.instances or monitor.instances."
        for quota, count in sorted(wanted.items())
        if quota in quotas and count > quotas[quota]
    ]
