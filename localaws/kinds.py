"""Every kind of SageMaker resource we keep, with AWS's own words for what is missing or taken.

The words matter: the Terraform and Pulumi providers decide by them whether a resource is gone or a call is to
be retried.
"""

from __future__ import annotations

from localaws.errors import AwsError, ResourceInUse, ResourceNotFound, ValidationException
from localaws.resources import Kind, Refusal


def invalid(text: str) -> Refusal:
    """ValidationException: what most of SageMaker says even for something that is not there."""
    return lambda arn, name: ValidationException(text.format(arn=arn, name=name))


def absent(text: str) -> Refusal:
    return lambda arn, name: ResourceNotFound(text.format(arn=arn, name=name))


def taken(text: str) -> Refusal:
    return lambda arn, name: ResourceInUse(text.format(arn=arn, name=name))


def conflict(text: str) -> Refusal:
    return lambda arn, name: AwsError(text.format(arn=arn, name=name), code="ConflictException")


JOB_NAMES = "names must be unique within an AWS account and region, and a"

MODEL = Kind(
    "model",
    "Model",
    "ModelName",
    "ModelArn",
    missing=invalid('Could not find model "{arn}".'),
    taken=invalid('Cannot create already existing model "{arn}".'),
    modified=None,
    initial={"EnableNetworkIsolation": False},
)
ENDPOINT_CONFIG = Kind(
    "endpoint-config",
    "EndpointConfig",
    "EndpointConfigName",
    "EndpointConfigArn",
    missing=invalid('Could not find endpoint configuration "{arn}".'),
    taken=invalid('Cannot create already existing endpoint configuration "{arn}".'),
    modified=None,
)
ENDPOINT = Kind(
    "endpoint",
    "Endpoint",
    "EndpointName",
    "EndpointArn",
    missing=invalid('Could not find endpoint "{arn}".'),
    taken=invalid('Cannot create already existing endpoint "{arn}".'),
    status="EndpointStatus",
)
TRAINING_JOB = Kind(
    "training-job",
    "TrainingJob",
    "TrainingJobName",
    "TrainingJobArn",
    missing=invalid("Requested resource not found."),
    taken=taken(f"Training job {JOB_NAMES} training job with this name already exists ({{arn}})"),
    status="TrainingJobStatus",
    newest_first=False,
)
PROCESSING_JOB = Kind(
    "processing-job",
    "ProcessingJob",
    "ProcessingJobName",
    "ProcessingJobArn",
    missing=invalid("Could not find requested job with name: {name}"),
    taken=taken(f"Job {JOB_NAMES} job with this name already exists ({{arn}})"),
    status="ProcessingJobStatus",
    newest_first=False,
)
TRANSFORM_JOB = Kind(
    "transform-job",
    "TransformJob",
    "TransformJobName",
    "TransformJobArn",
    missing=invalid("Could not find requested job with name: {name}"),
    taken=taken(f"Job {JOB_NAMES} job with this name already exists ({{arn}})"),
    status="TransformJobStatus",
)
TUNING_JOB = Kind(
    "hyper-parameter-tuning-job",
    "HyperParameterTuningJob",
    "HyperParameterTuningJobName",
    "HyperParameterTuningJobArn",
    missing=absent("Amazon SageMaker can't find a tuning job with the name {name}."),
    taken=taken(f"Tuning job {JOB_NAMES} tuning job with this name already exists ({{arn}})"),
    status="HyperParameterTuningJobStatus",
    newest_first=False,
    sorts_by="Name",
)
MODEL_PACKAGE_GROUP = Kind(
    "model-package-group",
    "ModelPackageGroup",
    "ModelPackageGroupName",
    "ModelPackageGroupArn",
    missing=invalid("ModelPackageGroup {arn} does not exist."),
    taken=invalid("Model Package Group already exists: {arn}"),
    modified=None,
    newest_first=False,
    initial={"ModelPackageGroupStatus": "Completed"},
)
MODEL_PACKAGE = Kind(
    "model-package",
    "ModelPackage",
    "ModelPackageName",
    "ModelPackageArn",
    missing=invalid("ModelPackage {arn} does not exist."),
    taken=invalid("Model Package already exists: {arn}"),
    status="ModelPackageStatus",
    newest_first=False,
    equal={"ModelApprovalStatus": "ModelApprovalStatus"},
)
PIPELINE = Kind(
    "pipeline",
    "Pipeline",
    "PipelineName",
    "PipelineArn",
    missing=absent("Pipeline '{arn}' does not exist."),
    taken=invalid(
        "Pipeline names must be unique within an AWS account and region. Pipeline with name ({name}) already exists."
    ),
    status="PipelineStatus",
    initial={"PipelineStatus": "Active"},
)
PIPELINE_EXECUTION = Kind(
    "pipeline-execution",
    "PipelineExecution",
    "PipelineExecutionArn",
    "PipelineExecutionArn",
    missing=absent("Pipeline execution '{arn}' does not exist."),
    status="PipelineExecutionStatus",
)
FEATURE_GROUP = Kind(
    "feature-group",
    "FeatureGroup",
    "FeatureGroupName",
    "FeatureGroupArn",
    missing=absent("Resource Not Found: Amazon SageMaker can't find a FeatureGroup with name {name}"),
    taken=taken(
        "Resource Already Exists: FeatureGroup with name {name} already exists. Choose a different name.\nInfo: {arn}"
    ),
    status="FeatureGroupStatus",
    equal={"FeatureGroupStatusEquals": "FeatureGroupStatus"},
)
MODEL_CARD = Kind(
    "model-card",
    "ModelCard",
    "ModelCardName",
    "ModelCardArn",
    missing=absent("Model card '{arn}' does not exist."),
    taken=conflict("Model card {arn} already exists."),
    status="ModelCardStatus",
    equal={"ModelCardStatus": "ModelCardStatus"},
)
MONITORING_SCHEDULE = Kind(
    "monitoring-schedule",
    "MonitoringSchedule",
    "MonitoringScheduleName",
    "MonitoringScheduleArn",
    missing=absent("Monitoring schedule '{arn}' does not exist."),
    taken=taken("Monitoring schedule '{arn}' already exists."),
    status="MonitoringScheduleStatus",
    equal={"EndpointName": "EndpointName", "MonitoringTypeEquals": "MonitoringType"},
)
MLFLOW_TRACKING_SERVER = Kind(
    "mlflow-tracking-server",
    "MlflowTrackingServer",
    "TrackingServerName",
    "TrackingServerArn",
    missing=absent("MLflow tracking server '{arn}' does not exist."),
    taken=conflict("MLflow tracking server with name {name} already exists."),
    status="TrackingServerStatus",
    equal={"TrackingServerStatus": "TrackingServerStatus", "MlflowVersion": "MlflowVersion"},
)
MLFLOW_APP = Kind(
    "mlflow-app",
    "MlflowApp",
    "Name",
    "Arn",
    missing=absent("MLflow App '{arn}' does not exist."),
    taken=conflict("MLflow App with name {name} already exists."),
    status="Status",
    equal={"Status": "Status", "MlflowVersion": "MlflowVersion"},
)
EXPERIMENT = Kind(
    "experiment",
    "Experiment",
    "ExperimentName",
    "ExperimentArn",
    missing=absent("Experiment '{arn}' does not exist."),
    taken=invalid(
        "Experiment names must be unique within an AWS account and region."
        " Experiment with name ({name}) already exists."
    ),
)
TRIAL = Kind(
    "experiment-trial",
    "Trial",
    "TrialName",
    "TrialArn",
    missing=absent("Trial '{arn}' does not exist."),
    taken=invalid(
        "Trial names must be unique within an AWS account and region. Trial with name ({name}) already exists."
    ),
    equal={"ExperimentName": "ExperimentName"},
)
TRIAL_COMPONENT = Kind(
    "experiment-trial-component",
    "TrialComponent",
    "TrialComponentName",
    "TrialComponentArn",
    missing=absent("TrialComponent '{arn}' does not exist."),
    taken=invalid(
        "TrialComponent names must be unique within an AWS account and region."
        " TrialComponent with name ({name}) already exists."
    ),
)
ACTION = Kind("action", "Action", "ActionName", "ActionArn", equal={"ActionType": "ActionType"})
ARTIFACT = Kind("artifact", "Artifact", "ArtifactName", "ArtifactArn", equal={"ArtifactType": "ArtifactType"})
CONTEXT = Kind("context", "Context", "ContextName", "ContextArn", equal={"ContextType": "ContextType"})


