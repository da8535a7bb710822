"""What an outcome adds to a metric."""

from __future__ import annotations

import numpy as np
import pytest

from contract.records import RecordError
from monitoring.experiment.counting import counted, nothing, require_counts
from monitoring.experiment.experiment import Metric
from monitoring.experiment.looks import Sums, Tally

PREDICTED, ACTUAL = np.array(["yes", "no", "yes"]), np.array(["yes", "yes", "no"])


def mean(counts: str, kind: str = "mean") -> Metric:
    return Metric("m", kind, 1.0, 0.1, spread=1.0, counts=counts)  # type: ignore[arg-type]


def test_a_rate_counts_right_predictions_or_one_outcome() -> None:
    assert counted(Metric("m", "rate", 0.5, 0.1), PREDICTED, ACTUAL) == Tally(3, 1)
    assert counted(Metric("m", "rate", 0.5, 0.1, counts="outcome=yes"), PREDICTED, ACTUAL) == Tally(3, 2)


def test_a_mean_counts_errors_or_the_outcome_itself_and_leaves_out_what_is_no_number() -> None:
    predicted, actual = np.array(["1.0", "2.0", "5"]), np.array(["2.0", "2.5", "unknown"])
    assert counted(mean("absolute-error"), predicted, actual) == Sums(2, 1.5, 1.25)
    assert counted(mean("squared-error"), predicted, actual) == Sums(2, 1.25, 1.0625)
    with_covariate = counted(mean("value"), predicted, actual, np.array([3.0, np.nan, 1.0]))
    assert with_covariate == Sums(1, 2.0, 4.0, 3.0, 9.0, 6.0)


def test_a_ratio_counts_a_numerator_and_a_denominator() -> None:
    found = counted(mean("value", "ratio"), np.array(["", ""]), np.array(["1,4", "2"]))
    assert found == Sums(1, 1.0, 1.0, 4.0, 16.0, 4.0)


def test_nothing_counted_fits_the_metric() -> None:
    assert nothing(Metric("m", "rate", 0.5, 0.1)) == Tally()
    assert nothing(mean("value")) == Sums()


def test_a_metric_that_counts_what_its_kind_cannot_is_refused() -> None:
    with pytest.raises(RecordError, match="is a mean and counts 'right'"):
        require_counts(mean("right"))
