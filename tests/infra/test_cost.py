"""Cost stands in the diff: floor and ceiling from a dated table, and a budget that can say no."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest

from contract.release import Releases
from delivery.engine import cost
from delivery.engine.convert import synthesise
from delivery.engine.cost import Change, Cost, Line
from delivery.engine.engine import over_budget
from delivery.engine.quotas import needed, shortages
from delivery.engine.recording import Recording
from infra.prices import PriceError, price, table, types
from stacks.settings import ROOT, Settings, parse

OLDEST_DAYS = 400


def test_the_table_is_not_too_old() -> None:
    newest = max(each.as_of for each in table().values())
    assert (datetime.now(UTC).date() - newest).days < OLDEST_DAYS


@pytest.mark.parametrize(
    ("kind", "shape"), [("endpoint", "ProductionVariantInstanceType"), ("job", "ProcessingInstanceType")]
)
def test_every_type_with_a_price_is_one_that_sagemaker_has(kind: str, shape: str) -> None:
    model: Any = botocore.session.get_session().get_service_model("sagemaker")
    assert types(kind) <= set(model.shape_for(shape).enum)


def test_every_price_says_where_it_comes_from() -> None:
    """An estimate says so, and what was seen says where: limits.md counts them."""
    known = list(table().values())
    seen = [each for each in known if not each.is_estimate]
    assert all("published in" in each.source or "Price List" in each.source for each in seen)
    assert f"{len(known) - len(seen)} of {len(known)} are estimates" in (ROOT / "docs" / "limits.md").read_text()


def test_a_type_without_a_price_is_refused_rather_than_free() -> None:
    with pytest.raises(PriceError, match=r"add a row"):
        price("eu-west-1", "endpoint", "ml.p99.huge")


@pytest.fixture(scope="module")
def costs(document: Mapping[str, Any]) -> Cost:
    return cost.monthly(cost.declared(document), "eu-west-1")


def test_a_scaled_variant_costs_between_its_bounds(costs: Cost) -> None:
    champion = next(each for each in costs.lines if "churn" in each.what and "champion" in each.what)
    hourly = price("eu-west-1", "endpoint", "ml.m5.large").monthly
    assert (champion.floor, champion.ceiling) == pytest.approx((2 * hourly, 4 * hourly))


def test_a_configuration_that_is_only_kept_costs_nothing(costs: Cost, document: Mapping[str, Any]) -> None:
    kept = document["resource"]["aws_sagemaker_endpoint_configuration"]
    counted = {each.what.split()[0] for each in costs.lines if each.what.startswith("slipway-")}
    assert len(counted) == 2  # churn and the queue; the serverless one costs by use
    assert len(kept) > 3


def test_what_is_there_all_the_time_is_in_it(costs: Cost) -> None:
    assert {"interface endpoints", "keys", "alarms", "dashboards", "tracking"} <= {each.what for each in costs.lines}


def test_a_change_is_told_with_its_sign() -> None:
    change = Change(
        Cost((Line("a", 100, 200),)), Cost((Line("a", 150, 180),), price("eu-west-1", "other", "kms-key").as_of)
    )
    assert "150 to 180 USD a month (+50 at least, -20 at most; prices of" in change.text


def test_a_ceiling_over_the_budget_is_refused_with_what_to_lower(minimal: Mapping[str, Any]) -> None:
    settings = parse({**minimal, "governance": {"budget": {"monthly_usd": 10}}}, "test", "test")
    told = over_budget(settings, Cost((Line("a", 5, 20),)))
    assert told is not None
    assert "scaling.most" in told
    assert over_budget(settings, Cost((Line("a", 5, 9),))) is None


def test_quotas_count_two_fleets_because_a_deployment_runs_both(
    records: Callable[..., Recording], everything: Settings, served: Releases
) -> None:
    document = synthesise(records(everything, served)).document
    wanted = needed(list(cost.declared(document)))
    quota = "ml.m5.large for endpoint usage"
    assert wanted[quota] >= 2 * (4 + 1 + 2)
    assert shortages(wanted, {quota: 1000}) == []
    assert "Service Quotas" in shortages(wanted, {quota: 3})[0]


def test_quotas_count_what_training_and_monitoring_need(document: Mapping[str, Any]) -> None:
    """New accounts may run no job at all on some types; a schedule would tell it first at night."""
    wanted = needed(list(cost.declared(document)))
    assert wanted["ml.m5.large for spot training job usage"] == 1
    assert wanted["ml.m5.large for training job usage"] == 1
    told = shortages(wanted, {"ml.m5.large for processing job usage": 0})
    assert "training.instances" in told[0]
