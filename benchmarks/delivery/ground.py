"""A small environment to rehearse releases on: real endpoints and a real ledger, but no engine and no training.

What a program would declare behind an endpoint is made by boto3 from the same pure plan the program uses, so a
release costs a second instead of a minute. Everything delivery asks of an environment is there: the release file, the
registry with packages that are vouched for, the signing key, the buckets, the platform's parameter.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import yaml
from botocore.exceptions import ClientError
from rich.console import Console
from typing_extensions import override

from contract.places import baseline_key
from contract.records import Column, Schema
from contract.release import Package, Release, Rollout
from contract.signals import signal
from delivery.bundle import seal
from delivery.deployment import Deployment
from delivery.dossier import write_bundle
from delivery.engine.cloud import embedded
from delivery.environment import Environment
from delivery.evidence import Evidence, Measure
from delivery.gates import Gates
from delivery.guards import capitalised, deployment_config
from delivery.local import PLAIN, until
from delivery.platform import QUIET, Platform
from infra import definitions
from infra.alarms import AlarmSpec, watched
from infra.runbooks import Runbooks
from infra.serving import Plan, capture, guard_dimensions, guard_names
from stacks.settings import KEY, load

if TYPE_CHECKING:  # a command that is timed must not wait for what only data need
    import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MODEL = "shop"
START = "2026-01-05T00:00:00Z"
SCHEMA = Schema((Column("first", "number"), Column("second", "number")), "bought", "classification", ("no", "yes"))
GATES = Gates.model_validate({"gates": [{"kind": "age", "days_at_most": 3650}]})
STARTS_WITHIN = 60  # seconds, the least AWS allows for a container's first healthy answer
SLOW = 400_000  # microseconds; far above what a busy machine does to a model that answers at once
FAULTS = ("none", "errors", "latency", "wrong", "crash loop", "slow start")


@dataclass(frozen=True)
class Cloud:
    """An embedded AWS in a process of its own."""

    url: str
    shared: dict[str, Any] = field(default_factory=dict)

    def clock(self, **asked: Any) -> None:
        place = f"{self.url}/_localaws/clock"
        httpx.post(place, json=asked, timeout=None, verify=PLAIN).raise_for_status()  # noqa: S113 its patience ends it

    def advance(self, seconds: float) -> None:
        """Move the clock on; everything due on the way happens, and has happened when this returns."""
        self.clock(advance=seconds, patience=240)

    def fault(self, **asked: Any) -> None:
        httpx.post(f"{self.url}/_localaws/faults", json=asked, timeout=60, verify=PLAIN).raise_for_status()

    def heal(self) -> None:
        httpx.request("DELETE", f"{self.url}/_localaws/faults", json={}, timeout=60, verify=PLAIN).raise_for_status()

    def flush(self) -> None:
        """Have capture written now instead of ten seconds of the clock later."""
        httpx.post(f"{self.url}/_localaws/flush", timeout=60, verify=PLAIN).raise_for_status()


@contextmanager
def cloud(work: Path, *, containers: Path = HERE / "images", clock: str = f"stepped:{START}") -> Iterator[Cloud]:
    """Start one; it ends with everything it started."""
    ready = work / "ready.json"
    command = [sys.executable, "-m", "localaws", "--port", "0", "--containers", str(containers), "--clock", clock]
    command += ["--interpreter", sys.executable, "--backend", "process", "--work", str(work / "work")]
    with (work / "log.txt").open("w") as log:
        process = subprocess.Popen([*command, "--ready-file", str(ready)], cwd=ROOT, stdout=log, stderr=log)
    try:
        if not until(lambda: ready.exists() or process.poll() is not None, 60) or not ready.exists():
            raise RuntimeError(f"the embedded AWS did not start:\n{(work / 'log.txt').read_text()}")
        yield Cloud(json.loads(ready.read_text())["url"])
    finally:
        process.terminate()
        process.wait(timeout=60)


class Rehearsed(Environment):
    """An environment whose waiting can be given: a standing clock is moved by whoever watches."""

    pause: Callable[[], None]

    @property
    @override
    def wait(self) -> Callable[[], None]:
        return self.__dict__.get("pause") or super().wait


@dataclass(frozen=True)
class Ground:
    """One environment with one model, ready for releases."""

    environment: Environment
    cloud: Cloud
    watched: bool = False
    """Whether the monitor's job runs every hour; it takes seconds of processor each time."""
    model: str = MODEL

    @classmethod
    def open(
        cls, cloud: Cloud, name: str, root: Path, pause: Callable[[], None] | None = None, *, watched: bool = False
    ) -> Ground:
        """The environment as it stands below a folder; `prepare` makes what is not there yet."""
        (root / f"Pulumi.{name}.yaml").write_text(yaml.safe_dump({"config": {KEY: settings_of()}}))
        settings = load(name, root)
        environment = Rehearsed(name, root, settings, embedded(settings, cloud.url))
        environment.cloud.__dict__["clients"] = cloud.shared
        if pause is not None:
            environment.__dict__["pause"] = pause
        return cls(environment, cloud, watched)

    def client(self, service: str) -> Any:
        return self.environment.client(service)

    @property
    def names(self) -> Any:
        return self.environment.settings.names

    @property
    def endpoint(self) -> str:
        return self.names.endpoint(self.model)

    def bucket(self, purpose: Any) -> str:
        return self.names.bucket(purpose)

    def prepare(self) -> Ground:
        """Buckets, the signing key, the package group, gates, and what the platform would have told."""
        region = {"CreateBucketConfiguration": {"LocationConstraint": self.environment.settings.region}}
        for purpose in ("data", "artifacts", "capture", "outcomes", "evidence"):
            locked = {"ObjectLockEnabledForBucket": True} if purpose == "evidence" else {}
            self.client("s3").create_bucket(Bucket=self.bucket(purpose), **region, **locked)
        key = self.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
        self.client("kms").create_alias(AliasName=self.names.evidence_key_alias, TargetKeyId=key)
        self.client("sagemaker").create_model_package_group(ModelPackageGroupName=self.names.package_group(self.model))
        self.gates(GATES)
        name = self.names.parameter("platform")
        self.client("ssm").put_parameter(Name=name, Type="String", Value=json.dumps(self.told()))
        return self

    def gates(self, gates: Gates) -> None:
        """Write down what must hold from now on."""
        place = self.environment.root / "gates" / f"{self.model}.yaml"
        place.parent.mkdir(exist_ok=True)
        place.write_text(yaml.safe_dump(gates.model_dump(mode="json")))

    def told(self) -> dict[str, Any]:
        model = {
            "package_group": self.names.package_group(self.model),
            "training_pipeline": self.names.training_pipeline(self.model),
            "monitor_pipeline": self.names.monitor_pipeline(self.model),
            "endpoint": self.endpoint,
            "dashboard": self.names.dashboard(self.model),
            "alarms": list[str](),
        }
        purposes = ("data", "artifacts", "capture", "outcomes", "evidence")
        settings = self.environment.settings
        return {
            "version": 1,
            "environment": self.environment.name,
            "account": settings.account,
            "region": settings.region,
            "key_arn": "",
            "buckets": {each: self.bucket(each) for each in purposes},
            "roles": {},
            "repositories": {},
            "images": {},
            "topics": {},
            "models": {self.model: model},
            "tracking_arn": None,
        }

    # Versions.

    def version(self, number: int, fault: str = "none", says: str | None = None) -> Package:
        """Register a version that behaves so, with its artifact, its baseline and a sealed bundle that passes.

        Its answers name it by what it `says`, or by its number.
        """
        content = artifact(says or number, fault)
        digest = hashlib.sha256(content).hexdigest()
        key = f"runs/{self.model}/{number}/model.tar.gz"
        s3, bucket = self.client("s3"), self.bucket("artifacts")
        s3.put_object(Bucket=bucket, Key=key, Body=content)
        s3.put_object(Bucket=bucket, Key=baseline_key(self.model, digest), Body=baseline())
        image = self.names.image("inference", self.environment.settings.images.inference)
        evidence = Evidence(
            model=self.model,
            version=number,
            author="rehearsal",
            made_at=self.environment.now(),
            artifact_hash=digest,
            artifact_bytes=len(content),
            data_hash="0" * 64,
            code_hash="0" * 64,
            images={"inference": image},
            metrics={"auc": Measure(value=0.9)},
        )
        bundle = seal(evidence, GATES, self.environment.now(), self.environment.signer)
        write_bundle(self.environment, self.model, bundle)
        made = self.client("sagemaker").create_model_package(
            ModelPackageGroupName=self.names.package_group(self.model),
            ModelApprovalStatus="Approved",
            InferenceSpecification={
                "Containers": [{"Image": image, "ModelDataUrl": f"s3://{bucket}/{key}"}],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            CustomerMetadataProperties={"evidence": bundle.hash, "artifact_hash": digest},
        )
        return Package(number, made["ModelPackageArn"], image, f"s3://{bucket}/{key}", digest, bundle.hash)

    # What stands in for the engine.

    def up(self) -> None:
        """Make what the release file says, from the plan the program declares; the endpoint goes on by itself."""
        for model, release in self.environment.releases.read().models.items():
            plan = self.environment.plan(model, release)
            kept = {each.config_name: each for each in (plan, *plan.fallbacks)}
            for each in kept.values():
                self.configure(each)
            self.guard(plan)
            if self.watched:
                self.watch(plan)
            self.serve(plan)
            self.environment.endpoint(model).settle()
            self.clear(model, set(kept))

    def configure(self, plan: Plan) -> None:
        sagemaker, release = self.client("sagemaker"), plan.release
        shadows = [release.shadow] if release.shadow else []
        for variant in [*release.variants, *shadows]:
            given = plan.container(variant)
            container = {
                "Image": given["image"],
                "ModelDataUrl": given["model_data_url"],
                "Environment": given["environment"],
            }
            made(
                sagemaker.create_model,
                ModelName=plan.model_name(variant),
                PrimaryContainer=container,
                ExecutionRoleArn=self.names.global_arn("iam", "role/inference"),
            )
        more = {"DataCaptureConfig": capitalised(capture(plan, self.bucket("capture"), None))}
        more["DataCaptureConfig"].pop("KmsKeyId")
        if shadows:
            more["ShadowProductionVariants"] = [self.variant(plan, each) for each in shadows]
        made(
            sagemaker.create_endpoint_config,
            EndpointConfigName=plan.config_name,
            ProductionVariants=[self.variant(plan, each) for each in release.variants],
            **more,
        )

    def variant(self, plan: Plan, variant: Any) -> dict[str, Any]:
        declared = capitalised(plan.variant(variant, plan.model_name(variant)))
        return declared | {"ContainerStartupHealthCheckTimeoutInSeconds": STARTS_WITHIN}

    def guard(self, plan: Plan) -> None:
        rollout, thresholds = plan.release.rollout, self.environment.settings.models[plan.model].thresholds
        for key, name in zip(rollout.alarms, guard_names(self.names, plan.model, rollout), strict=True):
            found = signal(key)
            dimensions = guard_dimensions(self.endpoint, plan.config_name)
            spec = AlarmSpec(name, found, watched(found, thresholds), dimensions, Runbooks())
            self.client("cloudwatch").put_metric_alarm(**alarm(spec))

    def watch(self, plan: Plan) -> None:
        """The monitor's pipeline and its schedule, as the program declares them."""
        name, role = self.names.monitor_pipeline(plan.model), self.names.global_arn("iam", "role/monitoring")
        image = self.names.image("monitoring", self.environment.settings.images.monitoring)
        given = definitions.Monitor(
            endpoint=self.endpoint,
            model=plan.model,
            capture_bucket=self.bucket("capture"),
            outcomes_bucket=self.bucket("outcomes"),
            artifacts_bucket=self.bucket("artifacts"),
            machine=definitions.Machine("ml.m5.large", 1, 30, 50),
            surroundings=definitions.Surroundings(image, role, "alias/aws/s3"),
            experiment=plan.release.experiment,
        )
        document = json.dumps(definitions.monitor(given))
        sagemaker = self.client("sagemaker")
        try:
            sagemaker.update_pipeline(PipelineName=name, PipelineDefinition=document)
        except ClientError:
            sagemaker.create_pipeline(
                PipelineName=name, PipelineDefinition=document, RoleArn=role, ClientRequestToken="0" * 32
            )
        else:
            return
        target = {
            "Arn": self.names.arn("sagemaker", f"pipeline/{name}"),
            "RoleArn": role,
            "SageMakerPipelineParameters": {"PipelineParameterList": [{"Name": "WindowEnd", "Value": "now"}]},
        }
        self.client("scheduler").create_schedule(
            Name=name, ScheduleExpression="cron(5 * * * ? *)", FlexibleTimeWindow={"Mode": "OFF"}, Target=target
        )

    def serve(self, plan: Plan) -> None:
        sagemaker = self.client("sagemaker")
        policy = deployment_config(plan.release.rollout, guard_names(self.names, plan.model, plan.release.rollout))
        named = {"EndpointName": self.endpoint, "EndpointConfigName": plan.config_name}
        seen = self.seen()
        if not seen:
            sagemaker.create_endpoint(**named, DeploymentConfig=policy)
        elif seen["EndpointConfigName"] != plan.config_name:
            sagemaker.update_endpoint(**named, DeploymentConfig=policy)

    def clear(self, model: str, kept: set[str]) -> None:
        """Configurations that are no longer declared go, but never the one that serves."""
        sagemaker = self.client("sagemaker")
        serving = self.serving()
        pages = sagemaker.get_paginator("list_endpoint_configs").paginate(NameContains=self.names.of(model))
        for name in [each["EndpointConfigName"] for page in pages for each in page["EndpointConfigs"]]:
            if name not in kept | {serving}:
                sagemaker.delete_endpoint_config(EndpointConfigName=name)

    def leave(self) -> None:
        """Nothing of it runs on: whoever moves the clock afterwards does not pay for its hours."""
        if self.watched:
            self.client("scheduler").delete_schedule(Name=self.names.monitor_pipeline(MODEL))
        if self.seen():
            self.client("sagemaker").delete_endpoint(EndpointName=self.endpoint)

    # What one does with it.

    def deployment(self, tell: Callable[[str], None] = lambda _: None) -> Deployment:
        return Deployment(self.environment, MODEL, self.up, tell)

    def platform(self, tell: Callable[[str], None] = lambda _: None) -> Platform:
        """The verbs, with what stands in for the engine."""
        return Rehearsing(self, tell)

    def while_time_passes(self, work: Callable[[], Any], seconds: float = 5.0, most: int = 600) -> Any:
        """Do something that waits for the cloud, and move the clock on until it is done."""
        with ThreadPoolExecutor(1) as hand:
            done = hand.submit(work)
            for _ in range(most):
                if until(done.done, 0.5):
                    break
                self.cloud.advance(seconds)
            return done.result(timeout=60)

    def release(self) -> Release:
        return self.environment.releases.release(MODEL)

    def seen(self) -> dict[str, Any]:
        """What SageMaker says of the endpoint; nothing when there is none."""
        try:
            return self.client("sagemaker").describe_endpoint(EndpointName=self.endpoint)
        except ClientError:
            return {}

    def serving(self) -> str:
        return self.seen()["EndpointConfigName"]


class Rehearsing(Platform):
    """A platform that stands on such a ground."""

    def __init__(self, ground: Ground, tell: Callable[[str], None]) -> None:
        self.environment = ground.environment
        self.engine = None
        self.tell = tell
        self.ground = ground

    @override
    def up(self, console: Console = QUIET) -> None:
        self.ground.up()


def settings_of() -> dict[str, Any]:
    digest = f"sha256:{'0' * 64}"
    serving = {"instance": "ml.m5.large", "scaling": None, "isolated": False}
    model = {"family": "any", "target": "bought", "serving": serving, "thresholds": {"latency": SLOW}}
    return {
        "account": "123456789012",
        "region": "eu-west-1",
        "cloud": "embedded",
        "tags": {"owner": "rehearsal", "cost_center": "none", "data_class": "internal"},
        "network": {"kind": "none"},
        "images": dict.fromkeys(("training", "inference", "monitoring"), digest),
        "models": {MODEL: model},
    }


def made(make: Callable[..., Any], **given: Any) -> None:
    """Make it unless it is there: names carry the hash of the content, so what is there is the same."""
    try:
        make(**given)
    except ClientError as problem:
        if "already exist" not in str(problem):
            raise


def alarm(spec: AlarmSpec) -> dict[str, Any]:
    """An alarm as CloudWatch takes it."""
    statistic = spec.signal.statistic
    return {
        "AlarmName": spec.name,
        "AlarmDescription": spec.description,
        "Namespace": spec.signal.namespace,
        "MetricName": spec.signal.name,
        "Dimensions": [{"Name": name, "Value": value} for name, value in spec.dimensions.items()],
        "ComparisonOperator": spec.watch.comparison,
        "Threshold": spec.watch.threshold,
        "Period": spec.watch.period_seconds,
        "EvaluationPeriods": spec.watch.periods,
        "DatapointsToAlarm": spec.watch.breaching_periods,
        "TreatMissingData": spec.watch.missing,
        **({"ExtendedStatistic": statistic} if statistic.startswith("p") else {"Statistic": statistic}),
    }


def artifact(says: int | str, fault: str) -> bytes:
    """model.tar.gz: the same name and fault give the same bytes."""
    packed = io.BytesIO()
    text = json.dumps({"version": says, "fault": fault}).encode()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        member = tarfile.TarInfo("behaviour.json")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
    content = bytearray(packed.getvalue())
    content[4:8] = bytes(4)  # gzip writes the time there
    return bytes(content)


def containers(place: Path) -> Path:
    """The rehearsal's model server beside the repository's own monitor, as one root of containers."""
    place.mkdir(parents=True, exist_ok=True)
    for name, target in (
        ("inference", HERE / "images" / "inference"),
        *((name, ROOT / name) for name in ("monitoring", "contract", "requirements")),
    ):
        (place / name).symlink_to(target)
    return place


def rows(dice: np.random.Generator, count: int) -> np.ndarray:
    """What callers ask: about one in four is a yes."""
    return dice.normal((-0.35, -0.3), 0.7, (count, 2)).round(4)


_BASELINE: list[bytes] = []


def baseline() -> bytes:
    """The profile of a well-behaved model's answers to such rows."""
    if not _BASELINE:
        import numpy as np
        import polars as pl

        from monitoring.baseline import Rows, build

        asked = rows(np.random.default_rng(1), 4000)
        probability = 1 / (1 + np.exp(-4 * asked.sum(axis=1)))
        frame = pl.DataFrame(
            {
                "first": asked[:, 0],
                "second": asked[:, 1],
                "predicted": np.where(probability > 0.5, "yes", "no"),
                "predicted_probability": probability,
            }
        )
        _BASELINE.append(build(lambda: iter([Rows(frame)]), SCHEMA).to_bytes())
    return _BASELINE[0]


def machine() -> str:
    """What a figure was measured on, and how busy that was."""
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} processors, Python {sys.version.split()[0]}, load average {load:.0f}"


CANARY: Mapping[str, Any] = {"strategy": "canary", "percent": 10, "bake_seconds": 300}


def rollout(**given: Any) -> Rollout:
    return Rollout(**{**CANARY, **given})
