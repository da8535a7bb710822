"""Whether the account's quotas hold what is declared: asked first, an endpoint would wait an hour and then fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from delivery.engine.cloud import Cloud
from delivery.engine.cost import Resource, in_use, is_about

USE = "endpoint usage"


def needed(resources: list[Resource]) -> Mapping[str, int]:
    """Instances per type at the most that is declared; twice, because a deployment runs two fleets at once."""
    known = in_use(resources)
    targets = [values for kind, values in known if kind == "aws_appautoscaling_target"]
    count: Counter[str] = Counter()
    for kind, config in known:
        if kind == "aws_sagemaker_endpoint_configuration":
            for variant in config.get("production_variants") or ():
                if variant.get("instance_type"):
                    count[str(variant["instance_type"])] += 2 * at_most(config, variant, targets)
    return count


def at_most(config: Mapping[str, Any], variant: Mapping[str, Any], targets: list[Mapping[str, Any]]) -> int:
    bounds = next((each for each in targets if is_about(each, config, variant)), None)
    return int(bounds["max_capacity"]) if bounds else int(variant.get("initial_instance_count") or 1)


def granted(cloud: Cloud) -> Mapping[str, float]:
    """The account's quotas on endpoint instances; empty where the service cannot be asked."""
    try:
        pages = cloud.client("service-quotas").get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
        found = [each for page in pages for each in page["Quotas"]]
    except ClientError:
        return {}
    return {each["QuotaName"].partition(" for ")[0]: each["Value"] for each in found if each["QuotaName"].endswith(USE)}


def shortages(wanted: Mapping[str, int], quotas: Mapping[str, float]) -> list[str]:
    """Where the account would not grant what is declared, and how to ask for more."""
    return [
        f"{kind}: {count} instances are needed while a deployment runs, the account's quota is {quotas[kind]:.0f}. "
        f"Ask for '{kind} for {USE}' in Service Quotas, or lower scaling.most."
        for kind, count in sorted(wanted.items())
        if kind in quotas and count > quotas[kind]
    ]
