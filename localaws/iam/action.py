"""What a request asks for in IAM's words: the action, the ARNs of its resources, and the roles it passes on."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

import botocore.session
from botocore import xform_name

from localaws import wire
from localaws.gateway import MLFLOW_ARNS, Request

PREFIXES = {"monitoring": "cloudwatch", "email": "ses"}  # where IAM calls a service otherwise than its signatures do
MODELS = {"monitoring": "cloudwatch", "email": "ses", "execute-api": "apigateway"}  # and botocore


@dataclass(frozen=True)
class Resource:
    """How an operation's parameter becomes the last part of an ARN."""

    member: str
    path: str


SAGEMAKER = {
    "TrainingJobName": "training-job",
    "ProcessingJobName": "processing-job",
    "TransformJobName": "transform-job",
    "HyperParameterTuningJobName": "hyper-parameter-tuning-job",
    "EndpointName": "endpoint",
    "EndpointConfigName": "endpoint-config",
    "ModelName": "model",
    "ModelPackageGroupName": "model-package-group",
    "ModelPackageName": "model-package",
    "PipelineName": "pipeline",
    "FeatureGroupName": "feature-group",
    "ModelCardName": "model-card",
    "MonitoringScheduleName": "monitoring-schedule",
    "TrackingServerName": "mlflow-tracking-server",
    "ExperimentName": "experiment",
    "TrialName": "experiment-trial",
    "TrialComponentName": "experiment-trial-component",
    "InferenceComponentName": "inference-component",
    "NotebookInstanceName": "notebook-instance",
    "DomainId": "domain",
}
NEEDS_TOO = {  # resources an operation touches besides its own
    "CreateEndpoint": ("EndpointConfigName",),
    "UpdateEndpoint": ("EndpointConfigName",),
}
NAMED: dict[str, tuple[Resource, ...]] = {
    "cloudwatch": (
        Resource("AlarmName", "alarm:{}"),
        Resource("AlarmNames", "alarm:{}"),
        Resource("DashboardName", "dashboard/{}"),
    ),
    "events": (Resource("Rule", "rule/{}"), Resource("Name", "rule/{}"), Resource("EventBusName", "event-bus/{}")),
    "scheduler": (Resource("Name", "schedule/{GroupName}/{}"),),
    "logs": (Resource("logGroupName", "log-group:{}:*"),),
    "sns": (Resource("TopicArn", "{}"), Resource("Name", "{}")),
    "sqs": (Resource("QueueUrl", "{}"), Resource("QueueName", "{}")),
    "kms": (Resource("KeyId", "key/{}"),),
    "secretsmanager": (Resource("SecretId", "secret:{}"), Resource("Name", "secret:{}")),
    "ssm": (Resource("Name", "parameter/{}"), Resource("Names", "parameter/{}")),
    "ecr": (Resource("repositoryName", "repository/{}"),),
    "iam": (
        Resource("PolicyArn", "{}"),
        Resource("RoleName", "role/{}"),
        Resource("UserName", "user/{}"),
        Resource("GroupName", "group/{}"),
        Resource("PolicyName", "policy/{}"),
    ),
    "sts": (Resource("RoleArn", "{}"),),
    "dynamodb": (Resource("TableName", "table/{}"),),
    "lambda": (Resource("FunctionName", "function:{}"),),
    "application-autoscaling": (Resource("ResourceARN", "{}"), Resource("ResourceId", "scalable-target/*")),
}
WITHOUT_RESOURCE = {"cloudwatch:PutMetricData", "cloudwatch:GetMetricData", "cloudwatch:GetMetricStatistics"}
PASSED = {
    "sagemaker": "sagemaker.amazonaws.com",
    "scheduler": "scheduler.amazonaws.com",
    "events": "events.amazonaws.com",
    "application-autoscaling": "sagemaker.application-autoscaling.amazonaws.com",
    "lambda": "lambda.amazonaws.com",
    "states": "states.amazonaws.com",
    "logs": "logs.amazonaws.com",
    "ecs": "ecs-tasks.amazonaws.com",
    "codebuild": "codebuild.amazonaws.com",
    "codepipeline": "codepipeline.amazonaws.com",
    "glue": "glue.amazonaws.com",
    "firehose": "firehose.amazonaws.com",
}
ROLES = {"RoleArn", "ExecutionRoleArn", "roleArn", "RoleARN", "Role", "role", "executionRoleArn", "serviceRole"}
MLFLOW = {  # the paths of MLflow's API by the action that allows them
    "experiments/create": "CreateExperiment",
    "experiments/delete": "DeleteExperiment",
    "experiments/get": "GetExperiment",
    "experiments/get-by-name": "GetExperimentByName",
    "experiments/search": "SearchExperiments",
    "experiments/set-experiment-tag": "SetExperimentTag",
    "experiments/update": "UpdateExperiment",
    "runs/create": "CreateRun",
    "runs/delete": "DeleteRun",
    "runs/get": "GetRun",
    "runs/log-batch": "LogBatch",
    "runs/log-inputs": "LogInputs",
    "runs/log-metric": "LogMetric",
    "runs/log-model": "LogModel",
    "runs/log-parameter": "LogParam",
    "runs/search": "SearchRuns",
    "runs/set-tag": "SetTag",
    "runs/update": "UpdateRun",
    "artifacts/list": "ListArtifacts",
    "metrics/get-history": "GetMetricHistory",
    "registered-models/create": "CreateRegisteredModel",
    "registered-models/get": "GetRegisteredModel",
    "registered-models/search": "SearchRegisteredModels",
    "model-versions/create": "CreateModelVersion",
    "model-versions/get": "GetModelVersion",
    "model-versions/search": "SearchModelVersions",
}
READS = ("Describe", "List", "Get", "Delete", "Search")


