"""The demo's customers: rows of the sample world, asked about twenty at a time, and how they turned out."""

from __future__ import annotations

import csv
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

from contract.records import Outcome, Request
from delivery.platform import Platform

TARGET = "churned"
TOGETHER = 20


class SampleError(Exception):
    """The sample data could not be made; the text carries what the container's program said."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A table of customers of the sample world."""

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def draw(cls, path: Path, *, rows: int, seed: int, drift: float = 0.0) -> Sample:
        """Customers as the training container's own program makes them; `drift` 1 is a year later."""
        command = [sys.executable, "-m", "training", "sample", "churn", "--rows", str(rows), "--seed", str(seed)]
        path.parent.mkdir(parents=True, exist_ok=True)
        made = subprocess.run(
            [*command, "--drift", str(drift), "--out", str(path)], capture_output=True, text=True, check=False
        )
        if made.returncode != 0:
            raise SampleError(f"the sample data could not be made:\n{made.stderr.strip()}")
        return cls.read(path)

    @classmethod
    def read(cls, path: Path) -> Sample:
        with path.open(newline="") as file:
            table = csv.reader(file)
            header = tuple(next(table))
            return cls(path, header, tuple(tuple(row) for row in table))

    def mistold(self, path: Path, share: float) -> Sample:
        """The same customers with this share of the answers turned round: who left stayed, who stayed left."""
        at, other, chance = self.header.index(TARGET), {"yes": "no", "no": "yes"}, random.Random(path.stem)  # noqa: S311
        rows = tuple(
            (*row[:at], other[row[at]], *row[at + 1 :]) if chance.random() < share else row for row in self.rows
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([self.header, *rows])
        return Sample(path, self.header, rows)

    def asked(self, row: Sequence[str]) -> str:
        """A customer as the endpoint is asked about: without the answer."""
        at = self.header.index(TARGET)
        return ",".join((*row[:at], *row[at + 1 :]))

    def truth(self, row: Sequence[str]) -> str:
        return row[self.header.index(TARGET)]


@dataclass
class Customers:
    """Those who call: they go on where they stopped, and remember whom they asked."""

    platform: Platform
    model: str
    sample: Sample
    asked: int = 0
    by: Counter[str] = field(default_factory=Counter)
    untold: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.order: Iterator[tuple[str, ...]] = cycle(self.sample.rows)

    def call(self, requests: int) -> None:
        """So many requests, each about twenty customers."""
        for _ in range(requests):
            rows = list(islice(self.order, TOGETHER))
            key = f"{self.sample.path.stem}-{self.asked:06d}"
            body = "\n".join(self.sample.asked(row) for row in rows)
            request = Request(body.encode(), "text/csv", "application/json", inference_id=key)
            self.by[self.platform.invoke(self.model, request).answer.variant] += TOGETHER
            self.untold.append(Outcome(key, "\n".join(self.sample.truth(row) for row in rows)))
            self.asked += 1

    def turn_out(self) -> int:
        """Tell how everybody asked about turned out; how many customers that was."""
        told = list(self.untold)
        self.untold.clear()
        if told:
            self.platform.put_outcomes(self.model, told)
        return TOGETHER * len(told)
