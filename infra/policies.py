"""Every permission of the platform: who may do what to which ARN, and why where a wildcard stands.

Statements are plain values, so that a table of what each role must and must not be able to do can be checked without a
cloud. A wildcard resource is only allowed with a reason from `WILDCARDS`; no statement has a wildcard action.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

from infra.names import PROJECT, Names, Person, Purpose, Workload

Text = pulumi.Input[str]

# The actions AWS gives no resource for; each is why a `*` may stand in a statement.
WILDCARDS: Mapping[str, str] = {
    "cloudwatch:PutMetricData": "CloudWatch takes no resource here; the namespace is held by a condition",
    "cloudwatch:GetMetricData": "CloudWatch takes no resource for reading metrics",
    "cloudwatch:GetMetricStatistics": "CloudWatch takes no resource for reading metrics",
    "cloudwatch:ListMetrics": "CloudWatch takes no resource for listing metrics",
    "cloudwatch:DescribeAlarms": "CloudWatch tells of composite alarms only who may ask about all alarms",
    "ecr:GetAuthorizationToken": "a token is for the registry, not for a repository",
    "ec2:DescribeDhcpOptions": "EC2 takes no resource for describing",
    "ec2:DescribeNetworkInterfaces": "EC2 takes no resource for describing",
    "ec2:DescribeSecurityGroups": "EC2 takes no resource for describing",
    "ec2:DescribeSubnets": "EC2 takes no resource for describing",
    "ec2:DescribeVpcs": "EC2 takes no resource for describing",
    "sagemaker:ListEndpoints": "listing takes no resource",
    "sagemaker:ListModelPackages": "listing takes no resource",
    "sagemaker:ListPipelines": "listing takes no resource",
    "sagemaker:ListModelPackageGroups": "listing takes no resource",
    "sagemaker:ListTrainingJobs": "listing takes no resource",
    "sagemaker:Search": "searching takes no resource",
    "tag:GetResources": "the tagging service takes no resource",
    "cloudtrail:LookupEvents": "events are not resources",
    "ce:GetCostAndUsage": "cost is of the account",
    "servicequotas:ListServiceQuotas": "quotas are of the account",
    "ec2:DescribeFlowLogs": "EC2 takes no resource for describing",
    "ec2:DescribePrefixLists": "EC2 takes no resource for describing",
    "ec2:DescribeRouteTables": "EC2 takes no resource for describing",
    "ec2:DescribeSecurityGroupRules": "EC2 takes no resource for describing",
    "ec2:DescribeVpcEndpoints": "EC2 takes no resource for describing",
    "kms:CreateKey": "a key has no name before it exists; its policy and the boundary hold it",
    "kms:ListAliases": "listing takes no resource",
}


def of(service: str, *verbs: str) -> tuple[str, ...]:
    """Actions of a service, its verbs given one by one or several in a text."""
    return tuple(f"{service}:{verb}" for each in verbs for verb in each.split())


@dataclass(frozen=True, slots=True)
class Statement:
    """One permission or refusal."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[Text, ...]
    effect: str = "Allow"
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    principals: Mapping[str, Any] | str | None = None

    def to_json(self) -> dict[str, Any]:
        given: dict[str, Any] = {"Sid": self.sid, "Effect": self.effect, "Action": list(self.actions)}
        if self.resources:
            given["Resource"] = list(self.resources) if len(self.resources) != 1 else self.resources[0]
        if self.principals is not None:
            given["Principal"] = self.principals
        if self.conditions:
            given["Condition"] = {operator: dict(each) for operator, each in self.conditions.items()}
        return given


def document(statements: Iterable[Statement]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [each.to_json() for each in statements]}


@dataclass(frozen=True, slots=True)
class Grounds:
    """What permissions are about: the names of the environment, its key, its models, and its private subnets."""

    names: Names
    key_arn: Text
    models: tuple[str, ...] = ()
    subnet_ids: tuple[Text, ...] = ()

    def bucket(self, purpose: Purpose) -> str:
        return f"arn:aws:s3:::{self.names.bucket(purpose)}"

    def objects(self, purpose: Purpose, prefix: str = "") -> str:
        return f"{self.bucket(purpose)}/{prefix}*"

    def sagemaker(self, kind: str, name: str | None = None) -> str:
        """Our own SageMaker resources of a kind: all begin with the environment's prefix."""
        return self.names.arn("sagemaker", f"{kind}/{name or self.names.of() + '-*'}")

    def role(self, who: Workload | Person) -> str:
        return self.names.global_arn("iam", f"role/{self.names.role(who)}")

    def logs(self, group: str) -> tuple[str, ...]:
        return (self.names.arn("logs", f"log-group:{group}"), self.names.arn("logs", f"log-group:{group}:*"))


# What buckets, keys, repositories and topics say of themselves ------------------------------------


