"""Training jobs: the container's `train` program under the /opt/ml contract, from channels to model.tar.gz."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from localaws import jobs, resources
from localaws.announce import announce
from localaws.board import Ended, Exited
from localaws.errors import NotBuilt, ValidationException
from localaws.gateway import Operation, Request
from localaws.jobs import Job, JobFailedError, Program
from localaws.kinds import TRAINING_JOB
from localaws.objects import NoObjectsError, Objects, archive, join
from localaws.plane import Plane
from localaws.store import Body, Resource, Scope

GROUP = "/aws/sagemaker/TrainingJobs"
DAY = 86400
OnTick = Callable[[list[tuple[str, float, float]]], None]  # metrics as they come: name, value, when
FINALS: dict[Exited | Ended, str] = {Ended("stop"): "Stopped", Ended("timeout"): "MaxRuntimeExceeded"}
LAST = {"Completed", "Failed", "Stopped", "MaxRuntimeExceeded", "MaxWaitTimeExceeded"}
MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading the training image",
    "Training": "Training image download completed. Training in progress.",
    "Interrupted": "The spot instance was taken back",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "MaxWaitTimeExceeded": "Training job wait time exceeded MaxWaitTimeInSeconds provided",
}


def operations(plane: Plane) -> Mapping[str, Operation]:
    now = plane.clock.now
    jobs.fail_orphans(plane, TRAINING_JOB, SecondaryStatus="Failed")
    return {
        **resources.operations(TRAINING_JOB, now),
        "CreateTrainingJob": lambda request: create(plane, request),
        "StopTrainingJob": lambda request: jobs.stop(plane, request, TRAINING_JOB, secondary=True),
        "UpdateTrainingJob": lambda request: update(request, now()),
        "DeleteTrainingJob": lambda request: jobs.delete(request, TRAINING_JOB),
    }


def create(plane: Plane, request: Request) -> dict[str, Any]:
    params = request.params
    check(params)
    check_channels(Objects(plane.clients, request.account, request.region, params["RoleArn"]), params)
    return {"TrainingJobArn": start(plane, request.scope, params).arn}


def start(plane: Plane, scope: Scope, params: Mapping[str, Any], *, on_tick: OnTick | None = None) -> Resource:
    """Record a job and let it run; also how tuning jobs start theirs."""
    now = plane.clock.now()
    body: Body = {
        "EnableNetworkIsolation": False,
        "EnableInterContainerTrafficEncryption": False,
        "EnableManagedSpotTraining": False,
        **resources.without(params, "Tags"),
        "StoppingCondition": {"MaxRuntimeInSeconds": DAY, **params.get("StoppingCondition", {})},
        "TrainingJobStatus": "InProgress",
        "SecondaryStatus": "Starting",
        "SecondaryStatusTransitions": [_transition("Starting", now)],
    }
    row = resources.add(TRAINING_JOB, scope, params["TrainingJobName"], body, now=now, tags=params.get("Tags", ()))
    jobs.begin(plane, row, TRAINING_JOB, GROUP, lambda job: Training(job, on_tick).run())
    return row


def check(params: Mapping[str, Any]) -> None:
    """The rules that no single member's shape can say."""
    algorithm = params.get("AlgorithmSpecification", {})
    if "AlgorithmName" in algorithm:
        raise NotBuilt("sagemaker", "CreateTrainingJob with AlgorithmName (give a TrainingImage)")
    if "TrainingImage" not in algorithm:
        raise ValidationException("Exactly one of TrainingImage or AlgorithmName must be provided.")
    if not {"InstanceCount", "InstanceGroups"} & set(params.get("ResourceConfig", {})):
        raise ValidationException("ResourceConfig must have InstanceCount and InstanceType, or InstanceGroups.")
    _check_spot(params)
    names = [channel["ChannelName"] for channel in params.get("InputDataConfig", ())]
    if len(set(names)) < len(names):
        raise ValidationException(f"Channel names must be unique: {', '.join(names)}.")
    for definition in algorithm.get("MetricDefinitions", ()):
        _check_regex(definition)


