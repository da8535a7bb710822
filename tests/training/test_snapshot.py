"""A snapshot is the same for the same rows, whatever form they came in, and does not change."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from training.channels import ChannelError
from training.settings import Settings
from training.snapshot import read_snapshot, snapshot, write_snapshot


def test_what_no_channel_brings_is_cut_from_the_training_rows_by_the_seed(table: pl.DataFrame) -> None:
    taken = snapshot({"train": table}, Settings(), hold_out_test=True)
    sizes = {name: len(frame) for name, frame in taken.splits.items()}
    assert sizes == {"train": 840, "validation": 240, "test": 120}
    assert pl.concat(list(taken.splits.values())).sort(table.columns).equals(table.sort(table.columns))
    assert snapshot({"train": table}, Settings(), hold_out_test=True).data_hash == taken.data_hash
    assert snapshot({"train": table}, Settings(seed=1), hold_out_test=True).data_hash != taken.data_hash


def test_given_channels_stay_as_they_are_and_an_evaluation_uses_test_else_validation(table: pl.DataFrame) -> None:
    taken = snapshot({"train": table.head(800), "validation": table.tail(400)}, Settings())
    assert taken.validation.equals(table.tail(400))
    assert taken.evaluated_on == "validation"
    with_test = snapshot({"train": table.head(800), "test": table.tail(100)}, Settings())
    assert with_test.evaluated_on == "test"


def test_it_reads_back_as_written_and_a_changed_one_is_refused(table: pl.DataFrame, tmp_path: Path) -> None:
    taken = snapshot({"train": table}, Settings())
    write_snapshot(taken, tmp_path)
    assert read_snapshot(tmp_path).data_hash == taken.data_hash
    taken.train.head(10).write_parquet(tmp_path / "train" / "part-0000.parquet")
    with pytest.raises(ChannelError, match="a snapshot does not change"):
        read_snapshot(tmp_path)


def test_too_few_rows_for_the_shares_are_refused(table: pl.DataFrame) -> None:
    with pytest.raises(ChannelError, match="the split train and validation has no rows: 0 rows came in"):
        snapshot({"train": table.head(0)}, Settings())
