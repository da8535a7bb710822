"""The words of `python -m training`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from contract.places import Container
from training import run, sample


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training", description="Train a model the SageMaker way.")
    words = parser.add_subparsers(dest="word", required=True)
    words.add_parser("train", help="the whole run, from the channels to the artifact")
    _add_sample(words.add_parser("sample", help="write a table of sample data"))
    options = parser.parse_args(given)
    if options.word == "sample":
        return _write_sample(options)
    return run.train(Container.from_environment())


def _add_sample(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", choices=["churn", *sample.CLASSICS])
    parser.add_argument("--out", type=Path, required=True, help="a file ending in .csv, .parquet or .jsonl")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--drift", type=float, default=0.0)
    parser.add_argument("--concept", type=float, default=0.0)
    parser.add_argument("--missing", type=float, default=1.0)


def _write_sample(options: argparse.Namespace) -> int:
    if options.name == "churn":
        knobs = sample.Knobs(options.drift, options.concept, options.missing)
        table = sample.churn(options.rows, options.seed, knobs)
    else:
        table = sample.CLASSICS[options.name][0]()
    sample.write(table, options.out)
    return 0
