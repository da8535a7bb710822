"""The monitor's commands from end to end, on files and on S3."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import re
import tarfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import boto3
import polars as pl
import pytest
from moto import mock_aws

from contract import places, signals
from contract.records import Outcome
from monitoring import cli
from monitoring.baseline import Baseline
from monitoring.cli import Outside
from monitoring.report.window import _windows

Capture = Callable[..., Path]


class Metrics:
    """Remembers what was sent to CloudWatch."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Mapping[str, Any]]] = []

    def put_metric_data(self, *, Namespace: str, MetricData: Sequence[Mapping[str, Any]]) -> None:  # noqa: N803
        self.sent += [(Namespace, each) for each in MetricData]

    def get_metric_statistics(self, **asked: Any) -> dict[str, Any]:
        name, known = asked["MetricName"], {"Invocations": 600.0, "Invocation5XXErrors": 3.0}
        if name in known:
            return {"Datapoints": [{"Sum": known[name]}]}
        percentile = asked["ExtendedStatistics"][0]
        return {"Datapoints": [{"ExtendedStatistics": {percentile: 1000.0 * float(percentile[1:])}}]}

    def value(self, name: str) -> float:
        return next(float(each["Value"]) for _, each in self.sent if each["MetricName"] == name)


@dataclass
class Monitor:
    """The monitor's commands with a baseline that was made by one of them, and what came of each run."""

    place: Path
    now: datetime
    schema: Path
    data: Path
    environment: dict[str, str] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)
    said: list[str] = field(default_factory=list)

    @property
    def baseline(self) -> Path:
        return self.place / "baseline" / "baseline.json"

    def run(self, *arguments: str) -> int:
        environment = {"SAGEMAKER_BASE_DIR": str(self.place / "ml"), **self.environment}
        outside = Outside(
            environment,
            now=lambda: self.now,
            cloudwatch=lambda: self.metrics,
            say=self.said.append,
        )
        return cli.main(arguments, outside)

    def make_baseline(self, output: Path) -> int:
        return self.run("baseline", "--data", str(self.data), "--schema", str(self.schema), "--output", str(output))

    def judge(self, capture: Path, *more: str, output: str = "out", baseline: Path | None = None) -> int:
        given = ["--baseline", str(baseline or self.baseline), "--capture", str(capture), "--endpoint", "churn"]
        return self.run("window", *given, "--output", str(self.place / output), *more)

    def report(self, output: str = "out") -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.place / output / "report.json").read_text())
        return found

    def status(self, output: str = "out") -> str:
        return str(self.report(output)["verdict"]["status"])


@pytest.fixture
def monitor(tmp_path: Path, now: datetime, schema_file: Path, training_data: Path) -> Monitor:
    made = Monitor(tmp_path, now, schema_file, training_data)
    assert made.make_baseline(made.baseline) == 0
    return made


def test_a_baseline_is_made_with_predictions_and_model_monitor_files(monitor: Monitor) -> None:
    made = Baseline.from_bytes(monitor.baseline.read_bytes())
    assert made.profile.rows == 20_000
    assert made.layout.names == ("age", "income", "region", "predicted", "predicted_probability")
    statistics = json.loads((monitor.baseline.parent / "statistics.json").read_text())
    assert statistics["dataset"]["item_count"] == 20_000
    constraints = json.loads((monitor.baseline.parent / "constraints.json").read_text())
    assert {feature["name"]: feature["inferred_type"] for feature in constraints["features"]}["region"] == "String"


