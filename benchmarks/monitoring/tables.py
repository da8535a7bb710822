"""Prints what the simulations found, as the tables of docs/statistics.md, each number with its 95 % bound.

python -m benchmarks.monitoring.tables           print
python -m benchmarks.monitoring.tables --write   put them between the marks in docs/statistics.md
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from scipy import special

from benchmarks.monitoring import peers

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[2] / "docs" / "statistics.md"


def lines(name: str) -> list[dict[str, Any]]:
    path = RESULTS / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def document(name: str) -> dict[str, Any]:
    path = RESULTS / name
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def at_most(events: int, exposure: float) -> float:
    """The upper 95 % bound of a rate (Poisson, exact)."""
    return float(special.chdtri(2 * events + 2, 0.05)) / 2 / exposure


def at_least(hits: int, runs: int) -> float:
    """The lower 95 % bound of a share (Clopper and Pearson)."""
    return float(special.betaincinv(hits, runs - hits + 1, 0.05)) if hits else 0.0


def below(hits: int, runs: int) -> float:
    """The upper 95 % bound of a share."""
    return 1 - at_least(runs - hits, runs)


def table(headings: list[str], rows: list[list[str]]) -> str:
    marks = ["---"] * len(headings)
    return "\n".join("| " + " | ".join(row) + " |" for row in [headings, marks, *rows])


def false_alarms() -> str:
    years: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in lines("false_alarms.jsonl"):
        years[json.dumps(line["setting"], sort_keys=True)].append(line)
    rows = []
    for key, found in sorted(
        years.items(),
        key=lambda item: (
            [json.loads(item[0])[name] for name in ("rows", "columns", "categories")]
            + [-json.loads(item[0])["baseline"], json.loads(item[0]).get("teaching", 0)]
        ),
    ):
        setting = json.loads(key)
        alarms, exposure = sum(one["alarms"] for one in found), sum(one["hours"] for one in found) / 8760
        kinds = f"{setting['columns']} ({setting['categories']:.0%} categories)"
        season = setting.get("season", "no")
        pairs = "yes" if setting["pairs"] else "no"
        baseline = f"{setting['baseline']:,}"
        if "teaching" in setting:
            baseline += f", levels of {setting['teaching']:,} others"
        rows.append(
            [
                f"{setting['rows']:,}",
                kinds,
                baseline,
                season,
                pairs,
                f"{exposure:.1f}",
                str(alarms),
                f"{at_most(alarms, exposure):.2f}",
            ]
        )
    heads = [
        "rows an hour",
        "columns",
        "rows of the baseline",
        "daily season",
        "correlations",
        "endpoint-years",
        "false alarms",
        "per year, at most",
    ]
    return table(heads, rows)


def detection() -> str:
    rows = []
    for line in lines("detection.jsonl"):
        runs, after = line["simulated"], line["after"]
        hits = sum(one is not None for one in after)
        delays = sorted(line["windows"] + 1 if one is None else one for one in after)
        bound = (
            f"at most {below(hits, runs):.1%}"
            if line["goal"] == "nothing found"
            else f"at least {at_least(hits, runs):.1%}"
        )
        middle = "none" if not hits else str(delays[len(delays) // 2])
        rows.append(
            [line["case"], f"{line['windows']} x {line['rows']:,}", f"{hits} of {runs}", bound, middle, line["goal"]]
        )
    return table(["change in 1 of 50 columns", "windows x rows", "found", "95 % bound", "median windows", "goal"], rows)


def other_libraries() -> str:
    found = document("peers.json")
    return peers.shown(found) if found.get("cases") else ""


def speed() -> str:
    found = document("speed.json")
    rows = [*_parquet_rows(found), *_capture_rows(found)]
    notes = []
    if "processes" in found:
        both = found["processes"]
        wall, busier = both["ratio_wall"], both["ratio_processor"]
        notes.append(
            f"Two processes read {both['megabytes']:.0f} MB of capture lines {wall:.2f} times as fast as one; by the "
            f"processor time of the busier, which is what two free cores show, {busier:.2f} times."
        )
    if "memory" in found:
        peaks = ", ".join(f"{int(length):,}: {peak}" for length, peak in found["memory"].items() if length.isdigit())
        notes.append(f"Peak memory in MB by rows: {peaks}.")
    loads = [part["machine"]["load"] for part in found.values()]
    if loads:
        on = next(iter(found.values()))["machine"]
        notes.append(
            f"{on['processor']}, {on['cores']} cores, Python {on['python']}, seed {on['seed']}; "
            f"load {min(loads):.1f} to {max(loads):.1f} while measuring."
        )
    return table(["work", "seconds (processor seconds)", "ratio", "of processor time"], rows) + "\n\n" + " ".join(notes)


def _parquet_rows(found: dict[str, Any]) -> list[list[str]]:
    if "parquet" not in found:
        return []
    parquet = found["parquet"]
    ours = parquet["window"]
    rows = [
        ["polars reads 1,000,000 x 25 from Parquet", _took(parquet["polars_read"]), "1", "1"],
        ["a window of that file, read and judged", _took(ours), *_times(ours, parquet["polars_read"], "the reading")],
    ]
    for peer in ("nannyml", "frouros", "alibi-detect", "evidently"):
        told = found.get(peer, {})
        if "window" in told:
            rows.append(
                [f"{peer}, the same rows, in memory", _took(told["window"]), *_times(told["window"], ours, "ours")]
            )
        elif "error" in told:
            rows.append([f"{peer}: {told['error']}", "", "", ""])
    return rows


def _capture_rows(found: dict[str, Any]) -> list[list[str]]:
    capture = found.get("capture", {})
    if "readers" not in capture or "error" in capture["readers"]:
        return []
    size, ours = capture["megabytes"], capture["ours"]
    rows = [[f"capture lines, {size:.0f} MB", _took(ours), "1", "1"]]
    for name, one in capture["readers"].items():
        rows.append([f"{name} and a parser, the same lines", _took(one), *_times(one, ours, "ours")])
    return rows


def _times(one: dict[str, float], other: dict[str, float], name: str) -> list[str]:
    return [f"{one[clock] / other[clock]:.2f} x {name}" for clock in ("wall", "processor")]


def _took(one: dict[str, float]) -> str:
    return f"{one['wall']:.2f} ({one['processor']:.2f})"


TABLES = {"false alarms": false_alarms, "detection": detection, "peers": other_libraries, "speed": speed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="into docs/statistics.md")
    args = parser.parse_args()
    text = PAGE.read_text() if PAGE.exists() else ""
    for name, make in TABLES.items():
        made = make()
        print(f"\n## {name}\n\n{made}")
        if not made:
            continue  # not measured yet: what stands on the page stays
        before, mark, after = text.partition(f"<!-- table: {name} -->\n")
        if mark:
            text = before + mark + f"\n{made}\n\n<!-- end -->" + after.partition("<!-- end -->")[2]
    if args.write:
        PAGE.write_text(text)


if __name__ == "__main__":
    main()
