"""What things cost, from a dated table beside this file; it decides nothing and promises nothing.

A row says region, kind of use, item, price in US dollars per unit, the day it was written and where it came from.
A type that is not in the table is not offered: a cost that cannot be said is not put in the diff as zero.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

TABLE = Path(__file__).parent / "prices.csv"
HOURS_PER_MONTH = 730
FALLBACK_REGION = "eu-west-1"


class PriceError(Exception):
    """The table has no price; the text says for what and how to add one."""


@dataclass(frozen=True, slots=True)
class Price:
    usd: float
    unit: str
    as_of: date
    source: str

    @property
    def is_estimate(self) -> bool:
        """Whether nobody outside saw this price: entered by hand, or another region's times a factor."""
        return self.source.startswith("estimate")

    @property
    def monthly(self) -> float:
        """The price of one for a month without a pause."""
        return self.usd * HOURS_PER_MONTH if self.unit == "hour" else self.usd


@functools.cache
def table() -> Mapping[tuple[str, str, str], Price]:
    with TABLE.open(newline="") as file:
        return {
            (row["region"], row["kind"], row["item"]): Price(
                float(row["usd"]), row["unit"], date.fromisoformat(row["as_of"]), row["source"]
            )
            for row in csv.DictReader(file)
        }


def price(region: str, kind: str, item: str) -> Price:
    """The price in that region, or in the fallback region when the table does not know the region at all."""
    known = table()
    regions = {each[0] for each in known}
    found = known.get((region if region in regions else FALLBACK_REGION, kind, item))
    if found is None:
        raise PriceError(
            f"infra/prices.csv has no price for {kind} '{item}' in {region}: add a row with today's date and its source"
        )
    return found


def types(kind: str) -> frozenset[str]:
    """The instance types the table knows for a kind of use."""
    return frozenset(item for _, each, item in table() if each == kind)
