"""Judge the canary of a rollout beside the fleet it is to replace.

Each endpoint configuration captures into a folder of its own, so the canary's answers can be told from the old fleet's.
The judgement covers all that was captured since the rollout began. It is published for the alarms that roll back.

    monitor canary --endpoint churn --config churn-2 --beside churn-1 --since 2026-11-01T10:00Z
        --capture s3://capture/capture/churn/ --outcomes s3://outcomes/outcomes/churn/
        --baseline s3://artifacts/baselines/churn/NEW/baseline.json
        --baseline-beside s3://artifacts/baselines/churn/OLD/baseline.json --output s3://.../canary/ --publish
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from contract import places, signals
from contract.release import CHAMPION
from monitoring import publish
from monitoring.baseline import Baseline
from monitoring.canary import Side, judged
from monitoring.capture import Span
from monitoring.commands.window import time_of, variants_of
from monitoring.experiment.looks import Tally
from monitoring.outcomes.join import OUTCOME, PREDICTED, join
from monitoring.outcomes.received import read_outcomes, read_predictions
from monitoring.storage import file, folder, listing
from monitoring.window import Source, read

if TYPE_CHECKING:
    from monitoring.cli import Outside

SUMMARY = "judge the canary of a rollout beside the old fleet"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--endpoint", metavar="NAME", required=True, help="for whom signals are published")
    parser.add_argument("--config", metavar="NAME", required=True, help="the configuration that is rolled out")
    parser.add_argument("--beside", metavar="NAME", required=True, help="the configuration that it replaces")
    parser.add_argument("--since", metavar="TIME", required=True, help="when the rollout began")
    parser.add_argument("--capture", metavar="PLACE", required=True, help="folder of capture lines, by configuration")
    parser.add_argument("--outcomes", metavar="PLACE", help="folder of outcomes")
    parser.add_argument("--baseline", metavar="FILE", required=True, help="of the model that is rolled out")
    parser.add_argument("--baseline-beside", metavar="FILE", help="of the model it replaces; by default the same")
    parser.add_argument("--variant", default=CHAMPION, metavar="NAME", help="the variant both serve as")
    parser.add_argument("--output", metavar="PLACE", required=True, help="folder for the judgement")
    parser.add_argument("--publish", action="store_true", help="send signals to CloudWatch")


def run(args: argparse.Namespace, outside: Outside) -> int:
    from monitoring.cli import OK, leave_message

    now = outside.now()
    span = Span(time_of(args.since, "since"), now)
    canary = side(args, args.config, args.baseline, span, outside)
    beside = side(args, args.beside, args.baseline_beside or args.baseline, span, outside)
    found = judged(canary, beside)
    folder(args.output, outside.s3).write(f"{args.config}.json", json.dumps(found.to_json(), indent=1).encode())
    said = f"{args.endpoint}: canary {args.config}, {found.rows:,} rows: {found.reason}"
    outside.say(said)
    leave_message(said, outside)
    if args.publish:
        named = dict(zip(signals.SLICE, (args.endpoint, args.variant, args.config), strict=True))
        values = {"canary_drift": float(found.drifts), "canary_loss": float(found.worse)}
        publish.publish([publish.Datum(key, value, named, now) for key, value in values.items()], outside.cloudwatch())
    return OK


def side(args: argparse.Namespace, config: str, baseline_at: str, span: Span, outside: Outside) -> Side:
    """One fleet's slice: what it answered, and how often that was wrong."""
    place, name = file(baseline_at, outside.s3)
    baseline = Baseline.from_bytes(place.read(name))
    capture, names = listing(f"{args.capture.rstrip('/')}/{config}/", outside.s3)
    files = variants_of(names).get(args.variant, [])
    window = read(Source(capture), files, baseline, span)
    wrong = Tally()
    if args.outcomes and baseline.schema.task == "classification":
        outcomes, outcome_names = listing(args.outcomes, outside.s3)
        seen = read_predictions(capture, {args.variant: files}, baseline.schema, span).frame
        told = read_outcomes(outcomes, outcome_names, span).frame
        known = join(seen, told, baseline.schema.classes).known
        wrong = Tally(known.height, known.filter(pl.col(PREDICTED) != pl.col(OUTCOME)).height)
    return Side(window, baseline, wrong)


def under_way(given: Mapping[str, str], output: str, outside: Outside) -> list[list[str]]:
    """The arguments of this command for the rollout that is under way, if one is; the endpoint itself says so."""
    endpoint = given.get("sagemaker_endpoint_name")
    seen = described(endpoint, outside) if endpoint else {}
    pending = seen.get("PendingDeploymentSummary")
    if not endpoint or not pending:
        return []
    old, new = seen["EndpointConfigName"], pending["EndpointConfigName"]
    outcomes_at = given.get("SLIPWAY_OUTCOMES_URI")
    return [
        [
            "canary", "--endpoint", endpoint, "--config", new, "--beside", old,
            "--since", pending["StartTime"].isoformat(), "--capture", given["SLIPWAY_CAPTURE_URI"],
            "--baseline", own_baseline(given, new, outside), "--baseline-beside", own_baseline(given, old, outside),
            "--output", f"{output.rstrip('/')}/canary", "--publish",
            *(["--outcomes", outcomes_at] if outcomes_at else []),
        ]
    ]  # fmt: skip


def described(endpoint: str, outside: Outside) -> Mapping[str, Any]:
    """What SageMaker says of the endpoint now; nothing when it is gone, though its records are still to be judged."""
    from botocore.exceptions import ClientError

    try:
        return outside.sagemaker().describe_endpoint(EndpointName=endpoint)
    except ClientError as problem:
        if "Could not find endpoint" in str(problem):
            return {}
        raise


def artifacts_of(config: str, outside: Outside) -> dict[str, str]:
    """The artifact's hash behind each variant of a configuration, as the serving containers are told it."""
    client, found = outside.sagemaker(), dict[str, str]()
    for variant in client.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]:
        container = client.describe_model(ModelName=variant["ModelName"])["PrimaryContainer"]
        found[variant["VariantName"]] = container.get("Environment", {}).get(places.ARTIFACT_HASH, "")
    return found


def own_baseline(given: Mapping[str, str], config: str, outside: Outside) -> str:
    """The baseline of the very artifact that a configuration serves."""
    if "SLIPWAY_BASELINE_URI" in given:
        return given["SLIPWAY_BASELINE_URI"]
    artifact = artifacts_of(config, outside)[CHAMPION]
    return f"{given['SLIPWAY_BASELINES_URI'].rstrip('/')}/{artifact}/{places.BASELINE}"
