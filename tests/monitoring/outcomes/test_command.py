"""`monitor outcomes`, from captured predictions and delivered outcomes to measures, a watch and a report."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from contract import signals
from contract.records import CaptureRecord, Outcome
from monitoring import cli
from monitoring.cli import Outside

Capture = Callable[..., Path]
START = datetime(2026, 11, 19, 0, 0, tzinfo=UTC)


class Metrics:
    def __init__(self) -> None:
        self.sent: dict[tuple[str, str], float] = {}

    def put_metric_data(self, *, Namespace: str, MetricData: Sequence[Mapping[str, Any]]) -> None:  # noqa: N803
        assert Namespace == signals.OURS
        for each in MetricData:
            self.sent[each["MetricName"], each["Dimensions"][-1]["Value"]] = each["Value"]


@dataclass
class Desk:
    """Captured traffic, its outcomes, and the command that joins them."""

    place: Path
    capture: Capture
    schema: Path
    metrics: Metrics = field(default_factory=Metrics)
    said: list[str] = field(default_factory=list)

    def traffic(
        self, *, hour: int = 0, variant: str = "champion", rows: int = 400, known: float = 0.8, honest: bool = True
    ) -> None:
        """An hour of predictions; of the outcomes some are known, and they follow the model's chances or turn them."""
        dice = random.Random(hour)
        at = START + timedelta(hours=hour)
        folder = self.capture(rows, hour=at, variant=variant, seed=hour + len(variant))
        lines = []
        for path in (folder / variant / at.strftime("%Y/%m/%d/%H")).iterdir():
            for line in path.read_text().splitlines():
                record = CaptureRecord.from_line(line)
                assert record.output is not None
                chance = float(record.output.data.split(",")[2])
                happens = dice.random() < (chance if honest else 1 - chance)
                if dice.random() < known:
                    lines += [Outcome(record.event_id, "yes" if happens else "no").to_line()] * dice.choice([1, 1, 2])
        delivered = self.place / "outcomes" / at.strftime("%Y/%m/%d/%H") / f"{variant}.jsonl"
        delivered.parent.mkdir(parents=True, exist_ok=True)
        delivered.write_text("\n".join(lines))

    def deliver(self, name: str, lines: Sequence[str]) -> None:
        path = self.place / "outcomes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines))

    def outcome_lines(self) -> list[str]:
        """Takes back the outcomes that were delivered, to be delivered otherwise: each once, in the order of names."""
        paths = sorted((self.place / "outcomes").rglob("*.jsonl"))
        lines = [line for path in paths for line in path.read_text().splitlines()]
        for path in paths:
            path.unlink()
        return list(dict.fromkeys(lines))

    def counted(self) -> int:
        """How many outcomes the watch over decay has counted."""
        return (
            sum(len(base64.b64decode(each)) for each in self.written("watch.json")["counted"]["digests"].values()) // 8
        )

    def run(self, *arguments: str, until: datetime = START + timedelta(hours=2)) -> int:
        given = ["outcomes", "--schema", str(self.schema), "--output", str(self.place / "out")]
        if "--labelled" not in arguments:
            given += ["--capture", str(self.place / "capture" / "churn"), "--outcomes", str(self.place / "outcomes")]
        outside = Outside(
            {"SAGEMAKER_BASE_DIR": str(self.place / "ml")},
            now=lambda: until,
            cloudwatch=lambda: self.metrics,
            say=self.said.append,
        )
        return cli.main([*given, *arguments], outside)

    def reference(self) -> str:
        """From labelled rows whose outcomes follow the model's chances."""
        dice = random.Random(1)
        chance = [dice.betavariate(5, 5) for _ in range(4000)]
        rows = pl.DataFrame(
            {
                "predicted": ["yes" if each > 0.5 else "no" for each in chance],
                "predicted_probability": chance,
                "churned": ["yes" if dice.random() < each else "no" for each in chance],
            }
        )
        rows.write_parquet(self.place / "labelled.parquet")
        assert self.run("--labelled", str(self.place / "labelled.parquet")) == 0
        return str(self.place / "out" / "reference.json")

    def written(self, name: str = "outcomes.json") -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.place / "out" / name).read_text())
        return found


