"""What our two SageMaker Pipelines do, as the documents SageMaker reads; pure, from plain values.

The training pipeline runs the stages of `contract.stages` and registers; the promotion pipeline does the same for a
model that was trained in another environment, on this one's data; the monitor pipeline judges one window. All are
started by a person, a schedule or an event, with parameters that have defaults.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from contract import places
from contract.stages import (
    EXPLANATION_FILE,
    METRICS,
    OVERRIDES,
    PREDICTIONS_FILE,
    QUALITY_FILE,
    SPLITS,
    STAGES,
    metric_definitions,
    metric_value_path,
)

VERSION = "2020-12-01"
ROOT = "/opt/ml"
PROCESSING = f"{ROOT}/processing"


@dataclass(frozen=True, slots=True)
class Machine:
    """What a job runs on, and for how long at most."""

    instance: str
    count: int
    volume_gb: int
    at_most_minutes: int
    spot: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every job of a model shares: its image, role, key, and the subnets it runs in."""

    image: str
    role_arn: Any
    key_arn: Any
    subnet_ids: Sequence[Any] = ()
    security_group_ids: Sequence[Any] = ()
    environment: Mapping[str, Any] | None = None

    @property
    def network(self) -> dict[str, Any]:
        return {"Subnets": list(self.subnet_ids), "SecurityGroupIds": list(self.security_group_ids)}


def get(path: str) -> dict[str, str]:
    return {"Get": path}


def joined(*parts: Any) -> dict[str, Any]:
    return {"Std:Join": {"On": "", "Values": list(parts)}}


def text(name: str, default: str) -> dict[str, str]:
    return {"Name": name, "Type": "String", "DefaultValue": default}


@dataclass(frozen=True, slots=True)
class Training:
    """The values of one model's training pipeline."""

    group: str
    data_uri: str
    artifacts_uri: str
    hyperparameters: Mapping[str, str]
    machine: Machine
    surroundings: Surroundings
    serving_image: str
    judging: Surroundings
    baselines_uri: str
    floors: Mapping[str, float] = field(default_factory=dict)


def training(given: Training) -> dict[str, Any]:
    """Fix the data, refuse bad data, train, judge on unseen rows, explain, count a baseline, register for approval."""
    return {
        "Version": VERSION,
        "Metadata": {"slipway": {"kind": "training", "group": given.group}},
        "Parameters": parameters(given),
        "Steps": [
            stage_step(given, "snapshot", {"raw": get("Parameters.Data")}, after=()),
            stage_step(given, "validate", {"snapshot": written("snapshot", "snapshot")}, after=("snapshot",)),
            train_step(given),
            stage_step(given, "evaluate", judged(TRAINED), after=("train",)),
            stage_step(given, "explain", judged(TRAINED), after=("train",)),
            baseline_step(given, TRAINED),
            *above_floors(given, register_step(given, TRAINED, {"training_job": get(TRAINED_BY)})),
        ],
    }


def parameters(given: Training) -> list[dict[str, str]]:
    """What may be said of any run: its data, family and other hyperparameters, who asked for it and why."""
    return [
        text("Data", given.data_uri),
        text("Family", given.hyperparameters["family"]),
        text("Overrides", "{}"),
        text("Experiment", given.group),
        text("Approval", "PendingManualApproval"),
        text("Author", "nobody"),
        text("Reason", "asked for"),
    ]


def promotion(given: Training) -> dict[str, Any]:
    """Judge a model of another environment on this one's data, and register it here; what then waits is an approval."""
    brought = {name: get(f"Parameters.{parameter}") for name, parameter in BROUGHT.items()}
    return {
        "Version": VERSION,
        "Metadata": {"slipway": {"kind": "promotion", "group": given.group}},
        "Parameters": [
            *parameters(given),
            *({"Name": parameter, "Type": "String"} for parameter in ("Artifact", *BROUGHT.values())),
        ],
        "Steps": [
            stage_step(given, "snapshot", {"raw": get("Parameters.Data")}, after=()),
            stage_step(given, "evaluate", judged("Parameters.Artifact"), after=("snapshot",)),
            stage_step(given, "explain", judged("Parameters.Artifact"), after=("snapshot",)),
            baseline_step(given, "Parameters.Artifact"),
            *above_floors(given, register_step(given, "Parameters.Artifact", brought)),
        ],
    }


