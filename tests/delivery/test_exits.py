"""A script can rely on what a command ends with."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from contract.records import RecordError
from delivery.cli import main
from delivery.cli.exits import EXIT, MEANING, exit_code
from delivery.engine.errors import LockedError, NoEngineError
from delivery.gates import Gates
from delivery.history import HistoryError
from delivery.release import RefusedError


def test_every_code_says_what_it_means_in_the_help(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    assert MEANING.keys() == EXIT.keys()
    assert main(["--help"]) == EXIT["done"]
    told = " ".join(capsys.readouterr().out.split())
    assert all(f"{code} {MEANING[name]}" in told for name, code in EXIT.items())


@pytest.mark.parametrize(
    ("raised", "name"),
    [
        (HistoryError("x"), "failed"),
        (ClientError({"Error": {"Code": "x", "Message": "x"}}, "Describe"), "failed"),
        (RecordError("x"), "settings"),
        (RefusedError("x"), "refused"),
        (LockedError("x"), "locked"),
        (NoEngineError("x"), "no_engine"),
        (ZeroDivisionError("x"), "bug"),
    ],
)
def test_what_went_wrong_decides_the_code(
    raised: Exception, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> Any:
        raise raised

    monkeypatch.setattr("delivery.doctor.examine", fail)
    assert main(["doctor"]) == EXIT[name]
    assert ("Traceback" in capsys.readouterr().err) is (name == "bug")


def test_ctrl_c_says_that_the_same_command_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("delivery.doctor.examine", stop)
    assert main(["doctor"]) == EXIT["interrupted"]
    assert "run the same command again" in capsys.readouterr().err


def test_an_error_of_a_librarys_model_is_no_error_of_ours() -> None:
    with pytest.raises(ValueError, match="gates") as problem:
        Gates.model_validate({})
    assert exit_code(problem.value) is None
