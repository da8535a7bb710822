"""All models of an environment at once: what serves in each, and the newest version that could."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from delivery.environment import Environment

TIED = 10  # packages of one instant come in any order
AT_ONCE = 8  # questions to the registry: SageMaker has no single one about many groups


@dataclass(frozen=True, slots=True)
class Overview:
    """One model in a line; nothing where there is none."""

    model: str
    serves: int | None
    release: str | None
    endpoint: str | None
    newest: int | None
    approval: str | None


def overview(environment: Environment) -> list[Overview]:
    """Every model that is up, by name."""
    releases, models = environment.releases.read().models, environment.outputs.models
    endpoints = statuses(environment)
    with ThreadPoolExecutor(AT_ONCE) as askers:
        groups = [models[name].package_group for name in models]
        newest = dict(zip(models, askers.map(partial(newest_of, environment.sagemaker), groups), strict=True))
    return [
        Overview(
            name,
            releases[name].champion.package.version if name in releases else None,
            releases[name].state if name in releases else None,
            endpoints.get(environment.settings.names.endpoint(name)),
            newest[name].get("ModelPackageVersion"),
            newest[name].get("ModelApprovalStatus"),
        )
        for name in models
    ]


def statuses(environment: Environment) -> dict[str, str]:
    """The status of each endpoint of the environment."""
    pages = environment.sagemaker.get_paginator("list_endpoints").paginate(NameContains=environment.settings.names.of())
    return {each["EndpointName"]: each["EndpointStatus"] for page in pages for each in page["Endpoints"]}


def newest_of(sagemaker: Any, group: str) -> dict[str, Any]:
    """What the registry says in short of a group's newest package."""
    found = sagemaker.list_model_packages(
        ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending", MaxResults=TIED
    )
    return max(found["ModelPackageSummaryList"], key=lambda each: each["ModelPackageVersion"], default={})
