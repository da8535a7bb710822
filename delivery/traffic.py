"""Live traffic: what an endpoint serves this minute, and the moves that need no new configuration.

Weights and instance counts belong to the live endpoint, not to the program that declares it. Each move goes straight to
SageMaker, and what is live is written back into the release, so that the next preview finds nothing to do.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from contract.release import Release, Variant

SETTLED = ("InService", "Failed", "OutOfService", "UpdateRollbackFailed")


class TrafficError(Exception):
    """A move cannot be made now; the text says what the endpoint is doing and what to do."""


@dataclass(frozen=True, slots=True)
class LiveVariant:
    """What one variant serves with."""

    weight: float
    instances: int


@dataclass(frozen=True, slots=True)
class Live:
    """What SageMaker says of an endpoint."""

    status: str
    config: str
    variants: Mapping[str, LiveVariant]
    pending_config: str | None
    stages: tuple[str, ...]
    reason: str

    @property
    def settled(self) -> bool:
        return self.status in SETTLED

    @property
    def serves(self) -> bool:
        """Whether it is well: only then is what it serves what it was asked to serve."""
        return self.status == "InService"

    @property
    def failed(self) -> bool:
        """Whether nothing can be done with it any more but to remove it."""
        return self.status == "Failed"

    @property
    def shares(self) -> dict[str, float]:
        """Each variant's share of the traffic."""
        total = sum(each.weight for each in self.variants.values())
        return {name: each.weight / total if total else 0.0 for name, each in self.variants.items()}


def read_live(answer: Mapping[str, Any]) -> Live:
    """The parts of DescribeEndpoint that matter here."""
    variants = {
        each["VariantName"]: LiveVariant(
            weight=each.get("CurrentWeight", each.get("DesiredWeight", 1.0)),
            instances=each.get("CurrentInstanceCount", each.get("DesiredInstanceCount", 0)),
        )
        for each in answer.get("ProductionVariants", ())
    }
    pending = answer.get("PendingDeploymentSummary", {})
    stages = tuple(
        status["Status"]
        for each in [*answer.get("ProductionVariants", ()), *pending.get("ProductionVariants", ())]
        for status in each.get("VariantStatus", ())
    )
    return Live(
        status=answer["EndpointStatus"],
        config=answer.get("EndpointConfigName", ""),
        variants=variants,
        pending_config=pending.get("EndpointConfigName"),
        stages=stages,
        reason=answer.get("FailureReason", ""),
    )


def with_live(release: Release, live: Live) -> Release:
    """The release carrying the live weights and counts; a variant that is not live keeps what was written."""

    def as_live(variant: Variant) -> Variant:
        found = live.variants.get(variant.name)
        return dataclasses.replace(variant, weight=found.weight, instances=found.instances) if found else variant

    return dataclasses.replace(release, variants=tuple(as_live(each) for each in release.variants))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One live endpoint; `sagemaker` is a boto3 client, `wait` passes a moment between looks."""

    sagemaker: Any
    name: str
    wait: Callable[[], None]

    def live(self) -> Live:
        return read_live(self.sagemaker.describe_endpoint(EndpointName=self.name))

    def found(self) -> Live | None:
        """The same; nothing when there is no such endpoint."""
        try:
            return self.live()
        except ClientError as problem:
            if "Could not find endpoint" in problem.response["Error"].get("Message", ""):
                return None
            raise

    def rest(self) -> Live | None:
        """What it serves once nothing is under way; nothing when it is not there, or was being removed."""
        while (live := self.found()) is not None and not live.settled:
            self.wait()
        return live

    def remove(self) -> None:
        """Take it away, and wait until it is gone."""
        self.sagemaker.delete_endpoint(EndpointName=self.name)
        while self.found() is not None:  # a failed one says so until it says Deleting
            self.wait()

    def move(self, weights: Mapping[str, float]) -> Live:
        """Give every variant its weight, and wait until it has it."""
        return self.change([{"VariantName": name, "DesiredWeight": weight} for name, weight in weights.items()])

    def scale(self, variant: str, instances: int) -> Live:
        """Give a variant its number of instances, and wait until they serve."""
        return self.change([{"VariantName": variant, "DesiredInstanceCount": instances}])

    def serve_config(self, config: str, policy: Mapping[str, Any]) -> Live:
        """Serve another configuration that exists already: this is how one goes back."""
        self.free_to_move()
        self.sagemaker.update_endpoint(
            EndpointName=self.name,
            EndpointConfigName=config,
            DeploymentConfig=policy,
            RetainAllVariantProperties=True,  # as many instances as serve now; the configuration may name fewer
            ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DataCaptureConfig"}],
        )
        live = self.settle()
        if live.config != config:
            raise TrafficError(
                f"endpoint {self.name} still serves {live.config} instead of {config} ({live.status}): {live.reason}. "
                "Look at its alarms and logs, then try again."
            )
        return live

    def change(self, wanted: list[dict[str, Any]]) -> Live:
        self.free_to_move()
        self.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=self.name, DesiredWeightsAndCapacities=wanted
        )
        live = self.settle()
        if not live.serves:
            raise TrafficError(f"endpoint {self.name} is {live.status} after the move: {live.reason}")
        return live

    def free_to_move(self) -> None:
        live = self.live()
        if not live.serves:
            raise TrafficError(f"endpoint {self.name} is {live.status}, expected InService: {held_up(live)}")

    def settle(self) -> Live:
        """Look until nothing is under way."""
        while not (live := self.live()).settled:
            self.wait()
        return live


@dataclass(frozen=True, slots=True)
class Moved:
    """A move of live traffic that no command made: new weights, who made it, why, and where that is written."""

    weights: Mapping[str, float]
    who: str
    reason: str
    place: str = ""


def read_moves(s3: Any, bucket: str, prefix: str, experiment: str) -> list[Moved]:
    """The moves that the monitor's job made for an experiment, in order."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}moves/")
    keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
    found = [(key, json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())) for key in keys]
    return [
        Moved(each["weights"], f"experiment {experiment}", each["reason"], f"s3://{bucket}/{key}")
        for key, each in found
    ]


def leading_to(moves: Sequence[Moved], live: Mapping[str, float]) -> list[Moved]:
    """Those moves, and one more by nobody known where they do not explain the weights that are live."""
    if moves and shares(moves[-1].weights) == shares(live):
        return list(moves)
    unsaid = "moved without a word to the ledger: by a command that was killed, or not by slipway"
    return [*moves, Moved(live, "unknown", unsaid)]


def shares(weights: Mapping[str, float]) -> dict[str, float]:
    """Each variant's share of the traffic, as exact as SageMaker keeps weights."""
    total = sum(weights.values())
    return {name: round(weight / total, 6) if total else 0.0 for name, weight in weights.items()}


def held_up(live: Live) -> str:
    """Why an endpoint cannot be moved now, and what to do."""
    if live.settled:
        return f"{live.reason or 'no reason was given'}. Look at its logs, then `slipway status`. Nothing was changed."
    towards = f" to {live.pending_config}" if live.pending_config else ""
    return f"a change is under way{towards}. Wait for it (`slipway status` does), or roll back. Nothing was changed."
