"""After an `up`: is what was declared really there and able to serve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from contract.platform import ModelOutputs, PlatformOutputs
from delivery.engine.cloud import Cloud


def smoke(cloud: Cloud, outputs: PlatformOutputs, declared: Mapping[str, str]) -> list[str]:
    """What is wrong, a line each; nothing when all is well. `declared` says which configuration each model serves."""
    return [
        problem for name, each in outputs.models.items() for problem in of_model(cloud, name, each, declared.get(name))
    ]


def of_model(cloud: Cloud, name: str, given: ModelOutputs, declared: str | None) -> Iterator[str]:
    client = cloud.client("sagemaker")
    for pipeline in filter(None, (given.training_pipeline, given.monitor_pipeline)):
        status = client.describe_pipeline(PipelineName=pipeline)["PipelineStatus"]
        if status != "Active":
            yield f"{name}: pipeline {pipeline} is {status}"
    if given.endpoint is not None:
        seen = client.describe_endpoint(EndpointName=given.endpoint)
        if seen["EndpointStatus"] != "InService":
            yield f"{name}: endpoint {given.endpoint} is {seen['EndpointStatus']}"
        if seen["EndpointConfigName"] != declared:
            yield f"{name}: endpoint {given.endpoint} serves {seen['EndpointConfigName']}, not {declared}"
    yield from missing_alarms(cloud, name, given)


def missing_alarms(cloud: Cloud, name: str, given: ModelOutputs) -> Iterator[str]:
    found: set[str] = set()
    for start in range(0, len(given.alarms), 100):  # AWS takes a hundred names at once
        asked = list(given.alarms[start : start + 100])
        found |= {
            each["AlarmName"] for each in cloud.client("cloudwatch").describe_alarms(AlarmNames=asked)["MetricAlarms"]
        }
    for alarm in sorted(set(given.alarms) - found):
        yield f"{name}: alarm {alarm} is not there"
