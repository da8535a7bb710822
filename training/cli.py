"""The words of `python -m training`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from contract.places import Container
from contract.stages import DONE, STAGES, WRONG_SETTINGS
from families.discovery import discover
from training import sample
from training.settings import OF_A_RUN

HOW_TO_SET = (
    "Hyperparameters come from input/config/hyperparameters.json, and over them from options: --name value. "
    "`python -m training hyperparameters` lists them."
)


def main(given: Sequence[str] | None = None) -> int:
    options, rest = _parser().parse_known_args(given)
    if options.word == "sample":
        return _write_sample(options)
    if options.word == "hyperparameters":
        return _list_hyperparameters(options.family)
    return _run(options.word, rest)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training",
        description="Train a model the SageMaker way. Every hyperparameter may be given as an option: --target churned",
    )
    words = parser.add_subparsers(dest="word", required=True)
    for stage in STAGES.values():
        words.add_parser(stage.name, help=stage.does, description=f"{stage.does}. {HOW_TO_SET}")
    listing = words.add_parser("hyperparameters", help="list what can be set on a run and on a family")
    listing.add_argument("--family", default=OF_A_RUN[0].default, choices=list(discover()))
    _add_sample(words.add_parser("sample", help="write a table of sample data"))
    return parser


def _run(word: str, rest: Sequence[str]) -> int:
    from training import run

    container = Container.from_environment()
    try:
        more = hyperparameters_of(rest)
    except ValueError as problem:
        print(f"failed: {problem}")
        return WRONG_SETTINGS
    if word == "train":
        return run.train(container, more)
    return run.run_stage(word, container, more)


def hyperparameters_of(rest: Sequence[str]) -> dict[str, object]:
    """What stands after the word, as hyperparameters: `--name value` or `--name=value`."""
    found: dict[str, object] = {}
    words = iter(rest)
    for word in words:
        if not word.startswith("--"):
            raise ValueError(f"'{word}' is no option; a hyperparameter is given as --name value")
        name, equals, value = word[2:].partition("=")
        if not equals:
            try:
                value = next(words)
            except StopIteration:
                raise ValueError(f"'{word}' has no value; a hyperparameter is given as --name value") from None
        found[name.replace("-", "_")] = value
    return found


def _list_hyperparameters(family: str) -> int:
    for title, known in (("of a run", OF_A_RUN), (f"of {family}", discover()[family].hyperparameters)):
        print(f"\n{title}")
        for each in known:
            print(f"{each.name:20} {each.kind:8} {each.default!r:9} {each.about}{each.bounds}")
    return 0


def _add_sample(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", choices=["churn", *sample.CLASSICS])
    parser.add_argument("--out", type=Path, required=True, help="a file ending in .csv, .parquet or .jsonl")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--drift", type=float, default=0.0, help="how far the world has moved; 1 is a year")
    parser.add_argument("--concept", type=float, default=0.0, help="how far the reasons to leave have changed")
    parser.add_argument("--missing", type=float, default=1.0, help="how much is missing, 1 as usual")
    parser.add_argument("--outcomes", type=Path, help="also write when each outcome is known")
    parser.add_argument("--delay-days", type=float, default=30.0, help="how long the median outcome takes")


def _write_sample(options: argparse.Namespace) -> int:
    try:
        _write_tables(options)
    except (sample.SampleError, OSError) as problem:
        print(f"failed: {problem}")
        return WRONG_SETTINGS
    return DONE


def _write_tables(options: argparse.Namespace) -> None:
    if options.name != "churn":
        sample.write(sample.CLASSICS[options.name][0](), options.out)
        return
    knobs = sample.Knobs(options.drift, options.concept, options.missing, options.delay_days)
    table = sample.churn(options.rows, options.seed, knobs)
    sample.write(table, options.out)
    if options.outcomes:
        sample.write(sample.outcomes(table, options.seed, knobs), options.outcomes)
