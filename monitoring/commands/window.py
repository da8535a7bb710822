"""Judge the records between two instants against a baseline; report, publish, remember.

Without --since and --until it is the last whole hour; --until now ends at this moment, --until latest with the newest
hour that was captured.
Several variants in one capture folder are judged each on its own. On several instances of a processing job
(ShardedByS3Key) each leaves its part, and a last run with --parts joins them and judges.

    monitor window --baseline baseline.json --capture capture/ --output out/ --history windows/ --endpoint churn
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, get_args

from contract.records import RecordError
from monitoring import modelmonitor, publish, watch
from monitoring.baseline import Baseline
from monitoring.capture import HOUR, Span, instant
from monitoring.commands.baseline import read_schema
from monitoring.experiment.traffic import Traffic
from monitoring.profile import ProfileError
from monitoring.quality import Constraints, constraints_of
from monitoring.storage import Disk, Folder, StorageError, file, folder, listing, read_json
from monitoring.table import Format
from monitoring.verdict import Budget
from monitoring.window import Slice, Source, Window, files_of, read, shard

if TYPE_CHECKING:
    from monitoring.cli import Outside

SUMMARY = "judge a window of capture records"
ALL = "AllTraffic"  # how SageMaker itself calls the only variant
DATASET_FORMATS: dict[str, Format] = {
    "sagemakerCaptureJson": "capture",
    "csv": "csv",
    "json": "json",
    "parquet": "parquet",
}


def positive(text: str) -> float:
    """A finite number above 0."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} was given, expected a number above 0")
    return value


def whole(text: str) -> int:
    """A whole number above 0."""
    return int(positive(str(int(text))))


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--baseline", metavar="FILE", help="baseline.json, or Model Monitor's statistics.json")
    parser.add_argument("--schema", metavar="FILE", help="manifest.json or schema, with a statistics.json")
    parser.add_argument("--constraints", metavar="FILE", help="constraints.json to check instead of the baseline's own")
    parser.add_argument("--capture", metavar="PLACE", help="folder of capture lines, or of tables")
    parser.add_argument(
        "--parts", metavar="PLACE", help="folder of parts that several instances left, instead of --capture"
    )
    parser.add_argument("--format", choices=get_args(Format), default="capture", help="of the files")
    parser.add_argument("--output", metavar="PLACE", help="folder for the report and Model Monitor's files")
    parser.add_argument("--history", metavar="PLACE", help="folder where judged windows are remembered")
    parser.add_argument("--since", metavar="TIME", help="ISO time, the first instant of the window")
    parser.add_argument("--until", metavar="TIME", help="ISO time, the first instant after it; or 'now'; or 'latest'")
    parser.add_argument("--hours", type=positive, default=1.0, help="length of the window when --since is not given")
    parser.add_argument("--endpoint", metavar="NAME", help="what signals are published for")
    parser.add_argument("--variant", metavar="NAME", help="only this variant; by default each one on its own")
    parser.add_argument("--slice", metavar="COLUMN=VALUE", help="only rows with this value")
    parser.add_argument("--shard", metavar="I/N", help="only this share of the files; leaves a part")
    parser.add_argument("--processes", type=whole, default=1, help="processes that read files at the same time")
    parser.add_argument(
        "--false-alarms", type=positive, default=Budget().per_year, metavar="N", help="tolerated in a year"
    )
    parser.add_argument(
        "--windows-per-year", type=whole, default=Budget().windows_per_year, metavar="N", help="judged in a year"
    )
    parser.add_argument("--minimum-rows", type=int, default=Budget().minimum_rows, metavar="N", help="to judge")
    parser.add_argument(
        "--rows-at-least", type=int, metavar="N", help="fewer are a violation; else a tenth of the usual"
    )
    parser.add_argument("--publish", action="store_true", help="send signals to CloudWatch")
    parser.add_argument("--served", action="store_true", help="show the endpoint's own latency and errors as well")
    parser.add_argument(
        "--model-monitor-names", metavar="SCHEDULE", help="send them under Model Monitor's names as well"
    )
    parser.add_argument("--fail-on", choices=["drift", "quality", "any"], help="exit with 4 when this is found")


@dataclass(frozen=True, slots=True)
class Job:
    """One run of the monitor, with everything it reads and writes."""

    args: argparse.Namespace
    outside: Outside
    baseline: Baseline
    output: Folder
    span: Span
    endpoint: str
    variants: frozenset[str] = frozenset()  # that files are of


