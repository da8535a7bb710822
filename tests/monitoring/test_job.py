"""The monitor's image at work: real processing jobs and the platform's own pipelines, on the embedded AWS."""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import polars as pl
import pytest
from botocore.config import Config

from contract import places
from contract.records import Outcome, Schema
from contract.stages import PREDICTIONS_FILE
from infra import definitions
from localaws.app import start
from localaws.plane import Settings
from monitoring import cli

ROOT = Path(__file__).resolve().parents[2]
ROLE = "arn:aws:iam::123456789012:role/slipway-test-monitoring"
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/slipway-test/monitoring:1"
CLUSTER = {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}}
Capture = Callable[..., Path]
People = Callable[[int, int], pl.DataFrame]


@dataclass(frozen=True)
class Cloud:
    """An embedded AWS with the platform's buckets, whose containers are the repository's own."""

    url: str

    def client(self, service: str) -> Any:
        make: Callable[..., Any] = boto3.client
        return make(
            service,
            endpoint_url=self.url,
            region_name="eu-west-1",
            aws_access_key_id="123456789012",
            aws_secret_access_key="local",
            config=Config(s3={"addressing_style": "path"}),
        )

    @property
    def s3(self) -> Any:
        return self.client("s3")

    def upload(self, folder: Path, prefix: str) -> None:
        for path in folder.rglob("*.jsonl"):
            self.s3.upload_file(str(path), "capture", prefix + path.relative_to(folder).as_posix())

    def keys(self, bucket: str, prefix: str = "") -> set[str]:
        return {each["Key"] for each in self.s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ())}

    def json(self, key: str) -> Any:
        return json.loads(self.s3.get_object(Bucket="artifacts", Key=key)["Body"].read())

    def job(self, name: str, **asked: Any) -> Mapping[str, Any]:
        """A processing job of the monitor's image, to its end."""
        sagemaker = self.client("sagemaker")
        sagemaker.create_processing_job(
            **{"ProcessingJobName": name, "RoleArn": ROLE, "ProcessingResources": CLUSTER} | asked
        )
        return ended(lambda: sagemaker.describe_processing_job(ProcessingJobName=name), "ProcessingJobStatus")

    def execution(self, name: str, definition: Mapping[str, Any]) -> str:
        """A pipeline's execution, to its end; its id."""
        sagemaker = self.client("sagemaker")
        sagemaker.create_pipeline(
            PipelineName=name, PipelineDefinition=json.dumps(definition), RoleArn=ROLE, ClientRequestToken="t" * 32
        )
        arn = sagemaker.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"]
        found = ended(
            lambda: sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn), "PipelineExecutionStatus"
        )
        steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
        assert found["PipelineExecutionStatus"] == "Succeeded", steps
        return arn.rsplit("/", 1)[-1]

    def metrics(self, name: str, endpoint: str) -> list[Mapping[str, str]]:
        listed = self.client("cloudwatch").list_metrics(
            Namespace="Slipway", MetricName=name, Dimensions=[{"Name": "EndpointName", "Value": endpoint}]
        )["Metrics"]
        return [{each["Name"]: each["Value"] for each in one["Dimensions"]} for one in listed]


def ended(describe: Callable[[], Mapping[str, Any]], status: str) -> Mapping[str, Any]:
    deadline = time.monotonic() + 60
    while True:
        found = describe()
        if found[status] in {"Completed", "Succeeded", "Failed", "Stopped"} or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    work = tmp_path_factory.mktemp("cloud")
    app = start(Settings(containers=ROOT, work=work, interpreter=sys.executable, backend="process"))
    made = Cloud(app.url)
    for bucket in ("artifacts", "capture", "outcomes"):
        made.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    yield made
    app.stop()


