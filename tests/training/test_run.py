"""A run from the channels to the artifact: as a whole, stage by stage, interrupted, and refused."""

from __future__ import annotations

import io
import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from contract.places import Container
from contract.stages import DATA_REFUSED, DONE, FAILED, SPLITS, STAGES, STOPPED, WRONG_SETTINGS, metric_definitions
from families.artifact import pack, verify
from families.opening import open_artifact
from training import run, sample
from training.checkpoints import FILE
from training.features import encode, infer_schema
from training.run import train

Fill = Callable[..., Container]
Start = Callable[..., subprocess.Popen[str]]
QUICK = {"target": sample.TARGET, "max_iter": "20", "max_leaf_nodes": "7"}
ROOT = Path(__file__).resolve().parents[2]


def reason(container: Container) -> str:
    return container.failure.read_text() if container.failure.exists() else ""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Container, str]:
    """A run that ended well, and what it printed."""
    container = Container(tmp_path_factory.mktemp("finished") / "ml")
    container.input_config.mkdir(parents=True)
    container.hyperparameters.write_text(json.dumps(QUICK))
    sample.write(sample.churn(1200, 1), container.channel("train") / "part-0.parquet")
    sample.write(sample.churn(300, 7), container.channel("validation") / "part-0.parquet")
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
        patch.setenv("MLFLOW_TRACKING_URI", "off")
        assert train(container) == DONE, reason(container)
    return container, printed.getvalue()


def test_training_leaves_an_artifact_that_is_vouched_for_and_answers(
    finished: tuple[Container, str], table: pl.DataFrame
) -> None:
    manifest, model = open_artifact(finished[0].model)
    assert manifest.family == "hist_gradient_boosting"
    assert manifest.hyperparameters["max_iter"] == 20
    assert 0 < manifest.metrics["validation_auc"] <= 1
    chances = model.predict(encode(table.head(5), manifest.schema))
    np.testing.assert_allclose(chances.sum(axis=1), 1)


def test_its_log_has_lines_that_metric_definitions_read(finished: tuple[Container, str]) -> None:
    read = {each["Name"]: re.findall(each["Regex"], finished[1]) for each in metric_definitions()}
    assert 0 < float(read["validation_auc"][-1]) <= 1
    assert float(read["validation_log_loss"][-1]) > 0
    assert float(read["fit_seconds"][-1]) > 0


def test_its_reports_are_all_there(finished: tuple[Container, str]) -> None:
    reports = finished[0].output_data
    there = {path.relative_to(reports).as_posix() for path in reports.rglob("*.*")}
    assert {
        "data_report/data_report.json", "data_report/report.html",
        "evaluation/evaluation.json", "evaluation/report.html", "evaluation/ranking.png",
        "explanation/explanation.json", "explanation/report.html",
    } <= there  # fmt: skip
    assert json.loads((reports / "evaluation" / "evaluation.json").read_text())["rows"] == 300


def test_the_same_run_again_gives_the_same_bytes(fill: Fill, table: pl.DataFrame, tmp_path: Path) -> None:
    container = fill({"train": table}, QUICK | {"explain": "false"})
    made = []
    for at in range(2):
        assert train(container) == DONE
        made.append(pack(container.model, tmp_path / f"{at}.tar.gz"))
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("iris", {"family": "logistic_regression", "target": "species"}),
        ("breast_cancer", {"family": "random_forest", "n_estimators": "12", "target": "diagnosis"}),
        ("diabetes", {"family": "xgboost", "rounds": "20", "target": "progression", "task": "regression"}),
    ],
)
def test_the_classic_examples_work(fill: Fill, name: str, more: Mapping[str, str]) -> None:
    container = fill({"train": sample.CLASSICS[name][0]()}, {**more, "explain": "false"})
    assert train(container) == DONE, reason(container)
    metrics = verify(container.model).metrics
    assert metrics["validation_r2"] > 0.2 if name == "diabetes" else metrics["validation_accuracy"] > 0.85


def test_tuning_before_the_fit_chooses_family_and_hyperparameters(fill: Fill, table: pl.DataFrame) -> None:
    more = {"tune_trials": "3", "tune_families": "logistic_regression", "tune_sampler": "random", "explain": "false"}
    container = fill({"train": table}, QUICK | more)
    assert train(container) == DONE, reason(container)
    manifest = verify(container.model)
    best = json.loads((container.output_data / "tuning" / "best.json").read_text())["hyperparameters"]
    assert manifest.family == best["family"] == "logistic_regression"
    assert str(manifest.hyperparameters["C"]) == best["C"]
    assert any(name.startswith("test_") for name in manifest.metrics), "what was tuned on does not judge"


