"""Every command is found, explained by an example that works, and answers mistakes with the nearest right word."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer

from delivery.cli import main
from delivery.cli.asking import looks, read_body
from delivery.cli.completing import models_of
from delivery.cli.exits import EXIT
from delivery.cli.reference import every_command
from delivery.cli.releasing import version_of
from delivery.engine import machine

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = re.compile(r"Example: `(slipway [^`]+)`")

# These are about the machine, not about an environment.
WITHOUT_ENVIRONMENT = {
    "demo",
    "doctor",
    "engine",
    "local start",
    "local stop",
    "local status",
    "local reset",
    "promote",
}

# Every command in an order in which its example makes sense, and what has to happen right before it.
SERVING: dict[str, tuple[str, ...]] = {
    "doctor": (),
    "engine": (),
    "synth": (),
    "local status": (),
    "launch": (),
    "up": (),
    "preview": (),
    "outputs": (),
    "smoke": (),
    "recover": (),
    "status": (),
    "cost": (),
    "idle": (),
    "invoke": (),
    "outcomes put": (),
    "batch": (),
    "drift": (),
    "quality": (),
    "run": (),
    "retrain": (),
    "runs": (),
    "compare": ("slipway run churn --stage evaluate", "slipway run churn --config run.yaml --set C=0.2"),
    "data tag": (),
    "data list": (),
    "data log": (),
    "data diff": (),
    "data checkout": (),
    "models list": (),
    "models show": (),
    "models diff": (),
    "models tag": (),
    "models reject": (),
    "models approve": (),
    "gates": (),
    "models log": (),
    "models checkout": (),
    "deploy": (),
    "scale": (),
    "experiment plan": (),
    "experiment start": (),
    "experiment move": (),
    "experiment status": (),
    "experiment conclude": (),
    "experiment stop": ("slipway experiment conclude",),
    "experiment promote": ("slipway experiment start churn 1 --name summer --traffic 10",),
    "shadow": (),
    "rollback": ("slipway shadow churn --stop",),
    "why": (),
    "report": (),
    "ledger log": (),
    "ledger verify": (),
    "promote": (),
}
UNTIL_STOPPED = "dash"
PLAYED_BY_MAKE = "demo"  # minutes long
FROM_NOTHING: dict[str, tuple[str, ...]] = {
    "local start": (),
    "down": ("slipway up local --yes",),
    "local stop": (),
    "local reset": (),
}


COMMANDS = every_command()


def example(command: Any) -> str:
    found = EXAMPLE.search(command.help or "")
    return found[1] if found else ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_of_itself(name: str) -> None:
    assert COMMANDS[name].help
    assert example(COMMANDS[name]).startswith(f"slipway {name}")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_and_argument_says_what_it_is(name: str) -> None:
    silent = [each.name for each in COMMANDS[name].params if not getattr(each, "help", "x")]
    assert silent == []


def test_every_example_has_its_place_among_those_that_are_run() -> None:
    assert sorted([*SERVING, *FROM_NOTHING, UNTIL_STOPPED, PLAYED_BY_MAKE]) == sorted(COMMANDS)


def test_make_plays_the_demo_as_its_example_says() -> None:
    assert f"\t@{example(COMMANDS[PLAYED_BY_MAKE])}\n" in (ROOT / "Makefile").read_text()


def run_examples(checkout: Any, order: Mapping[str, tuple[str, ...]]) -> None:
    for name, before in order.items():
        for line in before:
            checkout.type(line)
        checkout.type(example(COMMANDS[name]))


@pytest.mark.long
@pytest.mark.skipif(not (machine.terraform() or machine.pulumi()), reason="`slipway engine` asks for an engine")
def test_the_examples_of_commands_on_what_serves_work(checkout: Any) -> None:
    run_examples(checkout, SERVING)


def test_the_example_of_a_page_serves_it_until_it_is_stopped(checkout: Any) -> None:
    words = [sys.executable, "-m", "delivery.cli", *shlex.split(example(COMMANDS[UNTIL_STOPPED]))[1:]]
    with subprocess.Popen(words, cwd=checkout.root, stdout=subprocess.PIPE, text=True) as page:
        try:
            assert page.stdout is not None
            assert httpx.get(page.stdout.readline().strip(), timeout=60).status_code == 200
            page.send_signal(signal.SIGINT)
            assert page.wait(60) in (EXIT["done"], EXIT["interrupted"])
        finally:
            page.kill()


def test_the_examples_of_commands_that_begin_and_end_work(spare: Any) -> None:
    run_examples(spare, FROM_NOTHING)


# Mistakes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "nearest"),
    [
        ("slipway deplyo churn", "deploy"),
        ("slipway models lst churn", "list"),
        ("slipway deploy churn --stratgy canary", "--strategy"),
        ("slipway deploy churn --strategy canry", "Did you mean 'canary'?"),
        ("slipway runs churn --kind trainin", "Did you mean 'training'?"),
        ("slipway up locl", "Did you mean 'local'?"),
        ("slipway status churn --env locl", "Did you mean 'local'?"),
    ],
)
def test_a_wrong_word_names_the_nearest_right_one(line: str, nearest: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(line)[1:]) in (EXIT["usage"], EXIT["settings"])
    assert nearest in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("slipway run churn", "give --data PLACE"),
        ("slipway run churn --data rows.csv --set C", "expected NAME=VALUE"),
        ("slipway run churn --config absent.yaml", "absent.yaml cannot be read"),
        ("slipway run churn --stage evalute", "Did you mean 'evaluate'?"),
        ("slipway run churn --stage evaluate --data rows.csv", "--data would change them"),
    ],
)
def test_a_run_that_cannot_be_says_what_was_expected(checkout: Any, line: str, said: str) -> None:
    typed = checkout.type(line, expect=None)
    assert typed.code in (EXIT["usage"], EXIT["settings"], EXIT["failed"])
    assert said in " ".join(typed.err.split())


def test_a_wrong_model_names_the_nearest_right_one(checkout: Any) -> None:
    assert "Did you mean 'churn'?" in checkout.type("slipway models list chrun", expect=EXIT["failed"]).err


def test_without_a_model_the_list_is_of_all_models(checkout: Any) -> None:
    (line,) = json.loads(checkout.type("slipway models list --json").out)
    assert line.keys() == {"model", "serves", "release", "endpoint", "newest", "approval"}
    assert line["model"] == "churn"


def test_without_a_model_every_experiment_is_concluded_and_there_may_be_none(spare: Any) -> None:
    assert spare.type("slipway experiment conclude").out == "no experiment runs in local\n"
    assert json.loads(spare.type("slipway experiment conclude --json").out) == {}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_answer_in_json(name: str) -> None:
    assert "--json" in options(COMMANDS[name])


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - WITHOUT_ENVIRONMENT))
def test_every_command_takes_its_environment_the_same_way(name: str) -> None:
    assert "--env" in options(COMMANDS[name])


def options(command: Any) -> set[str]:
    return {option for each in command.params for option in each.opts}


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("slipway exp", "experiment"),
        ("slipway status --env loc", "local"),
        ("slipway preview sta", "staging"),
        ("slipway promote dev sta", "staging"),
        ("slipway status ch", "churn"),
        ("slipway invoke --env local ch", "churn"),
        ("slipway ledger log --model ch", "churn"),
    ],
)
def test_a_shell_can_complete_commands_environments_and_models(typed: str, completed: str) -> None:
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    shown = subprocess.run(
        [sys.executable, "-m", "delivery.cli"],
        env=os.environ | {"_SLIPWAY_COMPLETE": "complete_bash"} | words,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed in shown.stdout.split()


def test_settings_that_cannot_be_read_complete_nothing(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.local.yaml").write_text("config: [")
    assert models_of("local", tmp_path) == []
    assert models_of("absent", tmp_path) == []


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == EXIT["done"]
    assert re.fullmatch(r"slipway \d+\.\d+\.\d+, Python \S+\n", capsys.readouterr().out)


def test_a_version_may_be_named_either_way_but_not_two_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert [version_of("2", None), version_of(None, "2"), version_of("2", "2")] == ["2", "2", "2"]
    assert version_of(None, None) == "approved"
    assert main(["deploy", "churn", "2", "--version", "3"]) == EXIT["usage"]
    assert "VERSION is 2 and --version is 3" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        ("1,2,no\n", "text/csv"),
        ("[1, 2]", "application/json"),
        (' {"rows": [[1]]}\n', "application/json"),
        ("3", "text/csv"),
        ("", "text/csv"),
        ("{1,2", "text/csv"),
    ],
)
def test_a_request_from_standard_input_is_taken_for_what_it_looks_like(body: str, seen: str) -> None:
    assert looks(body.encode()) == seen


def test_what_a_request_is_can_be_said(tmp_path: Path) -> None:
    file = tmp_path / "rows.txt"
    file.write_text("1,2")
    assert read_body(None, file, "text/csv") == (b"1,2", "text/csv")
    assert read_body("[1]", None, "text/csv") == (b"[1]", "text/csv")
    with pytest.raises(typer.BadParameter, match="--content-type"):
        read_body(None, file, None)


def test_the_ledger_is_listed_newest_first_by_model_and_number(checkout: Any) -> None:
    every = checkout.ask("slipway ledger log --rows 1000")
    numbers = [each["number"] for each in every]
    assert numbers == sorted(numbers, reverse=True)
    assert (
        checkout.ask("slipway ledger log --rows 2 --model churn")
        == [each for each in every if each["decision"]["model"] == "churn"][:2]
    )
    assert "Did you mean 'churn'?" in checkout.type("slipway ledger log --model chrun", expect=EXIT["failed"]).err
