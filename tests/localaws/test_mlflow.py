"""A real MLflow behind tracking servers and apps, reached by their ARNs as on AWS."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from localaws.app import App, start

ROOT = Path(__file__).parent.parent.parent
HOME = ROOT / ".venvs" / "mlflow" / "bin"
ROLE = "arn:aws:iam::123456789012:role/tracker"
LOGS = """
import mlflow, pathlib
mlflow.set_experiment("boats")
with mlflow.start_run(run_name="first"):
    mlflow.log_param("depth", 3)
    mlflow.log_metric("loss", 0.25)
    pathlib.Path("notes.txt").write_text("seaworthy")
    mlflow.log_artifact("notes.txt")
"""

needs_mlflow = pytest.mark.skipif(
    not (HOME / "mlflow").is_file(), reason="needs an MLflow that serves: python3 tools/setup.py mlflow"
)


@pytest.fixture
def app(tmp_path: Path, settings: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    monkeypatch.setenv("PATH", f"{HOME}:/usr/bin:/bin")
    running = start(settings(tmp_path))
    yield running
    running.stop()


def until(look: Callable[[], str], busy: str) -> str:
    deadline = time.monotonic() + 240
    while (found := look()) == busy and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def log_a_run(client: Any, arn: str, name: str) -> dict[str, Any]:
    """A training job whose program logs to MLflow, with nothing but what the platform gives it."""
    client.create_training_job(
        TrainingJobName=name,
        RoleArn=ROLE,
        AlgorithmSpecification={
            "TrainingImage": "trainer:1",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/sh", "-c", 'cd "$SAGEMAKER_BASE_DIR" && exec python -c "$PROGRAM"'],
        },
        Environment={"MLFLOW_TRACKING_URI": arn, "PROGRAM": "import os; exec(os.environ['LOGS'])", "LOGS": LOGS},
        OutputDataConfig={"S3OutputPath": "s3://tracked/models"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
    )

    def status() -> str:
        return client.describe_training_job(TrainingJobName=name)["TrainingJobStatus"]

    until(status, "InProgress")
    return client.describe_training_job(TrainingJobName=name)


def runs(url: str) -> list[dict[str, Any]]:
    """What the MLflow at a URL has of the experiment."""

    def ask(path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(  # noqa: S310  loopback
            f"{url}/api/2.0/mlflow/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.loads(answer.read())

    found = ask("experiments/search", {"max_results": 10})["experiments"]
    return ask("runs/search", {"experiment_ids": [each["experiment_id"] for each in found]}).get("runs", [])


def mlflows() -> list[int]:
    """Processes of MLflow below this one that still run."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # a zombie among them: ended, and not yet waited for
            if "mlflow" in " ".join(child.cmdline()):
                found.append(child.pid)
    return found


@needs_mlflow
def test_a_job_logs_to_the_server_and_the_app_that_its_arn_names(
    app: App, clients: Callable[[App], Callable[..., Any]]
) -> None:
    client = clients(app)
    sagemaker, s3 = client("sagemaker"), client("s3")
    s3.create_bucket(Bucket="tracked", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    given = {"ArtifactStoreUri": "s3://tracked/server", "RoleArn": ROLE}
    server = sagemaker.create_mlflow_tracking_server(TrackingServerName="log", **given)["TrackingServerArn"]
    named = sagemaker.create_mlflow_app(Name="log", ArtifactStoreUri="s3://tracked/app", RoleArn=ROLE)["Arn"]

    def server_status() -> str:
        return sagemaker.describe_mlflow_tracking_server(TrackingServerName="log")["TrackingServerStatus"]

    assert server_status() == "Creating"
    assert until(server_status, "Creating") == "Created"
    assert until(lambda: sagemaker.describe_mlflow_app(Arn=named)["Status"], "Creating") == "Created"
    for arn, prefix, url in (
        (server, "server", sagemaker.create_presigned_mlflow_tracking_server_url(TrackingServerName="log")),
        (named, "app", sagemaker.create_presigned_mlflow_app_url(Arn=named)),
    ):
        done = log_a_run(sagemaker, arn, f"logs-to-{prefix}")
        assert (done["TrainingJobStatus"], done.get("FailureReason")) == ("Completed", None)
        (run,) = runs(url["AuthorizedUrl"])
        assert run["info"]["run_name"] == "first"
        assert [(each["key"], each["value"]) for each in run["data"]["metrics"]] == [("loss", 0.25)]
        assert run["info"]["artifact_uri"].startswith(f"s3://tracked/{prefix}/")
        (kept,) = s3.list_objects_v2(Bucket="tracked", Prefix=f"{prefix}/")["Contents"]
        assert s3.get_object(Bucket="tracked", Key=kept["Key"])["Body"].read() == b"seaworthy"

    sagemaker.stop_mlflow_tracking_server(TrackingServerName="log")
    assert server_status() == "Stopped"
    with pytest.raises(ClientError, match="No MLflow runs behind"):
        sagemaker.create_presigned_mlflow_tracking_server_url(TrackingServerName="log")
    sagemaker.delete_mlflow_tracking_server(TrackingServerName="log")
    sagemaker.delete_mlflow_app(Arn=named)
    assert mlflows() == []


def test_without_an_mlflow_the_resources_are_kept_and_a_client_is_told_at_once(
    app: App, clients: Callable[[App], Callable[..., Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    sagemaker = clients(app)("sagemaker")
    given = {"ArtifactStoreUri": "s3://tracked/server", "RoleArn": ROLE}
    arn = sagemaker.create_mlflow_tracking_server(TrackingServerName="kept", **given)["TrackingServerArn"]
    described = sagemaker.describe_mlflow_tracking_server(TrackingServerName="kept")
    assert (described["TrackingServerStatus"], described["IsActive"]) == ("Created", "Active")
    headers = {"x-mlflow-sm-tracking-server-arn": arn}
    request = urllib.request.Request(f"{app.url}/api/2.0/mlflow/experiments/search", headers=headers)  # noqa: S310
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)  # noqa: S310
    with refused.value as answer:
        assert answer.code == 501  # MLflow's client would try other codes again for minutes
        assert b"tools/setup.py mlflow" in answer.read()
