"""What a newcomer reads after `make up` can be typed as it stands, and the README shows the same."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
from pathlib import Path

import pytest
import typer

from contract.records import Answer
from contract.release import Package, Release, Variant
from delivery.cli import application
from delivery.cli.dashing import PORT, opened
from delivery.cli.launching import next_commands, spelled, told
from delivery.dashboard.server import PortError
from delivery.launch import Launch
from delivery.platform import Invoked

ROOT = Path(__file__).resolve().parents[2]
ROW = "18.8,30.8,498.68,3.994,213.6,plan-0,payment_method-4,region-20,device_model-093,city-0012"
ANSWER = b'{"predictions":[{"label":"no","probabilities":[0.93,0.07]}],"classes":["no","yes"]}\n'


@pytest.fixture
def done() -> Launch:
    package = Package(1, "arn", "image", "s3://a/model.tar.gz", "0" * 64, "evidence")
    release = Release("steady", (Variant("champion", package, 1.0, 1),))
    first = Invoked(Answer(ANSWER, "application/json", "champion"), 19.0)
    return Launch(release, ROW, first, "http://127.0.0.1:4566")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository after `make setup`, as far as a shell sees it."""
    script = tmp_path / ".venv" / "bin" / "slipway"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\necho it ran\n")
    script.chmod(0o755)
    return tmp_path


def program(checkout: Path) -> Path:
    return checkout / ".venv" / "bin" / "slipway"


def test_where_the_shell_does_not_find_slipway_it_is_named_by_its_place(checkout: Path) -> None:
    typed = spelled(program(checkout), os.environ["PATH"], checkout)
    assert typed == ".venv/bin/slipway"
    assert subprocess.run(["sh", "-c", typed], cwd=checkout, capture_output=True, check=True).stdout == b"it ran\n"


def test_where_the_shell_finds_it_the_name_is_enough(checkout: Path) -> None:
    assert spelled(program(checkout), f"{program(checkout).parent}:/bin", checkout) == "slipway"


def test_a_slipway_of_another_checkout_is_not_taken_for_this_one(checkout: Path) -> None:
    other = checkout / "other" / "slipway"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    assert spelled(program(checkout), str(other.parent), checkout) == ".venv/bin/slipway"
    assert spelled(program(checkout), "", checkout / "other") == str(program(checkout))


def test_make_tells_what_the_shell_finds_and_not_what_make_adds(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text() + '\nshow:\n\t@echo "$$SLIPWAY_PATH"\n')
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    ran = subprocess.run(["make", "show"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == os.environ["PATH"]


@pytest.mark.parametrize("env", ["local", "rehearsal"])
def test_every_command_that_is_shown_is_there_with_its_options(done: Launch, env: str) -> None:
    for command in next_commands(done, ".venv/bin/slipway", env):
        _, *words = shlex.split(command)
        assert "…" not in command
        tree = typer.main.get_command(application())
        with tree.make_context("slipway", words, resilient_parsing=True) as context:
            name, found, rest = tree.resolve_command(context, words)  # type: ignore[attr-defined]
        while hasattr(found, "commands"):
            name, found, rest = found.commands[rest[0]].name, found.commands[rest[0]], rest[1:]
        assert found.make_context(name, list(rest)).params["env"] == env


def test_the_page_answers_where_the_last_lines_say(done: Launch) -> None:
    assert re.search(
        rf"slipway dash +all of it on a page, at http://127.0.0.1:{PORT}\n", told(done, "slipway", "local")
    )


def test_the_page_takes_another_port_where_its_own_is_taken() -> None:
    with socket.socket() as first:
        first.bind(("127.0.0.1", 0))
        first.listen()
        taken = first.getsockname()[1]
        with opened(None, usual=taken) as second:
            assert second.getsockname()[1] != taken
        with pytest.raises(PortError, match="in use"):
            opened(taken)


def test_the_readme_shows_what_make_up_prints(done: Launch) -> None:
    shown = next(each for each in re.findall(r"```text\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL))
    seen = shown[shown.index("a customer: ") :].rstrip()
    printed = told(done, ".venv/bin/slipway", "local")
    assert re.fullmatch(re.escape(seen).replace("…", ".*"), printed), printed