@pytest.fixture
def hour() -> datetime:
    """The last whole hour: the jobs live in real time."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)


def surroundings() -> definitions.Surroundings:
    return definitions.Surroundings(IMAGE, ROLE, "alias/slipway-test")


def training() -> definitions.Training:
    machine = definitions.Machine("ml.m5.large", 1, 10, 5)
    return definitions.Training(
        group="churn", data_uri="s3://data/churn/", artifacts_uri="s3://artifacts/runs/churn",
        hyperparameters={"family": "logistic_regression"}, machine=machine, surroundings=surroundings(),
        serving_image=IMAGE, judging=surroundings(), baselines_uri="s3://artifacts/baselines/churn/",
    )  # fmt: skip


def monitor(endpoint: str, serving: Mapping[str, str], instances: int) -> definitions.Monitor:
    return definitions.Monitor(
        endpoint=endpoint, model="churn", serving=serving, capture_bucket="capture", outcomes_bucket="outcomes",
        artifacts_bucket="artifacts", machine=definitions.Machine("ml.m5.large", instances, 10, 5),
        surroundings=surroundings(),
    )  # fmt: skip


@pytest.fixture(scope="module")
def baseline(cloud: Cloud, schema: Schema, people: People, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hash of an artifact whose baseline the training pipeline's own step has made."""
    place = tmp_path_factory.mktemp("run")
    truth = pl.col("predicted").shuffle(seed=1).alias("churned")
    people(20_000, 1).with_columns(truth).write_parquet(place / PREDICTIONS_FILE)
    (place / places.MANIFEST).write_text(json.dumps({"schema": schema.to_json()}))
    artifact = place / places.ARTIFACT
    with tarfile.open(artifact, "w:gz") as packed:
        packed.add(place / places.MANIFEST, places.MANIFEST)
    arguments = definitions.baseline_step(training())["Arguments"]
    for given, name in zip(arguments["ProcessingInputs"], (PREDICTIONS_FILE, places.ARTIFACT), strict=True):
        cloud.s3.upload_file(str(place / name), "artifacts", f"runs/churn/1/{name}")
        given["S3Input"]["S3Uri"] = f"s3://artifacts/runs/churn/1/{name}"
    job = cloud.job("baseline", **arguments)
    assert job["ProcessingJobStatus"] == "Completed", job
    return hashlib.sha256(artifact.read_bytes()).hexdigest()


def test_a_run_leaves_the_baseline_of_its_artifact_where_the_monitor_looks_for_it(cloud: Cloud, baseline: str) -> None:
    place = f"baselines/churn/{baseline}/"
    assert places.baseline_key("churn", baseline) == f"{place}baseline.json"
    files = ("baseline.json", "statistics.json", "constraints.json", "reference.json")
    assert {place + name for name in files} <= cloud.keys("artifacts", place)
    assert cloud.json(f"{place}baseline.json")["profile"]["rows"] == 20_000


def test_every_variant_is_judged_against_the_baseline_of_what_it_serves(
    cloud: Cloud, baseline: str, capture: Capture, hour: datetime
) -> None:
    capture(hour=hour, variant="champion")
    folder = capture(hour=hour, variant="challenger", shift=1.0, seed=9)
    cloud.upload(folder, "capture/two/")
    given = monitor("two", {"champion": baseline, "challenger": baseline}, 1)
    definition = definitions.monitor(given)
    definition["Parameters"][0]["DefaultValue"] = (hour + timedelta(hours=1)).isoformat()
    execution = cloud.execution("two-monitor", definition)
    place = f"windows/two/reports/{execution}"
    statuses = {name: cloud.json(f"{place}/{name}/report.json")["verdict"]["status"] for name in given.serving}
    assert statuses == {"champion": "quiet", "challenger": "drift"}
    assert {each["VariantName"] for each in cloud.metrics("DriftAlarm", "two")} == {"champion", "challenger"}
    assert len(cloud.metrics("MonitorRan", "two")) == 1


