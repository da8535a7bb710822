"""An embedded AWS with a model in the middle of its life, a page in front of it, and a browser."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import polars as pl
import pytest
import uvicorn
from botocore.config import Config

from contract import places
from contract.records import Column, Schema
from contract.signals import signal
from delivery.bundle import seal
from delivery.dashboard.server import application, listen
from delivery.engine.cloud import embedded
from delivery.environment import Environment
from delivery.evidence import Evidence
from delivery.gates import Gates
from delivery.ledger import Decision, Ledger
from infra import policies
from infra.names import Names
from localaws.app import App, start
from localaws.metrics.series import metric_key
from localaws.plane import Settings
from monitoring.baseline import Rows, build
from monitoring.capture import Span, Tally
from monitoring.experiment.experiment import Experiment, Metric
from monitoring.experiment.judge import judge
from monitoring.experiment.looks import Arm, Look, Progress
from monitoring.experiment.looks import Tally as Counts
from monitoring.profile import count
from monitoring.report import experiment as experiment_report
from monitoring.report.window import Point
from monitoring.verdict import sums_of
from monitoring.watch import Past, judged
from monitoring.watch import Settings as Watched
from monitoring.window import Window
from stacks.settings import ROOT, load

ACCOUNT = "123456789012"
NOW = datetime.fromisoformat("2026-03-02T12:00:00+00:00")
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/slipway-local/inference@sha256:" + "0" * 64
HOSTILE = "<img src=x onerror=document.title='broken'>"
MEASURE = {"value": 0.8, "low": 0.7, "high": 0.9, "n": 400}


def environment_at(url: str, root: Path) -> Environment:
    """The local environment, reached at a URL."""
    settings = load("local", ROOT)
    cloud = embedded(settings, url)
    own = {**cloud.variables, "AWS_ACCESS_KEY_ID": ACCOUNT}  # the account's own key may do everything, enforced or not
    return Environment("local", root, settings, replace(cloud, variables=own))


@dataclass(frozen=True)
class Filled:
    """An embedded AWS that holds a model in the middle of an experiment, with an alarm up."""

    app: App
    environment: Environment

    @property
    def names(self) -> Names:
        return self.environment.settings.names

    def all(self) -> None:
        for fill in (
            self.buckets,
            self.endpoint,
            self.pipelines,
            self.traffic,
            self.alarms,
            self.judgements,
            self.ledger,
            self.evidence,
        ):
            fill()

    def buckets(self) -> None:
        for purpose in ("artifacts", "evidence"):
            self.environment.s3.create_bucket(
                Bucket=self.names.bucket(purpose),
                CreateBucketConfiguration={"LocationConstraint": "eu-west-1"},
                ObjectLockEnabledForBucket=purpose == "evidence",
            )

    @property
    def scope(self) -> Any:
        return self.app.plane.store.scope(ACCOUNT, "eu-west-1")

    def add(self, kind: str, name: str, body: dict[str, Any], at: datetime = NOW) -> str:
        arn = self.scope.arn(f"{kind}/{name}")
        self.scope.add(kind, name, arn, body, created=at.timestamp())
        return arn

    def endpoint(self) -> None:
        shares = {"champion": (9.0, 2), "challenger": (1.0, 1)}
        live = [
            {"VariantName": name, "CurrentWeight": weight, "CurrentInstanceCount": n, "DesiredInstanceCount": n}
            for name, (weight, n) in shares.items()
        ]
        wanted = [
            {"VariantName": name, "ModelName": f"slipway-local-churn-{name}-7d1f", "InstanceType": "ml.m5.large",
             "InitialInstanceCount": n, "InitialVariantWeight": weight}
            for name, (weight, n) in shares.items()
        ]  # fmt: skip
        name = self.names.endpoint("churn")
        config = {"EndpointConfigName": f"{name}-7d1f", "ProductionVariants": wanted}
        self.add("endpoint-config", f"{name}-7d1f", config)
        body = {"EndpointName": name, "EndpointStatus": "InService", "EndpointConfigName": f"{name}-7d1f"}
        self.add("endpoint", name, {**body, "ProductionVariants": live, "LastModifiedTime": NOW.timestamp()})

    def pipelines(self) -> None:
        """The training pipeline with two runs, the newest failed; promotion's and the monitor's, that never ran."""
        names = self.names
        for name, waits in (
            (names.training_pipeline("churn"), {"Snapshot": [], "Validate": ["Snapshot"], "Train": ["Validate"]}),
            (names.promotion_pipeline("churn"), {"TakeOver": [], "Register": ["TakeOver"]}),
            (names.monitor_pipeline("churn"), {"Judge": []}),
        ):
            steps = [{"Name": step, "Type": "Processing", "DependsOn": needs} for step, needs in waits.items()]
            definition = json.dumps({"Version": "2020-12-01", "Steps": steps})
            arn = names.arn("sagemaker", f"pipeline/{name}")
            body = {"PipelineName": name, "PipelineDefinition": definition, "PipelineArn": arn}
            self.scope.add("pipeline", name, arn, {**body, "PipelineStatus": "Active"}, created=NOW.timestamp())
        pipeline = names.arn("sagemaker", f"pipeline/{names.training_pipeline('churn')}")
        for number, status in enumerate(("Succeeded", "Failed")):
            self.run(pipeline, f"run{number}", NOW - timedelta(hours=5 - number), status)

    def run(self, pipeline: str, run: str, began: datetime, status: str) -> None:
        steps: dict[str, Any] = {}
        for number, name in enumerate(("Snapshot", "Validate", "Train")):
            kind = "TrainingJob" if name == "Train" else "ProcessingJob"
            job = f"pipelines-{run}-{name}"
            cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30}
            resources = (
                {"ResourceConfig": cluster} if name == "Train" else {"ProcessingResources": {"ClusterConfig": cluster}}
            )
            kind_of_row = "training-job" if name == "Train" else "processing-job"
            arn = self.add(
                kind_of_row,
                job,
                {f"{kind}Name": job, f"{kind}Status": "Completed", "BillableTimeInSeconds": 90, **resources},
            )
            ended = status if name == "Train" else "Succeeded"
            at = began.timestamp() + 60 * number
            steps[name] = {
                "StepName": name, "StepType": "Training", "StepStatus": ended, "StartTime": at, "EndTime": at + 55,
                "Metadata": {kind: {"Arn": arn}},
            }  # fmt: skip
            if ended == "Failed":
                steps[name]["FailureReason"] = f"AlgorithmError: {HOSTILE}"
        body = {
            "PipelineArn": pipeline, "PipelineExecutionArn": f"{pipeline}/execution/{run}", "Steps": steps,
            "PipelineExecutionStatus": status, "PipelineExecutionDisplayName": run, "StartTime": began.timestamp(),
            "CreationTime": began.timestamp(), "Parameters": {},
        }  # fmt: skip
        if status == "Failed":
            body["FailureReason"] = f"Step failure: {HOSTILE}"
        arn = f"{pipeline}/execution/{run}"
        self.scope.add("pipeline-execution", arn, arn, body, created=began.timestamp())

    def traffic(self) -> None:
        metrics = self.app.plane.watch.metrics(ACCOUNT, "eu-west-1")
        for hour in range(24):
            at = (NOW - timedelta(hours=24 - hour)).timestamp()
            for variant, busy in (("champion", 90.0), ("challenger", 10.0)):
                place = {"EndpointName": self.names.endpoint("churn"), "VariantName": variant}
                for key, values in (
                    ("invocations", [(busy + hour, 1)]),
                    ("errors", [(0.0, 99), (1.0, 1)]),
                    ("refusals", [(0.0, 50)]),
                    ("latency", [(900.0 + 40 * each, 1) for each in range(20)]),
                    ("quality", [(0.78 + hour / 1000, 1)]),
                    ("quality_estimate", [(0.8, 1)]),
                ):
                    known = signal(key)
                    metrics.put(metric_key(known.namespace, known.name, place), values, at=at, unit=known.unit)

    def alarms(self) -> None:
        cloudwatch = self.environment.client("cloudwatch")
        for key, state in (("drift", "ALARM"), ("latency", "OK")):
            known = signal(key)
            name = self.names.alarm("churn", key, "champion")
            cloudwatch.put_metric_alarm(
                AlarmName=name, Namespace=known.namespace, MetricName=known.name, Statistic="Maximum", Period=3600,
                EvaluationPeriods=1, Threshold=1.0, ComparisonOperator="GreaterThanOrEqualToThreshold",
                AlarmDescription=f"{known.alarm_means} Runbook: {known.runbook}",
            )  # fmt: skip
            cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason=f"{key} said {HOSTILE}")

    def put(self, key: str, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.environment.s3.put_object(Bucket=self.names.bucket("artifacts"), Key=key, Body=body)

    def judgements(self) -> None:
        endpoint = self.names.endpoint("churn")
        windows = places.windows_prefix(endpoint)
        self.put(f"{windows}reports/run-1/report.json", drifted_window(endpoint))
        self.put(f"{windows}reports/run-1/outcomes/outcomes.json", known_outcomes(endpoint))
        self.put(f"{places.experiment_prefix(endpoint, 'spring')}report.json", won_experiment(endpoint))

    def ledger(self) -> None:
        kms = self.environment.client("kms")
        key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName=self.names.evidence_key_alias, TargetKeyId=key)
        here = self.environment
        ledger = Ledger(here.s3, self.names.bucket("evidence"), here.name)
        for what, why in (("run", "a first model"), ("approve", "better than guessing"), ("deploy", HOSTILE)):
            ledger.append(Decision(NOW.isoformat(), "ana", what, why, "churn"), here.signer)

    def evidence(self) -> None:
        """The champion's version in the registry, its evidence sealed."""
        artifact = "s3://artifacts/runs/churn/model.tar.gz"
        champion = f"{self.names.endpoint('churn')}-champion-7d1f"
        container = {"Image": IMAGE, "ModelDataUrl": artifact}
        self.add("model", champion, {"ModelName": champion, "PrimaryContainer": container})
        auc = {"value": 0.8, "low": 0.75, "high": 0.85}
        evidence = Evidence.model_validate(
            {
                "model": "churn", "version": 1, "author": "ana", "made_at": NOW, "artifact_hash": "a" * 64,
                "artifact_bytes": 1000, "data_hash": "d" * 64, "code_hash": "c" * 64, "images": {},
                "metrics": {"auc": auc}, "approvals": [{"who": "ben", "when": NOW, "note": "better than guessing"}],
            }
        )  # fmt: skip
        gates = Gates.model_validate({"gates": [{"kind": "threshold", "metric": "auc", "at_least": 0.6}]})
        bundle = seal(evidence, gates, NOW, self.environment.signer)
        key = places.evidence_key("churn", bundle.hash)
        self.environment.s3.put_object(Bucket=self.names.bucket("evidence"), Key=key, Body=bundle.to_json())
        group = self.names.package_group("churn")
        self.environment.sagemaker.create_model_package_group(ModelPackageGroupName=group)
        self.environment.sagemaker.create_model_package(
            ModelPackageGroupName=group, ModelApprovalStatus="Approved",
            InferenceSpecification={
                "Containers": [{"Image": IMAGE, "ModelDataUrl": artifact}],
                "SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"],
            },
            CustomerMetadataProperties={"evidence": bundle.hash, "family": "xgboost", "data_hash": "d" * 64},
        )  # fmt: skip