BASELINE = "Baseline"
TRAINED = "Steps.Train.ModelArtifacts.S3ModelArtifacts"
TRAINED_BY = "Steps.Train.TrainingJobName"
# What a promoted version says of where it comes from, and the parameter that carries it.
BROUGHT = {"promoted_from": "From", "promoted_package": "Package", "promoted_evidence": "Evidence"}


def judged(artifact: str) -> dict[str, Any]:
    return {"model": get(artifact), "snapshot": written("snapshot", "snapshot")}


def above_floors(given: Training, register: dict[str, Any]) -> list[dict[str, Any]]:
    """Registration behind the floors of the settings: what is hopeless never becomes a version."""
    waits = [step_name("evaluate"), step_name("explain"), BASELINE]
    if not given.floors:
        return [{**register, "DependsOn": waits}]
    wanted = ", ".join(f"{name} {word_of(name)} {bound:g}" for name, bound in sorted(given.floors.items()))
    message = joined(
        f"not registered: it must have {wanted}. It has ",
        *(part for name in sorted(given.floors) for part in (f"{name} ", measured(name), "; ")),
        "see evaluation/report.html of this run.",
    )
    hopeless = {"Name": "Hopeless", "Type": "Fail", "Arguments": {"ErrorMessage": message}}
    conditions = [floor(name, bound) for name, bound in sorted(given.floors.items())]
    arguments = {"Conditions": conditions, "IfSteps": [register], "ElseSteps": [hopeless]}
    return [{"Name": "Floors", "Type": "Condition", "DependsOn": waits, "Arguments": arguments}]


def word_of(metric: str) -> str:
    return "at least" if METRICS[metric] == "higher" else "at most"


def measured(metric: str) -> dict[str, Any]:
    """A metric's value on unseen rows."""
    evaluation = get(f"Steps.{step_name('evaluate')}.PropertyFiles.Evaluation")
    return {"Std:JsonGet": {"PropertyFile": evaluation, "Path": metric_value_path(metric)}}


def floor(metric: str, bound: float) -> dict[str, Any]:
    kind = "GreaterThanOrEqualTo" if METRICS[metric] == "higher" else "LessThanOrEqualTo"
    return {"Type": kind, "LeftValue": measured(metric), "RightValue": bound}


def step_name(stage: str) -> str:
    return stage.capitalize()


def place(given: Training, output: str) -> dict[str, Any]:
    """Where one execution keeps an output; the execution's own id keeps runs apart."""
    return joined(given.artifacts_uri, "/", get("Execution.PipelineExecutionId"), f"/{output}")


def written(stage: str, output: str) -> dict[str, str]:
    """Where a stage put an output: in this execution, or in the one that a run of single stages takes it from."""
    return get(f"Steps.{step_name(stage)}.ProcessingOutputConfig.Outputs['{output}'].S3Output.S3Uri")


def stage_step(given: Training, name: str, inputs: Mapping[str, Any], after: Sequence[str]) -> dict[str, Any]:
    """One stage of the training container as a processing job, as `contract.stages` describes it."""
    stage, around = STAGES[name], given.surroundings
    arguments: dict[str, Any] = {
        "AppSpecification": {
            "ImageUri": around.image,
            "ContainerArguments": [name, *options(given.hyperparameters)],
        },
        "Environment": dict(around.environment or {}),
        "NetworkConfig": network_of(around, given.machine.count),
        "ProcessingInputs": [
            processing_input(each.name, each.path, inputs[each.name]) for each in stage.reads if each.name in inputs
        ],
        "ProcessingOutputConfig": {
            "KmsKeyId": around.key_arn,
            "Outputs": [processing_output(each.name, each.path, place(given, each.name)) for each in stage.writes],
        },
        "ProcessingResources": cluster(given.machine, around, count=1),
        "RoleArn": around.role_arn,
        "StoppingCondition": {"MaxRuntimeInSeconds": given.machine.at_most_minutes * 60},
    }
    step: dict[str, Any] = {
        "Name": step_name(name),
        "Type": "Processing",
        "Arguments": arguments,
        "RetryPolicies": RETRIES,
    }
    if after:
        step["DependsOn"] = [step_name(each) for each in after]
    if stage.property_files:
        step["PropertyFiles"] = [
            {"PropertyFileName": file, "OutputName": output, "FilePath": path}
            for file, (output, path) in stage.property_files.items()
        ]
    return step


