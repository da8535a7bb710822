"""How fast a window is judged: against reading the same file, against other libraries, and with two processes.

    python -m benchmarks.monitoring.speed                            everything
    python -m benchmarks.monitoring.speed --only parquet nannyml     some parts; the others keep their figures

Other libraries run in environments of their own, which are made at the first run.

Every ratio is of two numbers of this run on this machine. Wall times are the best of several; processor time stands
beside them, because it is what remains comparable when the machine is not quiet.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.monitoring import peers
from contract.records import CaptureRecord, Column, Payload, Schema
from monitoring import watch
from monitoring.baseline import Baseline, Rows, build
from monitoring.capture import Reader, Span, Tally
from monitoring.profile import count
from monitoring.storage import Disk
from monitoring.window import Source, read, shard

SEED = 20261120
LEVELS = (5, 20, 100, 1_000, 10_000)
ROUNDS = 15  # of what takes a fraction of a second
RESULTS = Path(__file__).parent / "results" / "speed.json"
SCHEMA = Schema(
    (*(Column(f"n{i}", "number") for i in range(20)), *(Column(f"c{i}", "category") for i in range(len(LEVELS)))),
    "y",
    "regression",
)


@dataclass(frozen=True)
class Took:
    """Seconds by the clock and of the processor."""

    wall: float
    processor: float


def took(work: Callable[[], object], times: int = 5) -> Took:
    """The best of several."""
    return taken({"": work}, times)[""]


def taken(works: Mapping[str, Callable[[], object]], times: int) -> dict[str, Took]:
    """The best of several of each, in alternating rounds: a machine that is slower for a while is so for all."""
    best = dict.fromkeys(works, Took(float("inf"), float("inf")))
    for _ in range(times):
        for name, work in works.items():
            wall, processor = time.perf_counter(), time.process_time()
            work()
            wall, processor = time.perf_counter() - wall, time.process_time() - processor
            best[name] = Took(min(best[name].wall, wall), min(best[name].processor, processor))
    return best


def table(rows: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng([SEED, seed])
    numbers = {f"n{i}": rng.standard_normal(rows) for i in range(20)}
    levels = {
        f"c{i}": pl.Series(np.minimum(rng.zipf(1.5, rows), 10**9) % known).cast(pl.String)
        for i, known in enumerate(LEVELS)
    }
    return pl.DataFrame({**numbers, **levels})


def judged(path: Path, baseline: Baseline) -> watch.Judged:
    window = read(Source(Disk(path.parent), "parquet"), [path.name], baseline, Span())
    return watch.judged(window, baseline, [], watch.Settings("e", "v"), datetime.now(UTC))


def prepare(folder: Path, rows: int) -> None:
    """A reference, its baseline, and a window."""
    reference = table(100_000, 2)
    reference.write_parquet(folder / "reference.parquet")
    table(rows, 1).write_parquet(folder / "window.parquet")
    (folder / "baseline.json").write_bytes(build(lambda: [Rows(reference)], SCHEMA).to_bytes())


def baseline_of(folder: Path) -> Baseline:
    return Baseline.from_bytes((folder / "baseline.json").read_bytes())


def parquet(folder: Path) -> dict[str, Any]:
    path, baseline = folder / "window.parquet", baseline_of(folder)
    means = pl.selectors.float().mean().name.suffix(" mean")
    works: dict[str, Callable[[], object]] = {
        "polars_read": lambda: pl.read_parquet(path),
        "window": lambda: judged(path, baseline),
        "polars_scan": lambda: pl.scan_parquet(path).select(pl.all().null_count(), means).collect(),
        "profile": lambda: count(pl.read_parquet(path), baseline.layout),
    }
    found = taken(works, ROUNDS)
    read, ours = found["polars_read"], found["window"]
    return {
        **{name: vars(each) for name, each in found.items()},
        "ratio_wall": ours.wall / read.wall, "ratio_processor": ours.processor / read.processor,
    }  # fmt: skip


def capture_file(folder: Path, records: int) -> Path:
    path, frame = folder / "capture.jsonl", table(records, 3)
    chances = np.random.default_rng(SEED).random(records).round(6).tolist()
    with path.open("w") as out:
        for number, (row, chance) in enumerate(zip(frame.iter_rows(), chances, strict=True)):
            body = ",".join(f"{value:.6f}" if isinstance(value, float) else value for value in row)
            told = Payload(str(chance), "CSV", "text/csv")
            given = Payload(body, "CSV", "text/csv")
            record = CaptureRecord(str(uuid.UUID(int=number)), "2026-11-20T10:00:00Z", given, told)
            out.write(record.to_line() + "\n")
    return path


def capture(folder: Path, records: int) -> dict[str, Any]:
    path = capture_file(folder, records)
    ours = took(lambda: Reader(SCHEMA).read(path, path.name, Tally()), 4)
    readers = peers.run("readers", [str(path), str(len(SCHEMA.columns))])
    found: dict[str, Any] = {"megabytes": path.stat().st_size / 1e6, "ours": vars(ours), "readers": readers}
    if "error" not in readers:
        for clock in ("wall", "processor"):
            found[f"ratio_{clock}"] = vars(ours)[clock] / min(one[clock] for one in readers.values())
    return found


def processes(folder: Path, records: int, copies: int) -> dict[str, Any]:
    """One process against two, each on one core, each its share of the files: as on two instances."""
    source, place = capture_file(folder, records), folder / "many"
    place.mkdir(exist_ok=True)
    for number in range(copies):
        (place / f"{number:03d}.jsonl").hardlink_to(source)
    itself = [sys.executable, "-m", "benchmarks.monitoring.speed"]
    environment = dict(os.environ, POLARS_MAX_THREADS="1", OPENBLAS_NUM_THREADS="1")

    def shares(of: int) -> Took:
        """By the clock until the last is done, and the processor time of the busiest."""
        began = time.perf_counter()
        given = [[*itself, "--share", f"{i}/{of}", str(place), str(folder / "baseline.json")] for i in range(of)]
        running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for command in given]
        busy = [float(each.communicate()[0]) for each in running]
        return Took(time.perf_counter() - began, max(busy))

    one, two = shares(1), shares(2)
    size = copies * source.stat().st_size / 1e6
    return {
        "megabytes": size, "one": vars(one), "two": vars(two),
        "ratio_wall": one.wall / two.wall, "ratio_processor": one.processor / two.processor,
    }  # fmt: skip


def share(which: str, place: str, baseline: str) -> None:
    number, of = (int(part) for part in which.split("/"))
    where = Disk(Path(place))
    read(Source(where), shard(where.names(), number, of), Baseline.from_bytes(Path(baseline).read_bytes()), Span())
    print(time.process_time())


MEMORY = """
import re, sys
from pathlib import Path
from monitoring.baseline import Baseline
from monitoring.capture import Span
from monitoring.storage import Disk
from monitoring.window import Source, read
folder = Path(sys.argv[1])
baseline = Baseline.from_bytes((folder / "baseline.json").read_bytes())
window = read(Source(Disk(folder), "parquet"), ["window.parquet"] * int(sys.argv[2]), baseline, Span())
status = Path("/proc/self/status").read_text()
print(window.profile.rows, int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) // 1024)
"""


def memory(folder: Path) -> dict[str, Any]:
    """The most memory a pass takes in megabytes, by rows: files of a million rows, one after the other."""
    found: dict[str, Any] = {}
    for files in (1, 4, 16):
        given = [sys.executable, "-c", MEMORY, str(folder), str(files)]
        told = subprocess.run(given, check=True, capture_output=True, text=True)
        rows, peak = told.stdout.split()
        found[rows] = int(peak)
    return found


def machine() -> dict[str, Any]:
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "",
    )
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
        "seed": SEED,
    }


PARTS = ("parquet", "capture", "processes", "memory", *peers.DRIFT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--copies", type=int, default=240, help="of the capture file, for the processes")
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=PARTS, help="parts to measure; others keep their figures"
    )
    parser.add_argument("--share", nargs=3, metavar=("I/N", "FOLDER", "BASELINE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.share:
        share(*args.share)
        return
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, args.rows)
        measures: dict[str, Callable[[], dict[str, Any]]] = {
            "parquet": lambda: parquet(folder),
            "capture": lambda: capture(folder, args.records),
            "processes": lambda: processes(folder, args.records, args.copies),
            "memory": lambda: memory(folder),
        }
        for part in args.only:
            given = ["speed", str(folder / "reference.parquet"), str(folder / "window.parquet")]
            told = measures[part]() if part in measures else peers.run(part, given)
            found[part] = {**told, "machine": machine()}
            RESULTS.parent.mkdir(exist_ok=True)
            RESULTS.write_text(json.dumps(found, indent=1))
            print(part, json.dumps(found[part], indent=1), flush=True)


if __name__ == "__main__":
    main()
