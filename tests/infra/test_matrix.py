"""Dev, staging and prod with every option on and off, each alone and all together, before the real provider."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from contract.release import Package, Release, Releases, Rollout, Variant
from delivery.engine import machine
from delivery.engine.convert import synthesise
from delivery.rules.check import recorded, sample
from stacks.settings import KEY, ROOT, Settings, groups_in, parse

Body = dict[str, Any]
Change = Callable[[Body], Any]
ON_AWS = ("dev", "staging", "prod")


def at(path: str, value: Any) -> Change:
    """Set one option; `*` stands for the environment's model."""

    def change(settings: Body) -> None:
        *groups, last = path.split(".")
        inside = settings
        for each in groups:
            inside = inside["churn"] if each == "*" else inside.setdefault(each, {})
        inside[last] = value

    return change


def both(*changes: Change) -> Change:
    def change(settings: Body) -> None:
        for each in changes:
            each(settings)

    return change


SERVING, TRAINING, MONITOR = "models.*.serving", "models.*.training", "models.*.monitor"
NIGHT = {"night": {"at": "cron(0 22 * * ? *)", "least": 2, "most": 2}}
PEOPLE = {who: ["arn:aws:iam::123456789012:role/sso"] for who in ("data-scientist", "operator", "approver", "auditor")}
FEATURES = {"record_id": "id", "features": {"id": "String", "event_time": "String", "age": "Integral"}}
SERVERLESS = {"form": "serverless", "isolated": False, "capture_percent": 0, "scaling": None}
OPTIONS: dict[str, tuple[Change, Change]] = {  # on, off
    "protect": (both(at("protect", True), at("alerts.page_by_email_alone", True)), at("protect", False)),
    "state in a bucket": (at("state_bucket", "states"), at("state_bucket", None)),
    "more tags": (at("tags.extra", {"team": "risk"}), at("tags.extra", {})),
    "tls only": (at("storage.tls_only", True), at("storage.tls_only", False)),
    "emptied when removed": (at("storage.empty_on_destroy", True), at("storage.empty_on_destroy", False)),
    "old versions": (at("storage.old_versions_days", 30), at("storage.old_versions_days", None)),
    "capture's term": (at("storage.capture_days", 30), at("storage.capture_days", 3653)),
    "evidence lock": (
        at("storage.evidence_lock", {"mode": "COMPLIANCE", "days": 30}),
        at("storage.evidence_lock", None),
    ),
    "replica": (at("storage.replica_region", "eu-north-1"), at("storage.replica_region", None)),
    "network": (
        at("network", {"kind": "create", "cidr": "10.80.0.0/20", "zones": 4, "flow_log_days": 400}),
        both(at("protect", False), at("network", {"kind": "none"})),
    ),
    "existing network": (
        at("network", {"kind": "existing", "subnet_ids": ["subnet-a", "subnet-b"], "security_group_ids": ["sg-a"]}),
        at("network", {"kind": "create"}),
    ),
    "people": (at("identity.people", PEOPLE), at("identity.people", {})),
    "github": (
        at("identity.github", {"repository": "an/other", "provider_arn": "arn:aws:iam::123456789012:oidc-provider/x"}),
        at("identity.github", None),
    ),
    "boundary": (at("identity.boundary", True), at("identity.boundary", False)),
    "pulled from elsewhere": (at("images.pull_accounts", ["210987654321"]), at("images.pull_accounts", [])),
    "e-mails": (
        at("alerts", {"emails": ["a@example.com"], "page_by_email_alone": True}),
        at("alerts", {}),
    ),
    "pager": (at("alerts", {"pager": "https://pager.example.com/key"}), at("alerts", {})),
    "trail": (at("governance.trail", True), at("governance.trail", False)),
    "logs' term": (at("governance.log_days", 400), at("governance.log_days", 3653)),
    "budget": (
        at("governance.budget", {"monthly_usd": 20000, "stops_training": True, "blocks_preview": False}),
        at("governance.budget", None),
    ),
    "anomalies": (at("governance.anomaly_usd", 50), at("governance.anomaly_usd", None)),
    "features": (
        at("governance.feature_groups", {"customers": FEATURES, "live": {**FEATURES, "online": True}}),
        at("governance.feature_groups", {}),
    ),
    "tracking": (at("tracking", {"kind": "server", "size": "Large"}), at("tracking", {"kind": "none"})),
    "models": (
        lambda settings: settings["models"].update(prices={"family": "xgboost", "target": "price"}),
        at("models", {}),
    ),
    "data elsewhere": (at("models.*.data", "s3://lake/churn/"), at("models.*.data", None)),
    "training machine": (
        at(TRAINING, {"instance": "ml.m5.xlarge", "instances": 2, "volume_gb": 100, "at_most_minutes": 600}),
        at(TRAINING, {}),
    ),
    "spot": (at(f"{TRAINING}.spot", True), at(f"{TRAINING}.spot", False)),
    "trained on schedule": (at(f"{TRAINING}.schedule", "rate(7 days)"), at(f"{TRAINING}.schedule", None)),
    "trained on drift": (at(f"{TRAINING}.on_drift", True), at(f"{TRAINING}.on_drift", False)),
    "floors": (at(f"{TRAINING}.floors", {"auc": 0.9}), at(f"{TRAINING}.floors", {})),
    "hyperparameters": (at(f"{TRAINING}.hyperparameters", {"seed": "7"}), at(f"{TRAINING}.hyperparameters", {})),
    "scaling": (
        at(f"{SERVING}.scaling", {"least": 2, "most": 9, "requests_per_instance": 200, "schedule": NIGHT}),
        at(f"{SERVING}.scaling", None),
    ),
    "capture": (at(f"{SERVING}.capture_percent", 10), both(at(MONITOR, None), at(f"{SERVING}.capture_percent", 0))),
    "isolation": (at(f"{SERVING}.isolated", True), at(f"{SERVING}.isolated", False)),
    "serving machine": (at(f"{SERVING}.instance", "ml.g5.xlarge"), at(f"{SERVING}.instance", "ml.m5.large")),
    "serving environment": (at(f"{SERVING}.environment", {"LEVEL": "info"}), at(f"{SERVING}.environment", {})),
    "serverless": (
        both(at(MONITOR, None), at(SERVING, {**SERVERLESS, "memory_mb": 6144, "concurrency": 50})),
        both(at(MONITOR, None), at(SERVING, SERVERLESS)),
    ),
    "async": (at(SERVING, {"form": "async", "scaling": {"least": 0, "most": 2}}), at(SERVING, {"form": "realtime"})),
    "monitor": (
        at(MONITOR, {"schedule": "rate(2 hours)", "instance": "ml.m5.xlarge", "instances": 3, "at_most_minutes": 90}),
        at(MONITOR, None),
    ),
    "thresholds": (at("models.*.thresholds", {"latency": 1000}), at("models.*.thresholds", {})),
    "silence": (at("models.*.silent", ["latency"]), at("models.*.silent", [])),
}
# What excludes what; of each pair, all on takes the first.
ALONE = ("existing network", "serverless", "async")
ALL_OFF_KEEPS = ("network", "models", "existing network", "serverless", "async", "monitor", "scaling")
# Given in every environment, so there is neither on nor off.
ALWAYS = {
    "environment", "account", "region", "cloud", "tags.owner", "tags.cost_center", "tags.data_class",
    "images.training", "images.inference", "images.monitoring",
    "governance.feature_groups.*.event_time", "models.*.family", "models.*.target",
    # The pinned Terraform provider has no such resource; tests/infra/test_program.py has their tests.
    "models.*.card.purpose", "models.*.card.uses", "models.*.card.risk", "models.*.card.why_this_risk",
}  # fmt: skip


