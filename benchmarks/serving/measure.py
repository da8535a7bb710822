"""Measure Slipway's serving container against other ways to serve the same model, and write the tables.

    python -m benchmarks.serving.measure                      measure and print
    python -m benchmarks.serving.measure --write              also write docs/benchmarks.md
    python -m benchmarks.serving.measure --only "Slipway,BentoML" --seconds 2

The server is held to one core and the load generator (wrk) to another; ratios are taken against the best of the peers
in the same run. A peer that cannot be installed or does not answer is reported as such.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from statistics import median

from benchmarks.serving import model
from benchmarks.serving.load import Load, Running, load, running
from benchmarks.serving.servers import EMPTY, OURS, PEER_SERVERS, PEERS, ROOT, Server, UnavailableError

CASES = ((1, 1), (1, 16), (100, 1))  # rows per request, connections
DOCS = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- serving: begin -->", "<!-- serving: end -->"
PIECE_BYTES = 6 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of one server, medians over the rounds."""

    name: str
    loads: dict[tuple[int, int], Load]
    start_seconds: float
    megabytes: float


@dataclass(frozen=True, slots=True)
class Demand:
    """A promise: what is compared, what came out, and the bound it must keep."""

    what: str
    value: float
    bound: float
    at_least: bool = True

    @property
    def is_met(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def measure(server: Server, folder: Path, seconds: int, rounds: int) -> Figures:
    loads: dict[tuple[int, int], list[Load]] = {case: [] for case in CASES}
    starts: list[float] = []
    sizes: list[float] = []
    for _ in range(rounds):
        with running(server, folder, [0]) as target:
            starts.append(target.start_seconds)
            warm_up(target)
            for case in CASES:
                loads[case].append(load(target, *case, seconds, core=1))
            sizes.append(target.megabytes())
    return Figures(server.name, {case: middle(each) for case, each in loads.items()}, median(starts), median(sizes))


def processor_of_empty_and_ours(folder: Path, seconds: int, rounds: int) -> tuple[float, float]:
    """Microseconds of processor for an empty answer and for a prediction, side by side: a machine's pace drifts."""
    spent: dict[str, list[float]] = {EMPTY.name: [], OURS.name: []}
    with running(EMPTY, folder, [0]) as empty, running(OURS, folder, [0]) as ours:
        for _ in range(3 * rounds):
            for target in (empty, ours):
                load(target, 1, 1, 1, core=1)
                spent[target.server.name].append(load(target, 1, 1, max(seconds // 2, 1), core=1).processor)
    return median(spent[EMPTY.name]), median(spent[OURS.name])


def warm_up(target: Running) -> None:
    for case in CASES:
        load(target, *case, 1, core=1)


def middle(loads: list[Load]) -> Load:
    return Load(*(median(getattr(each, name) for each in loads) for name in ("rate", "p50", "p99", "processor")))


def bare_predict_microseconds(folder: Path) -> float:
    """Processor time of one predict call of the fast form for one row, nothing around it, on the server's core."""
    script = (
        "import sys, time, pathlib\n"
        "from families.opening import open_artifact\n"
        "from inference.decoding import decode\nfrom inference.layout import Layout\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "manifest, model = open_artifact(folder / 'model')\n"
        "row = decode((folder / '1.csv').read_bytes(), 'text/csv', Layout(manifest.schema), 1)\n"
        "best = 1e9\n"
        "for _ in range(20):\n"
        "    began = time.process_time()\n"
        "    for _ in range(2000): model.predict(row)\n"
        "    best = min(best, (time.process_time() - began) / 2000)\n"
        "print(best * 1e6)\n"
    )
    command = ["taskset", "-c", "0", sys.executable, "-c", script, str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return float(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)


def pipeline_batch_seconds(python: Path, folder: Path) -> float:
    """pandas.read_csv and pipeline.predict_proba on the million rows, with every core."""
    done = subprocess.run(
        [str(python), str(PEERS / "train.py"), "time"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"BENCHMARK_FOLDER": str(folder)},
    )
    told = json.loads(done.stdout)
    return float(told["read"] + told["predict"])


def our_batch_seconds(folder: Path) -> float:
    """The million rows as a transform job sends them: pieces of at most 6 MiB, as many at a time as we ask for."""
    callers = len(os.sched_getaffinity(0))
    with running(OURS, folder, sorted(os.sched_getaffinity(0)), SAGEMAKER_BATCH="true") as target:
        target.ask((folder / "1.csv").read_bytes())
        started = time.perf_counter()
        lines = 0
        with (
            (folder / "rows.csv").open("rb") as rows,
            mmap(rows.fileno(), 0, access=ACCESS_READ) as content,
            memoryview(content) as view,
            (folder / "rows.csv.out").open("wb") as answers,
            ThreadPoolExecutor(callers) as threads,
        ):
            waiting = deque(threads.submit(asked, target, view[start:stop]) for start, stop in pieces_of(content))
            while waiting:
                answer = waiting.popleft().result()
                answers.write(answer)
                lines += answer.count(b"\n")
        seconds = time.perf_counter() - started
    if lines != model.BATCH_ROWS:
        raise UnavailableError(f"the batch gave {lines} answers")
    return seconds


def asked(target: Running, piece: memoryview) -> bytes:
    with piece:
        return target.ask(piece, "text/csv;output=probabilities")


def pieces_of(content: mmap) -> Iterator[tuple[int, int]]:
    """Where each piece starts and stops: whole lines, and not more than a request may hold."""
    start, size = 0, len(content)
    while start < size:
        stop = size if size - start <= PIECE_BYTES else content.rfind(b"\n", start, start + PIECE_BYTES) + 1
        yield start, stop
        start = stop


def demands(
    ours: Figures, peers: list[Figures], processor: tuple[float, float, float], batch: tuple[float, float]
) -> list[Demand]:
    """Every promise of the serving container against the best peer of this run."""
    one_row, empty, bare = processor

    def best_rate(case: tuple[int, int]) -> float:
        return max(peer.loads[case].rate for peer in peers)

    one, sixteen, hundred = CASES
    quickest = min(peer.loads[one].p99 for peer in peers)
    return [
        Demand(
            "requests a second, 1 row, 1 connection, times the best peer", ours.loads[one].rate / best_rate(one), 50
        ),
        Demand(
            "p99, 1 row, 1 connection, share of the best peer's", ours.loads[one].p99 / quickest, 0.1, at_least=False
        ),
        Demand(
            "requests a second, 1 row, 16 connections, times the best peer",
            ours.loads[sixteen].rate / best_rate(sixteen),
            120,
        ),
        Demand(
            "requests a second, 100 rows, 1 connection, times the best peer",
            ours.loads[hundred].rate / best_rate(hundred),
            12,
        ),
        Demand(
            f"processor time of a one-row request ({one_row:.1f} us), times "
            f"(empty answer {empty:.1f} us + bare predict {bare:.1f} us)",
            one_row / (empty + bare),
            1.6,
            at_least=False,
        ),
        Demand(
            "start to first healthy ping, share of the best peer's",
            ours.start_seconds / min(peer.start_seconds for peer in peers),
            1 / 3,
            at_least=False,
        ),
        Demand(
            "resident memory, share of the best peer's",
            ours.megabytes / min(peer.megabytes for peer in peers),
            0.5,
            at_least=False,
        ),
        Demand(
            f"a million CSV rows ({batch[0]:.2f} s), times pandas and predict_proba ({batch[1]:.2f} s)",
            batch[1] / batch[0],
            5,
        ),
    ]


def tables(figures: list[Figures], absent: dict[str, str], promised: list[Demand], difference: float) -> str:
    head = (
        "| server | 1 row, 1 connection: requests/s | p50 us | p99 us | processor us "
        "| 1 row, 16 connections: requests/s | 100 rows, 1 connection: requests/s | start s | memory MB |"
    )
    lines = [head, "|---|---|---|---|---|---|---|---|---|"]
    one, sixteen, hundred = CASES
    for each in figures:
        first = each.loads[one]
        cells = [f"{first.rate:,.0f}", f"{first.p50:,.0f}", f"{first.p99:,.0f}", f"{first.processor:,.0f}"]
        cells += [f"{each.loads[sixteen].rate:,.0f}", f"{each.loads[hundred].rate:,.0f}"]
        cells += [f"{each.start_seconds:.2f}", f"{each.megabytes:,.0f}"]
        lines.append(f"| {each.name} | {' | '.join(cells)} |")
    lines += [f"| {name} | not measured: {reason} | | | | | | | |" for name, reason in absent.items()]
    lines += ["", "| promise | measured | bound | |", "|---|---|---|---|"]
    for each in promised:
        sign = "at least" if each.at_least else "at most"
        lines.append(
            f"| {each.what} | {each.value:.2f} | {sign} {each.bound:.2f} | {'met' if each.is_met else 'missed'} |"
        )
    on = f"on {model.SAMPLE_ROWS} rows"
    lines += ["", f"Largest difference between our probabilities and the pipeline's {on}: {difference:.1e}."]
    return "\n".join(lines)


def machine() -> str:
    name = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "?",
    )
    return f"{name}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}, {platform.system()}"


def write(text: str) -> None:
    """Put the tables between their markers, leaving the rest of the page as it is."""
    page = DOCS.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCS.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=4, help="of each load")
    parser.add_argument("--rounds", type=int, default=2, help="starts of each server; medians are taken")
    parser.add_argument("--only", default="", help="names of servers, separated by commas")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    for program in ("wrk", "taskset", "uv"):
        if shutil.which(program) is None:
            print(f"measure: {program} is not on PATH; install it (Debian: apt-get install wrk nginx-light util-linux)")
            return 1
    if len(os.sched_getaffinity(0)) < 2:
        print("measure: at least two cores are needed, one for the server and one for the load")
        return 1
    with tempfile.TemporaryDirectory(prefix="slipway-measure-") as folder:
        Path(folder).chmod(0o755)  # nginx started by root answers as another user, who must reach the socket in here
        return compare(Path(folder), options)


def compare(folder: Path, options: argparse.Namespace) -> int:
    chosen = [name.strip().lower() for name in options.only.split(",") if name.strip()]
    busy = os.getloadavg()[0]
    say("making the model and the rows")
    model.prepare(folder)
    python = fit_pipeline(folder)
    difference = model.largest_difference(folder)
    say(f"largest difference to the pipeline: {difference:.1e}")
    figures: list[Figures] = []
    absent: dict[str, str] = {}
    for server in (OURS, *PEER_SERVERS):
        if chosen and not any(server.name.lower().startswith(name) for name in chosen):
            continue
        say(server.name)
        try:
            figures.append(measure(server, folder, options.seconds, options.rounds))
        except (UnavailableError, subprocess.SubprocessError) as problem:
            absent[server.name] = str(problem).partition(":")[0]  # the rest is a log with this machine's paths in it
            say(f"{server.name}: {problem}")
    say("an empty answer, a bare predict, and the million rows")
    empty, ours = processor_of_empty_and_ours(folder, options.seconds, options.rounds)
    bare = bare_predict_microseconds(folder)
    batch = (
        min(our_batch_seconds(folder) for _ in range(2)),
        min(pipeline_batch_seconds(python, folder) for _ in range(2)),
    )
    peers = [each for each in figures if each.name != OURS.name]
    promised = demands(figures[0], peers, (ours, empty, bare), batch)
    text = tables(figures, absent, promised, difference)
    text += f"\n\nMeasured on {time.strftime('%Y-%m-%d', time.gmtime())}: {machine()}; seed {model.SEED}; "
    text += (
        f"{model.ROUNDS} rounds of trees; {options.rounds} starts of each server, {options.seconds} s of each load; "
    )
    text += (
        f"load average {busy:.1f} when it began: above 0.5 the machine was not idle, and times are not to be trusted."
    )
    print(text)
    if options.write:
        write(text)
    return 0 if all(each.is_met for each in promised) else 1


def fit_pipeline(folder: Path) -> Path:
    """Fit what the peers serve in the plainest of their environments; answer its interpreter."""
    python = PEER_SERVERS[-1].install() / "python"
    for step in ("fit", "answers"):
        command = [str(python), str(PEERS / "train.py"), step]
        subprocess.run(command, check=True, env=os.environ | {"BENCHMARK_FOLDER": str(folder)})
    return python


def say(text: str) -> None:
    print(f"measure: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
