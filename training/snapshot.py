"""Fix the data of a run: one form, cut by a seed into train, validation and test, and named by its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from contract.stages import SNAPSHOT_FILE, SPLITS, TEST, TRAIN, VALIDATION
from training.channels import ChannelError, data_files, read_files
from training.settings import Settings

PART = "part-0000.parquet"
ROWS_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Immutable training data: the rows of each split, and one hash over all of them."""

    splits: Mapping[str, pl.DataFrame]
    data_hash: str

    @property
    def train(self) -> pl.DataFrame:
        return self.splits[TRAIN]

    @property
    def validation(self) -> pl.DataFrame:
        return self.splits[VALIDATION]

    @property
    def evaluated_on(self) -> str:
        """The split an evaluation uses: test where there is one, else validation."""
        return TEST if TEST in self.splits else VALIDATION

    def describe(self) -> dict[str, object]:
        return {
            "data_hash": self.data_hash,
            "rows": {name: len(frame) for name, frame in self.splits.items()},
            "columns": {name: str(kind) for name, kind in self.train.schema.items()},
        }


def snapshot(channels: Mapping[str, pl.DataFrame], settings: Settings, *, hold_out_test: bool = False) -> Snapshot:
    """The splits of a run; those that no channel brings are cut from the training rows by the seed."""
    splits = {name: channels[name] for name in SPLITS if name in channels}
    wanted = [(VALIDATION, settings.validation_share)] + ([(TEST, settings.test_share)] if hold_out_test else [])
    shares = {name: share for name, share in wanted if name not in splits}
    splits |= _cut(splits[TRAIN], shares, settings.seed)
    ordered = {name: splits[name] for name in SPLITS if name in splits}
    empty = [name for name, frame in ordered.items() if frame.is_empty()]
    if empty:
        raise ChannelError(
            f"the split {' and '.join(empty)} has no rows: {len(channels[TRAIN])} rows came in, cut into "
            f"{', '.join(f'{share:.0%} {name}' for name, share in shares.items())}; bring more rows or smaller shares"
        )
    return Snapshot(ordered, hash_of(ordered))


def _cut(frame: pl.DataFrame, shares: Mapping[str, float], seed: int) -> dict[str, pl.DataFrame]:
    """Draw each row's split by the seed, keeping the order of rows."""
    place = np.random.default_rng(seed).permutation(len(frame))
    cut: dict[str, pl.DataFrame] = {}
    begin = 0
    for name, share in shares.items():
        end = begin + round(share * len(frame))
        cut[name] = frame.filter((place >= begin) & (place < end))
        begin = end
    return {TRAIN: frame.filter(place >= begin), **cut}


def hash_of(splits: Mapping[str, pl.DataFrame]) -> str:
    """One hash over names, columns, kinds and values: the same for the same rows in whatever form they came."""
    digest = hashlib.sha256()
    for name, frame in splits.items():
        digest.update(f"{name}\0{list(frame.schema.items())}\0".encode())
        for part in frame.iter_slices(ROWS_AT_ONCE):
            digest.update(part.write_csv(include_header=False).encode())
    return digest.hexdigest()


def write_snapshot(taken: Snapshot, folder: Path) -> None:
    for name, frame in taken.splits.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        frame.write_parquet(folder / name / PART)
    (folder / SNAPSHOT_FILE).write_text(json.dumps(taken.describe(), indent=1) + "\n")


def read_snapshot(folder: Path) -> Snapshot:
    """A snapshot as it was written, refused when its rows are not those its hash was taken of."""
    described = folder / SNAPSHOT_FILE
    if not described.is_file():
        raise ChannelError(f"no {SNAPSHOT_FILE} in '{folder}': the stage `snapshot` writes one")
    promised = json.loads(described.read_bytes())["data_hash"]
    splits = {name: read_files(files) for name in SPLITS if (files := data_files(folder / name))}
    found = hash_of(splits)
    if found != promised:
        raise ChannelError(
            f"the rows in '{folder}' have the hash {found[:12]}, its {SNAPSHOT_FILE} says {promised[:12]}: "
            "a snapshot does not change; take a new one"
        )
    return Snapshot(splits, found)