@dataclass(frozen=True)
class Call:
    """A request in IAM's words. `resources` is None when nothing here knows them."""

    service: str
    operation: str
    action: str
    resources: tuple[str, ...] | None
    params: Mapping[str, Any]


def call_of(request: Request) -> Call:
    """Read a request, whoever will answer it."""
    signed = request.caller.signing_name or "sagemaker"
    if signed == "s3":
        return _s3(request)
    service = PREFIXES.get(signed, signed)
    operation = request.operation or _operation(request, signed)
    params = _params(request, signed, operation)
    action = f"{service}:{operation}"
    return Call(service, operation, action, _resources(request, service, operation, params), params)


def _operation(request: Request, signed: str) -> str:
    """The operation of a call that is not ours: out of its form, or out of its path."""
    if signed == "sagemaker-mlflow":
        return MLFLOW.get(request.path.partition("/mlflow/")[2].rstrip("/"), "AccessUI")
    found = re.search(r"(?:^|&)Action=(\w+)", request.body.decode(errors="replace"))
    if found:
        return found[1]
    query = parse_qs(request.environ.get("QUERY_STRING", ""))
    if "Action" in query:
        return query["Action"][0]
    name = MODELS.get(signed, signed)
    if name in botocore.session.get_session().get_available_services():
        return wire.rest_operation(name, request.method, request.path) or "Unknown"
    return "Unknown"


def _params(request: Request, signed: str, operation: str) -> dict[str, Any]:
    """The parameters along the operation's shape; by the names in its form when it has none that is known."""
    try:
        return wire.parse(
            request.service if request.protocol else MODELS.get(signed, signed),
            operation,
            request.protocol or _protocol(signed),
            path=request.path,
            query=request.environ.get("QUERY_STRING", ""),
            headers=request.headers,
            body=request.body,
        )
    except Exception:  # noqa: BLE001  a request that cannot be read here is judged without its parameters
        return {name: values[0] for name, values in parse_qs(request.body.decode(errors="replace")).items()}


def _protocol(signed: str) -> str:
    return botocore.session.get_session().get_service_model(MODELS.get(signed, signed)).resolved_protocol


# --- resources ------------------------------------------------------------------------------------------------------


def _resources(request: Request, service: str, operation: str, params: Mapping[str, Any]) -> tuple[str, ...] | None:
    if f"{service}:{operation}" in WITHOUT_RESOURCE:
        return ("*",)
    if service == "sagemaker-mlflow":
        return tuple(request.headers[name] for name in MLFLOW_ARNS if name in request.headers) or None
    if service == "sagemaker":
        return tuple(_sagemaker(request, operation, params)) or ("*",)
    if service not in NAMED:
        return None
    for rule in NAMED[service]:
        if rule.member in params:
            return tuple(_named(request, service, rule, params))
    arns = [value for name, value in params.items() if name.lower().endswith("arn") and isinstance(value, str)]
    return tuple(arn for arn in arns if arn.split(":")[2:3] == [service]) or ("*",)


def _named(request: Request, service: str, rule: Resource, params: Mapping[str, Any]) -> Iterator[str]:
    value = params[rule.member]
    for one in value if isinstance(value, list) else [value]:
        text = str(one)
        if text.startswith("arn:"):
            yield text
            continue
        if service == "sqs" and "/" in text:
            text = text.rsplit("/", 1)[-1]
        path = rule.path.replace("{GroupName}", str(params.get("GroupName", "default"))).replace("{}", text.lstrip("/"))
        region = "" if service in {"iam", "sts"} or path.startswith("dashboard/") else request.region
        yield f"arn:aws:{service}:{region}:{request.account}:{path}"


