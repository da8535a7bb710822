"""`monitor experiment`, from captured traffic and delivered outcomes to a verdict, a report and signals."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contract import signals
from contract.records import CaptureRecord, Outcome
from monitoring import cli
from monitoring.cli import Outside
from monitoring.experiment.experiment import Experiment, Guardrail, Metric
from monitoring.experiment.looks import Arm, Look, Progress, Tally
from monitoring.report import experiment as report

Capture = Callable[..., Path]
BEGAN = datetime(2026, 11, 20, 0, 0, tzinfo=UTC)
HOURS = 6
EXPERIMENT = Experiment("spring", Metric("accuracy", "rate", 0.7, 0.1), (), minimum_looks=2, maturity_hours=1)


class Metrics:
    """CloudWatch as far as experiments use it: remembers what is sent, answers what it was told to."""

    def __init__(self, values: Mapping[tuple[str, str], Mapping[str, float]] | None = None) -> None:
        self.sent: dict[str, float] = {}
        self.values = values or {}

    def put_metric_data(self, *, Namespace: str, MetricData: Sequence[Mapping[str, Any]]) -> None:  # noqa: N803
        assert Namespace == signals.OURS
        self.sent |= {each["MetricName"]: each["Value"] for each in MetricData}

    def get_metric_statistics(self, **asked: Any) -> dict[str, Any]:
        variant = next(each["Value"] for each in asked["Dimensions"] if each["Name"] == "VariantName")
        known = self.values.get((asked["MetricName"], variant), {})
        (statistic,) = asked.get("Statistics") or asked["ExtendedStatistics"]
        if statistic not in known:
            return {"Datapoints": []}
        plain = {statistic: known[statistic]}
        return {"Datapoints": [plain if "Statistics" in asked else {"ExtendedStatistics": plain}]}


class Endpoint:
    """An endpoint whose weights were set before the experiment began."""

    def __init__(self, changed: datetime = BEGAN - timedelta(hours=1)) -> None:
        self.changed = changed

    def describe_endpoint(self, *, EndpointName: str) -> dict[str, Any]:  # noqa: N803
        weights = {"champion": 3.0, "challenger": 1.0}
        return {
            "EndpointName": EndpointName,
            "LastModifiedTime": self.changed,
            "ProductionVariants": [{"VariantName": name, "CurrentWeight": weight} for name, weight in weights.items()],
        }


@dataclass
class Bench:
    """An experiment's files, and the command that judges them."""

    place: Path
    capture: Capture
    schema: Path
    metrics: Metrics = field(default_factory=Metrics)
    endpoint: Endpoint = field(default_factory=Endpoint)
    said: list[str] = field(default_factory=list)

    def traffic(self, right: Mapping[str, float], hours: int = HOURS, rows: int = 300) -> None:
        """Captured requests of both variants, and outcomes half an hour later that make each right so often."""
        dice = random.Random(7)
        for hour in range(hours):
            at = BEGAN + timedelta(hours=hour)
            for number, (variant, rate) in enumerate(right.items()):
                folder = self.capture(rows, hour=at, variant=variant, seed=100 * hour + number)
                files = (folder / variant / at.strftime("%Y/%m/%d/%H")).iterdir()
                records = [CaptureRecord.from_line(line) for each in files for line in each.read_text().splitlines()]
                lines = []
                for record in records:
                    assert record.output is not None
                    said = record.output.data.split(",")[0]
                    value = said if dice.random() < rate else {"yes": "no", "no": "yes"}[said]
                    lines.append(Outcome(record.event_id, value).to_line())
                arrived = at + timedelta(minutes=30)
                delivered = self.place / "outcomes" / arrived.strftime("%Y/%m/%d/%H") / f"{variant}.jsonl"
                delivered.parent.mkdir(parents=True, exist_ok=True)
                delivered.write_text("\n".join([*lines, "half a li"]))

    def define(self, experiment: Experiment = EXPERIMENT) -> Path:
        path = self.place / "experiment.json"
        path.write_text(json.dumps(experiment.to_json()))
        return path

    def run(self, *arguments: str, until: datetime = BEGAN + timedelta(hours=HOURS)) -> int:
        given = (
            "experiment", "--experiment", str(self.place / "experiment.json"), "--output", str(self.place / "out"),
        )  # fmt: skip
        outside = Outside(
            {"SAGEMAKER_BASE_DIR": str(self.place / "ml")},
            now=lambda: until,
            cloudwatch=lambda: self.metrics,
            sagemaker=lambda: self.endpoint,
            say=self.said.append,
        )
        return cli.main([*given, *arguments], outside)

    def tick(self, *more: str, until: datetime = BEGAN + timedelta(hours=HOURS)) -> int:
        return self.run(
            "--capture", str(self.place / "capture" / "churn"), "--outcomes", str(self.place / "outcomes"),
            "--schema", str(self.schema), "--since", BEGAN.isoformat(), *more, until=until,
        )  # fmt: skip

    def written(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.place / "out" / name).read_text())
        return found


