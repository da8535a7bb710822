"""Say which inputs a model listens to: what shuffling a column costs, and exact shares where a family has them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from contract.stages import EXPLANATION_FILE, REPORT_FILE
from families.family import Matrix, Table
from families.opening import Predictor
from training.drawing import figure, png
from training.report import Report
from training.scores import metrics

ROWS = 2000
REPEATS = 3
SHOWN = 25


@runtime_checkable
class Contributor(Protocol):
    """A model that can split each answer into shares of its columns (Shapley values) at little cost."""

    def contributions(self, rows: Matrix) -> Matrix:
        """[rows, columns], averaged over classes in size."""
        ...


@dataclass(frozen=True, slots=True)
class Importance:
    """What a column is worth: how much worse the loss gets when its values are shuffled, and its mean share."""

    column: str
    loss_increase: float
    deviation: float
    mean_share: float | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Columns by importance, the most important first."""

    loss: str
    base: float
    rows: int
    importances: Sequence[Importance]

    def to_json(self) -> dict[str, Any]:
        return {
            "version": 1,
            "loss": self.loss,
            "base": self.base,
            "rows": self.rows,
            "importances": [
                {
                    "column": each.column,
                    "loss_increase": each.loss_increase,
                    "standard_deviation": each.deviation,
                    "mean_share": each.mean_share,
                }
                for each in self.importances
            ],
        }


def explain(model: Predictor, table: Table, *, seed: int, own_form: object = None) -> Explanation:
    """Permutation importance by the loss, and Shapley shares where the model's own form gives them."""
    rng = np.random.default_rng(seed)
    picked = rng.permutation(len(table.target))[:ROWS]
    rows, target = table.rows[picked], table.target[picked]
    loss = "log_loss" if table.schema.task == "classification" else "rmse"
    base = metrics(model.predict(rows), target, table.schema)[loss]
    shares = _mean_shares(own_form, rows)
    found: list[Importance] = []
    for at, column in enumerate(table.schema.columns):
        losses = [metrics(model.predict(_shuffled(rows, at, rng)), target, table.schema)[loss] for _ in range(REPEATS)]
        share = None if shares is None else float(shares[at])
        found.append(Importance(column.name, float(np.mean(losses) - base), float(np.std(losses)), share))
    ordered = sorted(found, key=lambda each: (-each.loss_increase, each.column))
    return Explanation(loss, float(base), len(rows), tuple(ordered))


def _shuffled(rows: Matrix, at: int, rng: np.random.Generator) -> Matrix:
    shuffled = rows.copy()
    shuffled[:, at] = rng.permutation(shuffled[:, at])
    return shuffled


def _mean_shares(own_form: object, rows: Matrix) -> Matrix | None:
    if not isinstance(own_form, Contributor):
        return None
    return np.asarray(np.abs(own_form.contributions(rows)).mean(axis=0), dtype=np.float64)


def write_explanation(explanation: Explanation, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / EXPLANATION_FILE).write_text(json.dumps(explanation.to_json(), indent=1) + "\n")
    plot = _draw(explanation)
    (folder / "importance.png").write_bytes(plot)
    report = Report("Explanation")
    report.says(
        f"How much the {explanation.loss} (now {explanation.base:.4g}) rises when a column's values are shuffled among "
        f"{explanation.rows} rows. Columns that say the same stand in for each other and look weaker than they are."
    )
    report.plot(plot, "importance of the columns")
    columns = ["column", "loss increase", "deviation"]
    rows: list[list[object]] = [[each.column, each.loss_increase, each.deviation] for each in explanation.importances]
    if any(each.mean_share is not None for each in explanation.importances):
        columns.append("mean share of an answer")
        rows = [[*row, each.mean_share] for row, each in zip(rows, explanation.importances, strict=True)]
    report.table(columns, rows)
    (folder / REPORT_FILE).write_text(report.page())


def _draw(explanation: Explanation) -> bytes:
    shown = list(explanation.importances[:SHOWN])[::-1]
    drawn, (panel,) = figure(height=max(4, 0.25 * len(shown)))
    panel.barh([each.column for each in shown], [each.loss_increase for each in shown])
    panel.set(xlabel=f"rise of {explanation.loss}", title="Importance")
    return png(drawn)
