"""Make a baseline from the data a model was trained on.

The schema is an artifact's manifest.json, or a schema alone. Columns `predicted` and `predicted_probability` in the
data become the baseline of the predictions; capture lines carry them already. Besides the baseline, statistics.json
and constraints.json are written next to it, in Model Monitor's form; and where the rows have the target as well,
reference.json: the quality that `monitor outcomes` compares with.

    monitor baseline --data train.parquet --schema manifest.json --output artifact/baseline.json
    monitor baseline --data evaluation/predictions.parquet --artifact model.tar.gz
        --output s3://artifacts/baselines/churn/{artifact}/baseline.json
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, get_args

from contract import places
from contract.records import Schema
from monitoring import modelmonitor
from monitoring.baseline import Baseline, Passes, Rows, Season, build, sampled, with_layout
from monitoring.capture import Reader, Tally
from monitoring.layout import Layout
from monitoring.outcomes.join import PREDICTED
from monitoring.outcomes.reference import FILE as REFERENCE
from monitoring.outcomes.reference import labelled, reference_of
from monitoring.profile import ProfileError
from monitoring.quality import constraints_of
from monitoring.storage import Folder, file, listing, read_json
from monitoring.table import Format, format_of, frames

if TYPE_CHECKING:
    from monitoring.cli import Outside

SUMMARY = "make a baseline from training data"
LABELLED = 500_000  # rows that say what the model's quality is; more would not say it better


def arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", metavar="PLACE", help="a file or folder of Parquet, CSV, JSON lines or capture lines")
    source.add_argument("--join", metavar="PLACE", help="folder of baselines counted with one layout, to be added up")
    source.add_argument("--statistics", metavar="FILE", help="Model Monitor's statistics.json, when the data is gone")
    parser.add_argument("--layout", metavar="FILE", help="count with this layout, which `monitor sketch` made")
    parser.add_argument("--schema", metavar="FILE", help="manifest.json of the artifact, or a schema")
    parser.add_argument("--artifact", metavar="FILE", help="model.tar.gz, whose manifest is the schema")
    parser.add_argument(
        "--output", metavar="FILE", required=True, help="where it goes; {artifact} is the artifact's hash"
    )
    parser.add_argument("--format", choices=get_args(Format), help="of the data; by default the name's ending says it")
    parser.add_argument(
        "--season", choices=get_args(Season), default="none", help="keep a baseline for each season as well"
    )
    parser.add_argument("--time-column", metavar="NAME", help="the column that says when a row was seen (for seasons)")


def run(args: argparse.Namespace, outside: Outside) -> int:
    schema = read_schema(args.schema, outside) if args.schema else None
    output = args.output
    if args.artifact:
        digest, schema = read_artifact(args.artifact, outside)
        output = output.replace("{artifact}", digest)
    if args.statistics:
        made = modelmonitor.baseline_from(read_json(args.statistics, outside.s3), schema)
    elif args.join:
        made = joined(args.join, outside)
    elif schema is None:
        raise ProfileError("--schema is missing: name the artifact's manifest.json, or the artifact with --artifact")
    elif args.layout:
        made = with_layout(passes(args, schema, outside), schema, read_layout(args.layout, outside), args.season)
    else:
        made = build(passes(args, schema, outside), schema, args.season)
    write(made, output, outside)
    if schema is not None and args.data and args.format != "capture":
        write_reference(passes(args, schema, outside), schema, output, outside)
    undated = f"; the time of {made.undated:,} could not be read, they are in no season" if made.undated else ""
    outside.say(f"baseline of {made.profile.rows:,} rows and {len(made.layout.columns)} columns: {output}{undated}")
    return 0


def read_schema(place: str, outside: Outside) -> Schema:
    document = read_json(place, outside.s3)
    return Schema.from_json(document.get("schema", document))


def read_artifact(place: str, outside: Outside) -> tuple[str, Schema]:
    """The hash of a model.tar.gz, which names its baseline, and the schema in its manifest."""
    where, name = file(place, outside.s3)
    content = where.read(name)
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as packed:
            found = next(each for each in packed.getmembers() if each.name.removeprefix("./") == places.MANIFEST)
            manifest = packed.extractfile(found)
            document = json.loads(manifest.read()) if manifest else {}
    except (tarfile.TarError, StopIteration, ValueError) as problem:
        raise ProfileError(f"{place} holds no readable {places.MANIFEST}: {problem!r}; expected an artifact") from None
    return hashlib.sha256(content).hexdigest(), Schema.from_json(document["schema"])


def read_layout(place: str, outside: Outside) -> Layout:
    return Layout.from_json(read_json(place, outside.s3))


def joined(place: str, outside: Outside) -> Baseline:
    where, names = listing(place, outside.s3)
    files = (modelmonitor.STATISTICS, modelmonitor.CONSTRAINTS)
    parts = [Baseline.from_bytes(where.read(name)) for name in names if not name.endswith(files)]
    if not parts:
        raise ProfileError(f"no baselines at {place}: expected what `monitor baseline --layout` wrote")
    return functools.reduce(Baseline.merge, parts)


def passes(args: argparse.Namespace, schema: Schema, outside: Outside) -> Passes:
    """The rows of all files, as often as they are asked for."""
    where, names = listing(args.data, outside.s3)
    if not names:
        raise ProfileError(f"no files at {args.data}: expected Parquet, CSV, JSON lines or capture lines")

    def rows() -> Iterator[Rows]:
        for name in names:
            yield from _rows(where, name, args.format, schema, getattr(args, "time_column", None))

    return rows


def _rows(where: Folder, name: str, kind: Format | None, schema: Schema, time_column: str | None) -> Iterator[Rows]:
    if kind == "capture":
        batch = Reader(schema, keyed=True).read(where.read(name), name, Tally())
        yield Rows(batch.frame, None if batch.keys is None else batch.keys["time"])
        return
    with where.on_disk(name) as path:
        for frame in frames(path, kind or format_of(name)):
            if time_column is not None and time_column not in frame.columns:
                raise ProfileError(f"{name} has no column '{time_column}'; it has {', '.join(frame.columns[:20])}")
            yield Rows(frame, frame[time_column] if time_column else None)


def write(made: Baseline, output: str, outside: Outside) -> None:
    where, name = file(output, outside.s3)
    where.write(name, made.to_bytes())
    where.write(modelmonitor.STATISTICS, json.dumps(modelmonitor.statistics(made.profile)).encode())
    constraints = modelmonitor.constraints_document(constraints_of(made), made.layout)
    where.write(modelmonitor.CONSTRAINTS, json.dumps(constraints, indent=1).encode())


def write_reference(rows: Passes, schema: Schema, output: str, outside: Outside) -> None:
    """The model's quality on these rows, when they say what it answered and what was true."""
    sample = sampled((each.frame for each in rows()), LABELLED)
    if not {PREDICTED, schema.target} <= set(sample.columns):
        return
    known = labelled(sample, schema, "the data")
    if known.height:
        where, _ = file(output, outside.s3)
        where.write(REFERENCE, json.dumps(reference_of(known, schema).to_json()).encode())