@pytest.fixture
def bench(tmp_path: Path, capture: Capture, schema_file: Path) -> Bench:
    return Bench(tmp_path, capture, schema_file)


def test_a_better_challenger_is_promoted_from_captured_traffic_and_outcomes(bench: Bench) -> None:
    bench.define()
    bench.traffic({"champion": 0.7, "challenger": 0.85})
    assert bench.tick("--endpoint", "churn", "--weight", "champion=1", "--weight", "challenger=1", "--publish") == 0
    verdict = bench.written("verdict.json")
    assert verdict["decision"] == "promote"
    assert verdict["observed"] == 2 * 300 * (HOURS - 1)
    assert verdict["difference"]["estimate"] == pytest.approx(0.15, abs=0.04)
    assert bench.metrics.sent["ExperimentHarm"] == 0
    assert bench.metrics.sent["ExperimentDifference"] == pytest.approx(verdict["difference"]["estimate"])
    assert "promote" in bench.said[-1]


def test_a_worse_challenger_stops_the_experiment_and_the_job_says_so(bench: Bench) -> None:
    bench.define()
    bench.traffic({"champion": 0.85, "challenger": 0.6})
    (bench.place / "ml" / "output").mkdir(parents=True)
    assert bench.tick("--fail-on", "harm") == 4
    assert bench.written("verdict.json")["decision"] == "stop for harm"
    assert "stop for harm" in (bench.place / "ml" / "output" / "message").read_text()


def test_ticks_on_time_late_or_twice_come_to_the_same(bench: Bench) -> None:
    bench.define()
    bench.traffic({"champion": 0.75, "challenger": 0.8})
    weights = ("--weight", "champion=1", "--weight", "challenger=1")
    for hour in (1, 2, 2, 3, 6, 6):
        assert bench.tick(*weights, until=BEGAN + timedelta(hours=hour, minutes=5)) == 0
    by_the_hour = bench.written("progress.json")
    (bench.place / "out" / "progress.json").unlink()
    assert bench.tick(*weights, until=BEGAN + timedelta(hours=HOURS, minutes=40)) == 0
    assert bench.written("progress.json") == by_the_hour
    assert len(by_the_hour["looks"]) == HOURS
    assert by_the_hour["looks"][0]["champion"]["metric"] == {"n": 0, "events": 0}


def test_errors_and_slow_answers_are_read_from_the_endpoints_own_metrics(bench: Bench) -> None:
    bench.define(
        Experiment(
            "spring",
            EXPERIMENT.metric,
            (Guardrail("errors", "errors", never=2.0, negligible=0.005), Guardrail("slow", "latency", beyond=9000.0)),
            maturity_hours=1,
        )
    )
    bench.traffic({"champion": 0.7, "challenger": 0.7}, hours=2, rows=30)
    bench.metrics = Metrics(
        {
            ("Invocations", "champion"): {"Sum": 3000},
            ("Invocations", "challenger"): {"Sum": 1000},
            ("Invocation5XXErrors", "challenger"): {"Sum": 60},
            ("ModelLatency", "champion"): {"SampleCount": 3000, "TC(9000:)": 30, "p50": 2000.0, "p99": 8000.0},
            ("ModelLatency", "challenger"): {"SampleCount": 1000, "TC(9000:)": 11},
        }
    )
    assert bench.tick("--endpoint", "churn", until=BEGAN + timedelta(hours=2)) == 0
    challenger = bench.written("progress.json")["looks"][0]["challenger"]
    assert challenger["requests"] == 1000
    assert challenger["weight"] == 1.0
    assert challenger["guardrails"] == {"errors": {"n": 1000, "events": 60}, "slow": {"n": 1000, "events": 11}}
    verdict = bench.written("verdict.json")
    assert verdict["decision"] == "stop for harm"
    assert "errors above" in verdict["reason"]
    assert bench.written("report.json")["latency"] == {"champion": {"p50": 2000.0, "p99": 8000.0}, "challenger": {}}