RETRIES = [
    {"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR", "SageMaker.CAPACITY_ERROR"], "MaxAttempts": 3},
    {"ExceptionType": ["Step.SERVICE_FAULT", "Step.THROTTLING"], "MaxAttempts": 5},
]


def options(hyperparameters: Mapping[str, str]) -> list[Any]:
    """Hyperparameters as the container's own options."""
    return [part for name, value in sorted(said(hyperparameters).items()) for part in (f"--{name}", value)]


def said(hyperparameters: Mapping[str, str]) -> dict[str, Any]:
    """Those of the settings, and over them what is said of one execution."""
    return {**hyperparameters, "family": get("Parameters.Family"), OVERRIDES: get("Parameters.Overrides")}


def network_of(around: Surroundings, instances: int) -> dict[str, Any]:
    network: dict[str, Any] = {"EnableNetworkIsolation": False}
    if around.subnet_ids:
        network |= {"VpcConfig": around.network, "EnableInterContainerTrafficEncryption": instances > 1}
    return network


def processing_input(name: str, path: str, uri: Any) -> dict[str, Any]:
    where = {"S3Uri": uri, "LocalPath": f"{ROOT}/{path}", "S3DataType": "S3Prefix", "S3InputMode": "File"}
    return {"InputName": name, "S3Input": where}


def processing_output(name: str, path: str, uri: Any) -> dict[str, Any]:
    return {"OutputName": name, "S3Output": {"S3Uri": uri, "LocalPath": f"{ROOT}/{path}", "S3UploadMode": "EndOfJob"}}


def cluster(machine: Machine, around: Surroundings, count: int) -> dict[str, Any]:
    return {
        "ClusterConfig": {
            "InstanceType": machine.instance,
            "InstanceCount": count,
            "VolumeSizeInGB": machine.volume_gb,
            "VolumeKmsKeyId": around.key_arn,
        }
    }


def train_step(given: Training) -> dict[str, Any]:
    around, machine = given.surroundings, given.machine
    arguments: dict[str, Any] = {
        "AlgorithmSpecification": {
            "TrainingImage": around.image,
            "TrainingInputMode": "File",
            "MetricDefinitions": metric_definitions(),
        },
        "HyperParameters": said(given.hyperparameters),
        "InputDataConfig": [channel(split) for split in SPLITS],
        "OutputDataConfig": {"S3OutputPath": given.artifacts_uri, "KmsKeyId": around.key_arn},
        "ResourceConfig": {
            "InstanceType": machine.instance,
            "InstanceCount": machine.count,
            "VolumeSizeInGB": machine.volume_gb,
            "VolumeKmsKeyId": around.key_arn,
        },
        "RoleArn": around.role_arn,
        "StoppingCondition": stopping(machine),
        "EnableInterContainerTrafficEncryption": machine.count > 1,
        "Environment": {**(around.environment or {}), places.TRACKING_EXPERIMENT: get("Parameters.Experiment")},
    }
    if around.subnet_ids:
        arguments["VpcConfig"] = around.network
    if machine.spot:
        arguments["EnableManagedSpotTraining"] = True
        arguments["CheckpointConfig"] = {"S3Uri": place(given, "checkpoints")}
    return {
        "Name": step_name("train"),
        "Type": "Training",
        "DependsOn": [step_name("validate")],
        "Arguments": arguments,
        "RetryPolicies": RETRIES,
    }