def test_the_same_data_makes_the_same_baseline_byte_for_byte(monitor: Monitor, tmp_path: Path) -> None:
    monitor.make_baseline(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == monitor.baseline.read_bytes()


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_quiet_hour_is_reported_as_quiet(monitor: Monitor, capture: Capture, form: str) -> None:
    assert monitor.judge(capture(form=form)) == 0
    report = monitor.report()
    assert report["rows"] == 600
    assert (report["verdict"]["status"], report["verdict"]["predictions"]) == ("quiet", "quiet")
    assert report["violations"] == []
    assert (monitor.place / "out" / "report.html").stat().st_size < 2_000_000


def test_a_drifted_hour_raises_the_alarm_on_inputs_and_predictions(monitor: Monitor, capture: Capture) -> None:
    assert monitor.judge(capture(shift=1.0), "--publish", "--fail-on", "drift") == cli.VERDICT
    verdict = monitor.report()["verdict"]
    assert (verdict["status"], verdict["predictions"]) == ("drift", "drift")
    assert (monitor.metrics.value("DriftAlarm"), monitor.metrics.value("PredictionDriftAlarm")) == (1, 1)
    violations = json.loads((monitor.place / "out" / "constraint_violations.json").read_text())["violations"]
    assert ("age", "baseline_drift_check") in {
        (each["feature_name"], each["constraint_check_type"]) for each in violations
    }


def test_only_names_of_the_signals_table_are_published_and_the_heartbeat_comes_last(
    monitor: Monitor, capture: Capture
) -> None:
    monitor.judge(capture(), "--publish")
    known = {(each.namespace, each.name): each for each in signals.TABLE}
    for namespace, each in monitor.metrics.sent:
        signal = known[namespace, each["MetricName"]]
        assert tuple(dimension["Name"] for dimension in each["Dimensions"]) == signal.dimensions
        assert each["Unit"] == signal.unit
    assert monitor.metrics.value("WindowRows") == 600
    assert monitor.metrics.sent[-1][1]["MetricName"] == "MonitorRan"


def test_the_endpoints_own_latency_and_errors_are_shown_when_asked_for(monitor: Monitor, capture: Capture) -> None:
    monitor.judge(capture())
    assert monitor.report()["served"] is None
    monitor.judge(capture(), "--served")
    served = monitor.report()["served"]
    assert (served["requests"], served["errors"], served["latency"]["p99"]) == (600, 3, 99_000.0)
    assert "3 of 600 requests failed" in (monitor.place / "out" / "report.html").read_text()


def test_every_variant_is_judged_on_its_own(monitor: Monitor, capture: Capture) -> None:
    capture(variant="champion")
    folder = capture(variant="challenger", shift=1.0, seed=8)
    monitor.judge(folder)
    assert (monitor.status("out/champion"), monitor.status("out/challenger")) == ("quiet", "drift")
    assert monitor.judge(folder, "--variant", "champion", output="one") == 0
    assert monitor.said[-1].startswith("churn/champion: quiet")


def test_a_small_shift_is_found_in_the_windows_it_lasts_for(monitor: Monitor, capture: Capture) -> None:
    statuses = []
    for back in range(8, 0, -1):
        hour = monitor.now - timedelta(hours=back)
        folder = capture(rows=400, hour=hour, shift=0.18, seed=300 + back)
        times = ["--since", hour.isoformat(), "--until", (hour + timedelta(hours=1)).isoformat()]
        monitor.judge(folder, "--history", str(monitor.place / "windows"), *times)
        statuses.append(monitor.status())
    assert statuses[0] == "quiet"
    assert statuses[-1] == "drift"
    assert len(monitor.report()["past"]) == 7


def test_judging_a_window_again_changes_nothing(monitor: Monitor, capture: Capture) -> None:
    folder, windows = capture(), monitor.place / "windows"
    monitor.judge(folder, "--history", str(windows))
    files = {path: path.read_bytes() for path in windows.rglob("*.json")}
    first = monitor.report()
    monitor.judge(folder, "--history", str(windows))
    assert {path: path.read_bytes() for path in windows.rglob("*.json")} == files
    assert monitor.report() == first


@pytest.mark.parametrize("count", [2, 5])
def test_parts_of_several_instances_join_into_the_same_report(monitor: Monitor, capture: Capture, count: int) -> None:
    folder = capture(files=4)
    monitor.judge(folder, output="whole")
    for number in range(count):
        assert monitor.judge(folder, "--shard", f"{number}/{count}", output="parts") == 0
    parts = ["--parts", str(monitor.place / "parts"), "--output", str(monitor.place / "joined"), "--endpoint", "churn"]
    assert monitor.run("window", "--baseline", str(monitor.baseline), *parts) == 0
    whole, joined = monitor.report("whole"), monitor.report("joined")
    assert joined["columns"] == whole["columns"]
    assert joined["verdict"] == whole["verdict"]
    assert joined["tally"]["records"] == whole["tally"]["records"]


def test_two_processes_read_what_one_reads(monitor: Monitor, capture: Capture) -> None:
    folder = capture()
    monitor.judge(folder, output="one")
    monitor.judge(folder, "--processes", "2", output="two")
    assert monitor.report("one")["columns"] == monitor.report("two")["columns"]


def test_a_slice_is_judged_by_itself(monitor: Monitor, capture: Capture) -> None:
    monitor.judge(capture(rows=2_000), "--slice", "region=north")
    report = monitor.report()
    assert 900 < report["rows"] < 1_100
    assert monitor.status() == "quiet"
    assert "region" not in {column["name"] for column in report["columns"]}
    assert "Only rows where region is north were judged" in (monitor.place / "out" / "report.html").read_text()
    assert "churn/champion where region=north: quiet" in monitor.said[-1]


def test_a_slice_is_remembered_apart_from_the_whole_window(monitor: Monitor, capture: Capture) -> None:
    windows = ["--history", str(monitor.place / "windows")]
    folder = capture()
    monitor.judge(folder, *windows)
    whole = {path: path.read_bytes() for path in (monitor.place / "windows").rglob("*.json")}
    assert monitor.judge(folder, *windows, "--slice", "region=north") == 0
    assert {path: path.read_bytes() for path in whole} == whole
    (kept,) = set((monitor.place / "windows").rglob("*.json")) - set(whole)
    assert kept.relative_to(monitor.place / "windows").as_posix().startswith("slices/region=north/champion/2026/")
    later = monitor.now
    capture(hour=later)
    times = ["--since", later.isoformat(), "--until", (later + timedelta(hours=1)).isoformat()]
    monitor.judge(folder, *windows, *times, "--slice", "region=north")
    assert [point["rows"] for point in monitor.report()["past"]] == [json.loads(kept.read_text())["rows"]]
    monitor.judge(folder, *windows, *times)
    assert [point["rows"] for point in monitor.report()["past"]] == [600]


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_slice_by_a_number_compares_numbers(monitor: Monitor, capture: Capture, form: str) -> None:
    folder = capture(form=form)
    for path in folder.rglob("*.jsonl"):
        path.write_text(re.sub(r'"data": ?"[0-9.]+,', '"data": "400.0,', path.read_text(), count=7))
    for value in ("400", "400.0", "4e2"):
        assert monitor.judge(folder, "--slice", f"age={value}") == 0
        assert monitor.report()["rows"] == 21
    assert monitor.judge(folder, "--slice", "age=old") == 3


def test_a_slice_is_not_published_as_if_it_were_all_rows(
    monitor: Monitor, capture: Capture, capsys: pytest.CaptureFixture[str]
) -> None:
    assert monitor.judge(capture(), "--slice", "region=north", "--publish") == 3
    assert "--slice region=north is not published" in capsys.readouterr().err
    assert monitor.metrics.sent == []


def test_parts_of_a_slice_are_joined_with_it_and_not_without(monitor: Monitor, capture: Capture) -> None:
    folder, where = capture(), ["--slice", "region=north"]
    monitor.judge(folder, *where, output="whole")
    for number in range(2):
        monitor.judge(folder, "--shard", f"{number}/2", *where, output="parts")
    parts = ["--parts", str(monitor.place / "parts"), "--output", str(monitor.place / "joined"), "--endpoint", "churn"]
    joined = ["window", "--baseline", str(monitor.baseline), *parts]
    assert monitor.run(*joined) == 3
    assert monitor.run(*joined, *where) == 0
    assert monitor.report("joined")["columns"] == monitor.report("whole")["columns"]


def test_the_newest_captured_hour_can_be_asked_for(monitor: Monitor, capture: Capture) -> None:
    monitor.judge(capture(hour=monitor.now - timedelta(days=9)), "--until", "latest")
    assert monitor.report()["rows"] == 600


def test_an_hour_without_traffic_is_not_enough_data(monitor: Monitor, capture: Capture) -> None:
    monitor.judge(capture(hour=monitor.now - timedelta(hours=5)), "--publish")
    assert monitor.status() == "not enough data"
    assert (monitor.metrics.value("NotEnoughData"), monitor.metrics.value("DriftAlarm")) == (1, 0)


def test_a_window_without_rows_shows_no_effect() -> None:
    past = {"since": "2026-11-20T09:00:00+00:00", "rows": 0, "status": "not enough data", "effects": {"age": 75.0}}
    verdict = {"status": "quiet", "predictions": "quiet", "effects": {"age": 0.5}}
    report = {"since": "2026-11-20T10:00:00+00:00", "rows": 100, "verdict": verdict, "past": [past]}
    assert [each["effects"] for each in _windows(report)] == [{}, {"age": 0.5}]


def replayed(folder: Path, rows: int) -> None:
    """Every file with its first rows again and again, under events of their own."""
    for path in folder.rglob("*.jsonl"):
        lines = path.read_text().splitlines()
        again = [re.sub(r"[0-9a-f-]{36}", str(uuid.uuid4()), lines[i % rows]) for i in range(len(lines))]
        path.write_text("\n".join(again) + "\n")


def test_a_few_rows_say_nothing_of_how_many_repeat(monitor: Monitor, capture: Capture) -> None:
    folder = capture()
    replayed(folder, 1)
    for path in folder.rglob("*.jsonl"):
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    monitor.judge(folder)
    report = monitor.report()
    assert report["repeats"]["share"] > 0
    assert "duplicates_check" not in {each["constraint_check_type"] for each in report["violations"]}


def test_rows_that_repeat_under_new_events_are_told_beside_the_verdict(monitor: Monitor, capture: Capture) -> None:
    monitor.judge(capture())
    assert monitor.report()["repeats"]["share"] == 0
    assert monitor.said[-1].endswith("0% repeat another")
    folder = capture()
    replayed(folder, 20)
    monitor.judge(folder)
    report = monitor.report()
    assert (report["repeats"]["distinct"], report["repeats"]["share"]) == (60, 0.9)
    assert "duplicates_check" in {each["constraint_check_type"] for each in report["violations"]}
    assert monitor.said[-1].endswith("90% repeat another")
    assert "90% of the rows repeat another" in (monitor.place / "out" / "report.html").read_text()


def test_a_few_rows_over_and_over_are_not_enough_data(monitor: Monitor, capture: Capture) -> None:
    folder, windows = capture(shift=1.0), monitor.place / "windows"
    replayed(folder, 5)
    monitor.judge(folder, "--history", str(windows))
    verdict = monitor.report()["verdict"]
    assert (verdict["status"], verdict["predictions"]) == ("not enough data", "not enough data")
    assert "What would raise the alarm" in (monitor.place / "out" / "report.html").read_text()
    (kept,) = windows.rglob("*.json")
    assert (json.loads(kept.read_text())["rows"], json.loads(kept.read_text())["seen"]) == (0, 600)


def test_events_that_stand_in_two_files_are_repeated(monitor: Monitor, capture: Capture) -> None:
    folder = capture()
    for path in list(folder.rglob("*.jsonl")):
        path.with_name(f"copy-{path.name}").write_bytes(path.read_bytes())
    monitor.judge(folder, output="one")
    monitor.judge(folder, "--processes", "2", output="two")
    for output in ("one", "two"):
        assert monitor.report(output)["tally"]["repeated"] == 600
        said = [each["description"] for each in monitor.report(output)["violations"]]
        assert "600 of 1200 records repeat an event." in said


def test_a_folder_that_is_not_there_is_no_silent_hour(monitor: Monitor, capsys: pytest.CaptureFixture[str]) -> None:
    assert monitor.judge(monitor.place / "captrue") == cli.UNREADABLE
    assert "no such folder" in capsys.readouterr().err


def test_a_variant_that_no_file_is_of_is_told(monitor: Monitor, capture: Capture) -> None:
    folder = capture()
    assert monitor.judge(folder, "--variant", "champoin", "--fail-on", "quality") == cli.VERDICT
    (violation,) = monitor.report()["violations"]
    assert violation["constraint_check_type"] == "volume_check"
    assert "champion" in violation["description"]
    assert "there are files of champion" in (monitor.place / "out" / "report.html").read_text()


def test_an_hour_that_was_served_and_not_captured_is_told(monitor: Monitor) -> None:
    (monitor.place / "capture").mkdir()
    monitor.judge(monitor.place / "capture", "--served", "--publish")
    assert "answered 600 requests" in monitor.report()["violations"][0]["description"]
    assert monitor.metrics.value("DataQualityViolations") == 1


def test_a_table_is_judged_like_capture(monitor: Monitor) -> None:
    assert monitor.judge(monitor.data, "--format", "parquet") == 0
    assert (monitor.report()["rows"], monitor.status()) == (20_000, "quiet")
    monitor.judge(monitor.data, "--format", "parquet", "--since", "2026-11-20T10:00Z", "--until", "2026-11-20T11:00Z")
    assert monitor.report()["rows"] == 20_000
    assert "rows of tables are taken whatever their time" in monitor.said[-1]
    assert "every row was taken, whatever its time" in (monitor.place / "out" / "report.html").read_text()


def test_a_season_has_a_baseline_of_its_own(monitor: Monitor, capture: Capture) -> None:
    for hour in range(12):
        capture(hour=monitor.now - timedelta(hours=12 + hour), shift=(-1.0, 1.0)[hour % 2], seed=hour + 1)
    seasonal = ["--format", "capture", "--season", "hour-of-day", "--schema", str(monitor.schema)]
    output = monitor.place / "seasonal.json"
    assert monitor.run("baseline", "--data", str(monitor.place / "capture"), *seasonal, "--output", str(output)) == 0
    day = monitor.now + timedelta(days=1) - timedelta(hours=12)
    span = ["--since", day.isoformat(), "--until", (day + timedelta(hours=1)).isoformat()]
    folder = capture(hour=day, shift=-1.0, seed=77)
    assert monitor.judge(folder, *span, baseline=output) == 0
    assert monitor.status() == "quiet"
    local = [
        "--since",
        day.astimezone(timezone(timedelta(hours=2))).isoformat(),
        "--history",
        f"{monitor.place}/windows",
    ]
    assert monitor.judge(folder, *local, baseline=output) == 0
    assert (monitor.status(), monitor.report()["rows"]) == ("quiet", 600)
    (kept,) = (monitor.place / "windows").rglob("*.json")
    assert kept.as_posix().endswith(day.strftime("/%Y/%m/%d/%H-%M-%S.json"))
    assert monitor.judge(folder, *span[:2], "--hours", "24", baseline=output) == cli.UNREADABLE
    monitor.judge(folder, *span)
    assert monitor.status() == "drift"


def test_a_baseline_is_made_of_shares_that_no_machine_sees_together(monitor: Monitor, capture: Capture) -> None:
    place, whole, names = monitor.place, pl.read_parquet(monitor.data), ("0", "1", "2")
    for name in names:
        (place / f"share-{name}").mkdir()
        whole.gather_every(3, int(name)).write_parquet(place / f"share-{name}" / "rows.parquet")
    schema = ["--schema", str(monitor.schema), "--output"]
    for name in names:
        assert monitor.run("sketch", "--data", f"{place}/share-{name}", *schema, f"{place}/sketches/{name}.json") == 0
    assert monitor.run("sketch", "--join", f"{place}/sketches", *schema, f"{place}/layout.json") == 0
    for name in names:
        share = ["--data", f"{place}/share-{name}", "--layout", f"{place}/layout.json"]
        assert monitor.run("baseline", *share, *schema, f"{place}/counts/{name}.json") == 0
    assert monitor.run("baseline", "--join", f"{place}/counts", *schema, f"{place}/joined.json") == 0
    made = Baseline.from_bytes((place / "joined.json").read_bytes())
    assert made.profile.rows == 20_000
    assert made.profile.mean(0) == pytest.approx(float(whole["age"].mean()), abs=1e-3)  # type: ignore[arg-type]
    share_of_bins = made.profile.cells[0][1:60] / 20_000
    assert abs(share_of_bins - 1 / 62).max() < 0.005
    assert monitor.judge(capture(), baseline=place / "joined.json") == 0
    assert monitor.status() == "quiet"


def test_a_report_is_written_again_from_its_json(monitor: Monitor, capture: Capture) -> None:
    monitor.judge(capture())
    again = monitor.place / "again.html"
    assert monitor.run("report", "--input", str(monitor.place / "out" / "report.json"), "--output", str(again)) == 0
    assert again.read_text() == (monitor.place / "out" / "report.html").read_text()


def test_everything_works_on_s3_alike(monitor: Monitor, capture: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("DEFAULT_REGION", "eu-west-1"),
        ("ACCESS_KEY_ID", "testing"),
        ("SECRET_ACCESS_KEY", "testing"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    folder = capture()
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="data", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        s3.upload_file(str(monitor.data), "data", "train/part-0.parquet")
        s3.upload_file(str(monitor.schema), "data", "manifest.json")
        for path in folder.rglob("*.jsonl"):
            s3.upload_file(str(path), "data", f"capture/churn/{path.relative_to(folder).as_posix()}")
        outside = Outside({"SAGEMAKER_BASE_DIR": str(monitor.place)}, now=lambda: monitor.now, say=monitor.said.append)
        made = ["baseline", "--data", "s3://data/train/", "--schema", "s3://data/manifest.json"]
        assert cli.main([*made, "--output", "s3://data/baselines/baseline.json"], outside) == 0
        assert cli.main(
            ["window", "--baseline", "s3://data/baselines/baseline.json", "--capture", "s3://data/capture/churn/",
             "--output", "s3://data/reports/", "--history", "s3://data/windows/", "--endpoint", "churn", "--publish"],
            outside,
        ) == 0  # fmt: skip
        keys = {each["Key"] for each in s3.list_objects_v2(Bucket="data")["Contents"]}
        assert {"reports/report.html", "windows/champion/2026/11/20/11-00-00.json"} <= keys
        listed = boto3.client("cloudwatch").list_metrics(Namespace="Slipway")["Metrics"]
        assert {"DriftAlarm", "MonitorRan", "FeatureDrift"} <= {each["MetricName"] for each in listed}


def test_a_processing_job_is_understood_from_model_monitors_environment(monitor: Monitor, capture: Capture) -> None:
    base = monitor.place / "ml"
    (base / "processing" / "baseline").mkdir(parents=True)
    (base / "output").mkdir()
    monitor.baseline.rename(base / "processing" / "baseline" / "baseline.json")
    capture().rename(base / "processing" / "endpointdata")
    form = {"sagemakerCaptureJson": {"captureIndexNames": ["endpointInput", "endpointOutput"]}}
    monitor.environment = {
        "dataset_format": json.dumps(form),
        "dataset_source": str(base / "processing" / "endpointdata"),
        "output_path": str(base / "processing" / "output"),
        "start_time": "2026-11-20T11:00:00Z",
        "end_time": "2026-11-20T12:00:00Z",
        "publish_cloudwatch_metrics": "Enabled",
        "sagemaker_endpoint_name": "churn",
        "sagemaker_monitoring_schedule_name": "hourly",
    }
    assert monitor.run() == 0
    written = {path.name for path in (base / "processing" / "output").iterdir()}
    assert {"statistics.json", "constraints.json", "constraint_violations.json", "report.html"} <= written
    left = (base / "output" / "metrics" / "cloudwatch" / "metrics.jsonl").read_text().splitlines()
    assert {"feature_baseline_drift_age", "feature_non_null_age"} <= {json.loads(line)["MetricName"] for line in left}
    assert (base / "output" / "message").read_text().startswith("churn/champion: quiet")


def test_the_monitor_pipelines_environment_is_all_the_image_needs(
    monitor: Monitor, capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("DEFAULT_REGION", "eu-west-1"),
        ("ACCESS_KEY_ID", "testing"),
        ("SECRET_ACCESS_KEY", "testing"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    artifact = monitor.place / "model.tar.gz"
    with tarfile.open(artifact, "w:gz") as packed:
        packed.add(monitor.schema, "manifest.json")
    digest = hashlib.sha256(artifact.read_bytes()).hexdigest()
    folder, end = capture(), monitor.now
    monitor.environment = {
        "SLIPWAY_SERVING": f"champion={digest}",
        "SLIPWAY_BASELINES_URI": "s3://artifacts/baselines/churn/",
        "SLIPWAY_CAPTURE_URI": "s3://capture/capture/churn/",
        "SLIPWAY_WINDOWS_URI": "s3://artifacts/windows/churn/",
        "SLIPWAY_OUTCOMES_URI": "s3://capture/outcomes/churn/",
        "SLIPWAY_WINDOW_END": "now",
        "SLIPWAY_WINDOW_HOURS": "1",
        "sagemaker_endpoint_name": "churn",
        "publish_cloudwatch_metrics": "Enabled",
        "output_path": str(monitor.place / "out"),
    }
    with mock_aws():
        s3 = boto3.client("s3")
        for bucket in ("artifacts", "capture"):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        assert monitor.run() == cli.UNREADABLE  # no baseline of what serves
        made = ["--artifact", str(artifact), "--output", "s3://artifacts/baselines/churn/{artifact}/baseline.json"]
        assert monitor.run("baseline", "--data", str(monitor.data), *made) == 0
        for path in folder.rglob("*.jsonl"):
            s3.upload_file(str(path), "capture", f"capture/churn/{path.relative_to(folder).as_posix()}")
        assert monitor.run() == 0
        assert s3.head_object(Bucket="artifacts", Key=places.baseline_key("churn", digest))
        assert (monitor.report()["rows"], monitor.status()) == (600, "quiet")
        assert monitor.metrics.value("MonitorRan") == 1
        keys = [each["Key"] for each in s3.list_objects_v2(Bucket="artifacts", Prefix="windows/")["Contents"]]
        assert keys == [f"windows/churn/counts/champion/{end - timedelta(hours=1):%Y/%m/%d/%H-%M-%S}.json"]
        outcome = Outcome(str(uuid.UUID(int=5_000_000)), "yes", "2026-11-20T11:30:00Z").to_line()
        s3.put_object(Bucket="capture", Key="outcomes/churn/2026/11/20/11/a.jsonl", Body=outcome.encode())
        assert monitor.run("judge", "--dry-run") == 0
        assert [line.split()[1] for line in monitor.said[-2:]] == ["window", "outcomes"]
        assert monitor.run() == 0


def test_what_serves_must_be_named_or_a_baseline_for_all_of_it(
    monitor: Monitor, capsys: pytest.CaptureFixture[str]
) -> None:
    monitor.environment = {"SLIPWAY_CAPTURE_URI": str(monitor.place), "SLIPWAY_SERVING": "champion"}
    assert monitor.run() == cli.UNREADABLE
    assert "expected VARIANT=ARTIFACT-HASH" in capsys.readouterr().err
    monitor.environment = {"SLIPWAY_CAPTURE_URI": str(monitor.place), "SLIPWAY_BASELINE_URI": str(monitor.baseline)}
    assert monitor.run("judge", "--dry-run") == 0
    assert f"--baseline {monitor.baseline}" in monitor.said[-1]


def test_the_environment_says_what_quality_must_keep_as_a_whole_and_in_slices(
    monitor: Monitor, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = monitor.place / "outcomes"
    outcomes.mkdir()
    (outcomes / "a.jsonl").write_text(Outcome("x", "yes").to_line() + "\n")
    monitor.environment = {
        "SLIPWAY_CAPTURE_URI": str(monitor.place),
        "SLIPWAY_OUTCOMES_URI": str(outcomes),
        "SLIPWAY_BASELINE_URI": str(monitor.baseline),
    }
    assert monitor.run("judge", "--dry-run") == 0
    assert "--threshold" not in monitor.said[-1]
    monitor.environment |= {"SLIPWAY_QUALITY": "accuracy=0.8 auc=0.7", "SLIPWAY_SLICES": '["region", "home town"]'}
    assert monitor.run("judge", "--dry-run") == 0
    assert "--threshold=accuracy=0.8 --threshold=auc=0.7 --slice-by=region --slice-by=home town" in monitor.said[-1]
    monitor.environment["SLIPWAY_SLICES"] = "region"
    assert monitor.run("judge", "--dry-run") == cli.UNREADABLE
    assert "expected a JSON list of columns" in capsys.readouterr().err


def test_outcomes_of_the_model_that_served_before_are_not_laid_to_the_new_one(
    monitor: Monitor, capture: Capture
) -> None:
    outcomes = monitor.place / "outcomes"
    outcomes.mkdir()
    (outcomes / "a.jsonl").write_text(Outcome("x", "yes", "2026-11-20T11:30:00Z").to_line() + "\n")
    monitor.environment = {
        "SLIPWAY_CAPTURE_URI": str(capture()),
        "SLIPWAY_OUTCOMES_URI": str(outcomes),
        "SLIPWAY_BASELINES_URI": str(monitor.place / "baselines"),
        "SLIPWAY_WINDOWS_URI": str(monitor.place / "windows"),
        "output_path": str(monitor.place / "out"),
    }
    kept = []
    for artifact in ("first", "second", "second"):
        monitor.make_baseline(monitor.place / "baselines" / artifact / "baseline.json")
        monitor.environment["SLIPWAY_SERVING"] = f"champion={artifact}"
        assert monitor.run() == 0
        kept.append(json.loads((monitor.place / "windows" / "serving" / "champion.json").read_text()))
        monitor.now += timedelta(hours=1)
    assert kept[0] == {"artifact": "first", "since": None}
    assert kept[1] == kept[2] == {"artifact": "second", "since": "2026-11-20T12:00:00+00:00"}


def test_one_of_several_processing_instances_leaves_its_part(monitor: Monitor, capture: Capture) -> None:
    config = monitor.place / "ml" / "config"
    config.mkdir(parents=True)
    (config / "resourceconfig.json").write_text(json.dumps({"current_host": "algo-2", "hosts": ["algo-1", "algo-2"]}))
    monitor.judge(capture())
    assert [path.name for path in (monitor.place / "out").rglob("*") if path.is_file()] == ["part-algo-2.json"]


def test_a_baseline_can_be_taken_over_from_model_monitor(monitor: Monitor, capture: Capture) -> None:
    theirs = monitor.baseline.parent / "statistics.json"
    assert monitor.judge(capture(), "--schema", str(monitor.schema), baseline=theirs) == 0
    assert monitor.status() == "quiet"
    monitor.judge(capture(shift=1.0), "--schema", str(monitor.schema), baseline=theirs)
    assert monitor.status() == "drift"


def test_model_monitors_own_constraints_are_checked(monitor: Monitor, capture: Capture) -> None:
    feature = {"name": "age", "inferred_type": "Fractional", "num_constraints": {"is_non_negative": True}}
    place = monitor.place / "constraints.json"
    place.write_text(json.dumps({"version": 0, "features": [feature]}))
    monitor.judge(capture(shift=-6.0), "--constraints", str(place))
    checks = {(each["constraint_check_type"], each["description"][:41]) for each in monitor.report()["violations"]}
    assert ("range_check", "The constraint requires values of 0 or mo") in checks


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("window --baseline nowhere/baseline.json --capture . --output out", 3, "cannot read nowhere"),
        ("baseline --data nowhere --schema manifest.json --output b.json", 3, "no files at nowhere"),
        ("window --shard 4/4 --baseline baseline/baseline.json --capture . --output o", 3, "I/N"),
        ("window --since noon --baseline baseline/baseline.json --capture . --output o", 3, "ISO time"),
        ("window --slice north --baseline baseline/baseline.json --capture . --output o", 3, "COLUMN=VALUE"),
        ("window --baseline manifest.json --capture . --output out", 3, "version None"),
        ("report --input manifest.json --output r.html", 3, "this program writes window"),
        ("report --input list.json --output r.html", 3, "list.json holds a JSON list, expected an object"),
        ("report --input half.json --output r.html", 3, "is not JSON"),
        ("report --input bare.json --output r.html", 3, "bare.json is a window report without its parts"),
        ("window --baseline baseline/baseline.json --capture . --output o --constraints half.json", 3, "is not JSON"),
        (
            "window --baseline baseline/baseline.json --capture . --output o --constraints odd.json",
            3,
            "not in Model Monitor",
        ),
        ("window --baseline odd/statistics.json --capture . --output o", 3, "not in Model Monitor's form"),
        ("baseline --statistics half.json --output b.json", 3, "is not JSON"),
        ("baseline --data train.parquet --schema list.json --output b.json", 3, "expected an object"),
        ("window --false-alarms 0", 2, "0 was given, expected a number above 0"),
        ("window --windows-per-year 0", 2, "0 was given, expected a number above 0"),
        ("window --hours nan", 2, "expected a number above 0"),
        ("window --no-such-option", 2, ""),
        ("", 2, ""),
    ],
)
def test_a_mistake_ends_with_a_sentence_and_an_exit_code(
    monitor: Monitor, arguments: str, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (monitor.place / "odd").mkdir()
    odd = json.dumps({"version": 0, "features": [{"completeness": 1.0}, 3]})
    for name, content in {
        "list.json": "[]", "half.json": '{"version": 0', "bare.json": '{"kind": "window", "version": 1}',
        "odd.json": odd, "odd/statistics.json": odd,
    }.items():  # fmt: skip
        (monitor.place / name).write_text(content)
    with contextlib.chdir(monitor.place):
        assert monitor.run(*arguments.split()) == code
    said = capsys.readouterr().err
    assert says in said
    assert "Traceback" not in said


def test_every_command_has_help_with_an_example() -> None:
    for name, module in cli.found().items():
        sub = argparse.ArgumentParser()
        module.arguments(sub)
        assert f"monitor {name}" in (module.__doc__ or "")
        assert all(action.help for action in sub._actions)


def test_a_job_that_a_pipeline_started_takes_the_executions_start_for_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cli.STARTED, "2026-03-02T20:00:00Z")
    assert cli.Outside().now() == datetime(2026, 3, 2, 20, tzinfo=UTC)
    monkeypatch.delenv(cli.STARTED)
    assert abs(cli.Outside().now() - datetime.now(UTC)) < timedelta(minutes=1)