def values(environment: str) -> Body:
    return yaml.safe_load((ROOT / f"Pulumi.{environment}.yaml").read_text())["config"][KEY]


def changed(environment: str, *changes: Change) -> Settings:
    given = copy.deepcopy(values(environment))
    for change in changes:
        change(given)
    return parse(given, environment, environment)


def forms_of_release(package: Callable[[int], Package]) -> dict[str, Release]:
    champion = (Variant("champion", package(1), 1.0, 2),)
    return {
        "canary": Release("rolling", champion, Rollout("canary", 10, 60), previous=package(2)),
        "linear": Release("rolling", champion, Rollout("linear", 20, 60), previous=package(2)),
        "blue_green": Release("rolling", champion, Rollout("blue-green"), previous=package(2)),
        "rolled_back": Release("rolled_back", champion, Rollout("all-at-once"), reason="errors"),
        "shadow": Release("steady", champion, shadow=Variant("shadow", package(3), 0.5, 1)),
    }


def everything(index: int) -> list[Change]:
    """All options on, or all off."""
    if index == 0:
        return [pair[0] for name, pair in OPTIONS.items() if name not in ALONE]
    return [pair[1] for name, pair in OPTIONS.items() if name not in ALL_OFF_KEEPS] + [
        OPTIONS["network"][1],
        at(MONITOR, None),
        at(f"{SERVING}.scaling", None),
    ]