@pytest.fixture
def desk(tmp_path: Path, capture: Capture, schema_file: Path) -> Desk:
    return Desk(tmp_path, capture, schema_file)


def test_each_variant_and_slice_is_measured_with_coverage_beside_and_published(desk: Desk) -> None:
    desk.traffic()
    desk.traffic(variant="challenger", known=0.5)
    assert desk.run("--slice-by", "region", "--endpoint", "churn", "--publish") == 0
    parts = {(part["variant"], part["slice"]): part for part in desk.written()["parts"]}
    assert ("champion", "region=south") in parts
    champion, challenger = parts["champion", ""], parts["challenger", ""]
    assert champion["coverage"]["share"]["value"] == pytest.approx(0.8, abs=0.06)
    assert challenger["coverage"]["share"]["value"] == pytest.approx(0.5, abs=0.08)
    auc, estimate = champion["measures"]["auc"], champion["estimate"]["auc"]
    assert auc["low"] < estimate["value"] < auc["high"]
    assert sum(part["coverage"]["share"]["n"] for (v, s), part in parts.items() if v == "champion" and s) == 400
    assert desk.metrics.sent["LabelCoverage", "champion"] == pytest.approx(80, abs=6)
    assert desk.metrics.sent["Quality", "champion"] == auc["value"]
    assert desk.metrics.sent["QualityEstimate", "champion"] == estimate["value"]
    assert desk.metrics.sent["QualityAlarm", "champion"] == 0


def test_quality_below_its_threshold_beyond_chance_is_an_alarm(desk: Desk) -> None:
    desk.traffic()
    given = ("--endpoint", "churn", "--publish", "--fail-on", "quality")
    assert desk.run("--threshold", "auc=0.99", *given) == 4
    assert desk.metrics.sent["QualityAlarm", "champion"] == 1
    assert "surely lost" in desk.said[-1]
    assert desk.run("--threshold", "auc=0.5", *given) == 0


def test_a_slice_below_its_threshold_is_an_alarm_too_and_is_named(desk: Desk) -> None:
    for hour in range(3):
        desk.traffic(hour=hour, rows=1000)
    south = set()
    for path in (desk.place / "capture").rglob("*.jsonl"):
        records = [CaptureRecord.from_line(line) for line in path.read_text().splitlines()]
        south |= {each.event_id for each in records if each.input is not None and each.input.data.endswith("south")}
    turned = {"yes": "no", "no": "yes"}
    told = [Outcome.from_line(line) for line in desk.outcome_lines()]
    lines = [Outcome(o.join_key, turned[o.value] if o.join_key in south else o.value).to_line() for o in told]
    desk.deliver("2026/11/19/03/all.jsonl", lines)
    given = ("--threshold", "auc=0.5", "--endpoint", "churn", "--publish", "--fail-on", "quality")
    until = START + timedelta(hours=4)
    assert desk.run(*given, until=until) == 0
    assert desk.metrics.sent["QualityAlarm", "champion"] == 0
    assert desk.run(*given, "--slice-by", "region", until=until) == 4
    assert desk.metrics.sent["QualityAlarm", "champion"] == 1
    assert "surely lost in region=south (auc)" in desk.said[-1]
    page = (desk.place / "out" / "outcomes.html").read_text()
    assert "champion, region=south is surely on the wrong side of its threshold in auc" in page


def test_a_model_that_turned_is_found_by_the_watch_over_its_classes(desk: Desk) -> None:
    reference = desk.reference()
    for hour in range(8):
        desk.traffic(hour=hour, honest=hour < 2)
        at = START + timedelta(hours=hour + 1)
        assert desk.run("--reference", reference, until=at) == 0
        if hour == 1:
            assert desk.written()["decayed"] == {"champion": []}
    assert set(desk.written()["decayed"]["champion"]) == {"no", "yes"}


