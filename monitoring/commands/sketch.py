"""Sketch a share of the training data, or join sketches into the layout of a baseline, when no machine sees all rows.

    monitor sketch --data part-0/ --schema manifest.json --output sketches/0.json
    monitor sketch --join sketches/ --schema manifest.json --output layout.json

Then count each share with `monitor baseline --layout layout.json` and add the counts with `monitor baseline --join`.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, get_args

from monitoring.commands.baseline import passes, read_schema
from monitoring.sketch import Sketch
from monitoring.storage import file, listing
from monitoring.table import Format

if TYPE_CHECKING:
    from monitoring.cli import Outside

SUMMARY = "sketch data that no single machine sees"


def arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", metavar="PLACE", help="this machine's share of the data")
    source.add_argument("--join", metavar="PLACE", help="folder of sketches; writes the layout for all of them")
    parser.add_argument("--schema", metavar="FILE", required=True, help="manifest.json of the artifact, or a schema")
    parser.add_argument("--output", metavar="FILE", required=True, help="where the sketch or the layout goes")
    parser.add_argument("--format", choices=get_args(Format), help="of the data; by default the name's ending says it")


def run(args: argparse.Namespace, outside: Outside) -> int:
    schema, total = read_schema(args.schema, outside), Sketch()
    where, name = file(args.output, outside.s3)
    if args.join:
        source, names = listing(args.join, outside.s3)
        for each in names:
            total.merge(Sketch.from_json(json.loads(source.read(each))))
        where.write(name, json.dumps(total.layout(schema).to_json()).encode())
        outside.say(f"layout from {len(names)} sketches of {total.rows:,} rows: {args.output}")
        return 0
    for rows in passes(args, schema, outside)():
        total.add(rows.frame, schema)
    where.write(name, json.dumps(total.to_json()).encode())
    outside.say(f"sketch of {total.rows:,} rows: {args.output}")
    return 0
