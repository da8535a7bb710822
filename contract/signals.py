"""Every metric that is published or watched, in one table.

Monitors publish under these names, infrastructure builds alarms and dashboards from them, and docs/signals.md is generated
from them. A name that is not here does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Unit = Literal["None", "Count", "Percent", "Microseconds", "Milliseconds", "Seconds"]
Missing = Literal["breaching", "notBreaching", "ignore", "missing"]
Comparison = Literal[
    "GreaterThanThreshold", "GreaterThanOrEqualToThreshold", "LessThanThreshold", "LessThanOrEqualToThreshold"
]

OURS = "Slipway"
SAGEMAKER = "AWS/SageMaker"
INSTANCES = "/aws/sagemaker/Endpoints"
PIPELINES = "AWS/Sagemaker/ModelBuildingPipeline"

ENDPOINT = ("EndpointName",)
VARIANT = ("EndpointName", "VariantName")
SLICE = ("EndpointName", "VariantName", "EndpointConfigName")  # one configuration: the canary's share of a rollout
FEATURE = ("EndpointName", "VariantName", "Feature")
EXPERIMENT = ("EndpointName", "Experiment")


@dataclass(frozen=True, slots=True)
class Watch:
    """How an alarm on a signal judges it unless settings say otherwise."""

    comparison: Comparison
    threshold: float
    period_seconds: int = 60
    periods: int = 1
    breaching_periods: int = 1
    missing: Missing = "notBreaching"


@dataclass(frozen=True, slots=True)
class Signal:
    """One published metric series: where it stands, in what unit, what it says and what an alarm on it means."""

    key: str
    namespace: str
    name: str
    dimensions: tuple[str, ...]
    unit: Unit
    statistic: str
    says: str
    watch: Watch | None = None
    alarm_means: str = ""

    @property
    def runbook(self) -> str:
        """The page an on-call person opens when an alarm on this signal fires."""
        return f"docs/runbooks/{self.key.replace('_', '-')}.md"


HOUR = 3600
ABOVE: Comparison = "GreaterThanThreshold"
AT_LEAST: Comparison = "GreaterThanOrEqualToThreshold"
BELOW: Comparison = "LessThanThreshold"

TABLE: tuple[Signal, ...] = (
    # What the endpoint itself publishes.
    Signal("invocations", SAGEMAKER, "Invocations", VARIANT, "None", "Sum", "Requests sent to a variant."),
    Signal(
        "no_traffic", SAGEMAKER, "Invocations", VARIANT, "None", "Sum", "The same series, watched for silence.",
        Watch(BELOW, 1, period_seconds=300, periods=6, breaching_periods=6, missing="breaching"),
        "Nothing has called the endpoint for half an hour.",
    ),
    Signal(
        "errors", SAGEMAKER, "Invocation5XXErrors", VARIANT, "None", "Average", "Share of requests the container failed.",
        Watch(ABOVE, 0.01, periods=3, breaching_periods=2),
        "More than one request in a hundred fails inside the container.",
    ),
    Signal(
        "refusals", SAGEMAKER, "Invocation4XXErrors", VARIANT, "None", "Average", "Share of requests refused as the caller's fault.",
        Watch(ABOVE, 0.10, period_seconds=300, periods=3, breaching_periods=3),
        "More than one request in ten is malformed: a caller changed, or the schema did.",
    ),
    Signal("model_errors", SAGEMAKER, "InvocationModelErrors", VARIANT, "None", "Sum", "Answers that were not 2xx, or none at all."),
    Signal(
        "latency", SAGEMAKER, "ModelLatency", VARIANT, "Microseconds", "p99", "Time inside the container.",
        Watch(ABOVE, 200_000, periods=3, breaching_periods=3),
        "One request in a hundred takes longer than the limit inside the container.",
    ),
    Signal("overhead", SAGEMAKER, "OverheadLatency", VARIANT, "Microseconds", "p99", "Time SageMaker adds around the container."),
    Signal(
        "saturation", INSTANCES, "CPUUtilization", VARIANT, "Percent", "Average", "Processor use of a variant's instances.",
        Watch(ABOVE, 90, period_seconds=300, periods=3, breaching_periods=3),
        "The instances are full and autoscaling did not help, or cannot.",
    ),
    Signal("memory", INSTANCES, "MemoryUtilization", VARIANT, "Percent", "Maximum", "Memory use of a variant's instances."),
    # What the monitor publishes about a window.
    Signal(
        "monitor_ran", OURS, "MonitorRan", ENDPOINT, "Count", "Sum", "One each time the monitor finished a window.",
        Watch(BELOW, 1, period_seconds=HOUR, periods=3, breaching_periods=3, missing="breaching"),
        "No window was judged for three hours: everything below is blind.",
    ),
    Signal("rows", OURS, "WindowRows", VARIANT, "Count", "Sum", "Rows the window held."),
    Signal("quarantined", OURS, "QuarantinedRecords", VARIANT, "Count", "Sum", "Capture records that could not be read."),
    Signal("not_enough_data", OURS, "NotEnoughData", VARIANT, "None", "Maximum", "1 when the window was too small to judge."),
    Signal(
        "drift", OURS, "DriftAlarm", VARIANT, "None", "Maximum", "1 when drift matters and is real, under the false-alarm budget.",
        Watch(AT_LEAST, 1, period_seconds=HOUR),
        "The inputs differ from the baseline by more than the effect that matters, beyond the false-alarm budget.",
    ),
    Signal("drift_score", OURS, "DriftScore", VARIANT, "None", "Maximum", "Largest effect over the columns of the window."),
    Signal("feature_drift", OURS, "FeatureDrift", FEATURE, "None", "Maximum", "Effect in one column."),
    Signal(
        "prediction_drift", OURS, "PredictionDriftAlarm", VARIANT, "None", "Maximum", "1 when the predictions drifted.",
        Watch(AT_LEAST, 1, period_seconds=HOUR),
        "The model answers differently than at training: inputs moved, or the model is wrong.",
    ),
    Signal(
        "data_quality", OURS, "DataQualityViolations", VARIANT, "Count", "Sum", "Violations of the baseline's constraints.",
        Watch(AT_LEAST, 1, period_seconds=HOUR),
        "Columns vanished, changed type, or left their range.",
    ),
    # What is known once outcomes arrive.
    Signal("label_coverage", OURS, "LabelCoverage", VARIANT, "Percent", "Average", "Share of predictions whose outcome is known."),
    Signal("quality", OURS, "Quality", VARIANT, "None", "Average", "The model's main measure on known outcomes."),
    Signal("quality_estimate", OURS, "QualityEstimate", VARIANT, "None", "Average", "An estimate of it before outcomes arrive."),
    Signal(
        "quality_loss", OURS, "QualityAlarm", VARIANT, "None", "Maximum", "1 when quality is surely below its threshold.",
        Watch(AT_LEAST, 1, period_seconds=HOUR),
        "On known outcomes the model is worse than its threshold, beyond chance.",
    ),
    # What guards a rollout: the canary's own answers.
    Signal(
        "canary_drift", OURS, "CanaryPredictionDrift", SLICE, "None", "Maximum", "1 when the canary's predictions leave its baseline and the old fleet's do not.",
        Watch(AT_LEAST, 1),
        "The new version answers otherwise than when it was validated: it is rolled back.",
    ),
    Signal(
        "canary_loss", OURS, "CanaryQualityLoss", SLICE, "None", "Maximum", "1 when the canary is surely wrong more often than the old fleet.",
        Watch(AT_LEAST, 1),
        "On known outcomes the new version is worse than the one it replaces: it is rolled back.",
    ),
    # What an experiment says.
    Signal(
        "sample_ratio", OURS, "SampleRatioAlarm", EXPERIMENT, "None", "Maximum", "1 when traffic is not split as its weights say.",
        Watch(AT_LEAST, 1, period_seconds=HOUR),
        "The split differs from the weights: assignment or logging is broken, and the comparison with it.",
    ),
    Signal(
        "experiment_harm", OURS, "ExperimentHarm", EXPERIMENT, "None", "Maximum", "1 when the challenger is surely worse.",
        Watch(AT_LEAST, 1, period_seconds=HOUR),
        "The challenger harms: stop it.",
    ),
    Signal("experiment_difference", OURS, "ExperimentDifference", EXPERIMENT, "None", "Average", "Challenger minus champion."),
    # What the training pipeline publishes.
    Signal(
        "pipeline_failed", PIPELINES, "ExecutionFailed", ("PipelineName",), "Count", "Sum", "Failed executions of a pipeline.",
        Watch(AT_LEAST, 1, period_seconds=300),
        "A training run failed; nothing was registered.",
    ),
)  # fmt: skip

BY_KEY: Mapping[str, Signal] = {signal.key: signal for signal in TABLE}


def signal(key: str) -> Signal:
    """The signal of that key; an unknown key is an error naming all of them."""
    if key not in BY_KEY:
        raise KeyError(f"no signal named '{key}'; known: {', '.join(BY_KEY)}")
    return BY_KEY[key]