def run(args: argparse.Namespace, outside: Outside) -> int:
    args = described(args, outside)
    where_rows = Slice.from_text(args.slice) if args.slice else None
    baseline = read_baseline(args, outside)
    where, names = _files(args, outside)
    if where_rows is not None:
        refuse_to_publish(args, outside)
        baseline = baseline.without(where_rows.column)
    span = span_of(args, names, outside.now())
    if span.since is not None and span.until is not None:
        baseline.check_length(span.until - span.since)
    found = frozenset(variants_of(names)) if args.capture and not args.parts else frozenset()
    job = Job(args, outside, baseline, folder(args.output, outside.s3), span, args.endpoint or "endpoint", found)
    if args.parts:
        windows = _joined(job, where, names)
    else:
        source = Source(where, args.format, where_rows)
        share = share_of(args, outside)
        chosen = _chosen(args, names, span, share)
        windows = {variant: read(source, files, baseline, span, args.processes) for variant, files in chosen.items()}
        if share is not None:
            return _leave_parts(job, windows, share.name)
    verdicts = [_judge(job, variant, window, alone=len(windows) == 1) for variant, window in windows.items()]
    return max(verdicts)


def refuse_to_publish(args: argparse.Namespace, outside: Outside) -> None:
    """Alarms watch the signals of all rows of a variant; a slice's numbers among them would raise and end them."""
    enabled = outside.environment.get("publish_cloudwatch_metrics") == "Enabled"
    if args.publish or args.model_monitor_names or enabled:
        raise RecordError(
            f"--slice {args.slice} is not published: the signals of {args.endpoint or 'an endpoint'} are of all its "
            "rows. Leave out --publish and --model-monitor-names (and publish_cloudwatch_metrics=Enabled), and read "
            "the slice's report."
        )


def described(args: argparse.Namespace, outside: Outside) -> argparse.Namespace:
    """The arguments, with what is missing taken from Model Monitor's environment variables."""
    given, container = outside.environment, outside.container
    kept = argparse.Namespace(**vars(args))
    if "dataset_format" in given:
        try:
            stated = next(iter(json.loads(given["dataset_format"])), "")
        except ValueError:
            stated = ""
        if stated not in DATASET_FORMATS:
            raise RecordError(
                f"dataset_format is {given['dataset_format']!r}, expected one of {', '.join(DATASET_FORMATS)} as JSON"
            )
        kept.format = DATASET_FORMATS[stated]
    own = container.processing / "baseline" / "baseline.json"
    for name, default in (
        ("capture", given.get("dataset_source", str(container.processing / "endpointdata"))),
        ("output", given.get("output_path", str(container.processing / "output"))),
        ("since", given.get("start_time")), ("until", given.get("end_time")),
        ("endpoint", given.get("sagemaker_endpoint_name")), ("constraints", given.get("baseline_constraints")),
        ("baseline", str(own) if own.is_file() else given.get("baseline_statistics", str(own))),
    ):  # fmt: skip
        if not getattr(kept, name):
            setattr(kept, name, default)
    return kept


def _files(args: argparse.Namespace, outside: Outside) -> tuple[Folder, list[str]]:
    place = args.parts or args.capture
    where, names = listing(place, outside.s3)
    if isinstance(where, Disk) and not where.root.exists():
        raise StorageError(f"no such folder: {place}; expected one of capture lines, tables or parts. Is it misspelt?")
    return where, names


def read_baseline(args: argparse.Namespace, outside: Outside) -> Baseline:
    where, name = file(args.baseline, outside.s3)
    if name == modelmonitor.STATISTICS:
        schema = read_schema(args.schema, outside) if args.schema else None
        return modelmonitor.baseline_from(read_json(args.baseline, outside.s3), schema)
    return Baseline.from_bytes(where.read(name))


def span_of(args: argparse.Namespace, names: Sequence[str], now: datetime) -> Span:
    """The instants asked for; else the last whole hour before now, or before the end of what was captured."""
    if args.format != "capture" and not (args.since or args.until):
        return Span()
    length = timedelta(hours=args.hours)
    if args.until == "latest":
        until = _latest(names) or _hour(now)
    elif args.until == "now":
        until = now.replace(microsecond=0)
    else:
        until = time_of(args.until, "until") if args.until else None
    since = time_of(args.since, "since") if args.since else None
    if until is None:
        until = since + length if since else _hour(now)
    since = since if since is not None else until - length
    if since >= until:
        raise RecordError(f"the window starts at {since} and ends at {until}: it must end after it starts")
    return Span(since, until)