@pytest.mark.parametrize(
    ("hyperparameters", "code", "said"),
    [
        ({"target": "churnd"}, WRONG_SETTINGS, "Did you mean 'churned'"),
        ({"target": sample.TARGET, "max_itr": "5"}, WRONG_SETTINGS, "Did you mean 'max_iter'"),
        ({"target": sample.TARGET, "family": "hist_gradient"}, WRONG_SETTINGS, "Known families"),
        ({"target": "age", "family": "logistic_regression"}, WRONG_SETTINGS, "cannot do a regression"),
        ({"target": sample.TARGET, "drop": "agee"}, WRONG_SETTINGS, "Did you mean 'age'"),
        ({"target": sample.TARGET, "slices": "plans"}, WRONG_SETTINGS, "Did you mean 'plan'"),
        ({"target": sample.TARGET, "objective": "rmse", "tune_trials": "1"}, WRONG_SETTINGS, "has accuracy, precision"),
    ],
)
def test_a_wrong_setting_ends_with_its_own_code_and_a_reason_a_person_understands(
    fill: Fill, table: pl.DataFrame, hyperparameters: Mapping[str, str], code: int, said: str
) -> None:
    container = fill({"train": table}, hyperparameters)
    assert train(container) == code
    assert said in reason(container)
    assert len(reason(container)) <= 1024
    assert "Traceback" not in reason(container)


def test_no_train_channel_is_said_with_those_that_are_there(fill: Fill, table: pl.DataFrame) -> None:
    container = fill({"validation": table})
    assert train(container) == WRONG_SETTINGS
    assert reason(container) == "there is no channel 'train'; the channels are: validation"


def test_refused_data_ends_with_its_own_code_and_its_report(fill: Fill, table: pl.DataFrame) -> None:
    leaky = table.with_columns((pl.col(sample.TARGET) == "yes").cast(pl.Int64).alias("gone"))
    container = fill({"train": leaky})
    assert train(container) == DATA_REFUSED
    assert "'gone' alone tells 'churned'" in reason(container)
    assert (container.output_data / "data_report" / "report.html").exists()
    assert not container.model.exists()
    container.hyperparameters.write_text(json.dumps({**QUICK, "allow": "leakage", "explain": "false"}))
    assert train(container) == DONE


def test_a_schema_channel_holds_the_data_to_its_promise(fill: Fill, table: pl.DataFrame) -> None:
    container = fill({"train": table.drop("age")})
    promised = infer_schema(table, sample.TARGET)
    container.channel("schema").mkdir()
    (container.channel("schema") / "schema.json").write_text(json.dumps(promised.to_json()))
    assert train(container) == DATA_REFUSED
    assert "the expected column 'age' is not there" in reason(container)