def variations(package: Callable[[int], Package]) -> Iterator[tuple[str, Settings, Releases]]:
    """Every environment as it is, all on, all off, serving nothing; each option alone, and each state of a release."""
    for turn, environment in enumerate(ON_AWS):
        cases: dict[str, list[Change]] = {"as it is": [], "all on": everything(0), "all off": everything(1)}
        for name, pair in list(OPTIONS.items())[turn :: len(ON_AWS)]:
            cases |= {f"{name} on": [pair[0]], f"{name} off": [pair[1]]}
        for name, changes in cases.items():
            settings = changed(environment, *changes)
            yield f"{environment}: {name}", settings, sample(settings)
        yield f"{environment}: nothing serves", changed(environment), Releases()
    for name, release in forms_of_release(package).items():
        yield f"prod: {name}", changed("prod"), Releases({"churn": release})


Documents = Mapping[str, Mapping[str, Any]]


@pytest.fixture(scope="module")
def documents(package: Callable[[int], Package]) -> Documents:
    """What each variation declares; the same settings are recorded once."""
    seen: dict[str, Mapping[str, Any]] = {}
    found: dict[str, Mapping[str, Any]] = {}
    for name, settings, given in variations(package):
        key = repr((settings, given))
        if key not in seen:
            seen[key] = synthesise(recorded(settings, given)).document
        found[name] = seen[key]
    return found


def union(documents: Documents) -> dict[str, Any]:
    """One document with every different resource of all; what differs under one name stands under a name of its own."""
    resources: dict[str, dict[str, Any]] = {}
    bodies: dict[tuple[str, str], list[Any]] = {}
    aliases: dict[str, Any] = {}
    for document in documents.values():
        for provider in document["provider"]["aws"]:
            aliases.setdefault(provider.get("alias", ""), provider)
        for kind, named in document["resource"].items():
            for name, body in named.items():
                known = bodies.setdefault((kind, name), [])
                if body not in known:
                    resources.setdefault(kind, {})[f"{name}--{len(known)}" if known else name] = body
                    known.append(body)
    first = next(iter(documents.values()))["terraform"]
    terraform = {key: first[key] for key in ("required_version", "required_providers")}
    return {"terraform": terraform, "provider": {"aws": list(aliases.values())}, "resource": resources}


def test_every_setting_is_switched_by_an_option() -> None:
    """A new setting needs an option here, or a reason why it is always the same."""
    switched = {path for pair in OPTIONS.values() for change in pair for path in touched(change)}
    assert set(leaves(Settings)) == switched | ALWAYS


def leaves(group: type[BaseModel], above: str = "") -> Iterator[str]:
    for name, field in group.model_fields.items():
        inner = list(groups_in(field.annotation))
        path = f"{above}{name}"
        if not inner:
            yield path
        for each in inner:
            star = ".*" if "dict" in str(field.annotation) else ""
            yield from leaves(each, f"{path}{star}.")


def touched(change: Change) -> set[str]:
    """The settings an option changes in some environment."""
    found: set[str] = set()
    for environment in ON_AWS:
        before = changed(environment).model_dump()
        after = changed(environment, change).model_dump()
        found |= set(differing(Settings, before, after))
    return found


def differing(group: type[BaseModel], before: Any, after: Any, above: str = "") -> Iterator[str]:
    for name, field in group.model_fields.items():
        one, other = (each.get(name) if isinstance(each, dict) else None for each in (before, after))
        if one == other:
            continue
        inner = list(groups_in(field.annotation))
        path = f"{above}{name}"
        if not inner:
            yield path
        for each in inner:
            if "dict" in str(field.annotation):
                keys = set(one or {}) | set(other or {})
                for key in keys:
                    yield from differing(each, (one or {}).get(key), (other or {}).get(key), f"{path}.*.")
            else:
                yield from differing(each, one, other, f"{path}.")


@pytest.mark.long
@pytest.mark.terraform
@pytest.mark.skipif(
    machine.terraform() is None or machine.mirror() is None,
    reason=f"needs terraform on PATH and the AWS provider in a mirror ({machine.MIRROR})",
)
def test_the_real_provider_takes_every_option_on_and_off(
    documents: Documents, validates: Callable[[Mapping[str, Any], Path], list[str]], tmp_path: Path
) -> None:
    """Every reference was resolved within its own document; here each different resource meets the provider once.

    One endpoint is wrong on purpose: without it, an empty answer could mean that nothing was looked at.
    """
    together = union(documents)
    met = {name.partition(": ")[2] for name in documents}
    assert {f"{name} {state}" for name in OPTIONS for state in ("on", "off")} <= met
    assert sum(len(each) for each in together["resource"].values()) > 300
    endpoints = together["resource"]["aws_sagemaker_endpoint"]
    endpoints["wrong"] = json.loads(json.dumps(endpoints["churn"]).replace('"CANARY"', '"SIDEWAYS"'))
    told = validates(together, tmp_path)
    assert told
    assert [each for each in told if "SIDEWAYS" not in each] == []
