"""application/x-parquet: a table by column name; columns may stand in any order."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from inference.layout import Layout, Matrix
from inference.refusals import RequestError

if TYPE_CHECKING:
    import polars as pl

CONTENT_TYPES = ("application/x-parquet", "application/vnd.apache.parquet")
MOST_ROWS = 2_000_000  # a small file can say it holds billions


def decode(body: bytes, parameters: Mapping[str, str], layout: Layout) -> Matrix:
    del parameters
    if not (body.startswith(b"PAR1") and body.endswith(b"PAR1")):
        raise RequestError(
            "the body is not a whole Parquet file: it is cut off or of another format", code="bad_parquet"
        )
    table = _read(body)
    layout.order_of(table.columns, "the table")
    matrix = layout.matrix(table.height)
    for at, name in enumerate(layout.names):
        layout.fill(matrix[:, at], at, _plain(table[name]))
    return matrix


def _read(body: bytes) -> pl.DataFrame:
    import polars as pl  # a third of a second: only those who send Parquet pay for it

    try:
        return pl.read_parquet(io.BytesIO(body), n_rows=MOST_ROWS, use_statistics=False)
    except (Exception, pl.exceptions.PanicException) as problem:  # noqa: BLE001 - a bad file can raise anything
        raise RequestError(f"the Parquet file cannot be read: {str(problem)[:200]}", code="bad_parquet") from None


def _plain(values: pl.Series) -> list[Any]:
    """Plain values: numbers, truths, texts; anything else is refused by the column it should fill."""
    import polars as pl

    if values.dtype == pl.Categorical or isinstance(values.dtype, pl.Enum):
        values = values.cast(pl.String)
    return values.to_list()
