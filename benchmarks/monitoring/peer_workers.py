"""Runs inside a peer's own environment; imports nothing of ours. Prints one JSON object."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

Alarm = Callable[[Any], bool]


def timed(work: Callable[[], object], times: int = 3) -> dict[str, float]:
    best = {"wall": float("inf"), "processor": float("inf")}
    for _ in range(times):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        best["wall"] = min(best["wall"], time.perf_counter() - wall)
        best["processor"] = min(best["processor"], time.process_time() - processor)
    return best


# --- Drift, at each library's defaults: does any column of the window alarm?


def nannyml(reference: Any) -> Alarm:
    nml: Any = import_module("nannyml")

    fitted: dict[int, Any] = {}

    def alarm(window: Any) -> bool:
        # Its thresholds come from chunks of the reference; those must be as large as the window.
        rows = min(len(window), len(reference) // 10)
        if rows not in fitted:
            fitted[rows] = nml.UnivariateDriftCalculator(column_names=list(reference.columns), chunk_size=rows)
            fitted[rows].fit(reference)
        result = fitted[rows].calculate(window).filter(period="analysis").to_df()
        return bool(result.loc[:, [name for name in result.columns if name[-1] == "alert"]].to_numpy().any())

    return alarm


def evidently(reference: Any) -> Alarm:
    report: Any = import_module("evidently").Report
    preset: Any = import_module("evidently.presets").DataDriftPreset

    def alarm(window: Any) -> bool:
        told = report([preset()]).run(window, reference).dict()
        counted = [
            each
            for each in told["metrics"]
            if "DriftedColumnsCount" in str(each.get("metric_name", each.get("metric_id", "")))
        ]
        return counted[0]["value"]["count"] > 0

    return alarm


def frouros(reference: Any) -> Alarm:
    tests: Any = import_module("frouros.detectors.data_drift")

    numbers = [name for name in reference.columns if name.startswith("n")]
    detectors = {}
    for name in reference.columns:
        detectors[name] = tests.KSTest() if name in numbers else tests.ChiSquareTest()
        detectors[name].fit(X=reference[name].dropna().to_numpy())

    def alarm(window: Any) -> bool:
        return any(
            detectors[name].compare(X=window[name].dropna().to_numpy())[0].p_value < 0.05 for name in window.columns
        )

    return alarm


def alibi_detect(reference: Any) -> Alarm:
    np: Any = import_module("numpy")
    tabular: Any = import_module("alibi_detect.cd").TabularDrift

    names = list(reference.columns)
    known = {
        i: {level: at for at, level in enumerate(sorted(reference[name].unique()))}
        for i, name in enumerate(names)
        if name[0] == "c"
    }

    def encoded(frame: Any) -> Any:
        # It takes neither missing values nor unseen levels: the median and the first level stand for them.
        columns = []
        for i, name in enumerate(names):
            if i in known:
                columns.append(frame[name].map(known[i]).fillna(0).astype(float).to_numpy())
            else:
                columns.append(frame[name].fillna(reference[name].median()).to_numpy())
        return np.stack(columns, 1)

    detector = tabular(
        encoded(reference), categories_per_feature={i: list(range(len(levels))) for i, levels in known.items()}
    )

    def alarm(window: Any) -> bool:
        return bool(detector.predict(encoded(window))["data"]["is_drift"])

    return alarm


MAKERS = {"nannyml": nannyml, "evidently": evidently, "frouros": frouros, "alibi-detect": alibi_detect}


def speed(peer: str, reference: str, window: str) -> dict[str, Any]:
    pd: Any = import_module("pandas")

    alarm = MAKERS[peer](pd.read_parquet(reference))
    read = timed(lambda: pd.read_parquet(window))
    frame = pd.read_parquet(window)
    times = 1 if peer in ("evidently", "alibi-detect") else 2
    return {"read": read, "window": timed(lambda: alarm(frame), times)}


def detect(peer: str, reference: str, folder: str, runs: str) -> dict[str, Any]:
    """Per case, how many windows alarmed, of how many."""
    pd: Any = import_module("pandas")

    alarm = MAKERS[peer](pd.read_parquet(reference))
    limit = min({"evidently": 1, "alibi-detect": 3}.get(peer, int(runs)), int(runs))  # these take seconds for each
    found: dict[str, list[bool]] = {}
    for path in sorted(Path(folder).glob("*-*.parquet")):
        case, seed = path.stem.split("-")
        if int(seed) < limit:
            found.setdefault(case, []).append(bool(alarm(pd.read_parquet(path))))
    return {"shares": {case: [sum(alarms), len(alarms)] for case, alarms in found.items()}}


# --- Readers of capture lines: every payload to a table of numbers.


def readers(path: str, width: str) -> dict[str, Any]:
    duckdb: Any = import_module("duckdb")
    orjson: Any = import_module("orjson")
    pl: Any = import_module("polars")
    arrow: Any = import_module("pyarrow.json")

    names = [*(f"n{i}" for i in range(20)), *(f"c{i}" for i in range(int(width) - 20))]
    kinds = {name: pl.Float64 if name[0] == "n" else pl.String for name in names}

    def parsed(text: object) -> object:
        return pl.read_csv(text, has_header=False, schema=kinds)

    def with_duckdb() -> None:
        side = "STRUCT(data VARCHAR, encoding VARCHAR)"
        columns = (
            f"{{captureData: 'STRUCT(endpointInput {side}, endpointOutput {side})', "
            "eventMetadata: 'STRUCT(eventId VARCHAR, inferenceTime VARCHAR)'}"
        )
        relation = duckdb.sql(f"from read_json('{path}', format='newline_delimited', columns={columns})")
        found = relation.select(
            "captureData.endpointInput.data as given, captureData.endpointOutput.data as told, "
            "eventMetadata.eventId as event, eventMetadata.inferenceTime as time"
        ).fetchnumpy()
        given, told = found["given"], found["told"]
        parsed("\n".join(given).encode())
        pl.read_csv("\n".join(told).encode(), has_header=False)

    def with_pyarrow() -> None:
        found = arrow.read_json(path).column("captureData").combine_chunks()
        given, told = (found.field(side).field("data").to_pylist() for side in ("endpointInput", "endpointOutput"))
        parsed("\n".join(given).encode())
        pl.read_csv("\n".join(told).encode(), has_header=False)

    def with_orjson() -> None:
        with Path(path).open("rb") as lines:
            records = [orjson.loads(line)["captureData"] for line in lines]
        parsed("\n".join([each["endpointInput"]["data"] for each in records]).encode())
        pl.read_csv("\n".join([each["endpointOutput"]["data"] for each in records]).encode(), has_header=False)

    def with_polars() -> None:
        found = pl.read_ndjson(path)["captureData"].struct
        given, told = (
            "\n".join(found.field(side).struct.field("data").to_list()).encode()
            for side in ("endpointInput", "endpointOutput")
        )
        parsed(io.BytesIO(given))
        pl.read_csv(io.BytesIO(told), has_header=False)

    return {
        "duckdb": timed(with_duckdb, 4),
        "pyarrow": timed(with_pyarrow, 4),
        "orjson": timed(with_orjson, 4),
        "polars": timed(with_polars, 4),
    }


# --- Experiments: at which look does the library call two variants different?


def gbstats(path: str) -> dict[str, Any]:
    np: Any = import_module("numpy")
    statistic: Any = import_module("gbstats.models.statistics").ProportionStatistic
    test: Any = import_module("gbstats.frequentist.tests").SequentialTwoSidedTTest

    looks: list[int] = []
    for run in np.load(path).transpose(1, 0, 2).tolist():  # requests and events of the champion, then the challenger's
        called = 0
        for look, (n0, k0, n1, k1) in enumerate(zip(*run, strict=True), 1):
            result = test(statistic(n=n0, sum=k0), statistic(n=n1, sum=k1)).compute_result()
            if result.error_message is None and (result.ci[0] > 0 or result.ci[1] < 0):
                called = look
                break
        looks.append(called)
    return {"looks": looks}


if __name__ == "__main__":
    peer, *rest = sys.argv[1:]
    asked = {"speed": speed, "detect": detect}
    alone = {"readers": readers, "gbstats": gbstats}
    answer = alone[peer](*rest) if peer in alone else asked[rest[0]](peer, *rest[1:])
    print(json.dumps(answer))