def test_a_look_in_which_the_endpoint_changed_says_nothing_of_the_split(bench: Bench) -> None:
    bench.define()
    bench.traffic({"champion": 0.7, "challenger": 0.7}, hours=1, rows=30)
    bench.metrics = Metrics({("Invocations", "champion"): {"Sum": 10}, ("Invocations", "challenger"): {"Sum": 9000}})
    bench.endpoint = Endpoint(changed=BEGAN + timedelta(minutes=20))
    assert bench.tick("--endpoint", "churn", until=BEGAN + timedelta(hours=1)) == 0
    assert not bench.written("verdict.json")["sample_ratio_alarm"]


def test_looks_counted_elsewhere_are_judged_as_well(bench: Bench) -> None:
    bench.define()
    looks = [Look(f"{n:03}", Arm(500, Tally(500, 350)), Arm(500, Tally(500, 420))) for n in range(4)]
    (bench.place / "looks.jsonl").write_text("\n".join(json.dumps(each.to_json()) for each in looks))
    assert bench.run("--looks", str(bench.place / "looks.jsonl")) == 0
    assert bench.written("verdict.json")["decision"] == "promote"


def a_look(name: str, **challenger: object) -> dict[str, Any]:
    arms = [Arm(500, Tally(500, 350)).to_json(), Arm(500, Tally(500, 420)).to_json()]
    return {"name": name, "champion": arms[0], "challenger": arms[1] | challenger}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"requests": -900}, "requests is -900, expected a whole number"),
        ({"requests": 1e30}, "requests is 1e+30, expected a whole number"),
        ({"requests": "900"}, "requests is '900', expected a whole number"),
        ({"weight": -1}, "weight is -1, expected 0 or more"),
        ({"weight": float("nan")}, "weight is nan, expected a finite number"),
        ({"metric": {"n": 500, "events": 400.5}}, "events is 400.5, expected a whole number"),
        ({"metric": {"n": 500, "events": 501}}, "501 events among 500"),
        ({"metric": 5}, "metric is 5, expected names with counts"),
        ({"metric": {"n": 5, "y": float("inf")}}, "y is inf, expected a finite number"),
        ({"guardrails": {"errors": {"n": 1, "events": 0}}}, "no guardrail named errors"),
    ],
)
def test_a_bad_look_is_left_out_by_its_value_and_stops_no_other(bench: Bench, given: Any, words: str) -> None:
    bench.define()
    looks = [a_look("000"), a_look("001", **given), *(a_look(f"{n:03}") for n in range(2, 5))]
    (bench.place / "looks.jsonl").write_text("\n".join(json.dumps(each) for each in looks))
    assert bench.run("--looks", str(bench.place / "looks.jsonl")) == 3
    assert words in bench.said[0]
    assert "look 001" in bench.said[0]
    assert bench.written("verdict.json")["decision"] == "promote"
    assert [each["name"] for each in bench.written("progress.json")["looks"]] == ["000", "002", "003", "004"]


NO_WEIGHTS = a_look("000", weight=0) | {"champion": a_look("000")["champion"] | {"weight": 0}}


@pytest.mark.parametrize("bad", [json.dumps(NO_WEIGHTS), "{", "[]"])
def test_a_refused_look_is_not_kept_and_the_next_tick_goes_on(bench: Bench, bad: str) -> None:
    bench.define()
    (bench.place / "looks.jsonl").write_text(bad)
    assert bench.run("--looks", str(bench.place / "looks.jsonl")) == 3
    assert bench.written("progress.json")["looks"] == []
    (bench.place / "looks.jsonl").write_text("\n".join(json.dumps(a_look(f"{n:03}")) for n in range(3)))
    assert bench.run("--looks", str(bench.place / "looks.jsonl")) == 0
    assert bench.written("verdict.json")["decision"] == "promote"