def time_of(text: str, name: str) -> datetime:
    found = instant(text)
    if found is None:
        raise RecordError(f"--{name} is '{text}', expected an ISO time such as 2026-11-20T10:00:00Z")
    return found


def _hour(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _latest(names: Sequence[str]) -> datetime | None:
    hours = [found.groups() for name in names if (found := HOUR.search(name))]
    if not hours:
        return None
    year, month, day, hour = (int(part) for part in max(hours))
    return datetime(year, month, day, hour, tzinfo=UTC) + timedelta(hours=1)


def variants_of(names: Sequence[str]) -> dict[str, list[str]]:
    """Files by the folder that stands before their year, as SageMaker lays them out."""
    found: dict[str, list[str]] = {}
    for name in names:
        hour = HOUR.search(name)
        before = name[: hour.start()].rstrip("/") if hour else ""
        found.setdefault(before.rsplit("/", 1)[-1] or ALL, []).append(name)
    return found


def _chosen(args: argparse.Namespace, names: Sequence[str], span: Span, share: Share | None) -> dict[str, list[str]]:
    """The files of each variant that may hold records of the window; a variant that is silent has none."""
    by_variant = variants_of([name for name in names if not name.rsplit("/", 1)[-1].startswith(".")])
    if args.variant:
        only = by_variant.get(args.variant, by_variant.get(ALL, []))
        by_variant = {args.variant: only}
    chosen = {variant: files_of(files, span) for variant, files in by_variant.items()} or {ALL: []}
    if share is not None and not share.shared_out:
        chosen = {variant: shard(files, share.number, share.of) for variant, files in chosen.items()}
    return chosen


@dataclass(frozen=True, slots=True)
class Share:
    """What one of several runs reads of a window: every so-many-th file, unless the files were shared out already."""

    name: str  # of the part it leaves
    number: int
    of: int
    shared_out: bool = False


def share_of(args: argparse.Namespace, outside: Outside) -> Share | None:
    """This run's share, when it is one of several; an input folder (ShardedByS3Key) holds an instance's own files."""
    if args.shard:
        number, slash, of = args.shard.partition("/")
        if not slash or not number.isdigit() or not of.isdigit() or not 0 <= int(number) < int(of):
            raise RecordError(f"--shard is '{args.shard}', expected I/N with I from 0 to N-1, such as 0/4")
        return Share(args.shard.replace("/", "-of-"), int(number), int(of))
    host, hosts = hosts_of(outside)
    if len(hosts) < 2:
        return None
    return Share(host, hosts.index(host), len(hosts), shared_out=not args.capture.startswith("s3://"))


def hosts_of(outside: Outside) -> tuple[str, list[str]]:
    """This instance of a processing job, and all of them in order; nothing anywhere else."""
    place = outside.container.processing_resources
    if not place.is_file():
        return "", []
    resources: dict[str, Any] = json.loads(place.read_text())
    return str(resources.get("current_host", "")), sorted(resources.get("hosts", ()))


def _leave_parts(job: Job, windows: dict[str, Window], part: str) -> int:
    for variant, window in windows.items():
        job.output.write(f"{variant}/part-{part}.json", json.dumps(window.to_json()).encode())
    job.outside.say(f"part {part} of {len(windows)} variants left; join them with --parts")
    return 0


def _joined(job: Job, where: Folder, names: Sequence[str]) -> dict[str, Window]:
    """The windows of all parts, added up: the same, bit for bit, as if one instance had read everything."""
    found: dict[str, Window] = {}
    for name in names:
        variant, _, leaf = name.rpartition("/")
        if not leaf.startswith("part-") or (job.args.variant and variant != job.args.variant):
            continue
        document = json.loads(where.read(name))
        if document.get("slice") != job.args.slice:
            raise ProfileError(
                f"{name} holds the rows of slice {document.get('slice')}, --slice is {job.args.slice}: "
                "join parts with the slice they were counted with"
            )
        window = Window.from_json(document, job.baseline.layout)
        found[variant or ALL] = found[variant or ALL].merge(window) if (variant or ALL) in found else window
    if not found:
        raise ProfileError(f"no parts at {job.args.parts}: expected files named part-*.json in a folder per variant")
    return found


def _judge(job: Job, variant: str, window: Window, *, alone: bool) -> int:
    from monitoring.cli import OK, VERDICT, leave_message

    args, outside = job.args, job.outside
    settings = watch.Settings(
        endpoint=job.endpoint,
        variant=variant,
        budget=Budget(args.false_alarms, args.windows_per_year, args.minimum_rows),
        constraints=_constraints(job),
        others=() if {variant, ALL} & job.variants else tuple(sorted(job.variants)),
    )
    history = folder(args.history, outside.s3) if args.history else None
    home = watch.home_of(variant, window.where)
    past = watch.recall(history, home, window.span.since, job.baseline) if history else []
    served = _served(job, variant, window.span)
    result = watch.judged(window, job.baseline, past, settings, outside.now(), served=served)
    watch.write(result, job.baseline, job.output if alone else _Below(job.output, variant))
    if history:
        watch.remember(result, job.baseline, settings, history)
    _publish(job, settings, result)
    drifted = "drift" in (result.verdict.status, result.verdict.predictions)
    rows = f" where {window.where}" if window.where else ""
    said = (
        f"{job.endpoint}/{variant}{rows}: {result.verdict.status}, predictions {result.verdict.predictions}, "
        f"{len(result.violations)} quality violations, {window.profile.rows:,} rows, "
        f"{window.tally.quarantined:,} quarantined{_repeated(window)}"
    )
    if window.rows is None and window.span.since is not None:
        said += "; rows of tables are taken whatever their time, --since and --until only say for when they stand"
    outside.say(said)
    leave_message(said, outside)
    failed = (args.fail_on in ("drift", "any") and drifted) or (
        args.fail_on in ("quality", "any") and result.violations
    )
    return VERDICT if failed else OK


def _repeated(window: Window) -> str:
    return f", {window.rows.share:.0%} repeat another" if window.rows is not None else ""


def _served(job: Job, variant: str, span: Span) -> dict[str, Any] | None:
    """What CloudWatch knows of the window, when it is asked for and can be read."""
    if not job.args.served or span.since is None or span.until is None:
        return None
    from botocore.exceptions import BotoCoreError, ClientError

    traffic = Traffic(job.outside.cloudwatch(), None, job.endpoint)
    try:
        return traffic.served(variant, span.since, span.until)
    except (BotoCoreError, ClientError) as problem:
        job.outside.say(f"the endpoint's own metrics cannot be read, and are left out of the report: {problem}")
        return None


def _constraints(job: Job) -> Constraints:
    kept = constraints_of(job.baseline)
    if job.args.constraints:
        kept = modelmonitor.constraints_from(read_json(job.args.constraints, job.outside.s3))
    return replace(kept, rows_at_least=job.args.rows_at_least)


def _publish(job: Job, settings: watch.Settings, result: watch.Judged) -> None:
    outside, now = job.outside, job.outside.now()
    window = result.window.profile
    present = {name: float(count) for name, count in zip(window.layout.names, window.present(), strict=True)}
    schedule = job.args.model_monitor_names or outside.environment.get("sagemaker_monitoring_schedule_name", "")
    old = publish.model_monitor_metrics(present, result.verdict.effects, settings.endpoint, schedule, now)
    if outside.environment.get("publish_cloudwatch_metrics") == "Enabled":
        publish.leave_for_platform(old, outside.container.metrics)
    if not job.args.publish:
        return
    client = outside.cloudwatch()
    publish.publish(watch.signals(result, settings, now), client)
    if job.args.model_monitor_names:
        publish.send_model_monitor(old, client)


@dataclass(frozen=True, slots=True)
class _Below:
    """A folder inside another."""

    parent: Folder
    name: str

    def names(self, under: str = "") -> list[str]:
        return [each.removeprefix(f"{self.name}/") for each in self.parent.names(f"{self.name}/{under}")]

    def read(self, name: str) -> bytes:
        return self.parent.read(f"{self.name}/{name}")

    def content(self, name: str) -> Any:
        return self.parent.content(f"{self.name}/{name}")

    def modified(self, name: str) -> datetime:
        return self.parent.modified(f"{self.name}/{name}")

    def write(self, name: str, content: bytes, content_type: str = "application/json") -> None:
        self.parent.write(f"{self.name}/{name}", content, content_type)

    def on_disk(self, name: str) -> Any:
        return self.parent.on_disk(f"{self.name}/{name}")