def test_several_instances_count_their_shares_and_one_judges_the_sum(
    cloud: Cloud, baseline: str, capture: Capture, hour: datetime, tmp_path: Path
) -> None:
    folder = capture(hour=hour, files=5)
    cloud.upload(folder, "capture/many/")
    definition = definitions.monitor(monitor("many", {"champion": baseline}, 2))
    definition["Parameters"][0]["DefaultValue"] = (hour + timedelta(hours=1)).isoformat()
    execution = cloud.execution("many-monitor", definition)
    counts = f"windows/many/reports/{execution}/counts/champion/"
    assert cloud.keys("artifacts", counts) == {f"{counts}part-algo-1.json", f"{counts}part-algo-2.json"}
    judged = cloud.json(f"windows/many/reports/{execution}/report.json")
    cloud.s3.download_file("artifacts", f"baselines/churn/{baseline}/baseline.json", str(tmp_path / "baseline.json"))
    given = ["--baseline", str(tmp_path / "baseline.json"), "--capture", str(folder), "--output", str(tmp_path / "out")]
    assert cli.main(["window", *given, "--until", (hour + timedelta(hours=1)).isoformat()]) == 0
    alone = json.loads((tmp_path / "out" / "report.json").read_text())
    assert judged["rows"] == alone["rows"] == 600
    for part in ("columns", "verdict"):
        assert to_nine_digits(judged[part]) == to_nine_digits(alone[part])


def to_nine_digits(document: object) -> object:
    """A product of matrices may differ in its last digit by where in memory they lie."""
    return json.loads(json.dumps(document), parse_float=lambda digits: f"{float(digits):.9g}")


def test_outcomes_are_judged_against_the_quality_of_the_artifact_that_serves(
    cloud: Cloud, baseline: str, capture: Capture, hour: datetime
) -> None:
    cloud.upload(capture(hour=hour), "capture/told/")
    lines = [
        Outcome(str(uuid.UUID(int=5_000_000 + i)), "yes" if i % 3 else "no", f"{hour:%FT%TZ}").to_line()
        for i in range(600)
    ]
    cloud.s3.put_object(Bucket="outcomes", Key=f"outcomes/told/{hour:%Y/%m/%d/%H}/a.jsonl", Body="\n".join(lines))
    definition = definitions.monitor(monitor("told", {"champion": baseline}, 1))
    definition["Parameters"][0]["DefaultValue"] = (hour + timedelta(hours=1)).isoformat()
    execution = cloud.execution("told-monitor", definition)
    found = cloud.json(f"windows/told/reports/{execution}/outcomes/outcomes.json")
    assert found["reference"] is not None
    assert found["parts"][0]["coverage"]["share"]["value"] == 1.0
    assert cloud.json("windows/told/serving/champion.json") == {"artifact": baseline, "since": None}
    assert cloud.keys("artifacts", "windows/told/watch/") == {f"windows/told/watch/{baseline}.json"}
    assert cloud.metrics("Quality", "told") == [{"EndpointName": "told", "VariantName": "champion"}]


def test_a_job_under_model_monitors_variables_leaves_its_files_and_metrics(
    cloud: Cloud, baseline: str, capture: Capture, hour: datetime
) -> None:
    cloud.upload(capture(hour=hour), "capture/theirs/")
    form = {"sagemakerCaptureJson": {"captureIndexNames": ["endpointInput", "endpointOutput"]}}
    job = cloud.job(
        "theirs",
        AppSpecification={"ImageUri": IMAGE},
        ProcessingInputs=[
            definitions.processing_input("endpointdata", "processing/endpointdata", "s3://capture/capture/theirs/"),
            definitions.processing_input(
                "baseline", "processing/baseline", f"s3://artifacts/baselines/churn/{baseline}/baseline.json"
            ),
        ],
        ProcessingOutputConfig={
            "Outputs": [definitions.processing_output("report", "processing/output", "s3://artifacts/theirs")]
        },
        Environment={
            "dataset_format": json.dumps(form),
            "dataset_source": "/opt/ml/processing/endpointdata",
            "output_path": "/opt/ml/processing/output",
            "start_time": hour.isoformat(),
            "end_time": (hour + timedelta(hours=1)).isoformat(),
            "publish_cloudwatch_metrics": "Enabled",
            "sagemaker_endpoint_name": "theirs",
            "sagemaker_monitoring_schedule_name": "hourly",
        },
    )
    assert job["ProcessingJobStatus"] == "Completed", job
    assert job["ExitMessage"].startswith("theirs/champion: quiet")
    names = {key.removeprefix("theirs/") for key in cloud.keys("artifacts", "theirs/")}
    assert names == {"report.json", "report.html", "statistics.json", "constraints.json", "constraint_violations.json"}
    assert cloud.json("theirs/report.json")["rows"] == 600
