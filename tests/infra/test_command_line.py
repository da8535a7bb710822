"""The command line's frame: commands are found, mistakes are told in words, exit codes mean what they say."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from delivery.cli import main
from delivery.cli.exits import EXIT, exit_code
from delivery.engine import engine, machine
from delivery.engine.choose import Engine, choose
from delivery.engine.cloud import reach
from delivery.engine.errors import LockedError, NoEngineError, RefusedError
from delivery.engine.events import Diagnosed
from delivery.engine.lock import alone
from delivery.engine.machine import Workplace
from delivery.engine.terraform import failure
from delivery.engine.with_pulumi import WithPulumi
from delivery.engine.with_terraform import WithTerraform
from stacks.settings import SettingsError, load

Rewrites = Callable[[str, Callable[[dict[str, Any]], None]], None]


def test_a_misspelt_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upp"]) == EXIT["usage"]
    assert "Did you mean 'up'" in capsys.readouterr().err


def test_an_unknown_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synth", "--nope"]) == EXIT["usage"]
    assert "--nope" in capsys.readouterr().err


def test_synth_needs_no_engine(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert main(["synth", "local"]) == 0
    assert '"aws_s3_bucket"' in capsys.readouterr().out


def test_a_wrong_setting_ends_with_its_own_code_and_no_traceback(
    repository: Path, rewrites: Rewrites, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrites("local", lambda settings: settings.update(account=5))
    assert main(["synth", "local", "--root", str(repository)]) == EXIT["settings"]
    told = capsys.readouterr().err
    assert "slipway:platform.account: given 5" in told
    assert "Traceback" not in told


def test_a_torn_release_file_says_how_to_get_it_back(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repository / "releases" / "local.yaml").write_text("models: {churn: {stat")
    assert main(["synth", "local", "--root", str(repository)]) == EXIT["settings"]
    assert "git checkout -- releases/local.yaml" in capsys.readouterr().err


def test_without_any_engine_the_error_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NoEngineError, match="engine --install"):
        choose()


def test_pulumi_goes_first_when_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "pulumi", lambda: "/bin/pulumi")
    monkeypatch.setattr(machine, "terraform", lambda: "/bin/terraform")
    assert choose() == "pulumi"
    assert choose("terraform") == "terraform"
    with pytest.raises(NoEngineError, match="expected one of"):
        choose("opentofu")


@pytest.mark.parametrize("verb", ["up", "preview", "recover"])
@pytest.mark.parametrize("chosen", [WithPulumi(), WithTerraform()], ids=["pulumi", "terraform"])
def test_a_misspelt_environment_leaves_nothing_behind(chosen: Engine, verb: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no environment 'locl'"):
        getattr(chosen, verb)("locl", tmp_path, Console(quiet=True))
    assert not list(tmp_path.iterdir())


def test_who_comes_second_is_told_who_holds_the_environment(tmp_path: Path) -> None:
    place = Workplace(tmp_path, "local")
    told = r"`slipway up local` of .*@.*, process \d+, since"
    with alone(place, "up local"), pytest.raises(LockedError, match=told), alone(place, "preview"):
        pytest.fail("the second one got in")


def test_two_ups_at_once_are_one_up_and_one_explanation(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with alone(Workplace(repository, "local"), "up local"):
        assert main(["up", "local", "--yes", "--root", str(repository)]) == EXIT["locked"]
    told = capsys.readouterr().err
    assert "in use by `slipway up local` of" in told
    assert f"process {os.getpid()}" in told
    assert "Nothing was changed" in told


def test_a_state_locked_elsewhere_tells_who_holds_it() -> None:
    """As Terraform says it when another machine holds the lock in the bucket."""
    lock = "Lock Info:\n  ID:        1a2b\n  Who:       ana@laptop\n  Operation: OperationTypeApply"
    said = Diagnosed("error", "Error acquiring the state lock", lock, "")
    problem = failure("planning", [said])
    assert isinstance(problem, LockedError)
    assert "ana@laptop" in str(problem)


def test_an_endpoint_that_goes_back_under_an_up_says_which_command_follows_it() -> None:
    said = "waiting for SageMaker AI Endpoint (x) update: unexpected state 'RollingBack', wanted target 'InService'"
    assert "`slipway status MODEL`" in str(failure("applying", [Diagnosed("error", said, "", "")]))


@pytest.mark.skipif(machine.terraform() is None, reason="terraform is not on PATH")
def test_over_the_budget_nothing_is_even_asked_of_the_cloud(
    repository: Path, rewrites: Rewrites, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(engine, "reach", lambda *_: pytest.fail("the cloud was reached"))
    rewrites("dev", lambda settings: settings["governance"].update(budget={"monthly_usd": 1}))
    assert main(["up", "dev", "--yes", "--engine", "terraform", "--root", str(repository)]) == EXIT["refused"]
    assert "governance.budget.monthly_usd is 1" in capsys.readouterr().err


def test_a_machine_of_ci_keeps_no_state_of_its_own(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(RefusedError, match=r"would be lost with this machine.*set state_bucket"):
        engine.up("dev", repository)


def test_a_protected_environment_refuses_to_go_down(repository: Path) -> None:
    """What holds it is said, and no cloud is asked."""
    with pytest.raises(RefusedError, match=r"locked in compliance mode for 730 days.*set `protect: false`"):
        engine.down("prod", repository)


def test_an_environment_on_aws_refuses_an_endpoint_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(RefusedError, match="Unset AWS_ENDPOINT_URL"):
        reach(load("dev"), tmp_path)


def test_the_embedded_aws_is_on_this_machine_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://sts.amazonaws.com")
    with pytest.raises(RefusedError, match="this machine only"):
        reach(load("local"), tmp_path)


def test_our_errors_have_codes_and_others_are_bugs() -> None:
    assert exit_code(SettingsError("x")) == EXIT["settings"]
    assert exit_code(LockedError("x")) == EXIT["locked"]
    assert exit_code(KeyError("x")) is None


@pytest.mark.skipif(
    machine.pulumi() is None, reason="the Pulumi CLI is not on PATH: `slipway engine --install` fetches it"
)
def test_the_real_pulumi_previews_local(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert main(["preview", "local", "--engine", "pulumi"]) == 0
