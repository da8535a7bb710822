"""What an endpoint should look like, decided from a release and a form; pure, so that anyone can ask.

Names of models and configurations carry a hash of their content, without weights and counts: a traffic move changes
none of them, and any other change makes new ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from contract.places import ARTIFACT_HASH, slice_prefix
from contract.release import CHAMPION, Release, Rollout, Variant
from contract.signals import SLICE
from infra.names import Names, content_hash

LEAST_TIMEOUT, MOST_TIMEOUT = 600, 14400  # the provider's bounds; AWS itself allows eight hours
ROUTING: Mapping[str, str] = {
    "all-at-once": "ALL_AT_ONCE",
    "blue-green": "ALL_AT_ONCE",
    "canary": "CANARY",
    "linear": "LINEAR",
}


@dataclass(frozen=True, slots=True)
class Scheduled:
    """Bounds that hold from a time on."""

    at: str
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Scaling:
    """Between how many instances, aimed at what load, and changed at what times."""

    least: int
    most: int
    requests_per_instance: float
    schedule: Mapping[str, Scheduled] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Form:
    """How a model is served, apart from which version."""

    kind: Literal["realtime", "serverless", "async"]
    instance: str
    capture_percent: int
    isolated: bool
    environment: Mapping[str, str]
    scaling: Scaling | None
    memory_mb: int
    concurrency: int
    network: str = "none"

    @property
    def in_network(self) -> bool:
        return self.kind != "serverless" and self.network != "none"


@dataclass(frozen=True, slots=True)
class Plan:
    """The names and contents of everything behind one endpoint."""

    names: Names
    model: str
    release: Release
    form: Form

    @property
    def variants(self) -> list[Variant]:
        return [*self.release.variants, *([self.release.shadow] if self.release.shadow else [])]

    def container(self, variant: Variant) -> dict[str, Any]:
        return {
            "image": variant.package.image,
            "model_data_url": variant.package.artifact,
            "environment": {**self.form.environment, ARTIFACT_HASH: variant.package.artifact_hash},
        }

    def model_hash(self, variant: Variant) -> str:
        around = {"isolated": self.form.isolated, "network": self.form.network if self.form.in_network else "none"}
        return content_hash(self.container(variant) | around | {"artifact_hash": variant.package.artifact_hash})

    def model_name(self, variant: Variant) -> str:
        return self.names.model(self.model, variant.name, self.model_hash(variant))

    @property
    def config_hash(self) -> str:
        """Everything a configuration says, but not how much traffic goes where nor on how many instances."""
        form = self.form
        return content_hash(
            {
                "variants": {each.name: self.model_name(each) for each in self.release.variants},
                "shadow": self.model_name(self.release.shadow) if self.release.shadow else None,
                "kind": form.kind,
                "machine": form.memory_mb if form.kind == "serverless" else form.instance,
                "concurrency": form.concurrency if form.kind != "realtime" else None,
                "capture": form.capture_percent,
                "captured": "by configuration",
            }
        )

    @property
    def config_name(self) -> str:
        return self.names.endpoint_config(self.model, self.config_hash)

    @property
    def fallbacks(self) -> tuple[Plan, ...]:
        """What else stays declared: the champion alone, the champion before it, and what was rolled back last.

        Going back then leaves nothing to make, and having gone back nothing to clear away.
        """
        alone = replace(self.release, state="steady", variants=(self.release.champion,), experiment=None, shadow=None)
        kept = (self.release.champion.package, self.release.previous, self.release.rejected)
        packages = [each for each in kept if each is not None]
        releases = [replace(alone, variants=(replace(alone.champion, package=each, weight=1.0),)) for each in packages]
        plans = {each.config_name: each for each in (replace(self, release=release) for release in releases)}
        plans.pop(self.config_name, None)
        return tuple(plans.values())

    @property
    def capture_prefix(self) -> str:
        """Where this configuration's records go: apart from the others', so that a canary can be judged alone."""
        return slice_prefix(self.names.endpoint(self.model), self.config_name).rstrip("/")

    def variant(self, variant: Variant, model_name: Any) -> dict[str, Any]:
        common = {
            "variant_name": variant.name,
            "model_name": model_name,
            "initial_variant_weight": variant.weight,
        }
        if self.form.kind == "serverless":
            machine = {"memory_size_in_mb": self.form.memory_mb, "max_concurrency": self.form.concurrency}
            return common | {"serverless_config": machine}
        return common | {"instance_type": self.form.instance, "initial_instance_count": variant.instances}


def capture(plan: Plan, bucket: str, key_arn: Any) -> dict[str, Any] | None:
    """Requests and answers go to the capture bucket, under our key."""
    if not plan.form.capture_percent:
        return None
    return {
        "enable_capture": True,
        "initial_sampling_percentage": plan.form.capture_percent,
        "destination_s3_uri": f"s3://{bucket}/{plan.capture_prefix}",
        "kms_key_id": key_arn,
        "capture_options": [{"capture_mode": "Input"}, {"capture_mode": "Output"}],
        "capture_content_type_header": {
            "csv_content_types": ["text/csv"],
            "json_content_types": ["application/json", "application/jsonlines"],
        },
    }


def traffic_routing(rollout: Rollout) -> dict[str, Any]:
    """In what steps traffic moves to the new fleet."""
    kind = ROUTING[rollout.strategy]
    wait = 0 if rollout.strategy == "all-at-once" else rollout.bake_seconds
    routing: dict[str, Any] = {"type": kind, "wait_interval_in_seconds": wait}
    size = {"type": "CAPACITY_PERCENT", "value": rollout.percent}
    if kind == "CANARY":
        routing["canary_size"] = size
    if kind == "LINEAR":
        routing["linear_step_size"] = size
    return routing


def deployment(rollout: Rollout, alarm_names: Sequence[Any]) -> dict[str, Any]:
    """The policy of a rollout with its guards."""
    policy = {
        "traffic_routing_configuration": traffic_routing(rollout),
        "termination_wait_in_seconds": rollout.termination_wait_seconds,
        "maximum_execution_timeout_in_seconds": timeout(rollout),
    }
    guards = {"auto_rollback_configuration": {"alarms": [{"alarm_name": each} for each in alarm_names]}}
    return {"blue_green_update_policy": policy} | (guards if alarm_names else {})


def guard_names(names: Names, model: str, rollout: Rollout) -> list[str]:
    """The alarms that roll an endpoint back; the provider replaces an endpoint when their set changes."""
    return [names.alarm(model, f"rollback_{key}") for key in rollout.alarms]


def guard_dimensions(endpoint: str, config: Any) -> dict[str, Any]:
    """What a guard looks at: the new configuration alone, or the old fleet's troubles would roll the new one back."""
    return dict(zip(SLICE, (endpoint, CHAMPION, config), strict=True))


def timeout(rollout: Rollout) -> int:
    """Time for every bake and for the fleets to start, within what the provider allows."""
    steps = -(-100 // rollout.percent) if rollout.strategy == "linear" else 2
    wanted = steps * rollout.bake_seconds + rollout.termination_wait_seconds + 1800
    return max(LEAST_TIMEOUT, min(MOST_TIMEOUT, wanted))
