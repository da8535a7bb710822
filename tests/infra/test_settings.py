"""Settings are refused with their place, the value, what was expected and what to do; before anything is changed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest

from monitoring.outcomes.measures import HIGHER_IS_BETTER
from stacks.settings import QualityMeasure, SettingsError, environments, load, parse

CHURN = ("models", "churn")
WRONG: dict[str, tuple[tuple[str, ...], Any, str, str]] = {
    "an account id as a number": (("account",), 12345678901, "account", "in quotes"),
    "a short account id": (("account",), "1234", "account", "twelve digits"),
    "a truth as text": (("protect",), "false", "protect", "true or false without quotes"),
    "a city for a region": (("region",), "Ireland", "region", "eu-west-1"),
    "an unknown key": (("protekt",), True, "protekt", "Did you mean 'protect'?"),
    "an unknown nested key": ((*CHURN, "serving"), {"instanze": "ml.m5.large"}, "instanze", "Did you mean 'instance'?"),
    "an unknown key of scaling": ((*CHURN, "serving"), {"scaling": {"leest": 1}}, "leest", "Did you mean 'least'?"),
    "bounds the wrong way round": ((*CHURN, "serving"), {"scaling": {"least": 5, "most": 2}}, "scaling", "Swap them?"),
    "an instance type that does not exist": ((*CHURN, "serving"), {"instance": "ml.m5.tiny"}, "instance", "ml.m5"),
    "a name with an underscore": (("models",), {"my_model": {"family": "x", "target": "y"}}, "my_model", "underscores"),
    "a name with capitals": (("models",), {"Churn": {"family": "x", "target": "y"}}, "Churn", "lower-case"),
    "a name too long": (("models",), {"a" * 40: {"family": "x", "target": "y"}}, "aaaa", "24"),
    "an image by tag": (("images", "training"), "repo:latest", "images.training", "digest"),
    "an image without a digest": (("images", "inference"), "latest", "images.inference", "digest"),
    "a bucket without a prefix": ((*CHURN, "data"), "s3://bucket", "churn.data", "s3://bucket/prefix"),
    "data in another region": (
        (*CHURN, "data"), "s3://lake-123456789012-us-east-1/churn/", "models.churn.data", "replicate the bucket",
    ),
    "a monitor without capture": (
        (*CHURN, "serving"), {"capture_percent": 0}, "models.churn", "monitor: null",
    ),
    "sampling above 100": ((*CHURN, "serving"), {"capture_percent": 101}, "capture_percent", "or equal to 100"),
    "sampling below 0": ((*CHURN, "serving"), {"capture_percent": -1}, "capture_percent", "greater than or equal to 0"),
    "a cron of five fields": ((*CHURN, "monitor"), {"schedule": "cron(0 * * * *)"}, "schedule", "six fields"),
    "a crontab line": ((*CHURN, "monitor"), {"schedule": "0 * * * *"}, "schedule", "cron("),
    "a tag AWS keeps": (("tags", "extra"), {"aws:team": "a"}, "slipway:platform", "keeps for itself"),
    "more than fifty tags": (("tags", "extra"), {f"t{n}": "v" for n in range(60)}, "slipway:platform", "50"),
    "an e-mail that is none": (("alerts", "emails"), ["oncall"], "alerts.emails.0", "e-mail"),
    "an unknown signal": ((*CHURN, "thresholds"), {"latencie": 1.0}, "latencie", "Nearest: latency"),
    "a signal that no alarm watches": ((*CHURN, "silent"), ["invocations"], "silent.0", "watched signal"),
    "an unknown measure": ((*CHURN, "monitor"), {"quality": {"acuracy": 0.7}}, "monitor.quality", "'accuracy'"),
    "a quality that is a word": ((*CHURN, "monitor"), {"quality": {"auc": "good"}}, "quality.auc", "number"),
    "serverless with capture": (
        (*CHURN, "serving"), {"form": "serverless", "scaling": None}, "serving", "no isolation, VPC or data capture",
    ),
    "serverless with scaling": (
        (*CHURN, "serving"), {"form": "serverless", "isolated": False, "capture_percent": 0}, "serving", "by itself",
    ),
    "scale to zero in real time": ((*CHURN, "serving"), {"scaling": {"least": 0, "most": 1}}, "serving", "async"),
    "an existing network without subnets": (("network",), {"kind": "existing"}, "network", "private subnets"),
    "a copy beside the original": (("storage",), {"replica_region": "eu-west-1"}, "platform", "another region"),
    "a person nobody knows": (("identity",), {"people": {"opperator": []}}, "opperator", "'operator'"),
    "a principal that is a name": (("identity",), {"people": {"operator": ["alice"]}}, "operator.0", "ARN"),
}  # fmt: skip


def with_value(given: Mapping[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(dict(given))
    inside = changed
    for part in path[:-1]:
        inside = inside.setdefault(part, {})
    inside[path[-1]] = value
    return changed


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_setting_is_refused_with_its_place_and_a_remedy(wrong: str, minimal: Mapping[str, Any]) -> None:
    path, value, place, remedy = WRONG[wrong]
    with pytest.raises(SettingsError) as refused:
        parse(with_value(minimal, path, value), "test", "Pulumi.test.yaml")
    assert place in str(refused.value)
    assert remedy in str(refused.value)
    assert "nothing was changed" in str(refused.value)


def test_an_image_of_another_region_is_refused(minimal: Mapping[str, Any]) -> None:
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/training@sha256:" + "b" * 64
    with pytest.raises(SettingsError, match="us-east-1"):
        parse(with_value(minimal, ("images", "training"), image), "test", "Pulumi.test.yaml")


def test_a_protected_environment_wants_a_pager(minimal: Mapping[str, Any]) -> None:
    given = {**minimal, "protect": True, "alerts": {"emails": ["team@example.com"]}}
    with pytest.raises(SettingsError, match="wakes nobody"):
        parse(given, "test", "Pulumi.test.yaml")


def test_all_mistakes_are_told_at_once(minimal: Mapping[str, Any]) -> None:
    given = with_value(with_value(minimal, ("account",), 5), ("region",), "Paris")
    with pytest.raises(SettingsError, match="2 mistakes"):
        parse(given, "test", "Pulumi.test.yaml")


def test_what_is_wrong_only_together_is_told_at_once_as_well(minimal: Mapping[str, Any]) -> None:
    given = {**minimal, "protect": True, "alerts": {"emails": ["team@example.com"]}, "network": {"kind": "none"}}
    with pytest.raises(SettingsError, match=r"(?s)wakes nobody.*runs models in a VPC"):
        parse(given, "test", "Pulumi.test.yaml")


def test_a_missing_setting_says_that_it_has_no_default(minimal: Mapping[str, Any]) -> None:
    given = {key: value for key, value in minimal.items() if key != "account"}
    with pytest.raises(SettingsError, match=r"account: missing"):
        parse(given, "test", "Pulumi.test.yaml")


@pytest.mark.parametrize("environment", environments())
def test_every_environment_of_the_repository_is_right(environment: str) -> None:
    assert load(environment).environment == environment


def test_an_unknown_environment_names_the_nearest() -> None:
    with pytest.raises(SettingsError, match="Did you mean 'staging'"):
        load("stagging")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("config:\n  a: [\n", "line 3"),
        (
            "config:\n  slipway:platform:\n    region: eu-west-1\n    region: us-east-1\n",
            "line 4: 'region' stands twice",
        ),
        ("config:\n  slipway:platform: []\n", "given [] under `config: slipway:platform:`, expected all settings"),
        ("config: 3\n", "expected all settings below that key"),
        ("- config\n", "given ['config'], expected `config:` with settings"),
        ("", "given None, expected `config:` with settings"),
    ],
    ids=["no YAML", "a key twice", "a list for settings", "a number for settings", "a list", "nothing"],
)
def test_a_file_that_holds_no_settings_is_refused_with_its_name(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "Pulumi.test.yaml").write_text(text)
    with pytest.raises(SettingsError) as refused:
        load("test", tmp_path)
    assert "Pulumi.test.yaml" in str(refused.value)
    assert told in str(refused.value)


def test_names_too_long_together_are_refused_with_the_name_that_would_be_made(minimal: Mapping[str, Any]) -> None:
    """Each is allowed alone; environment, model, variant and content hash make 65 characters."""
    given = {**minimal, "models": {"m" * 24: minimal["models"]["churn"]}}
    with pytest.raises(SettingsError, match=r"has 65 characters, AWS allows 63: shorten the model's or environment's"):
        parse(given, "e" * 12, "test")


def test_an_environment_with_too_long_a_name_is_refused(minimal: Mapping[str, Any]) -> None:
    with pytest.raises(SettingsError, match="environment"):
        parse(minimal, "e" * 13, "Pulumi.test.yaml")


def test_quality_can_be_kept_in_every_measure_that_has_a_better_side() -> None:
    assert set(get_args(QualityMeasure)) == set(HIGHER_IS_BETTER)
