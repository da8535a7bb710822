"""Join outcomes to predictions and judge the quality of what is served, per variant and slice.

Outcomes arrive late, twice, out of order or never; what was received is joined anew each time, so a run that is
repeated changes nothing. Label coverage stands beside every measure; before outcomes arrive there is an estimate, named
so. With a reference (made from labelled rows the model was not trained on) each class is watched for decay.

    monitor outcomes --labelled predictions.parquet --schema manifest.json --output quality/
    monitor outcomes --capture capture/ --outcomes outcomes/ --schema manifest.json --reference quality/reference.json
        --slice-by region --threshold auc=0.7 --endpoint churn --output quality/ --publish
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from contract import signals
from contract.records import RecordError, Schema, nearest
from monitoring import publish
from monitoring.capture import Span
from monitoring.commands.baseline import read_schema
from monitoring.commands.window import time_of, variants_of
from monitoring.outcomes.attribution import reliance_drift
from monitoring.outcomes.join import KEY, PREDICTED, TIME, VARIANT, join
from monitoring.outcomes.measures import HIGHER_IS_BETTER
from monitoring.outcomes.quality import Asked, Quality, judge
from monitoring.outcomes.received import read_outcomes, read_predictions
from monitoring.outcomes.reference import FILE as REFERENCE
from monitoring.outcomes.reference import Reference, inputs_of, labelled, reference_of
from monitoring.outcomes.watched import Watched
from monitoring.report import outcomes as report
from monitoring.storage import Folder, file, folder, listing
from monitoring.table import format_of, frames

if TYPE_CHECKING:
    from monitoring.cli import Outside

SUMMARY = "join outcomes to predictions and judge quality"
STATE = "watch.json"
ATTRIBUTED = 20_000  # rows that say what predictions follow; more would not say it better


def arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--capture", metavar="PLACE", help="folder of capture lines, by variant")
    source.add_argument("--labelled", metavar="PLACE", help="tables with predicted and the target: make a reference")
    parser.add_argument("--outcomes", metavar="PLACE", help="folder of outcomes")
    parser.add_argument("--schema", metavar="FILE", required=True, help="manifest.json or schema of the model")
    parser.add_argument("--output", metavar="PLACE", required=True, help="folder for the report, or the reference")
    parser.add_argument("--reference", metavar="FILE", help="quality on labelled data, to compare with")
    parser.add_argument("--state", metavar="FILE", help="the watch over decay; by default watch.json in --output")
    parser.add_argument("--variant", metavar="NAME", help="only this variant; by default each one")
    parser.add_argument("--since", metavar="TIME", help="first instant of the predictions")
    parser.add_argument("--until", metavar="TIME", help="as of when; by default now")
    parser.add_argument("--horizon-hours", type=float, default=720.0, help="how far back predictions are joined")
    parser.add_argument("--slice-by", action="append", default=[], metavar="COLUMN", help="measure each of its values")
    parser.add_argument("--threshold", action="append", default=[], metavar="MEASURE=VALUE", help="what must be kept")
    parser.add_argument(
        "--attribution-hours", type=float, default=24.0, metavar="N", help="judge attribution drift on these; 0: do not"
    )
    parser.add_argument("--endpoint", metavar="NAME", help="for whom signals are published")
    parser.add_argument("--publish", action="store_true", help="send signals to CloudWatch")
    parser.add_argument("--fail-on", choices=["quality"], help="exit with 4 when quality is surely lost")


def run(args: argparse.Namespace, outside: Outside) -> int:
    schema = read_schema(args.schema, outside)
    output = folder(args.output, outside.s3)
    if args.labelled:
        return _make_reference(args, schema, output, outside)
    if not args.outcomes:
        raise RecordError("--outcomes is missing: name the folder that outcomes are delivered to")
    now = time_of(args.until, "until") if args.until else outside.now()
    since = now - timedelta(hours=args.horizon_hours)
    if args.since:
        since = max(since, time_of(args.since, "since"))
    place, name = file(args.state or f"{args.output.rstrip('/')}/{STATE}", outside.s3)
    asked = Asked(schema, now, args.slice_by, thresholds(args.threshold), _reference(args, outside))
    quality = judge(_joined(args, asked, Span(since, now), outside), asked, recalled(place, name))
    document = quality.to_json() | {
        "endpoint": args.endpoint or "endpoint",
        "since": since.isoformat(),
        "attribution": attribution(args, asked, outside),
    }
    output.write("outcomes.json", json.dumps(document, allow_nan=False).encode())
    output.write("outcomes.html", report.page(document).encode(), "text/html; charset=utf-8")
    watched = quality.watched.forget(now, timedelta(hours=args.horizon_hours))
    place.write(name, json.dumps(watched.to_json()).encode())
    return _told(args, quality, outside)


def _joined(args: argparse.Namespace, asked: Asked, span: Span, outside: Outside) -> Any:
    capture, names = listing(args.capture, outside.s3)
    outcomes, outcome_names = listing(args.outcomes, outside.s3)
    seen = read_predictions(capture, _variants(args, names), asked.schema, span, asked.slices)
    told = read_outcomes(outcomes, outcome_names, span)
    unreadable = seen.tally.quarantined + told.tally.quarantined
    if unreadable:
        outside.say(f"{unreadable:,} records could not be read: {_reasons(seen.tally.reasons | told.tally.reasons)}")
    return join(seen.frame, told.frame, asked.schema.classes)


def attribution(args: argparse.Namespace, asked: Asked, outside: Outside) -> dict[str, Any]:
    """Per variant: whether predictions of the last hours follow other inputs than the reference's did."""
    known = asked.reference.reliance if asked.reference is not None else None
    if known is None or args.attribution_hours <= 0:
        return {}
    names = list(known)
    span = Span(asked.now - timedelta(hours=args.attribution_hours), asked.now)
    capture, files = listing(args.capture, outside.s3)
    seen = read_predictions(capture, _variants(args, files), asked.schema, span, names).frame
    found = {}
    for (variant,), frame in sorted(seen.group_by(VARIANT), key=lambda each: str(each[0])):
        some = frame.sort(TIME, KEY).gather_every(1 + frame.height // ATTRIBUTED)
        drift = reliance_drift(list(known.values()), *inputs_of(some, asked.schema), names)
        found[str(variant)] = drift.to_json()
    return found


def _variants(args: argparse.Namespace, names: Sequence[str]) -> dict[str, list[str]]:
    found = variants_of(names)
    return {args.variant: found.get(args.variant, [])} if args.variant else found


def _reasons(reasons: Mapping[str, int]) -> str:
    return "; ".join(
        f"{reason} ({count:,})" for reason, count in sorted(reasons.items(), key=lambda each: -each[1])[:3]
    )


def recalled(place: Folder, name: str) -> Watched:
    """The watch over decay as the last run left it."""
    return Watched.from_json(json.loads(place.read(name))) if name in place.names(name) else Watched()


def thresholds(given: list[str]) -> dict[str, float]:
    """What was asked to be kept, by measure."""
    found = {}
    for text in given:
        name, _, value = text.partition("=")
        if name not in HIGHER_IS_BETTER:
            raise RecordError(
                f"--threshold '{text}': '{name}' has no better side; known: {', '.join(HIGHER_IS_BETTER)}."
                + nearest(name, list(HIGHER_IS_BETTER))
            )
        try:
            found[name] = float(value)
        except ValueError:
            raise RecordError(f"--threshold is '{text}', expected MEASURE=VALUE, such as auc=0.7") from None
    return found


def _reference(args: argparse.Namespace, outside: Outside) -> Reference | None:
    if not args.reference:
        return None
    place, name = file(args.reference, outside.s3)
    return Reference.from_json(json.loads(place.read(name)))


def _make_reference(args: argparse.Namespace, schema: Schema, output: Folder, outside: Outside) -> int:
    rows, unknown = _labelled(args, schema, outside)
    classes = f"; {schema.target} is one of {', '.join(schema.classes)}" if schema.classes else ""
    if not rows.height:
        found = f"; {unknown:,} rows are of no known class" if unknown else ""
        raise RecordError(
            f"no labelled rows at {args.labelled}{found}: expected tables with {PREDICTED} and {schema.target}{classes}"
        )
    if unknown:
        outside.say(f"{unknown:,} labelled rows are of no known class and are left out{classes}")
    reference = reference_of(rows, schema)
    output.write(REFERENCE, json.dumps(reference.to_json()).encode())
    shown = ", ".join(f"{name} {each.value:.4g}" for name, each in reference.measures.items() if each.value is not None)
    outside.say(f"reference of {rows.height:,} labelled rows: {shown}")
    return 0


def _labelled(args: argparse.Namespace, schema: Schema, outside: Outside) -> tuple[pl.DataFrame, int]:
    """The rows a reference is made from, and how many more have a target that is no class of the model."""
    where, names = listing(args.labelled, outside.s3)
    parts: list[pl.DataFrame] = []
    with_target = 0
    for name in names:
        with where.on_disk(name) as path:
            for frame in frames(path, format_of(name)):
                parts.append(labelled(frame, schema, name))
                with_target += frame[schema.target].count()
    rows = pl.concat(parts) if parts else pl.DataFrame()
    return rows, with_target - rows.height


def _told(args: argparse.Namespace, quality: Quality, outside: Outside) -> int:
    from monitoring.cli import OK, VERDICT, leave_message

    main = quality.asked.main
    lines = [
        f"{part.variant}: {main} {_shown(part.measures.get(main))}, label coverage {_shown(part.coverage.share)}"
        + _lost(part.variant, quality)
        for part in quality.whole()
    ]
    said = "; ".join([*(lines or ["no predictions in the span"]), *quality.warnings()])
    outside.say(said)
    leave_message(said, outside)
    if args.publish:
        publish.publish(published(args.endpoint or "endpoint", quality), outside.cloudwatch())
    lost = any(quality.alarm(part.variant) for part in quality.whole())
    return VERDICT if lost and args.fail_on else OK


def _lost(variant: str, quality: Quality) -> str:
    """That quality is surely lost, and in which slices."""
    if not quality.alarm(variant):
        return ""
    slices = [f"{part.slice} ({', '.join(part.below)})" for part in quality.below(variant) if part.slice]
    return ", surely lost" + (f" in {', '.join(slices)}" if slices else "")


def published(endpoint: str, quality: Quality) -> list[publish.Datum]:
    """The signals of each variant; a measure without a value is not published."""
    data: list[publish.Datum] = []
    for part in quality.whole():
        named = dict(zip(signals.VARIANT, (endpoint, part.variant), strict=True))
        known, expected = part.measures.get(quality.asked.main), part.estimate.get(quality.asked.main)
        covered = part.coverage.share.value
        values = {
            "label_coverage": None if covered is None else 100 * covered,
            "quality": known.value if known else None,
            "quality_estimate": expected.value if expected else None,
            "quality_loss": float(quality.alarm(part.variant)),
        }
        data += [
            publish.Datum(key, value, named, quality.asked.now) for key, value in values.items() if value is not None
        ]
    return data


def _shown(measure: Any) -> str:
    if measure is None or measure.value is None:
        return "not known yet"
    if measure.low is None:
        return f"{measure.value:.4g}"
    return f"{measure.value:.4g} ({measure.low:.4g} to {measure.high:.4g})"