def bucket(names: Names, purpose: Purpose, *, tls_only: bool) -> list[Statement]:
    """Refuse plain HTTP; let log services write to the log bucket and nobody else."""
    arn = f"arn:aws:s3:::{names.bucket(purpose)}"
    statements = []
    if tls_only:
        insecure = {"Bool": {"aws:SecureTransport": "false"}}
        statements.append(Statement("TlsOnly", ("s3:*",), (arn, f"{arn}/*"), "Deny", insecure, {"AWS": "*"}))
    if purpose == "logs":
        mine = {"StringEquals": {"aws:SourceAccount": names.account}}
        for sid, service in (("AccessLogs", "logging.s3"), ("Trail", "cloudtrail")):
            who = {"Service": f"{service}.amazonaws.com"}
            statements.append(Statement(f"{sid}Write", ("s3:PutObject",), (f"{arn}/*",), "Allow", mine, who))
            statements.append(Statement(f"{sid}Look", ("s3:GetBucketAcl",), (arn,), "Allow", mine, who))
    return statements


def key(names: Names) -> list[Statement]:
    """The account governs the key through IAM; services may use it for this account's own resources."""
    mine = {"StringEquals": {"aws:SourceAccount": names.account}}
    services = ("sns", "cloudwatch", "events", "scheduler", "s3", "cloudtrail", "budgets", "costalerts")
    use = ("kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey")
    group = {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": names.arn("logs", "log-group:*")}}
    logs = (
        "kms:Encrypt",
        "kms:Decrypt",
        "kms:ReEncryptFrom",
        "kms:ReEncryptTo",
        "kms:GenerateDataKey",
        "kms:DescribeKey",
    )
    return [
        Statement("Govern", KEY_GOVERNANCE, ("*",), principals={"AWS": names.global_arn("iam", "root")}),
        Statement("Services", use, ("*",), "Allow", mine, {"Service": [f"{each}.amazonaws.com" for each in services]}),
        Statement("Logs", logs, ("*",), "Allow", group, {"Service": f"logs.{names.region}.amazonaws.com"}),
    ]


# A key policy's `*` is the key it stands on. Spelled out, because `kms:*` would also give what nobody needs.
KEY_GOVERNANCE = of(
    "kms",
    "CancelKeyDeletion CreateAlias CreateGrant Decrypt DeleteAlias DescribeKey DisableKey "
    "DisableKeyRotation EnableKey EnableKeyRotation Encrypt GenerateDataKey "
    "GenerateDataKeyWithoutPlaintext GetKeyPolicy GetKeyRotationStatus GetPublicKey ListAliases ListGrants "
    "ListKeyPolicies ListResourceTags ListRetirableGrants PutKeyPolicy ReEncryptFrom ReEncryptTo "
    "RetireGrant RevokeGrant ScheduleKeyDeletion Sign TagResource UntagResource UpdateAlias "
    "UpdateKeyDescription ",
)


def repository(accounts: Sequence[str]) -> list[Statement]:
    """Other accounts of ours may pull."""
    pull = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
    return [Statement("Pull", pull, (), principals={"AWS": [f"arn:aws:iam::{each}:root" for each in accounts]})]


TELLING = ("cloudwatch", "events", "budgets", "costalerts")


def topic(names: Names, name: str, services: Sequence[str] = TELLING) -> list[Statement]:
    """These services may publish for this account, else alarms, rules and budgets; nobody may over plain HTTP."""
    arn = names.arn("sns", name)
    mine = {"StringEquals": {"aws:SourceAccount": names.account}}
    them = {"Service": [f"{each}.amazonaws.com" for each in services]}
    insecure = {"Bool": {"aws:SecureTransport": "false"}}
    return [
        Statement("Publish", ("sns:Publish",), (arn,), "Allow", mine, them),
        Statement("TlsOnly", ("sns:Publish",), (arn,), "Deny", insecure, {"AWS": "*"}),
    ]


def package_group(names: Names, model: str, accounts: Sequence[str]) -> list[Statement]:
    """Other accounts of ours may read and deploy versions; none may add or approve one."""
    group = names.arn("sagemaker", f"model-package-group/{names.package_group(model)}")
    versions = names.arn("sagemaker", f"model-package/{names.package_group(model)}/*")
    them = {"AWS": [f"arn:aws:iam::{each}:root" for each in accounts]}
    look_at = ("sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages", "sagemaker:CreateModel")
    return [
        Statement("ReadGroup", ("sagemaker:DescribeModelPackageGroup",), (group,), principals=them),
        Statement("ReadVersions", look_at, (versions,), principals=them),
    ]


def flow_log(names: Names) -> list[Statement]:
    write = tuple(f"logs:{verb}" for verb in ("CreateLogStream", "DescribeLogStreams", "PutLogEvents"))
    group = names.arn("logs", f"log-group:{names.log_group('flow')}")
    return [Statement("Write", write, (group, f"{group}:*"))]


def trail(names: Names) -> list[Statement]:
    write = tuple(f"logs:{verb}" for verb in ("CreateLogStream", "PutLogEvents"))
    return [Statement("Write", write, (names.arn("logs", f"log-group:{names.log_group('trail')}:*"),))]


def over_budget(names: Names) -> list[Statement]:
    """What the training role loses when the month's money is spent."""
    jobs = names.arn("sagemaker", "*-job/*")
    return [
        Statement(
            "NoNewJobs", tuple(f"sagemaker:Create{job}Job" for job in ("Training", "Processing")), (jobs,), "Deny"
        )
    ]


def budget(names: Names) -> list[Statement]:
    attach = ("iam:AttachRolePolicy", "iam:DetachRolePolicy")
    only = {"ArnEquals": {"iam:PolicyARN": names.global_arn("iam", f"policy/{names.of('over-budget')}")}}
    return [Statement("Stop", attach, (names.global_arn("iam", f"role/{names.role('training')}"),), conditions=only)]


def replication(names: Names, key_arn: Text, copy_bucket: str, copy_key_arn: Text) -> list[Statement]:
    """Read every version of the evidence here, write it there, under each region's key."""
    here = f"arn:aws:s3:::{names.bucket('evidence')}"
    versions = of(
        "s3",
        "GetObjectVersionForReplication GetObjectVersionAcl GetObjectVersionTagging GetObjectRetention",
    )
    copies = of("s3", "ReplicateObject ReplicateDelete ReplicateTags")
    return [
        Statement("ReadHere", of("s3", "GetReplicationConfiguration ListBucket"), (here,)),
        Statement("ReadVersions", versions, (f"{here}/*",)),
        Statement("WriteThere", copies, (f"arn:aws:s3:::{copy_bucket}/*",)),
        Statement("Decrypt", KEY_READ, (key_arn,)),
        Statement("Encrypt", of("kms", "Encrypt GenerateDataKey"), (copy_key_arn,)),
    ]


# What workloads may do ----------------------------------------------------------------------------


KEY_USE = of("kms", "Decrypt DescribeKey Encrypt GenerateDataKey ReEncryptFrom ReEncryptTo")
KEY_READ = of("kms", "Decrypt DescribeKey")
PULL = of("ecr", "BatchCheckLayerAvailability BatchGetImage GetDownloadUrlForLayer")
WRITE_LOGS = of("logs", "CreateLogGroup CreateLogStream DescribeLogStreams PutLogEvents")
ATTACH = of("ec2", "CreateNetworkInterface DeleteNetworkInterface")
LOOK_AT_NETWORK = of(
    "ec2",
    "DescribeDhcpOptions DescribeNetworkInterfaces DescribeSecurityGroups DescribeSubnets DescribeVpcs",
)
OUR_NAMESPACES = ["Slipway", "/aws/sagemaker/TrainingJobs", "/aws/sagemaker/ProcessingJobs", "AWS/SageMaker"]


def container(grounds: Grounds, repository_: str) -> list[Statement]:
    """What every container needs: its image, its key, its logs, its metrics, and the subnets it runs in."""
    names = grounds.names
    image = names.arn("ecr", f"repository/{names.of()}/{repository_}")
    ours = {"StringEquals": {"cloudwatch:namespace": OUR_NAMESPACES}}
    statements = [
        Statement("PullImage", PULL, (image,)),
        Statement("SignInToRegistry", ("ecr:GetAuthorizationToken",), ("*",)),
        Statement("UseKey", KEY_USE, (grounds.key_arn,)),
        Statement("WriteLogs", WRITE_LOGS, grounds.logs("/aws/sagemaker/*")),
        Statement("PublishMetrics", ("cloudwatch:PutMetricData",), ("*",), conditions=ours),
    ]
    if grounds.subnet_ids:
        # The interface is made in a subnet; its own ARN, the group's and the subnet's are all asked for.
        network = tuple(names.arn("ec2", f"{kind}/*") for kind in ("network-interface", "security-group", "subnet"))
        statements += [
            Statement("AttachToSubnets", ATTACH, network),
            Statement("AllowAttachment", of("ec2", "CreateNetworkInterfacePermission"), network[:1]),
            Statement("LookAtNetwork", LOOK_AT_NETWORK, ("*",)),
        ]
    return statements


def read(sid: str, grounds: Grounds, *purposes: Purpose) -> list[Statement]:
    """List the buckets of these purposes and read what is in them."""
    return [
        Statement(f"{sid}List", of("s3", "ListBucket GetBucketLocation"), tuple(map(grounds.bucket, purposes))),
        Statement(f"{sid}Read", of("s3", "GetObject GetObjectVersion"), tuple(map(grounds.objects, purposes))),
    ]


def training(grounds: Grounds) -> list[Statement]:
    return [
        *container(grounds, "training"),
        *read("Data", grounds, "data", "artifacts"),
        Statement(
            "WriteRuns",
            of("s3", "PutObject AbortMultipartUpload"),
            tuple(grounds.objects("artifacts", prefix) for prefix in ("runs/", "models/", "baselines/")),
        ),
        Statement(
            "WriteSnapshots", of("s3", "PutObject AbortMultipartUpload"), (grounds.objects("data", "snapshots/"),)
        ),
        Statement(
            "Track",
            of(
                "sagemaker-mlflow",
                "AccessUI CreateExperiment CreateRun GetExperiment GetExperimentByName GetRun LogBatch LogMetric "
                "LogModel LogParam SetTag UpdateRun",
            ),
            (grounds.sagemaker("mlflow-tracking-server"), grounds.sagemaker("mlflow-app", "*")),
        ),
    ]


def inference(grounds: Grounds) -> list[Statement]:
    return [
        *container(grounds, "inference"),
        *read("Artifacts", grounds, "artifacts"),
        Statement("ReadBatches", of("s3", "GetObject"), (grounds.objects("data", "batch/"),)),
        Statement("WriteAnswers", of("s3", "PutObject"), (grounds.objects("artifacts", "batch/"),)),
        Statement("WriteCapture", of("s3", "PutObject"), (grounds.objects("capture"),)),
    ]


def monitoring(grounds: Grounds) -> list[Statement]:
    endpoints = tuple(
        grounds.names.arn("sagemaker", f"endpoint/{grounds.names.endpoint(each)}") for each in grounds.models
    )
    statements = [
        *container(grounds, "monitoring"),
        *read("Windows", grounds, "capture", "outcomes", "artifacts"),
        Statement(
            "WriteJudgements",
            of("s3", "PutObject AbortMultipartUpload"),
            tuple(grounds.objects("artifacts", prefix) for prefix in ("windows/", "experiments/", "baselines/")),
        ),
        Statement("AppendToLedger", of("s3", "PutObject"), (grounds.objects("evidence", "ledger/"),)),
        Statement("ReadMetrics", of("cloudwatch", "GetMetricData GetMetricStatistics"), ("*",)),
    ]
    if endpoints:
        move = of(
            "sagemaker",
            "DescribeEndpoint DescribeEndpointConfig DescribeModel UpdateEndpointWeightsAndCapacities",
        )
        behind = (grounds.sagemaker("endpoint-config"), grounds.sagemaker("model"))
        statements.append(Statement("MoveTraffic", move, (*endpoints, *behind)))
    return statements


RUN_JOBS = of(
    "sagemaker",
    *(f"{verb}{job}Job" for verb in ("Create", "Describe", "Stop") for job in ("Training", "Processing", "Transform")),
    *("AddTags", "ListTags"),
)


def pass_to(grounds: Grounds, service: str, *roles: Workload) -> Statement:
    """Hand exactly these roles to exactly that service."""
    only = {"StringEquals": {"iam:PassedToService": f"{service}.amazonaws.com"}}
    return Statement(f"PassTo{service.title()}", ("iam:PassRole",), tuple(map(grounds.role, roles)), conditions=only)


def pipeline(grounds: Grounds) -> list[Statement]:
    jobs = tuple(
        grounds.names.arn("sagemaker", f"{kind}/*") for kind in ("training-job", "processing-job", "transform-job")
    )
    register = of(
        "sagemaker",
        "CreateModelPackage DescribeModelPackage DescribeModelPackageGroup AddTags",
    )
    packages = (grounds.sagemaker("model-package-group"), grounds.sagemaker("model-package"))
    return [
        Statement("RunJobs", RUN_JOBS, jobs),
        Statement("Register", register, packages),
        Statement("UseKey", KEY_USE, (grounds.key_arn,)),
        pass_to(grounds, "sagemaker", "training", "monitoring", "inference"),
        *read("Runs", grounds, "artifacts", "data"),
        Statement("WriteRuns", of("s3", "PutObject"), (grounds.objects("artifacts", "runs/"),)),
    ]


def starter(grounds: Grounds) -> list[Statement]:
    """What a schedule or a rule may do: start our pipelines."""
    return [
        Statement("StartPipelines", of("sagemaker", "StartPipelineExecution"), (grounds.sagemaker("pipeline"),)),
        Statement("UseKey", KEY_READ, (grounds.key_arn,)),
    ]


# What people and CI may do ------------------------------------------------------------------------

LOOK_SAGEMAKER = of(
    "sagemaker",
    "DescribeEndpoint DescribeEndpointConfig DescribeFeatureGroup DescribeModel DescribeModelPackage "
    "DescribeModelPackageGroup DescribePipeline DescribePipelineDefinitionForExecution "
    "DescribePipelineExecution DescribeProcessingJob DescribeTrainingJob DescribeTransformJob "
    "GetModelPackageGroupPolicy ListPipelineExecutionSteps ListPipelineExecutions ListTags",
)
LIST_ALL = (
    *of(
        "sagemaker",
        "ListEndpoints ListModelPackageGroups ListModelPackages ListPipelines ListTrainingJobs Search",
    ),
    *of("cloudwatch", "GetMetricData GetMetricStatistics ListMetrics"),
    "cloudwatch:DescribeAlarms",
    "tag:GetResources",
)
SAGEMAKER_KINDS = (
    "endpoint",
    "endpoint-config",
    "feature-group",
    "model",
    "model-package",
    "model-package-group",
    "pipeline",
    "processing-job",
    "training-job",
    "transform-job",
    "mlflow-tracking-server",
)


def look(grounds: Grounds) -> list[Statement]:
    """See everything of SageMaker, its logs, alarms and metrics; change nothing, read no data."""
    kinds = tuple(grounds.names.arn("sagemaker", f"{kind}/*") for kind in SAGEMAKER_KINDS)
    logs = of("logs", "DescribeLogStreams FilterLogEvents GetLogEvents")
    dashboards = of("cloudwatch", "GetDashboard")
    return [
        Statement("Look", LOOK_SAGEMAKER, kinds),
        Statement("List", LIST_ALL, ("*",)),
        Statement("ListLogGroups", ("logs:DescribeLogGroups",), (grounds.names.arn("logs", "log-group:*"),)),
        Statement("ReadLogs", logs, grounds.logs("/aws/sagemaker/*")),
        Statement(
            "ReadDashboards", dashboards, (grounds.names.global_arn("cloudwatch", f"dashboard/{grounds.names.of()}-*"),)
        ),
    ]


def check_evidence(grounds: Grounds) -> list[Statement]:
    """Read what the environment told, and check its evidence with the public half of its key."""
    names = grounds.names
    parameter = names.arn("ssm", f"parameter{names.parameter('platform')}")
    asked = {"StringEquals": {"kms:RequestAlias": names.evidence_key_alias}}
    return [
        Statement("ReadPlatform", ("ssm:GetParameter",), (parameter,)),
        Statement("CheckEvidence", ("kms:GetPublicKey",), (names.arn("kms", "key/*"),), conditions=asked),
    ]


def sign_evidence(grounds: Grounds) -> list[Statement]:
    """Decide in the environment's name: sign, and append to its ledger."""
    asked = {"StringEquals": {"kms:RequestAlias": grounds.names.evidence_key_alias}}
    return [
        *check_evidence(grounds),
        Statement("SignEvidence", ("kms:Sign",), (grounds.names.arn("kms", "key/*"),), conditions=asked),
        Statement("AppendToLedger", of("s3", "PutObject"), (grounds.objects("evidence", "ledger/"),)),
    ]


def offer(grounds: Grounds) -> list[Statement]:
    """Let the environment that promotes from here read what serves, and check what vouches for it; change nothing."""
    return [
        *check_evidence(grounds),
        *read("Offered", grounds, "artifacts", "evidence"),
        Statement("UseKey", KEY_READ, (grounds.key_arn,)),
    ]


def promote(grounds: Grounds) -> list[Statement]:
    """Take over a version of another environment: bring it here, have it judged, say yes to it as who asked CI to."""
    names = grounds.names
    brought = (grounds.objects("artifacts", "runs/"), grounds.objects("evidence", "evidence/"))
    pipelines = (grounds.sagemaker("pipeline"), grounds.sagemaker("pipeline", f"{names.of()}-*-promote/execution/*"))
    return [
        *sign_evidence(grounds),
        *read("Brought", grounds, "artifacts", "evidence"),
        Statement("ListData", of("s3", "ListBucket"), (grounds.bucket("data"),)),
        Statement("Bring", of("s3", "PutObject"), brought),
        Statement("Judge", of("sagemaker", "StartPipelineExecution"), pipelines),
        Statement("Approve", of("sagemaker", "UpdateModelPackage"), (grounds.sagemaker("model-package"),)),
    ]


def endpoints_of(grounds: Grounds) -> tuple[str, ...]:
    return (grounds.sagemaker("endpoint"),)


def data_scientist(grounds: Grounds) -> list[Statement]:
    run = of("sagemaker", "StartPipelineExecution StopPipelineExecution RetryPipelineExecution")
    return [
        *look(grounds),
        *read("Data", grounds, "data", "artifacts", "capture", "outcomes"),
        *check_evidence(grounds),
        Statement("AddData", of("s3", "PutObject"), (grounds.objects("data"), grounds.objects("outcomes"))),
        Statement(
            "Run",
            run,
            (grounds.sagemaker("pipeline"), grounds.sagemaker("pipeline", f"{grounds.names.of()}-*/execution/*")),
        ),
        Statement("UseKey", KEY_USE, (grounds.key_arn,)),
        Statement("Invoke", of("sagemaker", "InvokeEndpoint"), endpoints_of(grounds)),
    ]


def operator(grounds: Grounds) -> list[Statement]:
    run = of("sagemaker", "StartPipelineExecution StopPipelineExecution RetryPipelineExecution")
    alarms = grounds.names.arn("cloudwatch", f"alarm:{grounds.names.of()}-*")
    return [
        *look(grounds),
        *read("Artifacts", grounds, "artifacts", "evidence"),
        Statement("MoveTraffic", of("sagemaker", "UpdateEndpointWeightsAndCapacities"), endpoints_of(grounds)),
        Statement("Invoke", of("sagemaker", "InvokeEndpoint InvokeEndpointAsync"), endpoints_of(grounds)),
        Statement(
            "Run",
            run,
            (grounds.sagemaker("pipeline"), grounds.sagemaker("pipeline", f"{grounds.names.of()}-*/execution/*")),
        ),
        Statement("Silence", of("cloudwatch", "DisableAlarmActions EnableAlarmActions"), (alarms,)),
        *sign_evidence(grounds),
        Statement("AddOutcomes", of("s3", "PutObject"), (grounds.objects("outcomes"),)),
        Statement("UseKey", KEY_USE, (grounds.key_arn,)),
    ]


def approver(grounds: Grounds) -> list[Statement]:
    packages = (grounds.sagemaker("model-package"),)
    return [
        *look(grounds),
        *read("Evidence", grounds, "artifacts", "evidence"),
        *sign_evidence(grounds),
        Statement("Approve", of("sagemaker", "UpdateModelPackage"), packages),
        Statement("AddEvidence", of("s3", "PutObject"), (grounds.objects("evidence"),)),
        Statement("UseKey", KEY_USE, (grounds.key_arn,)),
    ]


def auditor(grounds: Grounds) -> list[Statement]:
    """Read evidence, logs and what the monitor said; no data and no models."""
    reports = ("windows/", "experiments/")
    prefixes = {"StringLike": {"s3:prefix": [f"{each}*" for each in reports]}}
    return [
        *look(grounds),
        *read("Evidence", grounds, "evidence", "logs"),
        *check_evidence(grounds),
        Statement("ListReports", of("s3", "ListBucket"), (grounds.bucket("artifacts"),), conditions=prefixes),
        Statement("ReadReports", of("s3", "GetObject"), tuple(grounds.objects("artifacts", each) for each in reports)),
        Statement("ReadTrail", of("cloudtrail", "LookupEvents"), ("*",)),
        Statement("ReadCost", of("ce", "GetCostAndUsage"), ("*",)),
        Statement("ReadKey", KEY_READ, (grounds.key_arn,)),
        Statement("TouchNothing", of("s3", "PutObject DeleteObject"), (grounds.objects("evidence"),), "Deny"),
    ]


def ci_preview(grounds: Grounds) -> list[Statement]:
    """Read what a preview compares with; no data, no secrets."""
    names = grounds.names
    purposes: tuple[Purpose, ...] = ("data", "artifacts", "capture", "outcomes", "evidence", "logs")
    look_at_bucket = of(
        "s3",
        "GetBucketAcl GetBucketCORS GetBucketLocation GetBucketLogging GetBucketObjectLockConfiguration "
        "GetBucketOwnershipControls GetBucketPolicy GetBucketPublicAccessBlock GetBucketRequestPayment "
        "GetBucketTagging GetBucketVersioning GetBucketWebsite GetAccelerateConfiguration "
        "GetEncryptionConfiguration GetLifecycleConfiguration GetReplicationConfiguration ListBucket",
    )
    roles = of(
        "iam",
        "GetPolicy GetPolicyVersion GetRole GetRolePolicy ListAttachedRolePolicies "
        "ListInstanceProfilesForRole ListPolicyVersions ListRolePolicies",
    )
    ecr = of(
        "ecr",
        "DescribeRepositories GetLifecyclePolicy GetRepositoryPolicy ListTagsForResource",
    )
    keys = of("kms", "DescribeKey GetKeyPolicy GetKeyRotationStatus ListResourceTags")
    return [
        *look(grounds),
        Statement("LookAtBuckets", look_at_bucket, tuple(map(grounds.bucket, purposes))),
        Statement("LookAtRoles", roles, (grounds.names.global_arn("iam", f"role/{names.of()}-*"), boundary_arn(names))),
        Statement("LookAtRepositories", ecr, (names.arn("ecr", f"repository/{names.of()}/*"),)),
        Statement("LookAtKey", keys, (grounds.key_arn,)),
        Statement(
            "LookAtTopics",
            of("sns", "GetTopicAttributes ListTagsForResource"),
            (names.arn("sns", f"{names.of()}-*"),),
        ),
        Statement("LookAtNetwork", LOOK_AT_ALL_NETWORK, ("*",)),
        Statement("LookAtVpc", ("ec2:DescribeVpcAttribute",), (names.arn("ec2", "vpc/*"),)),
        Statement("LookAtQuotas", ("servicequotas:ListServiceQuotas",), ("*",)),
        Statement("ListKeys", ("kms:ListAliases",), ("*",)),
        Statement(
            "ReadState", of("s3", "GetObject"), (f"arn:aws:s3:::{names.of('state', names.account, kind='bucket')}/*",)
        ),
    ]


def boundary_arn(names: Names) -> str:
    return names.global_arn("iam", f"policy/{names.of('boundary')}")


LOOK_AT_ALL_NETWORK = (
    *LOOK_AT_NETWORK,
    *of("ec2", "DescribeFlowLogs DescribePrefixLists DescribeRouteTables DescribeSecurityGroupRules"),
    "ec2:DescribeVpcEndpoints",
)


def foundation(grounds: Grounds) -> list[Statement]:
    """Make, change and remove what stands under everything: network, key, trail, budget, parameters, logs."""
    names = grounds.names
    network = of(
        "ec2",
        "AssociateRouteTable AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress CreateFlowLogs "
        "CreateRouteTable CreateSecurityGroup CreateSubnet CreateTags CreateVpc CreateVpcEndpoint DeleteFlowLogs "
        "DeleteRouteTable DeleteSecurityGroup DeleteSubnet DeleteVpc DeleteVpcEndpoints DisassociateRouteTable "
        "ModifySubnetAttribute ModifyVpcAttribute ModifyVpcEndpoint RevokeSecurityGroupEgress "
        "RevokeSecurityGroupIngress",
    )
    keys = of("kms", "CreateAlias DeleteAlias EnableKeyRotation PutKeyPolicy ScheduleKeyDeletion TagResource")
    trails = of("cloudtrail", "AddTags CreateTrail DeleteTrail DescribeTrails GetTrail GetTrailStatus StartLogging")
    budgets = of("budgets", "ModifyBudget ViewBudget")
    parameters = of("ssm", "AddTagsToResource DeleteParameter DescribeParameters GetParameter PutParameter")
    topics = of(
        "sns",
        "CreateTopic DeleteTopic SetTopicAttributes Subscribe Unsubscribe TagResource",
    )
    groups = of("logs", "AssociateKmsKey CreateLogGroup DeleteLogGroup PutRetentionPolicy TagResource")
    return [
        Statement("ChangeNetwork", network, (names.arn("ec2", "*/*"),)),
        Statement("MakeKey", ("kms:CreateKey",), ("*",)),
        Statement("ChangeKey", keys, (grounds.key_arn, names.arn("kms", names.key_alias))),
        Statement("ChangeTrail", trails, (names.arn("cloudtrail", f"trail/{names.of()}-*"),)),
        Statement("ChangeBudget", budgets, (names.global_arn("budgets", f"budget/{names.of()}-*"),)),
        Statement("ChangeParameters", parameters, (names.arn("ssm", f"parameter{names.parameter('*')}"),)),
        Statement("ChangeTopics", topics, (names.arn("sns", f"{names.of()}-*"),)),
        Statement("ChangeLogGroups", groups, (names.arn("logs", f"log-group:{names.log_group('*')}"),)),
    ]


def ci_deploy(grounds: Grounds) -> list[Statement]:
    """Make, change and remove what this environment's program declares, and nothing of another environment."""
    names = grounds.names
    state = f"arn:aws:s3:::{names.of('state', names.account, kind='bucket')}/{names.environment}/*"
    return [
        *ci_preview(grounds),
        *_change_models(grounds),
        *_change_roles(grounds),
        *_change_watching(grounds),
        Statement("UseKey", KEY_USE, (grounds.key_arn,)),
        Statement("WriteState", of("s3", "PutObject DeleteObject"), (state,)),
    ]


def _change_models(grounds: Grounds) -> list[Statement]:
    """What models are made of, kept in and served by."""
    names = grounds.names
    made = (
        "Endpoint",
        "EndpointConfig",
        "FeatureGroup",
        "MlflowTrackingServer",
        "Model",
        "ModelPackageGroup",
        "Pipeline",
    )
    updated = ("Endpoint", "FeatureGroup", "MlflowTrackingServer", "Pipeline")
    sagemaker = of(
        "sagemaker",
        *(f"{verb}{kind}" for verb in ("Create", "Delete") for kind in made),
        *(f"Update{kind}" for kind in updated),
        "AddTags DeleteTags PutModelPackageGroupPolicy DeleteModelPackageGroupPolicy",
    )
    buckets = of(
        "s3",
        "CreateBucket DeleteBucket DeleteBucketPolicy PutBucketLogging PutBucketObjectLockConfiguration "
        "PutBucketOwnershipControls PutBucketPolicy PutBucketPublicAccessBlock PutBucketTagging "
        "PutBucketVersioning PutEncryptionConfiguration PutLifecycleConfiguration "
        "PutReplicationConfiguration",
    )
    scaling = of(
        "application-autoscaling",
        "DeleteScalingPolicy DeregisterScalableTarget PutScalingPolicy PutScheduledAction "
        "RegisterScalableTarget TagResource",
    )
    repositories = of(
        "ecr",
        "CreateRepository DeleteRepository PutImageScanningConfiguration PutLifecyclePolicy "
        "SetRepositoryPolicy TagResource BatchCheckLayerAvailability CompleteLayerUpload "
        "InitiateLayerUpload PutImage UploadLayerPart",
    )
    kinds = tuple(names.arn("sagemaker", f"{kind}/{names.of()}*") for kind in SAGEMAKER_KINDS)
    purposes: tuple[Purpose, ...] = ("data", "artifacts", "capture", "outcomes", "evidence", "logs")
    return [
        Statement("ChangePlatform", sagemaker, kinds),
        Statement("ChangeBuckets", buckets, tuple(map(grounds.bucket, purposes))),
        Statement("ChangeScaling", scaling, (names.arn("application-autoscaling", "scalable-target/*"),)),
        Statement("ChangeRepositories", repositories, (names.arn("ecr", f"repository/{names.of()}/*"),)),
    ]


def _change_roles(grounds: Grounds) -> list[Statement]:
    """Roles, none of them outside the boundary, and to whom they may be handed."""
    names = grounds.names
    roles = (names.global_arn("iam", f"role/{names.of()}-*"),)
    change = of("iam", "CreateRole PutRolePermissionsBoundary PutRolePolicy AttachRolePolicy")
    keep = of("iam", "DeleteRole DeleteRolePolicy DetachRolePolicy TagRole UntagRole UpdateAssumeRolePolicy")
    within = {"StringEquals": {"iam:PermissionsBoundary": boundary_arn(names)}}
    services = [f"{each}.amazonaws.com" for each in ("sagemaker", "scheduler", "events")]
    to_services = {"StringEquals": {"iam:PassedToService": services}}
    return [
        Statement("ChangeRolesWithinBoundary", change, roles, conditions=within),
        Statement("KeepRoles", keep, roles),
        Statement("PassOurRoles", ("iam:PassRole",), roles, conditions=to_services),
    ]


def _change_watching(grounds: Grounds) -> list[Statement]:
    """Alarms and dashboards, and what starts by event or by time."""
    names = grounds.names
    watch = of(
        "cloudwatch",
        "DeleteAlarms PutMetricAlarm PutCompositeAlarm TagResource UntagResource DeleteDashboards PutDashboard",
    )
    events = of("events", "DeleteRule DescribeRule ListTargetsByRule PutRule PutTargets RemoveTargets TagResource")
    schedules = of(
        "scheduler",
        "CreateSchedule CreateScheduleGroup DeleteSchedule DeleteScheduleGroup GetSchedule "
        "GetScheduleGroup UpdateSchedule TagResource",
    )
    watched = (
        names.arn("cloudwatch", f"alarm:{names.of()}-*"),
        names.global_arn("cloudwatch", f"dashboard/{names.of()}-*"),
    )
    return [
        Statement("Watch", watch, watched),
        Statement("ChangeRules", events, (names.arn("events", f"rule/{names.of()}-*"),)),
        Statement("ChangeSchedules", schedules, (names.arn("scheduler", f"schedule*/{names.of()}*"),)),
    ]


def boundary(grounds: Grounds) -> list[Statement]:
    """The most any role of ours may ever do: this environment's things, and never its own limits."""
    names = grounds.names
    services = (
        "sagemaker",
        "s3",
        "kms",
        "logs",
        "cloudwatch",
        "ecr",
        "ec2",
        "sns",
        "sagemaker-mlflow",
        "events",
        "scheduler",
        "application-autoscaling",
        "tag",
        "cloudtrail",
        "ce",
        "ssm",
        "iam",
        "servicequotas",
        "budgets",
    )
    limits = of(
        "iam",
        "DeleteRolePermissionsBoundary CreatePolicyVersion DeletePolicy DeletePolicyVersion SetDefaultPolicyVersion",
    )
    return [
        Statement("OnlyTheseServices", tuple(f"{each}:*" for each in services), ("*",)),
        Statement("NeverOwnLimits", limits, (boundary_arn(names),), "Deny"),
        Statement("NeverUsers", of("iam", "CreateUser CreateAccessKey CreateLoginProfile"), ("*",), "Deny"),
        Statement(
            "NeverLoseEvidence",
            of("s3", "DeleteObjectVersion BypassGovernanceRetention PutObjectRetention"),
            (grounds.objects("evidence"),),
            "Deny",
        ),
    ]


WORKLOAD_STATEMENTS = {
    "training": training,
    "inference": inference,
    "monitoring": monitoring,
    "pipeline": pipeline,
    "scheduler": starter,
    "events": starter,
}
PERSON_STATEMENTS = {
    "data-scientist": data_scientist,
    "operator": operator,
    "approver": approver,
    "auditor": auditor,
    "ci-preview": ci_preview,
    "ci-deploy": ci_deploy,
    "ci-offer": offer,
}

# A role's inline policies hold 10,240 characters together; what would not fit is a policy of its own.
MANAGED: Mapping[Workload | Person, tuple[str, Callable[[Grounds], list[Statement]]]] = {
    "ci-deploy": ("ci-foundation", lambda grounds: [*foundation(grounds), *promote(grounds)]),
}


# Who may become a role ----------------------------------------------------------------------------


def trusted_service(names: Names, service: str) -> list[Statement]:
    """That service, and only on behalf of this account."""
    mine = {"StringEquals": {"aws:SourceAccount": names.account}}
    return [Statement("Service", ("sts:AssumeRole",), (), "Allow", mine, {"Service": f"{service}.amazonaws.com"})]


def trusted_people(principals: Sequence[str]) -> list[Statement]:
    """These principals, with a second factor."""
    second_factor = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    return [Statement("People", ("sts:AssumeRole",), (), "Allow", second_factor, {"AWS": list(principals)})]


def trusted_workflow(provider_arn: Text, repository_: str, subject: str) -> list[Statement]:
    """One repository's workflow in one environment (or on pull requests), by a token made for AWS."""
    claims = {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": f"repo:{repository_}:{subject}",
        }
    }
    act = ("sts:AssumeRoleWithWebIdentity",)
    return [Statement("Workflow", act, (), "Allow", claims, {"Federated": provider_arn})]


__all__ = ["PROJECT", "Grounds", "Statement", "document"]