def test_a_fault_of_ours_says_where_and_points_to_the_log(
    fill: Fill, table: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(run, "evaluate", broken)
    container = fill({"train": table})
    assert train(container) == FAILED
    assert re.fullmatch(r"ZeroDivisionError: by nothing \(in test_run.py, line \d+; see the log\)", reason(container))


def test_each_stage_runs_alone_from_the_folders_of_the_one_before(
    container: Container, table: pl.DataFrame, start: Start
) -> None:
    sample.write(table, container.base / "processing" / "raw" / "day=1" / "rows.csv")
    options = ["--target", sample.TARGET, "--family", "logistic_regression", "--tune-trials", "2"]
    for stage in ("snapshot", "validate", "features", "tune", "fit", "evaluate", "explain"):
        printed = io.StringIO()
        with redirect_stdout(printed):
            code = run.run_stage(stage, container, _options(options))
        assert code == DONE, f"{stage}: {reason(container)}"
        assert printed.getvalue(), f"{stage} says nothing of what it did"
        for place in STAGES[stage].writes:
            assert any((container.base / place.path).iterdir()), f"{stage} wrote nothing to {place.name}"
        for output, file in STAGES[stage].property_files.values():
            path = next(each.path for each in STAGES[stage].writes if each.name == output)
            json.loads((container.base / path / file).read_text())
    described = json.loads((container.base / "processing" / "snapshot" / "snapshot.json").read_text())
    assert verify(container.base / "processing" / "model").data_hash == described["data_hash"]
    for split in SPLITS:
        shutil.copytree(container.base / "processing" / "snapshot" / split, container.channel(split))
    assert train(container, _options([*options[:4], "--explain", "false"])) == DONE, reason(container)
    assert verify(container.model).data_hash == described["data_hash"], "channels of a snapshot are that snapshot"
    explained = json.loads((container.base / "processing" / "explanation" / "explanation.json").read_text())
    assert explained["importances"][0]["mean_share"] is not None


def _options(words: list[str]) -> dict[str, object]:
    from training.cli import hyperparameters_of

    return hyperparameters_of(words)


def test_an_artifact_is_evaluated_as_a_training_job_uploads_it(
    finished: tuple[Container, str], container: Container, table: pl.DataFrame
) -> None:
    sample.write(table, container.base / "processing" / "raw" / "rows.parquet")
    assert run.run_stage("snapshot", container, {"target": sample.TARGET}) == DONE
    pack(finished[0].model, container.base / "processing" / "model" / "model.tar.gz")
    assert run.run_stage("evaluate", container, {"target": sample.TARGET}) == DONE, reason(container)
    found = json.loads((container.base / "processing" / "evaluation" / "evaluation.json").read_text())
    assert found["split"] == "test"
    assert found["model"]["family"] == "hist_gradient_boosting"


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "the condition never came true"
        time.sleep(0.02)


def test_a_run_taken_away_goes_on_where_it_was_and_ends_with_the_same_bytes(
    fill: Fill, table: pl.DataFrame, start: Start, tmp_path: Path
) -> None:
    hyperparameters = {"target": sample.TARGET, "family": "xgboost", "rounds": "600", "explain": "false"}
    container = fill({"train": table}, hyperparameters)
    assert train(container) == DONE
    whole = pack(container.model, tmp_path / "whole.tar.gz")
    for how, code in ((signal.SIGTERM, STOPPED), (signal.SIGKILL, -signal.SIGKILL)):
        shutil.rmtree(container.model)
        kept = container.checkpoints / FILE
        process = start(container.base, "train")
        wait_for(kept.exists, process)
        process.send_signal(how)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == code
        assert ("stopped by SIGTERM" in said) == (how == signal.SIGTERM)
        assert not (container.model / "manifest.json").exists()
        head = json.loads(kept.read_bytes().partition(b"\n")[0])
        again = start(container.base, "train")
        said, errors = again.communicate(timeout=120)
        assert again.returncode == DONE, errors
        assert f"going on after {head['done']} of 600" in said
        assert not kept.exists()
        assert pack(container.model, tmp_path / "resumed.tar.gz") == whole


def test_two_hosts_with_a_sharded_channel_make_one_model_of_all_rows(
    table: pl.DataFrame, start: Start, tmp_path: Path
) -> None:
    hosts = ["algo-1", "algo-2"]
    running = []
    for at, host in enumerate(hosts):
        container = Container(tmp_path / host)
        container.input_config.mkdir(parents=True)
        container.hyperparameters.write_text(json.dumps(QUICK | {"explain": "false"}))
        container.resource_config.write_text(json.dumps({"current_host": host, "hosts": hosts}))
        container.input_data_config.write_text(json.dumps({"train": {"S3DistributionType": "ShardedByS3Key"}}))
        half = table.head(600) if at == 0 else table.tail(600)
        sample.write(half, container.channel("train") / f"part-{at}.parquet")
        running.append(start(container.base, "train", TRAINING_JOB_NAME=f"sharded-{tmp_path.name}"))
    said = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [DONE, DONE], said
    assert "train=960 validation=240" in said[0][0]
    assert "with the leader" in said[1][0]
    assert verify(tmp_path / "algo-1" / "model").family == "hist_gradient_boosting"
    assert not (tmp_path / "algo-2" / "model").exists()


def test_the_image_starts_this_very_program(fill: Fill, table: pl.DataFrame) -> None:
    text = (ROOT / "training" / "Dockerfile").read_text()
    words = [re.findall(rf"^{word} (\[.*\])$", text, re.MULTILINE) for word in ("ENTRYPOINT", "CMD")]
    entry, command = (json.loads(found[0]) for found in words)
    container = fill({"train": table}, QUICK | {"explain": "false"})
    started = subprocess.run(
        [*entry, *command],
        cwd=ROOT, env={"SAGEMAKER_BASE_DIR": str(container.base), "PATH": _path(), "OMP_NUM_THREADS": "1",
                       "MLFLOW_TRACKING_URI": "off"},
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert started.returncode == DONE, started.stderr
    assert verify(container.model)


def _path() -> str:
    import sys

    return str(Path(sys.executable).parent)