@pytest.mark.parametrize("minute", [0, 5, 30])
def test_the_watch_counts_every_outcome_once_at_whatever_minute_it_looks(desk: Desk, minute: int) -> None:
    reference = desk.reference()
    for hour in range(6):
        desk.traffic(hour=hour, honest=hour < 2)
    lines = desk.outcome_lines()
    share = len(lines) // 60 + 1
    for tenth in range(60):  # delivered every ten minutes, an hour after the predictions
        at = START + timedelta(hours=1, minutes=10 * tenth)
        if at.minute == minute:
            assert desk.run("--reference", reference, until=at) == 0
        desk.deliver(f"{at:%Y/%m/%d/%H/%M-00}.jsonl", lines[tenth * share : (tenth + 1) * share])
    for turn in range(2):
        at = START + timedelta(hours=12, minutes=minute + turn)
        assert desk.run("--reference", reference, until=at) == 0
        assert desk.counted() == desk.written()["counts"]["joined"] == len(lines)
    assert set(desk.written()["decayed"]["champion"]) == {"no", "yes"}


@pytest.mark.parametrize("name", ["2026/11/19/00/late.jsonl", "all.jsonl"])
def test_a_file_that_comes_late_or_is_not_filed_by_hour_is_counted_at_the_next_look(desk: Desk, name: str) -> None:
    reference = desk.reference()
    desk.traffic()
    lines = desk.outcome_lines()
    looks = [START + timedelta(hours=hour, minutes=5) for hour in (2, 3, 4)]
    desk.deliver("2026/11/19/00/on-time.jsonl", lines[:20])
    assert desk.run("--reference", reference, until=looks[0]) == 0
    assert desk.counted() == 20
    desk.deliver(name, lines)
    for look in looks[1:]:
        assert desk.run("--reference", reference, until=look) == 0
        assert desk.counted() == len(lines)


def test_a_look_at_the_past_counts_nothing_and_leaves_it_to_the_next(desk: Desk) -> None:
    reference = desk.reference()
    desk.traffic()
    lines = desk.outcome_lines()
    desk.deliver("2026/11/19/00/first.jsonl", lines[:100])
    assert desk.run("--reference", reference, until=START + timedelta(hours=5)) == 0
    desk.deliver("2026/11/19/01/second.jsonl", lines[100:])
    assert desk.run("--reference", reference, until=START + timedelta(hours=4)) == 0
    assert desk.counted() == 100
    assert desk.run("--reference", reference, until=START + timedelta(hours=6)) == 0
    assert desk.counted() == len(lines)


def test_what_was_counted_is_forgotten_with_its_predictions_and_never_counted_again(desk: Desk) -> None:
    reference = desk.reference()
    desk.traffic()
    assert desk.run("--reference", reference) == 0
    counted, evidence = desk.counted(), desk.written("watch.json")["decay"]
    assert counted > 0
    assert desk.run("--reference", reference, "--horizon-hours", "1", until=START + timedelta(hours=9)) == 0
    assert desk.counted() == 0
    assert desk.written("watch.json")["decay"] == evidence
    assert desk.run("--reference", reference, until=START + timedelta(hours=10)) == 0
    assert desk.counted() == 0


def test_predictions_that_follow_other_inputs_than_before_are_attribution_drift(desk: Desk) -> None:
    def labelled(column: str) -> Path:
        """Rows of a model that follows one column."""
        dice = random.Random(2)
        rows = [{"age": dice.gauss(40, 10), "income": dice.lognormvariate(10, 0.5)} for _ in range(2000)]
        middle = {"age": 40.0, "income": 22_000.0}[column]
        chance = [1 / (1 + 2.7 ** (4 * (1 - each[column] / middle))) for each in rows]
        path = desk.place / f"{column}.parquet"
        pl.DataFrame(rows).with_columns(
            pl.lit("north").alias("region"),
            pl.Series("predicted_probability", chance),
            pl.Series("predicted", ["yes" if each > 0.5 else "no" for each in chance]),
            pl.Series("churned", ["yes" if dice.random() < each else "no" for each in chance]),
        ).write_parquet(path)
        return path

    desk.traffic()
    for column, drifted in (("age", False), ("income", True)):
        assert desk.run("--labelled", str(labelled(column))) == 0
        assert desk.run("--reference", str(desk.place / "out" / "reference.json")) == 0
        found = desk.written()["attribution"]["champion"]
        assert found["enough"]
        assert found["drifted"] is drifted
    assert "Attribution drift" in (desk.place / "out" / "outcomes.html").read_text()


