"""The watch over decay from one run to the next: its evidence, and which predictions it has counted.

An outcome counts at the first look that knows it, whenever and however it was delivered: in the middle of an hour, into
a file of an hour long gone, or into one that is not filed by hour. So that it counts once, what was counted is
remembered: eight bytes of each prediction, by the hour in which it was made, until predictions so old are no longer
joined.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from contract.records import Schema
from monitoring.outcomes.decay import Decay, Watch
from monitoring.outcomes.join import KEY, ROW, TIME
from monitoring.outcomes.reference import Reference, misses_of

VERSION = 2
DIGEST = 8
HOUR = "%Y-%m-%dT%H"


@dataclass(frozen=True, slots=True)
class Counted:
    """The predictions whose outcome was counted: a digest of each, side by side, by the hour of the prediction."""

    digests: Mapping[str, bytes] = field(default_factory=dict)
    since: datetime | None = None
    """Predictions before this are forgotten, and are not counted any more."""

    def new(self, known: pl.DataFrame) -> pl.DataFrame:
        """Of predictions whose outcome is known, those not counted yet."""
        if self.since is not None:
            known = known.filter(pl.col(TIME) >= self.since)
        before = np.frombuffer(b"".join(self.digests.values()), "<u8")
        return known.filter(~np.isin(digests_of(known), before))

    def add(self, known: pl.DataFrame) -> Counted:
        grown = dict(self.digests)
        hours = known[TIME].dt.strftime(HOUR).fill_null("").to_numpy().astype(np.str_)
        digests = digests_of(known)
        for hour in np.unique(hours):
            grown[str(hour)] = grown.get(str(hour), b"") + digests[hours == hour].tobytes()
        return replace(self, digests=grown)

    def forget(self, before: datetime) -> Counted:
        """Keep what was predicted from an instant on; one that is earlier than the last brings nothing back."""
        since = before if self.since is None else max(self.since, before)
        first = since.astimezone(UTC).strftime(HOUR)
        return Counted({hour: each for hour, each in self.digests.items() if hour >= first}, since)

    def to_json(self) -> dict[str, Any]:
        return {
            "since": None if self.since is None else self.since.isoformat(),
            "digests": {hour: base64.b64encode(each).decode() for hour, each in self.digests.items()},
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        since = None if given["since"] is None else datetime.fromisoformat(given["since"])
        return cls({hour: base64.b64decode(each) for hour, each in given["digests"].items()}, since)


def digests_of(known: pl.DataFrame) -> NDArray[np.uint64]:
    """Of each row's key and number: the same in every process, and under every version of every library."""
    rows = known.select(KEY, ROW).iter_rows()
    found = (
        hashlib.blake2b(f"{row}\0{key}".encode(errors="replace"), digest_size=DIGEST).digest() for key, row in rows
    )
    return np.frombuffer(b"".join(found), "<u8")


@dataclass(frozen=True, slots=True)
class Watched:
    """Per variant the evidence of decay; over all of them what was counted."""

    decay: Mapping[str, Decay] = field(default_factory=dict)
    counted: Counted = field(default_factory=Counted)

    def look(
        self, variant: str, known: pl.DataFrame, now: datetime, *, schema: Schema, reference: Reference
    ) -> Watched:
        """Count what has become known of a variant; a look that is not later than the last counts nothing."""
        watch = Watch(reference.misses)
        new = self.counted.new(known)
        before = self.decay.get(variant, Decay.start(watch))
        after = before.look(now.astimezone(UTC).isoformat(), misses_of(new, schema, reference), watch)
        if after is before:
            return self
        return Watched({**self.decay, variant: after}, self.counted.add(new))

    def forget(self, now: datetime, horizon: timedelta) -> Watched:
        """Remember what was counted for as long as predictions are joined."""
        return replace(self, counted=self.counted.forget(now - horizon))

    def to_json(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "decay": {variant: each.to_json() for variant, each in self.decay.items()},
            "counted": self.counted.to_json(),
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        """As it was written; one that does not say what it counted is begun anew, and counts all that is joined."""
        if given.get("version") != VERSION:
            return cls()
        decay = {variant: Decay.from_json(each) for variant, each in given["decay"].items()}
        return cls(decay, Counted.from_json(given["counted"]))