def drifted_window(endpoint: str) -> dict[str, Any]:
    """A real judgement of a window that drifted, with three quiet ones before it."""
    columns = (*(Column(name, "number") for name in ("age", "charge")), Column(f"plan {HOSTILE}", "category"))

    def frame(rows: int, seed: int, shift: float = 0.0) -> pl.DataFrame:
        rng = np.random.default_rng(seed)
        numbers = {"age": rng.standard_normal(rows), "charge": rng.standard_normal(rows) + shift}
        return pl.DataFrame({**numbers, f"plan {HOSTILE}": rng.choice(["a", "b"], size=rows)})

    baseline = build(lambda: [Rows(frame(4000, 1))], Schema(columns, "y", "regression"))
    past = []
    for hour in range(3):
        since = NOW - timedelta(hours=4 - hour)
        point = Point(since.isoformat(), 200, "quiet", dict.fromkeys(baseline.layout.names, 0.1))
        sums = sums_of(count(frame(200, 10 + hour), baseline.layout))
        past.append(Past(sums, since, since + timedelta(hours=1), point))
    window = Window(count(frame(1500, 9, 0.8), baseline.layout), Tally(), Span(NOW - timedelta(hours=1), NOW))
    return dict(judged(window, baseline, past, Watched(endpoint, "champion"), NOW).document)