def test_running_again_changes_nothing(desk: Desk) -> None:
    reference = desk.reference()
    desk.traffic()
    assert desk.run("--reference", reference) == 0
    first, watch = desk.written(), desk.written("watch.json")
    assert desk.run("--reference", reference) == 0
    assert desk.written() == first
    assert desk.written("watch.json") == watch


def test_outcomes_that_are_half_lines_or_of_nobody_are_counted_and_the_rest_is_joined(desk: Desk) -> None:
    desk.traffic()
    path = next((desk.place / "outcomes").rglob("*.jsonl"))
    odd = [
        Outcome("nobody", "yes").to_line(),
        '{"groundTruthData": {"da',
        "[1]",
        '{"groundTruthData":{"data":"yes"},"eventMetadata":{}}',
    ]
    path.write_text("\n".join([path.read_text(), *odd]))
    assert desk.run() == 0
    counts = desk.written()["counts"]
    assert (counts["without_prediction"], counts["without_key"]) == (1, 1)
    assert counts["joined"] > 300
    assert "2 records could not be read" in desk.said[0]


@pytest.mark.parametrize("spelt", [{"yes": "1", "no": "0"}, {"yes": "YES", "no": "NO"}])
def test_outcomes_of_no_known_class_are_no_errors_and_are_warned_of_with_the_classes_named(
    desk: Desk, spelt: dict[str, str]
) -> None:
    reference = desk.reference()
    desk.traffic()
    lines = desk.outcome_lines()
    for old, new in spelt.items():
        lines = [line.replace(f'"{old}"', f'"{new}"') for line in lines]
    desk.deliver("2026/11/19/00/theirs.jsonl", lines)
    assert desk.run("--threshold", "accuracy=0.7", "--reference", reference, "--fail-on", "quality") == 0
    document = desk.written()
    (part,) = document["parts"]
    assert part["measures"]["accuracy"]["value"] is None
    assert part["coverage"]["share"]["value"] == 0
    assert document["counts"]["of_no_known_class"] == len(lines)
    assert desk.counted() == 0
    (warning,) = document["warnings"]
    assert f"{len(lines)} outcomes are of no known class ('{spelt['yes']}' " in warning
    assert "the model's classes are no, yes" in warning
    assert warning in desk.said[-1]
    assert "the model&#x27;s classes are no, yes" in (desk.place / "out" / "outcomes.html").read_text()


def test_labelled_rows_of_no_known_class_are_left_out_of_the_reference_and_refused_alone(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    path = desk.place / "labelled.csv"
    path.write_text("predicted,churned\n" + "yes,yes\nno,yes\nyes,YES\n" * 50)
    assert desk.run("--labelled", str(path)) == 0
    assert "50 labelled rows are of no known class and are left out; churned is one of no, yes" in desk.said[0]
    assert desk.written("reference.json")["measures"]["accuracy"]["value"] == 0.5
    path.write_text("predicted,churned\n" + "yes,1\n" * 50)
    assert desk.run("--labelled", str(path)) == 3
    assert "50 rows are of no known class" in capsys.readouterr().err


def test_before_any_outcome_there_is_only_an_estimate_and_the_report_says_so(desk: Desk) -> None:
    desk.traffic(known=0.0)
    assert desk.run("--endpoint", "churn", "--publish") == 0
    (part,) = desk.written()["parts"]
    assert part["measures"]["accuracy"]["value"] is None
    assert part["estimate"]["accuracy"]["value"] > 0.5
    assert ("Quality", "champion") not in desk.metrics.sent
    page = (desk.place / "out" / "outcomes.html").read_text()
    assert "Too few outcomes are known to judge." in page
    assert "(estimate)" in page
    assert len(page) < 2_000_000


def test_no_traffic_at_all_ends_with_a_report_too(desk: Desk) -> None:
    for name in ("capture/churn", "outcomes"):
        (desk.place / name).mkdir(parents=True)
    assert desk.run() == 0
    assert desk.said == ["no predictions in the span"]


def test_a_threshold_on_an_unknown_measure_names_the_nearest(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.traffic()
    assert desk.run("--threshold", "acuracy=0.5") == 3
    assert "Did you mean 'accuracy'?" in capsys.readouterr().err


def test_a_slice_by_an_unknown_column_is_refused(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.traffic()
    assert desk.run("--slice-by", "planet") == 3
    assert "no input column named planet" in capsys.readouterr().err
