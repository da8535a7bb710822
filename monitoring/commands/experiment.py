"""Plan an experiment, or count its next looks and judge it.

Everything an experiment is stands in one JSON file (docs/experiments.md). Each tick counts the windows that have ended
since the last one: traffic of the window, and outcomes of the window that has become old enough for them. A tick that
runs twice changes nothing; one that is missed is made up for by the next.

    monitor experiment --experiment spring.json --plan 0.1 --requests-per-day 20000 --output spring/
    monitor experiment --experiment spring.json --state spring/progress.json --capture capture/ --outcomes outcomes/
        --schema manifest.json --since 2026-11-01T00:00Z --endpoint churn --output spring/ --publish
    monitor experiment --experiment spring.json --state spring/progress.json --looks looks.jsonl --output spring/
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from contract import signals
from contract.records import RecordError, Schema
from monitoring import publish
from monitoring.capture import Span
from monitoring.commands.baseline import read_schema
from monitoring.commands.window import time_of, variants_of
from monitoring.experiment.counting import RIGHT, counted, nothing, require_counts
from monitoring.experiment.experiment import Experiment
from monitoring.experiment.judge import Judgement, Verdict, judge
from monitoring.experiment.looks import Arm, Look, LookError, Progress, Tally
from monitoring.experiment.planning import plan
from monitoring.experiment.steering import FILE, Steering, steer
from monitoring.experiment.traffic import Traffic
from monitoring.outcomes.join import OUTCOME, PREDICTED, VARIANT, join
from monitoring.outcomes.received import read_outcomes, read_predictions
from monitoring.report import experiment as report
from monitoring.storage import Folder, file, folder, listing

if TYPE_CHECKING:
    from monitoring.cli import Outside

SUMMARY = "plan an experiment, or count its looks and judge it"
STATE = "progress.json"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--experiment", metavar="FILE", required=True, help="what the experiment is")
    parser.add_argument("--output", metavar="PLACE", required=True, help="folder for verdict, report and plan")
    parser.add_argument("--state", metavar="FILE", help="where progress is kept; by default progress.json in --output")
    parser.add_argument("--plan", type=float, metavar="SHARE", help="plan for a challenger with this share of traffic")
    parser.add_argument("--power", type=float, default=0.9, help="chance to promote at the minimum effect, for a plan")
    parser.add_argument("--error-rate", type=float, default=0.0, metavar="R", help="the champion's, for a plan")
    parser.add_argument("--requests-per-day", type=float, metavar="N", help="for a plan's duration")
    parser.add_argument("--looks", metavar="FILE", help="JSON lines of looks that were counted elsewhere")
    parser.add_argument("--capture", metavar="PLACE", help="folder of capture lines, by variant")
    parser.add_argument("--outcomes", metavar="PLACE", help="folder of outcomes")
    parser.add_argument("--schema", metavar="FILE", help="manifest.json or schema of the models")
    parser.add_argument("--since", metavar="TIME", help="when the experiment began; needed until a look is counted")
    parser.add_argument("--until", metavar="TIME", help="count windows that end by then; by default now")
    parser.add_argument("--champion", default="champion", metavar="VARIANT", help="the variant we trust")
    parser.add_argument("--challenger", default="challenger", metavar="VARIANT", help="the variant on trial")
    parser.add_argument(
        "--weight", action="append", default=[], metavar="VARIANT=W", help="in force; by default the endpoint is asked"
    )
    parser.add_argument("--endpoint", metavar="NAME", help="whose metrics are read, and for whom signals are published")
    parser.add_argument("--publish", action="store_true", help="send signals to CloudWatch")
    parser.add_argument(
        "--steer", action="store_true", help=f"move the endpoint's weights as the verdict and {FILE} in --output say"
    )
    parser.add_argument("--fail-on", choices=["harm", "split", "any"], help="exit with 4 when this is found")


def run(args: argparse.Namespace, outside: Outside) -> int:
    from monitoring.cli import OK, UNREADABLE

    experiment = read_experiment(args.experiment, outside)
    output = folder(args.output, outside.s3)
    if args.plan is not None:
        return _plan(args, experiment, output, outside)
    place, name = file(args.state or f"{args.output.rstrip('/')}/{STATE}", outside.s3)
    before = recalled(place, name, experiment)
    progress, refused = added(before, _looks(args, before, outside))
    for problem in refused:
        outside.say(f"{experiment.name}: a look is left out: {problem}")
    judgement = judge(progress)
    latency = _latency(args, progress, outside)
    document = report.document(progress, judgement, args.endpoint or "endpoint", outside.now().isoformat(), latency)
    place.write(name, progress.dump().encode())  # what cannot be judged is never kept
    output.write("report.json", json.dumps(document, allow_nan=False).encode())
    output.write("report.html", report.page(document).encode(), "text/html; charset=utf-8")
    if judgement is None:
        outside.say(f"{experiment.name}: no look yet")
        return UNREADABLE if refused else OK
    output.write("verdict.json", json.dumps(judgement.verdict.to_json(), indent=1, allow_nan=False).encode())
    if args.steer:
        _steered(args, judgement.verdict, output, outside)
    return _told(args, experiment, judgement, outside) or (UNREADABLE if refused else OK)


def added(progress: Progress, looks: Iterable[Look | LookError]) -> tuple[Progress, list[LookError]]:
    """Progress with the looks that can be counted, and why the others cannot: one bad look stops no other."""
    refused = []
    for look in looks:
        if isinstance(look, LookError):
            refused.append(look)
            continue
        try:
            progress = progress.add(look)
        except LookError as problem:
            refused.append(problem)
    return progress, refused


def read_experiment(where: str, outside: Outside) -> Experiment:
    place, name = file(where, outside.s3)
    try:
        experiment = Experiment.from_json(json.loads(place.read(name)))
    except ValueError as problem:
        if isinstance(problem, RecordError):
            raise
        raise RecordError(f"{where} is not JSON: {problem}") from None
    require_counts(experiment.metric)
    return experiment


def recalled(place: Folder, name: str, experiment: Experiment) -> Progress:
    """Progress so far; an experiment that was changed under way is refused, for its levels would no longer hold."""
    if name not in place.names(name):
        return Progress(experiment)
    try:
        progress = Progress.from_json(json.loads(place.read(name)))
    except RecordError as problem:
        raise RecordError(f"{name}: {problem}. It is the state of the experiment: put it right there.") from None
    if progress.experiment != experiment:
        changed = [
            each.name
            for each in dataclasses.fields(Experiment)
            if getattr(progress.experiment, each.name) != getattr(experiment, each.name)
        ]
        raise RecordError(
            f"experiment '{experiment.name}' has {len(progress.looks)} looks, and {', '.join(changed)} changed since: "
            "what was promised of it would no longer hold. Put it back, or start another experiment."
        )
    return progress


def _plan(args: argparse.Namespace, experiment: Experiment, output: Folder, outside: Outside) -> int:
    planned = plan(
        experiment, args.plan, power=args.power, error_rate=args.error_rate, requests_per_day=args.requests_per_day
    )
    ready = dataclasses.replace(experiment, planned_requests=planned.requests)
    output.write("plan.json", json.dumps(dataclasses.asdict(planned), indent=1).encode())
    output.write("experiment.json", json.dumps(ready.to_json(), indent=1).encode())
    outside.say(f"{experiment.name}: {planned.summary()}")
    return 0


def _told(args: argparse.Namespace, experiment: Experiment, judgement: Judgement, outside: Outside) -> int:
    from monitoring.cli import OK, VERDICT, leave_message

    verdict = judgement.verdict
    said = f"{experiment.name}: {verdict.decision.words}, {verdict.reason}"
    outside.say(said)
    leave_message(said, outside)
    if args.publish:
        publish.publish(
            published(args.endpoint or "endpoint", experiment, judgement, outside.now()), outside.cloudwatch()
        )
    harm = verdict.harms and args.fail_on in ("harm", "any")
    split = verdict.sample_ratio_alarm and args.fail_on in ("split", "any")
    return VERDICT if harm or split else OK


def published(endpoint: str, experiment: Experiment, judgement: Judgement, at: datetime) -> list[publish.Datum]:
    """The signals of an experiment after its latest look."""
    verdict = judgement.verdict
    values = {
        "sample_ratio": float(verdict.sample_ratio_alarm),
        "experiment_harm": float(verdict.harms),
        "experiment_difference": verdict.estimate,
    }
    named = dict(zip(signals.EXPERIMENT, (endpoint, experiment.name), strict=True))
    return [publish.Datum(key, value, named, at) for key, value in values.items()]


def _steered(args: argparse.Namespace, verdict: Verdict, output: Folder, outside: Outside) -> None:
    """Move live traffic as the verdict asks; an endpoint that is busy with something else is left for the next tick."""
    client = outside.sagemaker()
    seen = client.describe_endpoint(EndpointName=args.endpoint)
    weights = {each["VariantName"]: float(each["CurrentWeight"]) for each in seen.get("ProductionVariants", ())}
    if not {args.champion, args.challenger} <= weights.keys() or seen["EndpointStatus"] != "InService":
        outside.say(f"{args.endpoint} is {seen['EndpointStatus']} with {', '.join(weights)}: its traffic is left alone")
        return
    move = steer(Steering.from_json(json.loads(output.read(FILE))), verdict, weights)
    if move is None:
        return
    client.update_endpoint_weights_and_capacities(
        EndpointName=args.endpoint,
        DesiredWeightsAndCapacities=[
            {"VariantName": name, "DesiredWeight": weight} for name, weight in move.weights.items()
        ],
    )
    output.write(f"moves/{verdict.looks:06d}.json", json.dumps(move.to_json(), indent=1).encode())
    outside.say(f"{args.endpoint}: traffic moves to {dict(move.weights)}: {move.reason}")


def _latency(args: argparse.Namespace, progress: Progress, outside: Outside) -> dict[str, dict[str, float]]:
    """Of both variants in the latest look, for the report; nothing when the endpoint is not named."""
    if not args.endpoint or not progress.looks or args.looks:
        return {}
    since = time_of(progress.looks[-1].name, "state")
    until = since + timedelta(hours=progress.experiment.look_hours)
    traffic = Traffic(outside.cloudwatch(), outside.sagemaker(), args.endpoint)
    return {name: traffic.latency(name, since, until) for name in (args.champion, args.challenger)}


# --- Looks ---


def _looks(args: argparse.Namespace, progress: Progress, outside: Outside) -> Iterator[Look | LookError]:
    if args.looks:
        place, name = file(args.looks, outside.s3)
        return _written(name, place.read(name))
    missing = [f"--{name}" for name in ("capture", "outcomes", "schema") if not getattr(args, name)]
    if missing:
        raise RecordError(f"{', '.join(missing)} missing: looks are counted from them, or given with --looks")
    return _counted(args, progress, outside)


def _written(name: str, content: bytes) -> Iterator[Look | LookError]:
    for number, line in enumerate(content.splitlines(), 1):
        if line.strip():
            try:
                yield Look.from_json(json.loads(line))
            except ValueError as problem:
                yield LookError(f"{name}, line {number}: {problem}")


def _counted(args: argparse.Namespace, progress: Progress, outside: Outside) -> Iterator[Look | LookError]:
    counter = Counter.of(args, progress.experiment, outside)
    length = timedelta(hours=progress.experiment.look_hours)
    began = time_of(args.since, "since") if args.since else None
    if progress.looks:
        start = time_of(progress.looks[-1].name, "state") + length
        began = began or time_of(progress.looks[0].name, "state")
    elif began is None:
        raise RecordError("--since is missing: no look is counted yet, so it must say when the experiment began")
    else:
        start = began
    until = time_of(args.until, "until") if args.until else outside.now()
    while start + length <= until:
        try:
            yield counter.look(start, start + length, began)
        except LookError as problem:
            yield LookError(f"look {start.isoformat()}: {problem}")
        start += length


@dataclass(frozen=True)
class Counter:
    """Counts looks from capture lines, outcomes and the endpoint's own metrics."""

    experiment: Experiment
    schema: Schema
    capture: Folder
    files: Mapping[str, Sequence[str]]
    outcomes: Folder
    outcome_files: Sequence[str]
    variants: tuple[str, str]
    weights: Mapping[str, float]
    traffic: Traffic | None

    @classmethod
    def of(cls, args: argparse.Namespace, experiment: Experiment, outside: Outside) -> Counter:
        capture, names = listing(args.capture, outside.s3)
        outcomes, outcome_files = listing(args.outcomes, outside.s3)
        variants = (args.champion, args.challenger)
        by_variant = variants_of(names)
        return cls(
            experiment,
            read_schema(args.schema, outside),
            capture,
            {each: by_variant.get(each, []) for each in variants},
            outcomes,
            outcome_files,
            variants,
            dict(_weight(each) for each in args.weight),
            Traffic(outside.cloudwatch(), outside.sagemaker(), args.endpoint) if args.endpoint else None,
        )

    def look(self, since: datetime, until: datetime, began: datetime) -> Look:
        """The traffic of a window, with the outcomes of the window that has just become old enough."""
        requests = self._requests(since, until)
        weights = self._weights(requests, since)
        metrics = self._metrics(since, until, began)
        arms = []
        for name in self.variants:
            guardrails: dict[str, Tally] = {}
            if self.traffic is not None:
                guardrails = self.traffic.guardrails(self.experiment, self.variants[0], name, since, until)
            arms.append(Arm(requests[name], metrics[name], guardrails, weights[name]))
        return Look(since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), *arms)

    def _requests(self, since: datetime, until: datetime) -> dict[str, int]:
        if self.traffic is not None:
            return {name: self.traffic.requests(name, since, until) for name in self.variants}
        seen = read_predictions(self.capture, self.files, self.schema, Span(since, until)).frame
        per_request = seen.unique([VARIANT, "join_key"]).group_by(VARIANT).len()
        counts = dict(per_request.iter_rows())
        return {name: int(counts.get(name, 0)) for name in self.variants}

    def _weights(self, requests: Mapping[str, int], since: datetime) -> dict[str, float]:
        """Those given, else those the endpoint says; where they moved in the look, what was seen stands for them.

        Then the split of this look says nothing, which is right: nobody knows what it should have been.
        """
        known = self.weights or (self.traffic.weights(since) if self.traffic is not None else None) or {}
        if all(name in known for name in self.variants) and sum(known.values()) > 0:
            return {name: known[name] for name in self.variants}
        return {name: float(requests[name]) if sum(requests.values()) else 1.0 for name in self.variants}

    def _metrics(self, since: datetime, until: datetime, began: datetime) -> dict[str, Any]:
        """Outcomes that arrived after the look are left out: a late tick counts what one in time would."""
        metric, age = self.experiment.metric, timedelta(hours=self.experiment.maturity_hours)
        if since - age < began:
            return {name: nothing(metric) for name in self.variants}
        cohort = Span(since - age, until - age)
        beside = [metric.covariate] if metric.covariate else []
        seen = read_predictions(self.capture, self.files, self.schema, cohort, beside).frame
        told = read_outcomes(self.outcomes, self.outcome_files, Span(since - age, until)).frame
        # An outcome of no known class says nothing of whether the prediction was right.
        known = join(seen, told, self.schema.classes if metric.counts == RIGHT else ()).known
        return {name: self._metric(known.filter(pl.col(VARIANT) == name)) for name in self.variants}

    def _metric(self, known: pl.DataFrame) -> Any:
        metric = self.experiment.metric
        predicted, actual = (known[name].fill_null("").to_numpy().astype(np.str_) for name in (PREDICTED, OUTCOME))
        covariate = known[metric.covariate].cast(pl.Float64, strict=False).to_numpy() if metric.covariate else None
        return counted(metric, predicted, actual, covariate)


def _weight(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        weight = float(value)
    except ValueError:
        weight = -1.0
    if not 0 <= weight < math.inf:
        raise RecordError(f"--weight is '{text}', expected VARIANT=WEIGHT of 0 or more, such as challenger=0.1")
    return name, weight


def under_way(given: Mapping[str, str], outside: Outside, schema: str, until: datetime) -> list[list[str]]:
    """The arguments of this command for the experiment that the platform names, once its files are there."""
    place = given.get("SLIPWAY_EXPERIMENT_URI", "").rstrip("/")
    if not place:
        return []
    where = folder(place, outside.s3)
    if FILE not in where.names(FILE):
        outside.say(f"the experiment at {place} has no {FILE}: it was started without terms and is not judged")
        return []
    began = Steering.from_json(json.loads(where.read(FILE))).began
    return [
        [
            "experiment", "--experiment", f"{place}/experiment.json", "--output", place,
            "--capture", given["SLIPWAY_CAPTURE_URI"], "--outcomes", given["SLIPWAY_OUTCOMES_URI"],
            "--schema", schema, "--since", began, "--until", until.isoformat(),
            "--endpoint", given["sagemaker_endpoint_name"], "--publish", "--steer",
        ]
    ]  # fmt: skip