def test_a_state_that_says_what_cannot_be_names_the_look(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.define()
    state = json.loads(Progress(EXPERIMENT).dump()) | {"looks": [a_look("000", weight=-2)]}
    (bench.place / "out").mkdir()
    (bench.place / "out" / "progress.json").write_text(json.dumps(state))
    (bench.place / "none.jsonl").write_text("")
    assert bench.run("--looks", str(bench.place / "none.jsonl")) == 3
    assert "progress.json: look 000, challenger: weight is -2" in capsys.readouterr().err


def test_a_weight_below_nothing_is_refused(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.define()
    bench.traffic({"champion": 0.7, "challenger": 0.7}, hours=1, rows=10)
    assert bench.tick("--weight", "challenger=-1") == 3
    assert "--weight is 'challenger=-1', expected VARIANT=WEIGHT of 0 or more" in capsys.readouterr().err


def test_a_plan_is_printed_and_stands_in_the_experiment_it_writes(bench: Bench) -> None:
    bench.define()
    assert bench.run("--plan", "0.5", "--requests-per-day", "1000") == 0
    planned = bench.written("plan.json")
    assert Experiment.from_json(bench.written("experiment.json")).planned_requests == planned["requests"]
    assert "a test that looks once needs" in bench.said[-1]


def test_an_experiment_changed_under_way_is_refused(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.define()
    bench.traffic({"champion": 0.7, "challenger": 0.7}, hours=2, rows=30)
    assert bench.tick() == 0
    bench.define(Experiment("spring", Metric("accuracy", "rate", 0.7, 0.01), ()))
    assert bench.tick() == 3
    assert "metric, guardrails" not in (told := capsys.readouterr().err)
    assert "metric, maturity_hours, minimum_looks changed since" in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--capture, --outcomes, --schema missing"),
        (("--weight", "challenger"), "missing"),
    ],
)
def test_what_is_missing_is_named(
    bench: Bench, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    bench.define()
    assert bench.run(*arguments) == 3
    assert words in capsys.readouterr().err


def test_a_first_tick_must_say_when_the_experiment_began(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.define()
    for name in ("capture", "outcomes"):
        (bench.place / name).mkdir()
    given = ("--capture", "capture", "--outcomes", "outcomes")
    places = [str(bench.place / each) if not each.startswith("--") else each for each in given]
    assert bench.run(*places, "--schema", str(bench.schema)) == 3
    assert "--since is missing" in capsys.readouterr().err


def test_the_report_is_one_small_page_made_again_from_its_json(bench: Bench) -> None:
    progress = Progress(Experiment("spring <b>", Metric("conversion", "rate", 0.1, 0.02)))
    for number in range(200):
        arms = [Arm(100, Tally(100, 10), {"errors": Tally(100, 1), "latency_p99": Tally(100, 2)}) for _ in range(2)]
        progress = progress.add(Look(f"2026-01-{number:03}", *arms))
    bench.define(progress.experiment)
    (bench.place / "out").mkdir()
    (bench.place / "out" / "progress.json").write_text(progress.dump())
    (bench.place / "none.jsonl").write_text("")
    assert bench.run("--looks", str(bench.place / "none.jsonl")) == 0
    page = (bench.place / "out" / "report.html").read_text()
    assert len(page) < 2_000_000
    assert "http://" not in page.split("<main>")[1].split("</main>")[0]
    assert "spring &lt;b&gt;" in page
    assert report.page(bench.written("report.json")) == page
    again = str(bench.place / "again.html")
    assert cli.main(["report", "--input", str(bench.place / "out" / "report.json"), "--output", again]) == 0
    assert Path(again).read_text() == page


def test_the_report_of_an_experiment_without_looks_says_so(bench: Bench) -> None:
    bench.define()
    (bench.place / "none.jsonl").write_text("")
    assert bench.run("--looks", str(bench.place / "none.jsonl")) == 0
    assert "No look was counted yet." in (bench.place / "out" / "report.html").read_text()
