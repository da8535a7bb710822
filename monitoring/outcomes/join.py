"""Outcomes joined to predictions: they arrive late, twice, out of order, for requests never captured, or never.

The join is a function of what was ever received, not of the order or the number of times it was received: reading a
file again, or the files in another order, gives the same rows. Each prediction stands once, with the newest outcome
known for it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field

import polars as pl

KEY, ROW, VARIANT, TIME = "join_key", "row", "variant", "time"
PREDICTED, PROBABILITY = "predicted", "predicted_probability"
OUTCOME, LEARNED, ARRIVED = "outcome", "learned", "arrived"

PREDICTIONS: Mapping[str, type[pl.DataType] | pl.DataType] = {
    KEY: pl.String,
    ROW: pl.UInt32,
    VARIANT: pl.String,
    TIME: pl.Datetime("us", "UTC"),
    PREDICTED: pl.String,
    PROBABILITY: pl.Float64,
}
"""What a frame of predictions has at least; `row` counts the rows of one request, slices stand beside."""

OUTCOMES: Mapping[str, type[pl.DataType] | pl.DataType] = {
    KEY: pl.String,
    ROW: pl.UInt32,
    OUTCOME: pl.String,
    LEARNED: pl.Datetime("us", "UTC"),
    ARRIVED: pl.Datetime("us", "UTC"),
}
"""`learned` is when the outcome was so (its own time), `arrived` when we were told, at the latest."""


MOST, SHOWN = 5, 40
"""How many of the outcomes of no known class are named, and how much of each."""


class JoinError(ValueError):
    """What was given cannot be joined; the text says which column is missing."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of everything received: nothing disappears without being counted."""

    predictions: int
    repeated_predictions: int
    outcomes: int
    repeated_outcomes: int
    contradicting_outcomes: int
    """Of the repeated ones, those that said something else: the newest counts."""
    without_key: int
    without_value: int
    of_no_known_class: int
    """Left out: they say nothing of whether a prediction was right."""
    without_prediction: int
    before_prediction: int
    """Learned before the prediction was made: clocks differ, or the id was used again. They are joined all the same."""
    joined: int

    def to_json(self) -> dict[str, int]:
        return asdict(self)


@dataclass(frozen=True)
class Joined:
    """Every prediction once, in the order of time, with its outcome where there is one."""

    frame: pl.DataFrame
    counts: Counts
    unknown: Mapping[str, int] = field(default_factory=dict)
    """The most frequent outcomes that are of no known class, and how many said so."""

    @property
    def known(self) -> pl.DataFrame:
        """The predictions whose outcome is known."""
        return self.frame.filter(pl.col(OUTCOME).is_not_null())


def join(predictions: pl.DataFrame, outcomes: pl.DataFrame, classes: Collection[str] = ()) -> Joined:
    """Join what was received, whatever the order, however often; with classes, only outcomes that are one of them."""
    _require(predictions, PREDICTIONS, "predictions")
    _require(outcomes, OUTCOMES, "outcomes")
    keyed = predictions.filter(_has_text(KEY))
    made = keyed.sort(TIME, VARIANT, *_rest(keyed), nulls_last=True).unique(
        [KEY, ROW], keep="first", maintain_order=True
    )
    told = outcomes.filter(_has_text(KEY))
    valued = told.filter(_has_text(OUTCOME)).with_columns(pl.col(OUTCOME).str.strip_chars())
    known = valued.filter(pl.col(OUTCOME).is_in(list(classes))) if classes else valued
    newest = _newest(known)
    frame = made.join(newest, on=[KEY, ROW], how="left", maintain_order="left")
    orphans = newest.join(made, on=[KEY, ROW], how="anti").height
    return Joined(
        frame.drop("contradicted"),
        Counts(
            predictions=made.height,
            repeated_predictions=keyed.height - made.height,
            outcomes=newest.height,
            repeated_outcomes=known.height - newest.height,
            contradicting_outcomes=int(newest["contradicted"].sum()),
            without_key=predictions.height - keyed.height + outcomes.height - told.height,
            without_value=told.height - valued.height,
            of_no_known_class=valued.height - known.height,
            without_prediction=orphans,
            before_prediction=frame.filter(pl.col(LEARNED) < pl.col(TIME)).height,
            joined=newest.height - orphans,
        ),
        _unknown(valued, classes) if classes else {},
    )


def _unknown(outcomes: pl.DataFrame, classes: Collection[str]) -> dict[str, int]:
    """The outcomes that are no class, the most frequent first; ties in the order of the text."""
    others = outcomes.filter(~pl.col(OUTCOME).is_in(list(classes)))
    counts = others.group_by(pl.col(OUTCOME).str.slice(0, SHOWN)).len().sort("len", OUTCOME, descending=[True, False])
    return dict(counts.head(MOST).iter_rows())


def _newest(outcomes: pl.DataFrame) -> pl.DataFrame:
    """One outcome per prediction: the one learned last, and when we first heard of any.

    Of two learned at the same instant the greater value stands, so that the order of arrival decides nothing.
    """
    order = [pl.col(LEARNED), pl.col(ARRIVED), pl.col(OUTCOME)]
    return (
        outcomes.with_columns(pl.coalesce(LEARNED, ARRIVED))
        .group_by(KEY, ROW)
        .agg(
            pl.col(OUTCOME).sort_by(order, nulls_last=False).last(),
            pl.col(LEARNED).max(),
            pl.col(ARRIVED).min(),
            (pl.col(OUTCOME).n_unique() > 1).alias("contradicted"),
        )
    )


def _has_text(column: str) -> pl.Expr:
    return pl.col(column).is_not_null() & (pl.col(column).str.strip_chars() != "")


def _rest(frame: pl.DataFrame) -> list[str]:
    """The columns beside those that order predictions first: ties are broken by content, never by arrival."""
    return [name for name in frame.columns if name not in (TIME, VARIANT)]


def _require(frame: pl.DataFrame, columns: Mapping[str, object], what: str) -> None:
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise JoinError(
            f"the {what} have columns {', '.join(frame.columns)}; missing: {', '.join(missing)}. "
            "Nothing can be joined without."
        )