def job_definition(kind: str, noun: str) -> Kind:
    return Kind(
        kind,
        noun,
        "JobDefinitionName",
        "JobDefinitionArn",
        missing=absent("Job definition '{arn}' does not exist."),
        taken=taken("Job definition {name} already exists: {arn}"),
        modified=None,
    )


JOB_DEFINITIONS = (
    job_definition("data-quality-job-definition", "DataQualityJobDefinition"),
    job_definition("model-quality-job-definition", "ModelQualityJobDefinition"),
    job_definition("model-bias-job-definition", "ModelBiasJobDefinition"),
    job_definition("model-explainability-job-definition", "ModelExplainabilityJobDefinition"),
)

ALL = (
    MODEL,
    ENDPOINT_CONFIG,
    ENDPOINT,
    TRAINING_JOB,
    PROCESSING_JOB,
    TRANSFORM_JOB,
    TUNING_JOB,
    MODEL_PACKAGE_GROUP,
    MODEL_PACKAGE,
    PIPELINE,
    PIPELINE_EXECUTION,
    FEATURE_GROUP,
    MODEL_CARD,
    MONITORING_SCHEDULE,
    MLFLOW_TRACKING_SERVER,
    MLFLOW_APP,
    EXPERIMENT,
    TRIAL,
    TRIAL_COMPONENT,
    ACTION,
    ARTIFACT,
    CONTEXT,
    *JOB_DEFINITIONS,
)
BY_KIND = {kind.kind: kind for kind in ALL}