def _check_spot(params: Mapping[str, Any]) -> None:
    stopping = params.get("StoppingCondition", {})
    runtime, wait = stopping.get("MaxRuntimeInSeconds", DAY), stopping.get("MaxWaitTimeInSeconds")
    if params.get("EnableManagedSpotTraining"):
        if wait is None:
            raise ValidationException(
                "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds."
            )
        if wait < runtime:
            raise ValidationException(
                "Invalid MaxWaitTimeInSeconds. It must be greater than or equal to MaxRuntimeInSeconds."
            )
    elif wait is not None:
        raise ValidationException(
            "MaxWaitTimeInSeconds above 0 is supported only when EnableManagedSpotTraining is set to true."
        )


def _check_regex(definition: Mapping[str, str]) -> None:
    try:
        re.compile(definition["Regex"])
    except re.error as error:
        raise ValidationException(f"Metric {definition['Name']} has an invalid regular expression: {error}.") from error


def check_channels(objects: Objects, params: Mapping[str, Any]) -> None:
    """SageMaker looks before it starts: a prefix without objects is refused at once."""
    for channel in params.get("InputDataConfig", ()):
        source = channel["DataSource"].get("S3DataSource")
        if source is None:
            raise NotBuilt("sagemaker", f"CreateTrainingJob with the data source {', '.join(channel['DataSource'])}")
        if channel.get("InputMode", params.get("AlgorithmSpecification", {}).get("TrainingInputMode")) == "Pipe":
            raise NotBuilt("sagemaker", "CreateTrainingJob with InputMode Pipe (File and FastFile are executed)")
        uri = source["S3Uri"]
        try:
            found = objects.find(uri, source["S3DataType"])
        except NoObjectsError:
            found = None
        if not found:
            raise ValidationException(
                f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket'
                f" exists in the selected region, that objects exist under that S3 prefix, and that the role"
                f' "{params["RoleArn"]}" has "s3:ListBucket" permissions on the bucket.'
            )


def update(request: Request, now: float) -> dict[str, Any]:
    """Profiler, remote debugging and how long instances are kept: all that AWS lets change."""
    params = request.params
    row = resources.find(TRAINING_JOB, request.scope, params["TrainingJobName"])
    new = resources.without(params, "TrainingJobName", "ResourceConfig")
    if "ResourceConfig" in params:
        new["ResourceConfig"] = {**row.body["ResourceConfig"], **params["ResourceConfig"]}
    resources.change(TRAINING_JOB, request.scope, row.name, new, now=now)
    return {"TrainingJobArn": row.arn}


@dataclass
class Metrics:
    """Numbers found in log lines by the job's own expressions."""

    rules: list[tuple[str, re.Pattern[str]]]
    last: dict[str, tuple[float, float]] = field(default_factory=dict)  # name: value, when
    waiting: list[tuple[str, float, float]] = field(default_factory=list)

    def read(self, line: str, now: float) -> None:
        for name, rule in self.rules:
            found = rule.search(line)
            if found is None or not found.groups():
                continue
            try:
                value = float(found[1])
            except ValueError:
                continue
            self.last[name] = (value, now)
            self.waiting.append((name, value, now))

    def take(self) -> list[tuple[str, float, float]]:
        """What was found since the last time."""
        taken = self.waiting.copy()
        del self.waiting[: len(taken)]
        return taken

    def final(self) -> list[Body]:
        return [{"MetricName": name, "Value": value, "Timestamp": at} for name, (value, at) in self.last.items()]