def _sagemaker(request: Request, operation: str, params: Mapping[str, Any]) -> Iterator[str]:
    """The resource an operation is about, by the noun in its name, and the others it needs."""
    noun = re.sub(r"^(Create|Describe|Update|Delete|Stop|Start|Invoke|Put|Get|Retry)", "", operation)
    noun = {"EndpointAsync": "Endpoint", "EndpointWithResponseStream": "Endpoint", "Record": "FeatureGroup"}.get(
        noun, noun
    )
    noun = "Endpoint" if noun == "EndpointWeightsAndCapacities" else noun
    of_a_pipeline = noun in {"PipelineExecution", "ListPipelineExecutions"} and "PipelineName" in params
    noun = "Pipeline" if of_a_pipeline else noun
    for member in (f"{noun}Name", f"{noun}Id", *NEEDS_TOO.get(operation, ())):
        if member in SAGEMAKER and member in params:
            yield _sagemaker_arn(request, member, str(params[member]))
    if operation == "CreateModelPackage" and "ModelPackageGroupName" in params:
        group = str(params["ModelPackageGroupName"]).rsplit("/", 1)[-1]
        yield request.scope.arn(f"model-package/{group}/*")
    for member in ("ResourceArn", "PipelineExecutionArn", "ModelPackageArn", "Arn"):
        if isinstance(params.get(member), str):
            yield str(params[member])


def _sagemaker_arn(request: Request, member: str, value: str) -> str:
    return value if value.startswith("arn:") else request.scope.arn(f"{SAGEMAKER[member]}/{value}")


# --- S3 -------------------------------------------------------------------------------------------------------------

S3_NAMES = {
    "HeadBucket": "ListBucket",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketCors": "GetBucketCORS",
    "PutBucketCors": "PutBucketCORS",
    "GetBucketReplication": "GetReplicationConfiguration",
    "PutBucketReplication": "PutReplicationConfiguration",
    "DeleteBucketTagging": "PutBucketTagging",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "ListBuckets": "ListAllMyBuckets",
    "HeadObject": "GetObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "ListParts": "ListMultipartUploadParts",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "DeleteObjects": "DeleteObject",
    "GetObjectAttributes": "GetObject",
}


def _s3(request: Request) -> Call:
    """An S3 call by path style: its bucket, its key, and the operation whose markers its query has."""
    bucket, _, key = unquote(request.path.lstrip("/")).partition("/")
    query = parse_qs(request.environ.get("QUERY_STRING", ""), keep_blank_values=True)
    operation = _s3_operation(request.method, bucket, key, query)
    action = f"s3:{S3_NAMES.get(operation, operation)}"
    if operation == "GetObject" and "versionId" in query:
        action = "s3:GetObjectVersion"
    params: dict[str, Any] = {name: values[0] for name, values in query.items()}
    params |= {"Bucket": bucket, "Key": key}
    if not bucket:
        return Call("s3", operation, action, ("*",), params)
    resource = f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"
    if operation == "DeleteObjects":
        resource = f"arn:aws:s3:::{bucket}/*"
    return Call("s3", operation, action, (resource,), params)


def _s3_operation(method: str, bucket: str, key: str, query: Mapping[str, Any]) -> str:
    """The S3 operation with this method and level that has the most markers of this query."""
    if not bucket:
        return "ListBuckets"
    best, most = "", -1
    for name, level, markers in _s3_table().get(method, ()):
        if level == bool(key) and all(marker in query for marker in markers) and len(markers) > most:
            best, most = name, len(markers)
    plain = {("GET", False): "ListObjects", ("GET", True): "GetObject", ("PUT", True): "PutObject"}
    plain |= {("PUT", False): "CreateBucket", ("DELETE", False): "DeleteBucket", ("DELETE", True): "DeleteObject"}
    plain |= {("HEAD", False): "HeadBucket", ("HEAD", True): "HeadObject"}
    return best if most > 0 else plain.get((method, bool(key)), best or "Unknown")


_TABLE: dict[str, list[tuple[str, bool, tuple[str, ...]]]] = {}


def _s3_table() -> dict[str, list[tuple[str, bool, tuple[str, ...]]]]:
    """Operations by method: whether they are about a key, and the query members that mark them."""
    if not _TABLE:
        model = botocore.session.get_session().get_service_model("s3")
        for name in model.operation_names:
            operation = model.operation_model(name)
            path, _, markers = operation.http["requestUri"].partition("?")
            needed = {marker.split("=")[0] for marker in markers.split("&") if marker}
            needed |= {"uploadId"} & _query_members(operation)
            _TABLE.setdefault(operation.http["method"], []).append((name, "{Key+}" in path, tuple(sorted(needed))))
    return _TABLE


def _query_members(operation: Any) -> set[str]:
    shape = operation.input_shape
    required = shape.required_members if shape else ()
    return {shape.members[name].serialization.get("name", xform_name(name)) for name in required}


# --- roles passed on ------------------------------------------------------------------------------------------------


def passed_roles(call: Call) -> Iterator[str]:
    """The roles a call hands to a service."""
    if call.service not in PASSED or call.operation.startswith(READS):
        return
    yield from dict.fromkeys(_roles_in(call.params))


def _roles_in(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name in ROLES and isinstance(inner, str) and ":role/" in inner:
                yield inner
            else:
                yield from _roles_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _roles_in(inner)