def channel(split: str) -> dict[str, Any]:
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": joined(written("snapshot", "snapshot"), f"/{split}"),
        "S3DataDistributionType": "FullyReplicated",
    }
    return {"ChannelName": split, "DataSource": {"S3DataSource": source}}


def stopping(machine: Machine) -> dict[str, int]:
    seconds = machine.at_most_minutes * 60
    return {"MaxRuntimeInSeconds": seconds} | ({"MaxWaitTimeInSeconds": 2 * seconds} if machine.spot else {})


def baseline_step(given: Training, artifact: str = TRAINED) -> dict[str, Any]:
    """What the model answered on unseen rows, counted: its traffic is compared with that, wherever it will serve.

    The baseline is kept under the artifact's hash, which a release knows of every package it names.
    """
    around = given.judging
    answers, model = f"{PROCESSING}/evaluation", f"{PROCESSING}/model"
    output = f"{PROCESSING}/output/{{artifact}}/{places.BASELINE}"
    command = ["baseline", "--data", f"{answers}/{PREDICTIONS_FILE}", "--artifact", f"{model}/{places.ARTIFACT}"]
    return {
        "Name": BASELINE,
        "Type": "Processing",
        "DependsOn": [step_name("evaluate")],
        "Arguments": {
            "AppSpecification": {
                "ImageUri": around.image,
                "ContainerArguments": [*command, "--output", output],
            },
            "Environment": dict(around.environment or {}),
            "NetworkConfig": network_of(around, 1),
            "ProcessingInputs": [
                processing_input("evaluation", "processing/evaluation", written("evaluate", "evaluation")),
                processing_input("model", "processing/model", get(artifact)),
            ],
            "ProcessingOutputConfig": {
                "KmsKeyId": around.key_arn,
                "Outputs": [processing_output("baseline", "processing/output", given.baselines_uri)],
            },
            "ProcessingResources": cluster(given.machine, around, count=1),
            "RoleArn": around.role_arn,
            "StoppingCondition": {"MaxRuntimeInSeconds": given.machine.at_most_minutes * 60},
        },
        "RetryPolicies": RETRIES,
    }


def register_step(given: Training, artifact: str, brought: Mapping[str, Any]) -> dict[str, Any]:
    """A version with its measured quality and where everything it came from stands."""
    return {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": given.group,
            "ModelApprovalStatus": get("Parameters.Approval"),
            "InferenceSpecification": {
                "Containers": [{"Image": given.serving_image, "ModelDataUrl": get(artifact)}],
                "SupportedContentTypes": ["text/csv", "application/json"],
                "SupportedResponseMIMETypes": ["application/json", "text/csv"],
            },
            "ModelMetrics": {
                "ModelQuality": {
                    "Statistics": document_at(joined(written("evaluate", "evaluation"), f"/{QUALITY_FILE}"))
                },
                "Explainability": {
                    "Report": document_at(joined(written("explain", "explanation"), f"/{EXPLANATION_FILE}"))
                },
            },
            "CustomerMetadataProperties": {
                "family": get("Parameters.Family"),
                "data": get("Parameters.Data"),
                "data_hash": {
                    "Std:JsonGet": {"PropertyFile": get("Steps.Snapshot.PropertyFiles.Snapshot"), "Path": "data_hash"}
                },
                "author": get("Parameters.Author"),
                "reason": get("Parameters.Reason"),
                "execution": get("Execution.PipelineExecutionId"),
                "run_uri": joined(given.artifacts_uri, "/", get("Execution.PipelineExecutionId")),
                **brought,
            },
        },
    }


def document_at(uri: Any) -> dict[str, Any]:
    return {"ContentType": "application/json", "S3Uri": uri}


