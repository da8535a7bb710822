"""The name of everything we make in AWS, in one place: what is made, what may be permitted, and what an operator types.

`slipway-<environment>-<what>`; buckets add account and region, because their names are shared by the whole world.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

PROJECT = "slipway"

Purpose = Literal["data", "artifacts", "capture", "outcomes", "evidence", "logs"]
Container = Literal["training", "inference", "monitoring"]
Workload = Literal["training", "inference", "monitoring", "pipeline", "scheduler", "events"]
Person = Literal["data-scientist", "operator", "approver", "auditor", "ci-preview", "ci-deploy", "ci-offer"]

PURPOSES: tuple[Purpose, ...] = get_args(Purpose)
CONTAINERS: tuple[Container, ...] = get_args(Container)
WORKLOADS: tuple[Workload, ...] = get_args(Workload)
PEOPLE: tuple[Person, ...] = get_args(Person)

LIMITS = {"bucket": 63, "role": 64, "sagemaker": 63, "schedule": 64}


class NamingError(ValueError):
    """A name does not fit what AWS allows; the text says which, its limit and what to shorten."""


def fitting(name: str, kind: str = "sagemaker") -> str:
    """The name if AWS would take it for that kind of thing."""
    most = LIMITS[kind]
    if len(name) > most:
        raise NamingError(
            f"the {kind} name '{name}' has {len(name)} characters, AWS allows {most}: shorten the model's or "
            "environment's name in settings"
        )
    pattern = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?" if kind == "bucket" else r"[A-Za-z0-9](-*[A-Za-z0-9])*"
    if not re.fullmatch(pattern, name):
        raise NamingError(f"the {kind} name '{name}' does not match {pattern}: letters, digits and single hyphens only")
    return name


def content_hash(content: Mapping[str, Any]) -> str:
    """Eight characters that change when the content does, whatever order its keys stand in."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one environment in one account and region."""

    environment: str
    account: str
    region: str

    def of(self, *parts: str, kind: str = "sagemaker") -> str:
        return fitting("-".join((PROJECT, self.environment, *parts)), kind)

    def bucket(self, purpose: Purpose) -> str:
        return self.of(purpose, self.account, self.region, kind="bucket")

    def role(self, who: Workload | Person) -> str:
        return self.of(who, kind="role")

    def repository(self, container: Container) -> str:
        return f"{PROJECT}-{self.environment}/{container}"

    def image(self, container: Container, digest: str) -> str:
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com/{self.repository(container)}@{digest}"

    def parameter(self, name: str) -> str:
        return f"/{PROJECT}/{self.environment}/{name}"

    def log_group(self, name: str) -> str:
        return f"/{PROJECT}/{self.environment}/{name}"

    @property
    def alerts(self) -> str:
        """The topic people are told by."""
        return self.of("alerts")

    @property
    def approvals(self) -> str:
        """The topic that says a package waits for a person."""
        return self.of("approvals")

    @property
    def key_alias(self) -> str:
        return f"alias/{self.of()}"

    @property
    def evidence_key_alias(self) -> str:
        return f"alias/{self.of('evidence')}"

    @property
    def schedules(self) -> str:
        return self.of("schedules", kind="schedule")

    def endpoint(self, model: str) -> str:
        return self.of(model)

    def package_group(self, model: str) -> str:
        return self.of(model)

    def training_pipeline(self, model: str) -> str:
        return self.of(model, "train")

    def promotion_pipeline(self, model: str) -> str:
        return self.of(model, "promote")

    def monitor_pipeline(self, model: str) -> str:
        return self.of(model, "monitor")

    def model(self, model: str, variant: str, content: str) -> str:
        return self.of(model, variant, content)

    def endpoint_config(self, model: str, content: str) -> str:
        return self.of(model, content)

    def alarm(self, model: str, signal: str, variant: str | None = None) -> str:
        return "-".join(filter(None, (PROJECT, self.environment, model, variant, signal.replace("_", "-"))))

    def dashboard(self, model: str) -> str:
        return self.of(model)

    def arn(self, service: str, resource: str) -> str:
        """An ARN of our own account and region, for permissions about things not made yet."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def global_arn(self, service: str, resource: str) -> str:
        """An ARN of a service without regions."""
        return f"arn:aws:{service}::{self.account}:{resource}"
