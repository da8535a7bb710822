"""Tables of rows in files: Parquet, CSV and JSON lines, a bounded number of rows at a time."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, get_args

import msgspec
import polars as pl

Format = Literal["capture", "parquet", "csv", "json"]
ROWS = 1 << 20  # at a time: what bounds the memory a pass needs
Refuse = Callable[[int, str, bytes], None]  # takes the line's number, what is wrong with it, and its text
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
            # All rows decide the types: a column of whole numbers may have a fraction, or a word, in its last.
            yield from pl.scan_ndjson(path, infer_schema_length=None).collect_batches(chunk_size=rows)
    except pl.exceptions.NoDataError:
        return
    except (pl.exceptions.PolarsError, OSError) as problem:
        first = str(problem).split("\n", 1)[0]
        raise TableError(f"{path.name} cannot be read as {kind}: {first}") from problem


def readable(content: bytes, kind: Format, refuse: Refuse) -> bytes:
    r"""The lines of a damaged text that can be read, each taken by itself: one that is no row is refused, and no other.

    >>> readable(b"a,b\n1,2\n1,2,3\n", "csv", lambda line, reason, text: print(line, reason))
    3 3 fields in a row, expected 2
    b'a,b\n1,2'
    """
    kept: list[bytes] = []
    width = 0
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            width = _width(line.rstrip(b"\r"), kind, width)
        except UnicodeDecodeError:
            refuse(number, "not UTF-8", line)
        except (ValueError, TypeError, RecursionError, csv.Error) as problem:
            refuse(number, str(problem), line)
        else:
            kept.append(line)
    return b"\n".join(kept)


def _width(line: bytes, kind: Format, expected: int) -> int:
    """How many fields a line may have: as many as the first has, whose number is not known before it."""
    if kind == "csv":
        fields = len(next(csv.reader([line.decode()], strict=True)))
        if expected and fields > expected:
            raise ValueError(f"{fields} fields in a row, expected {expected}")
        return expected or fields
    if not isinstance(msgspec.json.decode(line), dict):
        raise TypeError("a line that is no JSON object")
    return expected


def _parquet(path: Path, rows: int) -> Iterator[pl.DataFrame]:
    height = int(pl.scan_parquet(path).select(pl.len()).collect().item())
    if height <= rows:
        yield pl.read_parquet(path)
        return
    piece = min(rows, PIECE)
    for start in range(0, height, piece):
        yield pl.scan_parquet(path).slice(start, piece).collect()
