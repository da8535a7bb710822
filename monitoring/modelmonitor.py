"""Model Monitor's files, read and written: so that its baselines keep their worth, and its readers keep working.

Statistics and constraints are of its version 0. A baseline made from its statistics has no rows, so it knows neither
correlations nor where between two kept values a bin should be cut; make a new one from the training data when you can.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from contract.records import Column, RecordError, Schema
from monitoring.baseline import Baseline, answered
from monitoring.bins import Floats
from monitoring.layout import CategoryColumn, Layout, NumericColumn, lay_out
from monitoring.profile import Profile, ProfileError, count
from monitoring.quality import ColumnConstraint, Constraints

VERSION = 0
BUCKETS = 10
QUANTILES = 512
ROWS = 100_000  # the most rows a baseline from statistics is given

STATISTICS, CONSTRAINTS, VIOLATIONS = "statistics.json", "constraints.json", "constraint_violations.json"


def statistics(profile: Profile) -> dict[str, Any]:
    """statistics.json of a profile."""
    return {
        "version": VERSION,
        "dataset": {"item_count": profile.rows},
        "features": [_feature(profile, i) for i in range(len(profile.layout.columns))],
    }


def _feature(profile: Profile, i: int) -> dict[str, Any]:
    column = profile.layout.columns[i]
    common = {"num_present": int(profile.present()[i]), "num_missing": int(profile.missing[i])}
    if isinstance(column, CategoryColumn):
        levels = [
            {"value": level, "count": int(rows)}
            for level, rows in zip(column.levels, profile.levels[i], strict=True)
            if rows
        ]
        unseen = [{"value": name, "count": rows} for name, rows in profile.unseen[i].counts.items()]
        distinct = len(levels) + round(profile.unseen[i].distinct)
        buckets = {"categorical": {"buckets": levels + unseen}}
        return {
            "name": column.name,
            "inferred_type": "String",
            "string_statistics": {"common": common, "distinct_count": distinct, "distribution": buckets},
        }
    kept = common["num_present"] - int(profile.infinite[i])
    mean = profile.mean(i)
    return {
        "name": column.name,
        "inferred_type": inferred_type(column),
        "numerical_statistics": {
            "common": common,
            "mean": _plain(mean),
            "sum": _plain(mean * kept),
            "std_dev": _plain(profile.deviation(i)),
            "min": _plain(profile.minimum[i]),
            "max": _plain(profile.maximum[i]),
            "distribution": {"kll": {"buckets": _buckets(profile, i, column), "sketch": _sketch(profile, i, column)}},
        },
    }


def inferred_type(column: NumericColumn | CategoryColumn) -> str:
    if isinstance(column, CategoryColumn):
        return "String"
    return "Integral" if column.integral else "Fractional"


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _sketch(profile: Profile, i: int, column: NumericColumn) -> dict[str, Any]:
    """Quantiles in a sketch's form: one level, whose items stand for a power of two rows each."""
    low, high = float(profile.minimum[i]), float(profile.maximum[i])
    parameters = {"c": 0.64, "k": 2048.0}
    rows = float(profile.cells[i, : len(column.edges) + 1].sum())
    if not rows or not math.isfinite(high - low):
        return {"parameters": parameters, "data": []}
    level = max(math.ceil(math.log2(rows / QUANTILES)), 0)
    kept = max(round(rows / 2**level), 1)
    known, below = _below(profile, i, column)
    values = np.interp((np.arange(kept) + 0.5) / kept * rows, below, known)
    return {"parameters": parameters, "data": [*[[] for _ in range(level)], values.tolist()]}


def _below(profile: Profile, i: int, column: NumericColumn) -> tuple[Floats, Floats]:
    """Known points of the cumulative distribution: values, and the rows at or below them."""
    low, high = float(profile.minimum[i]), float(profile.maximum[i])
    known = np.array([low, *column.edges, high]).clip(low, high)
    return known, np.concatenate([[0], np.cumsum(profile.cells[i, : len(column.edges) + 1])]).astype(np.float64)


def _buckets(profile: Profile, i: int, column: NumericColumn) -> list[dict[str, float]]:
    """Ten buckets of equal width, as Model Monitor draws them, from the profile's bins."""
    low, high = float(profile.minimum[i]), float(profile.maximum[i])
    if not (math.isfinite(low) and math.isfinite(high)) or not math.isfinite(high - low):
        return []
    bounds = np.linspace(low, high, BUCKETS + 1)
    known, below = _below(profile, i, column)
    rows = (
        np.diff(np.round(np.interp(bounds, known, below)))
        if high > low
        else np.append(below[-1:], np.zeros(BUCKETS - 1))
    )
    return [
        {"lower_bound": float(start), "upper_bound": float(stop), "count": float(held)}
        for start, stop, held in zip(bounds, bounds[1:], rows, strict=False)
    ]


def constraints_document(constraints: Constraints, layout: Layout) -> dict[str, Any]:
    """constraints.json, with what Model Monitor has no word for left out."""
    return {
        "version": VERSION,
        "features": [
            {"name": column.name, "inferred_type": inferred_type(column), "completeness": kept.completeness}
            | (
                {"string_constraints": {"domains": list(column.levels)}}
                if isinstance(column, CategoryColumn)
                else {"num_constraints": {"is_non_negative": kept.is_non_negative}}
            )
            for column in layout.columns
            if (kept := constraints.columns.get(column.name)) is not None
        ],
        "monitoring_config": {
            "evaluate_constraints": "Enabled",
            "emit_metrics": "Enabled",
            "datatype_check_threshold": 1.0,
            "domain_content_threshold": 1.0,
            "distribution_constraints": {
                "perform_comparison": "Enabled",
                "comparison_threshold": 0.1,
                "comparison_method": "Robust",
            },
        },
    }