def known_outcomes(endpoint: str) -> dict[str, Any]:
    part = {
        "variant": "champion", "slice": "", "measures": {"auc": MEASURE}, "estimate": {"auc": MEASURE},
        "coverage": {"share": MEASURE, "by_age_hours": {"24": MEASURE}, "median_delay_hours": 12.0},
        "below_threshold": [],
    }  # fmt: skip
    return {
        "endpoint": endpoint,
        "main": "auc",
        "thresholds": {},
        "parts": [part],
        "decayed": {},
        "made": NOW.isoformat(),
    }


def won_experiment(endpoint: str) -> dict[str, Any]:
    """A real judgement of an experiment that the challenger wins."""
    progress = Progress(Experiment("spring", Metric("conversion", "rate", 0.10, 0.02)))
    for number in range(30):
        arms = [
            Arm(500, Counts(500, events), {"errors": Counts(500, 1), "latency_p99": Counts(500, 5)})
            for events in (50, 75)
        ]
        progress = progress.add(Look(f"2026-03-01T{number % 24:02}:{number // 24:02}:00Z", *arms))
    return experiment_report.document(progress, judge(progress), endpoint, NOW.isoformat())


def auditor_of(found: Filled) -> Environment:
    """The same environment in the auditor's hands: the role with the platform's own statements."""
    iam, name = found.environment.client("iam"), found.names.role("auditor")
    trust = policies.Statement("Trust", ("sts:AssumeRole",), (), principals={"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
    trusted = json.dumps(policies.document([trust]))
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusted)["Role"]["Arn"]
    grounds = policies.Grounds(found.names, found.names.arn("kms", "key/data"), ("churn",))
    document = json.dumps(policies.document(policies.auditor(grounds)))
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document)
    given = found.environment.client("sts").assume_role(RoleArn=role, RoleSessionName="page")["Credentials"]
    environment = environment_at(found.app.url, found.environment.root)
    make: Any = boto3.client
    for service in ("sagemaker", "cloudwatch", "s3", "kms"):
        environment.cloud.clients[service] = make(
            service, endpoint_url=found.app.url, region_name="eu-west-1", aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"], aws_session_token=given["SessionToken"],
            config=Config(s3={"addressing_style": "path"}),
        )  # fmt: skip
    return environment


