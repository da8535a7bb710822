"""An evaluation and an explanation say what programs and people need, and only what is true."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from contract.records import RecordError
from contract.stages import CLASSIFICATION_METRICS, REGRESSION_METRICS, metric_value_path
from families.discovery import find
from families.family import Model, Table
from families.hyperparameters import read_all
from training import sample
from training.evaluate import evaluate, write_evaluation
from training.explain import explain, write_explanation
from training.features import infer_schema
from training.features import table as encoded


@cache
def fitted(family: str, target: str = sample.TARGET) -> tuple[Model, Table, pl.DataFrame]:
    frame = sample.churn(1500, 3) if target == sample.TARGET else sample.diabetes()
    schema = infer_schema(frame.head(1000), target, task="auto" if target == sample.TARGET else "regression")
    found = find(family)
    model = found.fit(encoded(frame.head(1000), schema), read_all(found.hyperparameters, found.quick), seed=0)
    rest = frame.tail(max(100, len(frame) - 1000))
    return model, encoded(rest, schema), rest


def test_an_evaluation_has_every_metric_with_its_interval_and_every_slice(tmp_path: Path) -> None:
    model, table, frame = fitted("hist_gradient_boosting")
    found = evaluate(model, table, split="test", seed=0)
    write_evaluation(found, tmp_path, frame, {"family": "hist_gradient_boosting"})
    document = json.loads((tmp_path / "evaluation.json").read_text())
    for name in CLASSIFICATION_METRICS:
        value: object = document
        for part in metric_value_path(name).split("."):
            assert isinstance(value, dict)
            value = value[part]
        metric = document["metrics"][name]
        assert metric["low"] <= value <= metric["high"]
    assert sum(map(sum, document["confusion"])) == 500
    assert {each["column"] for each in document["slices"]} == {"plan", "payment_method"}
    assert all(each["rows"] >= 30 for each in document["slices"])
    assert document["model"] == {"family": "hist_gradient_boosting"}


def test_the_registry_and_the_monitor_get_their_forms(tmp_path: Path) -> None:
    model, table, frame = fitted("hist_gradient_boosting")
    write_evaluation(evaluate(model, table, split="test", seed=0), tmp_path, frame, {})
    quality = json.loads((tmp_path / "statistics.json").read_text())
    assert quality["dataset"]["item_count"] == 500
    assert set(quality["binary_classification_metrics"]["auc"]) == {"value", "standard_deviation"}
    assert set(quality["binary_classification_metrics"]["confusion_matrix"]["yes"]) == {"no", "yes"}
    predicted = pl.read_parquet(tmp_path / "predictions.parquet")
    assert predicted.columns == [*frame.columns, "predicted", "predicted_probability"]
    assert ((predicted["predicted_probability"] > 0.5) == (predicted["predicted"] == "yes")).all()


def test_plots_are_drawn_and_stand_in_the_page(tmp_path: Path) -> None:
    model, table, frame = fitted("hist_gradient_boosting")
    write_evaluation(evaluate(model, table, split="test", seed=0), tmp_path, frame, {})
    drawn = sorted(path.name for path in tmp_path.glob("*.png"))
    assert drawn == ["calibration.png", "confusion.png", "ranking.png"]
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in drawn)
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert "http" not in page


def test_a_regression_has_its_own_metrics_and_plot(tmp_path: Path) -> None:
    model, table, frame = fitted("random_forest", "progression")
    found = evaluate(model, table, split="validation", seed=0)
    assert set(found.metrics) == set(REGRESSION_METRICS)
    write_evaluation(found, tmp_path, frame, {})
    assert "regression_metrics" in (tmp_path / "statistics.json").read_text()
    assert (tmp_path / "predicted_and_true.png").exists()
    assert "predicted" in pl.read_parquet(tmp_path / "predictions.parquet").columns


def test_slices_can_be_asked_for_and_a_wrong_name_is_answered_with_the_nearest() -> None:
    model, table, _ = fitted("hist_gradient_boosting")
    found = evaluate(model, table, split="test", seed=0, slices=["region"])
    assert {each.column for each in found.slices} == {"region"}
    with pytest.raises(RecordError, match="Did you mean 'region'"):
        evaluate(model, table, split="test", seed=0, slices=["regions"])


@pytest.mark.parametrize("family", ["logistic_regression", "xgboost"])
def test_what_the_outcome_hangs_on_comes_first_and_cheap_shares_stand_beside(family: str, tmp_path: Path) -> None:
    model, table, _ = fitted(family)
    found = explain(model, table, seed=0, own_form=model)
    first = [each.column for each in found.importances[:6]]
    assert set(first) & {"tenure_months", "support_calls", "contract_months_left"}
    shares = np.array([each.mean_share for each in found.importances], dtype=np.float64)
    assert (shares >= 0).all()
    assert shares.max() > 0.05
    write_explanation(found, tmp_path)
    assert json.loads((tmp_path / "explanation.json").read_text())["loss"] == "log_loss"
    assert "importance of the columns" in (tmp_path / "report.html").read_text()


def test_shares_of_a_linear_model_are_those_of_its_weights() -> None:
    model, table, _ = fitted("logistic_regression")
    rows = table.rows[:50]
    shares = model.contributions(rows)  # type: ignore[attr-defined]
    pipeline = model.pipeline  # type: ignore[attr-defined]
    at = table.schema.names.index("support_calls")
    encoded_column = np.asarray(pipeline["encode"].transform(rows)[:, [at]].todense()).ravel()
    weight = pipeline["model"].coef_[0, at]
    np.testing.assert_allclose(shares[:, at], np.abs(weight * (encoded_column - encoded_column.mean())), atol=1e-9)


def test_without_cheap_shares_there_are_none() -> None:
    model, table, _ = fitted("hist_gradient_boosting")
    found = explain(model, table, seed=0, own_form=model)
    assert all(each.mean_share is None for each in found.importances)