def constraints_from(document: Mapping[str, Any]) -> Constraints:
    """A constraints.json, ours or Model Monitor's, as what a window must keep."""
    with _in_form(CONSTRAINTS):
        return _constraints_from(document)


@contextlib.contextmanager
def _in_form(name: str) -> Iterator[None]:
    """Whatever is not as Model Monitor writes it is said in a sentence."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError, pl.exceptions.PolarsError) as problem:
        if isinstance(problem, ProfileError | RecordError):
            raise
        raise ProfileError(f"{name} is not in Model Monitor's form: {problem!r}") from None


def _constraints_from(document: Mapping[str, Any]) -> Constraints:
    _check_version(document, CONSTRAINTS)
    settings = document.get("monitoring_config", {})
    columns = {}
    for feature in document.get("features", ()):
        own = settings | feature.get("monitoringConfigOverrides", {})
        if own.get("evaluate_constraints", "Enabled") != "Enabled":
            continue
        columns[feature["name"]] = ColumnConstraint(
            completeness=feature.get("completeness"),
            is_non_negative=bool(feature.get("num_constraints", {}).get("is_non_negative", False)),
            readable=float(own.get("datatype_check_threshold", 1.0)),
            known=float(own.get("domain_content_threshold", 1.0)),
        )
    return dataclasses.replace(Constraints(), columns=columns)


def _check_version(document: Mapping[str, Any], name: str) -> None:
    if not isinstance(document, Mapping) or "features" not in document:
        raise ProfileError(f"{name} without 'features': expected Model Monitor's form")
    if float(document.get("version", 0)) != VERSION:
        raise ProfileError(f"{name} has version {document['version']!r}, this program reads version {VERSION}")


def baseline_from(document: Mapping[str, Any], schema: Schema | None = None) -> Baseline:
    """A baseline from a statistics.json: its sketches and buckets stand for rows."""
    with _in_form(STATISTICS):
        return _baseline_from(document, schema)


def _baseline_from(document: Mapping[str, Any], schema: Schema | None) -> Baseline:
    _check_version(document, STATISTICS)
    rows = int(document.get("dataset", {}).get("item_count", ROWS))
    columns = {feature["name"]: _rows_of(feature, min(rows, ROWS)) for feature in document["features"]}
    frame = pl.DataFrame(list(columns.values()))
    known = schema or Schema(
        columns=tuple(
            Column(feature["name"], "category" if "string_statistics" in feature else "number")
            for feature in document["features"]
        ),
        target="",
        task="regression",
    )
    layout = Layout(lay_out(frame, known.columns, answered(frame, known)).columns, pairs=False)
    return Baseline(known, count(frame, layout), np.zeros((0, 0)))


def _rows_of(feature: Mapping[str, Any], rows: int) -> pl.Series:
    """As many rows as the statistics describe, missing ones included, spread as they say."""
    given: Mapping[str, Any] = feature.get("numerical_statistics") or feature.get("string_statistics") or {}
    common = given.get("common", {})
    total = max(int(common.get("num_present", 0)) + int(common.get("num_missing", 0)), 1)
    present = round(rows * int(common.get("num_present", 0)) / total)
    distribution = given.get("distribution", {})
    if "numerical_statistics" in feature:
        values = _quantiles(*_weighted(distribution.get("kll", {})), present)
        return pl.Series(feature["name"], [*values.tolist(), *[None] * (rows - present)], pl.Float64)
    buckets = distribution.get("categorical", {}).get("buckets", [])
    weights = np.array([float(bucket["count"]) for bucket in buckets])
    at = _quantiles(np.arange(len(buckets)).astype(np.float64), weights, present)
    levels = [str(buckets[int(i)]["value"]) for i in at]
    return pl.Series(feature["name"], [*levels, *[None] * (rows - len(levels))], pl.String)


def _weighted(sketch: Mapping[str, Any]) -> tuple[Floats, Floats]:
    """The values a sketch kept, each with how many it stands for; the buckets' middles when it kept none."""
    levels = sketch.get("sketch", {}).get("data", [])
    if any(levels):
        values = np.concatenate([np.array(level, np.float64) for level in levels])
        weights = np.concatenate([np.full(len(level), 2.0**height) for height, level in enumerate(levels)])
        return values, weights
    buckets = sketch.get("buckets", [])
    inside = np.array([(np.arange(100) + 0.5) / 100 for _ in buckets]).reshape(len(buckets), 100)
    low = np.array([float(bucket["lower_bound"]) for bucket in buckets])[:, None]
    high = np.array([float(bucket["upper_bound"]) for bucket in buckets])[:, None]
    held = np.array([float(bucket["count"]) for bucket in buckets])[:, None]
    return (low + inside * (high - low)).ravel(), np.broadcast_to(held / 100, inside.shape).ravel()


def _quantiles(values: Floats, weights: Floats, rows: int) -> Floats:
    """That many rows in the proportions of the weights."""
    if not len(values) or rows <= 0 or weights.sum() <= 0:
        return np.empty(0)
    order = np.argsort(values, kind="stable")
    running = np.cumsum(weights[order]) / weights.sum()
    at = np.searchsorted(running, (np.arange(rows) + 0.5) / rows)
    result: Floats = values[order][np.minimum(at, len(values) - 1)]
    return result
