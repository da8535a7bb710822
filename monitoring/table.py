"""Tables of rows in files: Parquet, CSV and JSON lines, a bounded number of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

import polars as pl

Format = Literal["capture", "parquet", "csv", "json"]
ROWS = 1 << 20  # at a time: what bounds the memory a pass needs
PIECE = 1 << 18  # of a larger Parquet file: taking a piece out needs room beside it


class TableError(ValueError):
    """A file that cannot be read as a table; the text names it and what was expected."""


def format_of(name: str, default: Format = "csv") -> Format:
    """By the end of the name."""
    endings: dict[str, Format] = {
        ".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".jsonl": "json", ".ndjson": "json", ".json": "json",
    }  # fmt: skip
    return endings.get(Path(name.removesuffix(".gz")).suffix.lower(), default)


def frames(path: Path, kind: Format, rows: int = ROWS) -> Iterator[pl.DataFrame]:
    """The rows of one file, in order."""
    if kind not in get_args(Format) or kind == "capture":
        raise TableError(f"{path}: format '{kind}', expected parquet, csv or json")
    try:
        if kind == "parquet":
            yield from _parquet(path, rows)
        elif kind == "csv":
            yield from pl.scan_csv(path, infer_schema=False).collect_batches(chunk_size=rows)
        else:
            yield from pl.scan_ndjson(path, infer_schema_length=10_000).collect_batches(chunk_size=rows)
    except pl.exceptions.NoDataError:
        return
    except (pl.exceptions.PolarsError, OSError) as problem:
        first = str(problem).split("\n", 1)[0]
        raise TableError(f"{path.name} cannot be read as {kind}: {first}") from problem


def _parquet(path: Path, rows: int) -> Iterator[pl.DataFrame]:
    height = int(pl.scan_parquet(path).select(pl.len()).collect().item())
    if height <= rows:
        yield pl.read_parquet(path)
        return
    piece = min(rows, PIECE)
    for start in range(0, height, piece):
        yield pl.scan_parquet(path).slice(start, piece).collect()
