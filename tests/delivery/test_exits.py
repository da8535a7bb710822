"""A script can rely on what a command ends with."""

from __future__ import annotations

import dataclasses
import errno
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3.exceptions
import pytest
from botocore.exceptions import ClientError

from contract.records import RecordError
from contract.release import CHALLENGER, CHAMPION, SHADOW, Package, Release, Variant
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
        (boto3.exceptions.S3UploadFailedError("x"), "failed"),
        (OSError(errno.ENOSPC, "No space left on device"), "failed"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), "failed"),
        (TimeoutError(), "failed"),
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


ONE, TWO = (Package(number, "arn", "image", "s3://b", "hash", "evidence") for number in (1, 2))
ALONE = Release("steady", (Variant(CHAMPION, ONE),), reason="an alarm")
BOTH = (Variant(CHAMPION, ONE, 0.9), Variant(CHALLENGER, TWO, 0.1))
TRIED = dataclasses.replace(ALONE, state="experiment", experiment="spring", variants=BOTH)
SHADOWED = dataclasses.replace(ALONE, shadow=Variant(SHADOW, TWO))


@pytest.mark.parametrize(
    ("line", "verb", "release", "name"),
    [
        ("deploy churn 2", "deploy", ALONE, "done"),
        ("deploy churn 2", "deploy", dataclasses.replace(ALONE, state="rolled_back"), "rolled_back"),
        ("experiment start churn 2 --name spring", "start_experiment", TRIED, "done"),
        ("experiment start churn 2 --name spring", "start_experiment", ALONE, "rolled_back"),
        ("shadow churn 2", "shadow", SHADOWED, "done"),
        ("shadow churn 2", "shadow", ALONE, "rolled_back"),
        ("shadow churn --stop", "stop_shadow", ALONE, "done"),
    ],
)
def test_a_script_learns_that_what_it_asked_for_does_not_serve(
    line: str, verb: str, release: Release, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering = SimpleNamespace(**{verb: lambda *_, **__: release}, version=lambda *_: TWO)
    for commands in ("releasing", "experimenting"):
        monkeypatch.setattr(f"delivery.cli.{commands}.platform", lambda *_: answering)
    assert main(line.split()) == EXIT[name]


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


def test_what_the_machine_refuses_says_where_why_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "absent" / "out.tf.json"
    assert main(["synth", "local", "--out", str(place)]) == EXIT["failed"]
    told = capsys.readouterr().err
    assert f"slipway: {place}: No such file or directory. Expected a place that is there" in told
    assert not place.parent.exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("up --engine terafom", "Did you mean 'terraform'?"),
        ("deploy churn --traffic 60", "expected 1 to 50: AWS shifts at most half at once"),
        ("experiment promote churn --traffic 0", "expected 1 to 50"),
        ("promote local rehearsal --note x --strategy linear --traffic 60", "expected 1 to 50"),
        ("deploy churn --bake -1", "greater than or equal to 0"),
        ("dash --port 80000", "less than or equal to 65535"),
        ("local start --port 80000", "less than or equal to 65535"),
        ("experiment plan churn --file .", "is a directory"),
        ("experiment start churn 1 --file .", "is a directory"),
        ("outcomes put churn --file .", "is a directory"),
        ("invoke churn --file .", "is a directory"),
    ],
)
def test_what_was_typed_wrong_is_a_usage_error(line: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == EXIT["usage"]
    assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_a_port_that_is_taken_says_how_to_get_one_before_anything_else_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLIPWAY_ROOT", str(tmp_path))  # there is no environment to open
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["dash", "--port", str(port)]) == EXIT["failed"]
    assert f"port {port} of 127.0.0.1 cannot be had: Address already in use" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line", ["outcomes put churn --file", "run churn --config", "experiment plan churn --per-day 9 --file"]
)
def test_a_file_that_is_no_text_is_a_wrong_file(line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "latin.txt"
    file.write_bytes("inference_id,value\nfirst,groß\n".encode("latin-1"))
    assert main([*line.split(), str(file)]) == EXIT["settings"]
    told = capsys.readouterr().err
    assert str(file) in told
    assert "utf-8" in told.lower()


def test_whoever_stops_reading_an_answer_gets_no_traceback() -> None:
    words = [sys.executable, "-m", "delivery.cli", "synth", "local"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as writing:
        assert writing.stdout is not None
        assert writing.stderr is not None
        writing.stdout.close()
        assert writing.stderr.read() == ""
        assert writing.wait(60) == EXIT["failed"]