@pytest.fixture
def audited(tmp_path: Path) -> Iterator[Environment]:
    """An embedded AWS that decides every call by permissions, seen by the auditor."""
    clock = f"stepped:{NOW.isoformat()}"
    app = start(Settings(containers=tmp_path, work=tmp_path / "work", clock=clock, enforce_iam=True))
    try:
        found = Filled(app, environment_at(app.url, tmp_path))
        found.all()
        yield auditor_of(found)
    finally:
        app.stop()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    folder = tmp_path_factory.mktemp("aws")
    app = start(Settings(containers=folder, work=folder / "work", clock=f"stepped:{NOW.isoformat()}"))
    found = Filled(app, environment_at(app.url, folder))
    try:
        found.all()
        yield found
    finally:
        app.stop()


@pytest.fixture(scope="session")
def served() -> Callable[..., Any]:
    """Serves an environment's page for as long as the block lasts."""
    from contextlib import contextmanager

    @contextmanager
    def serving(environment: Environment) -> Iterator[str]:
        listening = listen()
        server = uvicorn.Server(uvicorn.Config(application(environment), log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
            listening.close()

    return serving


@pytest.fixture
def fault(filled: Filled) -> Callable[..., Any]:
    """Lets calls fail for as long as the block lasts."""
    from contextlib import contextmanager

    import httpx

    @contextmanager
    def failing(given: dict[str, Any]) -> Iterator[None]:
        url = f"{filled.app.url}/_localaws/faults"
        assert httpx.post(url, json=given).is_success
        try:
            yield
        finally:
            httpx.request("DELETE", url, json={})

    return failing


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Environment]:
    app = start(Settings(containers=tmp_path, work=tmp_path / "work"))
    yield environment_at(app.url, tmp_path)
    app.stop()


@pytest.fixture
def unreachable(tmp_path: Path) -> Environment:
    listening = listen()
    port = listening.getsockname()[1]
    listening.close()
    return environment_at(f"http://127.0.0.1:{port}", tmp_path)


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., tuple[Any, list[str]]]]:
    """Opens a page and waits until every part of it has been looked at; its errors are gathered."""
    tabs = []

    def open_(url: str, **how: Any) -> tuple[Any, list[str]]:
        tab = browser.new_page(**how)
        tabs.append(tab)
        problems: list[str] = []
        tab.on("console", lambda said: problems.append(said.text) if said.type in ("error", "warning") else None)
        tab.on("pageerror", lambda problem: problems.append(str(problem)))
        tab.on(
            "request",
            lambda asked: problems.append(asked.url) if not asked.url.startswith((url, "data:", "blob:")) else None,
        )
        tab.goto(url)
        tab.locator("body[data-rounds]").wait_for()
        return tab, problems

    yield open_
    for tab in tabs:
        tab.close()
