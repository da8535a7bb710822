"""Processing, batch transform and tuning run real programs and leave what SageMaker leaves."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::123456789012:role/jobs"
SCORER = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/slipway-local/scorer:1"
TRAINER = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/slipway-local/trainer:1"
CLUSTER = {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}}


@pytest.fixture(scope="module")
def s3(client: Callable[..., Any]) -> Any:
    s3 = client("s3")
    s3.create_bucket(Bucket="jobs", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="jobs", Key="in/a.csv", Body=b"1,2\n3,4\n")
    s3.put_object(Bucket="jobs", Key="in/deep/b.csv", Body=b"5,6\n")
    s3.put_object(
        Bucket="jobs", Key="json/a.jsonl", Body=b'{"id": 1, "features": [1, 2]}\n{"id": 2, "features": [3]}\n'
    )
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("empty"))
    s3.put_object(Bucket="jobs", Key="model.tar.gz", Body=packed.getvalue())
    return s3


@pytest.fixture(scope="module")
def sagemaker(client: Callable[..., Any], s3: Any) -> Any:
    sagemaker = client("sagemaker")
    sagemaker.create_model(
        ModelName="scorer",
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": SCORER, "ModelDataUrl": "s3://jobs/model.tar.gz"},
    )
    return sagemaker


def until_final(describe: Callable[[], dict[str, Any]], member: str) -> dict[str, Any]:
    deadline = time.monotonic() + 40
    while True:
        found = describe()
        if found[member] in {"Completed", "Failed", "Stopped"} or time.monotonic() > deadline:
            return found
        time.sleep(0.02)


def read(s3: Any, key: str) -> bytes:
    return s3.get_object(Bucket="jobs", Key=key)["Body"].read()


# --- processing


def process(sagemaker: Any, name: str, *, hosts: int = 1, **environment: str) -> dict[str, Any]:
    source = {
        "S3Uri": "s3://jobs/in/",
        "LocalPath": "/opt/ml/processing/input",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
        "S3DataDistributionType": "ShardedByS3Key" if hosts > 1 else "FullyReplicated",
    }
    output = {"S3Uri": f"s3://jobs/out/{name}", "LocalPath": "/opt/ml/processing/output", "S3UploadMode": "EndOfJob"}
    cluster = {"ClusterConfig": CLUSTER["ClusterConfig"] | {"InstanceCount": hosts}}
    sagemaker.create_processing_job(
        ProcessingJobName=name,
        RoleArn=ROLE,
        AppSpecification={"ImageUri": SCORER, "ContainerArguments": ["--depth", "3"]},
        ProcessingInputs=[{"InputName": "data", "S3Input": source}],
        ProcessingOutputConfig={"Outputs": [{"OutputName": "report", "S3Output": output}]},
        ProcessingResources=cluster,
        Environment=environment,
    )
    return until_final(lambda: sagemaker.describe_processing_job(ProcessingJobName=name), "ProcessingJobStatus")


def test_a_processing_job_reads_its_inputs_and_leaves_its_outputs(sagemaker: Any, s3: Any) -> None:
    job = process(sagemaker, "count")
    assert (job["ProcessingJobStatus"], job["ExitMessage"]) == ("Completed", "saw 2")
    report = json.loads(read(s3, "out/count/report-algo-1.json"))
    assert report["inputs"] == ["a.csv", "b.csv"]
    assert (report["argv"], report["name"]) == (["--depth", "3"], "count")


def test_a_failing_processing_job_still_leaves_its_outputs(sagemaker: Any, s3: Any) -> None:
    job = process(sagemaker, "violated", EXIT="3")
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: saw 2, exit code: 3"
    assert read(s3, "out/violated/report-algo-1.json")


def test_hosts_of_a_processing_job_share_the_keys(sagemaker: Any, s3: Any) -> None:
    process(sagemaker, "shared", hosts=2)
    seen = [json.loads(read(s3, f"out/shared/report-algo-{host}.json"))["inputs"] for host in (1, 2)]
    assert seen == [["a.csv"], ["b.csv"]]


# --- transform


def transform(sagemaker: Any, name: str, source: str = "s3://jobs/in/", **more: Any) -> dict[str, Any]:
    kind = more.pop("kind", "text/csv")
    request = {
        "TransformJobName": name,
        "ModelName": "scorer",
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": source}},
            "ContentType": kind,
            "SplitType": "Line",
        },
        "TransformOutput": {"S3OutputPath": f"s3://jobs/out/{name}", "AssembleWith": "Line", "Accept": kind},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    sagemaker.create_transform_job(**request | more)
    return until_final(lambda: sagemaker.describe_transform_job(TransformJobName=name), "TransformJobStatus")


def test_a_transform_answers_every_line_of_every_object(sagemaker: Any, s3: Any) -> None:
    assert transform(sagemaker, "score")["TransformJobStatus"] == "Completed"
    assert read(s3, "out/score/a.csv.out") == b"3\n7\n"
    assert read(s3, "out/score/deep/b.csv.out") == b"11\n"


def test_a_transform_joins_input_and_output_and_filters_both(sagemaker: Any, s3: Any) -> None:
    processing = {"JoinSource": "Input", "InputFilter": "$[1:]"}
    assert (
        transform(sagemaker, "joined", DataProcessing=processing, BatchStrategy="SingleRecord")["TransformJobStatus"]
        == "Completed"
    )
    assert read(s3, "out/joined/a.csv.out") == b"1,2,2\n3,4,4\n"


def test_json_records_are_joined_under_sagemakers_own_key(sagemaker: Any, s3: Any) -> None:
    processing = {"JoinSource": "Input", "OutputFilter": "$['id','SageMakerOutput']"}
    transform(sagemaker, "json", "s3://jobs/json/", kind="application/jsonlines", DataProcessing=processing)
    assert [json.loads(line) for line in read(s3, "out/json/a.jsonl.out").splitlines()] == [
        [1, {"score": 3}],
        [2, {"score": 3}],
    ]


def test_one_bad_object_fails_the_transform_and_keeps_the_other_outputs(sagemaker: Any, s3: Any) -> None:
    s3.put_object(Bucket="jobs", Key="mixed/bad.csv", Body=b"bad,1\n")
    s3.put_object(Bucket="jobs", Key="mixed/good.csv", Body=b"1,1\n")
    job = transform(sagemaker, "mixed", "s3://jobs/mixed/")
    assert job["TransformJobStatus"] == "Failed"
    assert "bad.csv" in job["FailureReason"]
    assert read(s3, "out/mixed/good.csv.out") == b"2\n"


# --- tuning


def tune(
    sagemaker: Any,
    name: str,
    strategy: str,
    ranges: dict[str, Any],
    *,
    total: int,
    static: dict[str, str] | None = None,
    **more: Any,
) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://jobs/in/", "S3DataDistributionType": "FullyReplicated"}
    sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name,
        HyperParameterTuningJobConfig={
            "Strategy": strategy,
            "RandomSeed": 5,
            "ResourceLimits": {"MaxNumberOfTrainingJobs": total, "MaxParallelTrainingJobs": 2},
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "score"},
            "ParameterRanges": ranges,
            **more,
        },
        TrainingJobDefinition={
            "StaticHyperParameters": static or {"quadratic": "yes"},
            "AlgorithmSpecification": {
                "TrainingImage": TRAINER,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "score", "Regex": "score=([-0-9.e]+);"}],
            },
            "RoleArn": ROLE,
            "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
            "OutputDataConfig": {"S3OutputPath": "s3://jobs/models"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        },
    )
    return until_final(
        lambda: sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name),
        "HyperParameterTuningJobStatus",
    )


def test_grid_search_tries_every_value_and_tells_the_best(sagemaker: Any) -> None:
    ranges = {"CategoricalParameterRanges": [{"Name": "x", "Values": ["1", "2", "4"]}]}
    job = tune(sagemaker, "grid", "Grid", ranges, total=10)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["TrainingJobStatusCounters"]["Completed"] == 3
    assert job["BestTrainingJob"]["TunedHyperParameters"] == {"x": "2"}
    listed = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName="grid", SortBy="FinalObjectiveMetricValue", SortOrder="Descending"
    )["TrainingJobSummaries"]
    scores = [item["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for item in listed]
    assert scores == [0.0, -1.0, -4.0]
    child = sagemaker.describe_training_job(TrainingJobName=listed[0]["TrainingJobName"])
    assert child["HyperParameters"]["_tuning_objective_metric"] == "score"
    assert child["TuningJobArn"] == job["HyperParameterTuningJobArn"]


def test_random_search_stays_in_its_ranges_and_stops_at_its_target(sagemaker: Any) -> None:
    ranges = {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "1.9", "MaxValue": "2.1"}]}
    criteria = {"TargetObjectiveMetricValue": -1.0}
    job = tune(sagemaker, "random", "Random", ranges, total=50, TuningJobCompletionCriteria=criteria)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert 1.9 <= float(job["BestTrainingJob"]["TunedHyperParameters"]["x"]) <= 2.1
    assert job["TrainingJobStatusCounters"]["Completed"] < 50


WIDE = {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "-10", "MaxValue": "10"}]}


def children(sagemaker: Any, name: str) -> list[dict[str, Any]]:
    """The jobs of a search, best first."""
    return sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name, SortBy="FinalObjectiveMetricValue", SortOrder="Descending", MaxResults=50
    )["TrainingJobSummaries"]


def score(child: dict[str, Any]) -> float:
    return child["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]


def test_a_bayesian_search_learns_from_its_children(sagemaker: Any) -> None:
    job = tune(sagemaker, "bayesian", "Bayesian", WIDE, total=14)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    by_age = sorted(children(sagemaker, "bayesian"), key=lambda child: child["CreationTime"])
    first, later = by_age[:5], by_age[5:]  # the first are drawn at random
    assert sum(map(score, later)) / len(later) > sum(map(score, first)) / len(first)
    assert job["BestTrainingJob"]["TrainingJobName"] == max(by_age, key=score)["TrainingJobName"]


@pytest.mark.parametrize("how", ["Auto", "Hyperband"])
def test_children_without_hope_are_stopped_early(sagemaker: Any, how: str) -> None:
    more: dict[str, Any] = {"TrainingJobEarlyStoppingType": "Auto"}
    if how == "Hyperband":
        more = {"StrategyConfig": {"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": 4}}}
    strategy = "Hyperband" if how == "Hyperband" else "Random"
    job = tune(sagemaker, f"hope-{how}", strategy, WIDE, total=8, static={"epochs": "8"}, **more)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    ends = [child["TrainingJobStatus"] for child in children(sagemaker, f"hope-{how}")]
    assert set(ends) == {"Completed", "Stopped"}
    assert ends[0] == "Completed"  # the best one ran to its end


def test_an_objective_that_no_log_line_can_tell_is_refused(sagemaker: Any) -> None:
    ranges = {"CategoricalParameterRanges": [{"Name": "x", "Values": ["1"]}]}
    objective = {"Type": "Maximize", "MetricName": "unknown"}
    with pytest.raises(ClientError, match="isn't valid for the algorithm"):
        tune(sagemaker, "refused", "Grid", ranges, total=1, HyperParameterTuningJobObjective=objective)