@dataclass(frozen=True, slots=True)
class Monitor:
    """The values of one endpoint's monitor pipeline.

    The artifacts behind the variants are asked of the endpoint, which may have gone back by itself; `serving` names
    them where there is none to ask.
    """

    endpoint: str
    model: str
    capture_bucket: str
    outcomes_bucket: str
    artifacts_bucket: str
    machine: Machine
    surroundings: Surroundings
    serving: Mapping[str, str] = field(default_factory=dict)
    experiment: str | None = None
    quality: Mapping[str, float] = field(default_factory=dict)
    """What must be kept, by measure."""
    slices: Sequence[str] = ()
    """Columns for each of whose values it must be kept as well."""


def monitor(given: Monitor) -> dict[str, Any]:
    """Judge the window that ends when the execution starts, unless told otherwise.

    On several instances each counts its share of the capture files, and one more job adds the counts up and judges.
    """
    reports = joined(
        f"s3://{given.artifacts_bucket}/{places.windows_prefix(given.endpoint)}reports/",
        get("Execution.PipelineExecutionId"),
    )
    if given.machine.count == 1:
        steps = [judge_step(given, "Judge", reports, given.machine.count)]
    else:
        counts = joined(reports, "/counts")
        count = judge_step(given, "Count", counts, given.machine.count)
        judge = judge_step(given, "Judge", reports, 1, {"SLIPWAY_PARTS_URI": counts})
        steps = [count, judge | {"DependsOn": ["Count"]}]
    return {
        "Version": VERSION,
        "Metadata": {"slipway": {"kind": "monitor", "endpoint": given.endpoint}},
        "Parameters": [text("WindowEnd", "now"), text("WindowHours", "1")],
        "Steps": steps,
    }


def judge_step(
    given: Monitor, name: str, output: Any, count: int, more: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    around, machine = given.surroundings, given.machine
    environment = {
        "sagemaker_endpoint_name": given.endpoint,
        "publish_cloudwatch_metrics": "Enabled",
        "output_path": f"{PROCESSING}/output",
        "SLIPWAY_BASELINES_URI": f"s3://{given.artifacts_bucket}/{places.baselines_prefix(given.model)}",
        "SLIPWAY_CAPTURE_URI": f"s3://{given.capture_bucket}/{places.capture_prefix(given.endpoint)}",
        "SLIPWAY_OUTCOMES_URI": f"s3://{given.outcomes_bucket}/{places.outcomes_prefix(given.endpoint)}",
        "SLIPWAY_WINDOWS_URI": f"s3://{given.artifacts_bucket}/{places.windows_prefix(given.endpoint)}",
        "SLIPWAY_WINDOW_END": get("Parameters.WindowEnd"),
        "SLIPWAY_WINDOW_HOURS": get("Parameters.WindowHours"),
        "SLIPWAY_STARTED": get("Execution.StartDateTime"),
        **(around.environment or {}),
        **(more or {}),
    }
    if given.serving:
        named = (f"{variant}={artifact}" for variant, artifact in given.serving.items())
        environment["SLIPWAY_SERVING"] = " ".join(named)
    if given.quality:
        kept = (f"{measure}={value!r}" for measure, value in sorted(given.quality.items()))
        environment["SLIPWAY_QUALITY"] = " ".join(kept)
    if given.slices:
        environment["SLIPWAY_SLICES"] = json.dumps(list(given.slices))
    if given.experiment:
        prefix = places.experiment_prefix(given.endpoint, given.experiment)
        environment["SLIPWAY_EXPERIMENT_URI"] = f"s3://{given.artifacts_bucket}/{prefix}"
    return {
        "Name": name,
        "Type": "Processing",
        "Arguments": {
            "AppSpecification": {"ImageUri": around.image},
            "Environment": environment,
            "NetworkConfig": network_of(around, count),
            "ProcessingOutputConfig": {
                "KmsKeyId": around.key_arn,
                "Outputs": [processing_output("report", "processing/output", output)],
            },
            "ProcessingResources": cluster(machine, around, count),
            "RoleArn": around.role_arn,
            "StoppingCondition": {"MaxRuntimeInSeconds": machine.at_most_minutes * 60},
        },
    }