class Training:
    """One training job at work."""

    def __init__(self, job: Job, on_tick: OnTick | None = None) -> None:
        self.job = job
        self.asked = job.body
        definitions = self.asked["AlgorithmSpecification"].get("MetricDefinitions", ())
        self.metrics = Metrics([(item["Name"], re.compile(item["Regex"])) for item in definitions])
        job.on_line = lambda line: self.metrics.read(line, job.now())
        job.on_tick = self._tick
        self._watched = on_tick
        self.started = job.now()
        self.billed = 0.0

    def run(self) -> None:
        """The whole life, from Starting to a final status."""
        try:
            self._announce()
            ended = self._train()
            while ended == Ended("interrupt"):
                self._interrupted()
                ended = self._train()
            self._finish(ended)
        except JobFailedError as error:
            self._close("Failed", str(error))
        except Exception:
            self._close("Failed", jobs.HOST_LOST)
            raise

    # --- steps

    def _train(self) -> Exited | Ended:
        job = self.job
        if job.live.asked == "stop":
            return Ended("stop")
        self._to("Downloading")
        self._prepare()
        if job.live.asked == "stop":
            return Ended("stop")
        self._to("Training")
        self.started = job.now()
        job.note(TrainingStartTime=job.body.get("TrainingStartTime", self.started))
        ended = job.run(self._program(), limit=self.asked["StoppingCondition"]["MaxRuntimeInSeconds"])
        self.billed += max(1.0, job.now() - self.started)
        return ended

    def _prepare(self) -> None:
        job, asked = self.job, self.asked
        groups = self._groups()
        hosts = job.make_hosts(sum(count for _, _, count in groups))
        names = [host.name for host in hosts]
        owner = [(group, kind) for group, kind, count in groups for _ in range(count)]
        channels = asked.get("InputDataConfig", ())
        described = [
            {"instance_group_name": group, "instance_type": kind, "hosts": _own(names, owner, group)}
            for group, kind, _ in groups
        ]
        for host, (group, kind) in zip(hosts, owner, strict=True):
            host.put("input/config/hyperparameters.json", asked.get("HyperParameters", {}))
            host.put("input/config/inputdataconfig.json", {c["ChannelName"]: self._channel(c) for c in channels})
            host.put(
                "input/config/resourceconfig.json",
                {
                    "current_host": host.name,
                    "current_instance_type": kind,
                    "current_group_name": group,
                    "hosts": names,
                    "instance_groups": described,
                    "network_interface_name": "lo",
                },
            )
        for channel in channels:
            source = channel["DataSource"]["S3DataSource"]
            jobs.fetch_channel(
                job, source, f"input/data/{channel['ChannelName']}", what=f"channel {channel['ChannelName']}"
            )
        self._fetch_checkpoints()

    def _groups(self) -> list[tuple[str, str, int]]:
        config = self.asked["ResourceConfig"]
        given = config.get("InstanceGroups")
        if given:
            return [(group["InstanceGroupName"], group["InstanceType"], group["InstanceCount"]) for group in given]
        return [("homogeneousCluster", config.get("InstanceType", "ml.m5.large"), config["InstanceCount"])]

    def _channel(self, channel: Mapping[str, Any]) -> dict[str, str]:
        mode = channel.get("InputMode") or self.asked["AlgorithmSpecification"].get("TrainingInputMode", "File")
        described = {
            "TrainingInputMode": mode,
            "S3DistributionType": channel["DataSource"]["S3DataSource"].get(
                "S3DataDistributionType", "FullyReplicated"
            ),
            "RecordWrapperType": channel.get("RecordWrapperType", "None"),
        }
        return described | ({"ContentType": channel["ContentType"]} if "ContentType" in channel else {})

    def _program(self) -> Program:
        job, asked = self.job, self.asked
        algorithm = asked["AlgorithmSpecification"]
        isolated = asked["EnableNetworkIsolation"]
        own = {"TRAINING_JOB_NAME": job.name, "TRAINING_JOB_ARN": asked["TrainingJobArn"]}
        return Program(
            image=algorithm["TrainingImage"],
            arguments=tuple(algorithm.get("ContainerArguments", ("train",))),
            entrypoint=tuple(algorithm.get("ContainerEntrypoint", ())),
            environment=jobs.environment(
                job.plane, job.scope, asked["RoleArn"], own | asked.get("Environment", {}), isolated=isolated
            ),
            isolated=isolated,
        )

    def _interrupted(self) -> None:
        """A spot machine was taken: wait for another one, and resume from the checkpoints."""
        if not self.asked["EnableManagedSpotTraining"]:
            raise JobFailedError(jobs.HOST_LOST)
        self.job.live.resume()
        self._send_checkpoints()
        self._to("Interrupted")
        self.job.clean()
        self._to("Starting")

    def _finish(self, ended: Exited | Ended) -> None:
        if isinstance(ended, Exited) and any(ended.codes):
            self._send_output()
            raise JobFailedError(self._reason(ended))
        if not self.job.hosts:  # stopped before there was anything
            self._close("Stopped")
            return
        self._to("Uploading")
        self._send_checkpoints()
        self._send_output()
        artifact = self._send_model()
        self._close(FINALS.get(ended, "Completed"), artifact=artifact)

    def _reason(self, ended: Exited) -> str:
        told = " ".join(filter(None, (host.text("output/failure") for host in self.job.hosts)))
        code = next(code for code in ended.codes if code)
        return f"AlgorithmError: {told}, exit code: {code}"[:1024]

    # --- S3

    def _base(self) -> str:
        return join(self.asked["OutputDataConfig"]["S3OutputPath"], self.job.name, "output")

    def _send_model(self) -> str:
        return self._send([host.folder / "model" for host in self.job.hosts], "model", always=True)

    def _send_output(self) -> None:
        folders = [host.folder / "output" / "data" for host in self.job.hosts]
        self._send(folders, "output", always=False)

    def _send(self, folders: list[Any], what: str, *, always: bool) -> str:
        config = self.asked["OutputDataConfig"]
        key_id = config.get("KmsKeyId")
        with self.job.moving("Artifact upload"):
            if config.get("CompressionType", "GZIP") == "NONE":
                for folder in folders:
                    self.job.objects.send_folder(folder, join(self._base(), what), key_id=key_id)
                return join(self._base(), what) + "/"
            path = self.job.hosts[0].folder / f"{what}.tar.gz"
            if archive(folders, path) or always:
                self.job.objects.send(path, join(self._base(), path.name), key_id=key_id)
            return join(self._base(), path.name)

    def _fetch_checkpoints(self) -> None:
        config = self.asked.get("CheckpointConfig")
        if not config:
            return
        with self.job.moving("Checkpoint download"):
            found = self.job.objects.find(config["S3Uri"])
            for host in self.job.hosts:
                self.job.objects.fetch(found, host.folder / _checkpoints(config))

    def _send_checkpoints(self) -> None:
        config = self.asked.get("CheckpointConfig")
        if not config:
            return
        with self.job.moving("Checkpoint upload"):
            for host in self.job.hosts:
                self.job.objects.send_folder(host.folder / _checkpoints(config), config["S3Uri"])

    # --- the record

    def _tick(self) -> None:
        """Now and then while it runs: publish what was read from the logs."""
        waiting = self.metrics.take()
        if waiting:
            dimensions = [{"Name": "TrainingJobName", "Value": self.job.name}]
            data = [
                {"MetricName": name, "Value": value, "Timestamp": at, "Dimensions": dimensions}
                for name, value, at in waiting
            ]
            cloudwatch = self.job.plane.clients.get("cloudwatch", self.job.scope.account, self.job.scope.region)
            for start in range(0, len(data), 500):
                cloudwatch.put_metric_data(Namespace=GROUP, MetricData=data[start : start + 500])
            self.job.note(FinalMetricDataList=self.metrics.final())
            if self._watched:
                self._watched(waiting)

    def _to(self, status: str, *, message: str | None = None, **members: Any) -> None:
        now = self.job.now()
        done = [
            item if "EndTime" in item else {**item, "EndTime": now}
            for item in self.job.body["SecondaryStatusTransitions"]
        ]
        stopping = self.job.body["TrainingJobStatus"] == "Stopping" and status not in jobs.FINAL
        shown = {} if stopping and status != "Uploading" else {"SecondaryStatus": status}
        self.job.note(SecondaryStatusTransitions=[*done, _transition(status, now, message)], **shown, **members)
        self._announce()

    def _close(self, final: str, reason: str | None = None, *, artifact: str | None = None) -> None:
        self._tick()
        status = final if final in jobs.FINAL else "Stopped"
        members: Body = {"TrainingJobStatus": status, "TrainingEndTime": self.job.now()}
        if reason:
            members["FailureReason"] = reason
        if artifact:
            members["ModelArtifacts"] = {"S3ModelArtifacts": artifact}
        if self.metrics.last:
            members["FinalMetricDataList"] = self.metrics.final()
        if self.billed:
            members |= {"TrainingTimeInSeconds": round(self.billed), "BillableTimeInSeconds": round(self.billed)}
        self._to(final, message=reason, **members)

    def _announce(self) -> None:
        job = self.job
        announce(
            job.plane.courier, job.scope, "SageMaker Training Job State Change", job.body, [job.body["TrainingJobArn"]]
        )


def _checkpoints(config: Mapping[str, Any]) -> str:
    return config.get("LocalPath", "/opt/ml/checkpoints").removeprefix("/opt/ml/")


def _own(names: list[str], owner: list[tuple[str, str]], group: str) -> list[str]:
    return [name for name, (mine, _) in zip(names, owner, strict=True) if mine == group]


def _transition(status: str, now: float, message: str | None = None) -> Body:
    step = {"Status": status, "StartTime": now, "StatusMessage": message or MESSAGES.get(status, status)}
    return step | ({"EndTime": now} if status in LAST else {})
