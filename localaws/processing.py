"""Processing jobs: any program of an image, with inputs from S3 and outputs back to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from localaws import jobs, resources
from localaws.announce import announce
from localaws.board import Ended, Exited
from localaws.errors import NotBuilt, ValidationException
from localaws.gateway import Operation, Request
from localaws.jobs import Job, JobFailedError, Program
from localaws.kinds import PROCESSING_JOB
from localaws.objects import files_in, join
from localaws.plane import Plane
from localaws.store import Body, Resource, Scope

GROUP = "/aws/sagemaker/ProcessingJobs"
DAY = 86400
ROOT = "/opt/ml"


def operations(plane: Plane) -> Mapping[str, Operation]:
    jobs.fail_orphans(plane, PROCESSING_JOB)
    return {
        **resources.operations(PROCESSING_JOB, plane.clock.now),
        "CreateProcessingJob": lambda request: create(plane, request),
        "StopProcessingJob": lambda request: jobs.stop(plane, request, PROCESSING_JOB),
        "DeleteProcessingJob": lambda request: jobs.delete(request, PROCESSING_JOB),
    }


def create(plane: Plane, request: Request) -> dict[str, Any]:
    check(request.params)
    return {"ProcessingJobArn": start(plane, request.scope, request.params).arn}


def start(plane: Plane, scope: Scope, params: Mapping[str, Any]) -> Resource:
    """Record a job and let it run; also how monitoring schedules start theirs."""
    body: Body = {
        **resources.without(params, "Tags"),
        "StoppingCondition": {"MaxRuntimeInSeconds": DAY, **params.get("StoppingCondition", {})},
        "ProcessingJobStatus": "InProgress",
    }
    now, name = plane.clock.now(), params["ProcessingJobName"]
    row = resources.add(PROCESSING_JOB, scope, name, body, now=now, tags=params.get("Tags", ()))
    jobs.begin(plane, row, PROCESSING_JOB, GROUP, lambda job: Processing(job).run())
    return row


def check(params: Mapping[str, Any]) -> None:
    if "ClusterConfig" not in params["ProcessingResources"]:
        raise ValidationException("ProcessingResources must have a ClusterConfig.")
    names = [item["InputName"] for item in params.get("ProcessingInputs", ())]
    names += [item["OutputName"] for item in _outputs(params)]
    if len(set(names)) < len(names):
        raise ValidationException(f"Input and output names must be unique: {', '.join(names)}.")
    for item in params.get("ProcessingInputs", ()):
        if "S3Input" not in item:
            raise NotBuilt("sagemaker", "CreateProcessingJob with a DatasetDefinition (S3Input is executed)")
        below(item["S3Input"].get("LocalPath", ""), f"input {item['InputName']}")
    for item in _outputs(params):
        if "S3Output" not in item:
            raise NotBuilt("sagemaker", "CreateProcessingJob with a FeatureStoreOutput (S3Output is executed)")
        below(item["S3Output"].get("LocalPath", ""), f"output {item['OutputName']}")


def below(path: str, what: str) -> str:
    """A path below /opt/ml, relative to it: only that folder is the job's own."""
    pure = PurePosixPath(path)
    if not pure.is_relative_to(ROOT) or ".." in pure.parts or str(pure) == ROOT:
        raise ValidationException(f"LocalPath of {what} must be below {ROOT}, and it is {path!r}.")
    return str(pure.relative_to(ROOT))


def _outputs(params: Mapping[str, Any]) -> list[Body]:
    return list(params.get("ProcessingOutputConfig", {}).get("Outputs", ()))


class Processing:
    """One processing job at work."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.asked = job.body
        self.sent: dict[Path, float] = {}  # files of continuous outputs by when they were changed last
        job.on_tick = self._send_continuous

    def run(self) -> None:
        try:
            self._announce()
            self._prepare()
            ended = self._run()
            self._read_metrics()
            self._send_all()
            self._finish(ended)
        except JobFailedError as error:
            self._close("Failed", FailureReason=str(error)[:1024])
        except Exception:
            self._close("Failed", FailureReason=jobs.HOST_LOST)
            raise

    def _prepare(self) -> None:
        job, asked = self.job, self.asked
        hosts = job.make_hosts(asked["ProcessingResources"]["ClusterConfig"]["InstanceCount"])
        names = [host.name for host in hosts]
        for host in hosts:
            host.put("config/processingjobconfig.json", _described(asked))
            host.put("config/resourceconfig.json", {"current_host": host.name, "hosts": names})
            for item in _outputs(asked):
                (host.folder / below(item["S3Output"]["LocalPath"], item["OutputName"])).mkdir(
                    parents=True, exist_ok=True
                )
        for item in asked.get("ProcessingInputs", ()):
            if not item.get("AppManaged"):
                folder = below(item["S3Input"]["LocalPath"], item["InputName"])
                jobs.fetch_channel(job, item["S3Input"], folder, what=f"input {item['InputName']}")

    def _run(self) -> Exited | Ended:
        job, asked = self.job, self.asked
        app = asked["AppSpecification"]
        isolated = asked.get("NetworkConfig", {}).get("EnableNetworkIsolation", False)
        program = Program(
            image=app["ImageUri"],
            arguments=tuple(app.get("ContainerArguments", ())),
            entrypoint=tuple(app.get("ContainerEntrypoint", ())),
            environment=jobs.environment(
                job.plane, job.scope, asked["RoleArn"], asked.get("Environment", {}), isolated=isolated
            ),
            isolated=isolated,
        )
        job.note(ProcessingStartTime=job.now())
        return job.run(program, limit=asked["StoppingCondition"]["MaxRuntimeInSeconds"])

    def _finish(self, ended: Exited | Ended) -> None:
        message = " ".join(filter(None, (host.text("output/message") for host in self.job.hosts)))[:1024]
        said = {"ExitMessage": message} if message else {}
        if isinstance(ended, Ended):
            status, reason = ("Stopped", None) if ended.why == "stop" else ("Failed", _why(ended))
            self._close(status, FailureReason=reason, **said)
        elif any(ended.codes):
            code = next(code for code in ended.codes if code)
            self._close("Failed", FailureReason=f"AlgorithmError: {message}, exit code: {code}"[:1024], **said)
        else:
            self._close("Completed", **said)

    def _read_metrics(self) -> None:
        """A monitoring container leaves its metrics as JSON lines; whoever scheduled it publishes them."""
        lines = [
            json.loads(line)
            for host in self.job.hosts
            for file in files_in(host.folder / "output" / "metrics" / "cloudwatch")
            for line in file.read_text().splitlines()
            if line.strip()
        ]
        if lines:
            self.job.note(MetricLines=lines)

    def _send_all(self) -> None:
        """Outputs leave whatever the exit code was: a failed check still tells what it found."""
        for item in _outputs(self.asked):
            if not item.get("AppManaged"):
                self._send(item, only_new=item["S3Output"]["S3UploadMode"] == "Continuous")

    def _send_continuous(self) -> None:
        for item in _outputs(self.asked):
            if item["S3Output"]["S3UploadMode"] == "Continuous" and not item.get("AppManaged"):
                self._send(item, only_new=True)

    def _send(self, item: Mapping[str, Any], *, only_new: bool) -> None:
        output = item["S3Output"]
        key_id = self.asked.get("ProcessingOutputConfig", {}).get("KmsKeyId")
        for host in self.job.hosts:
            folder = host.folder / below(output["LocalPath"], item["OutputName"])
            for file in files_in(folder):
                changed = file.stat().st_mtime
                if only_new and self.sent.get(file) == changed:
                    continue
                self.sent[file] = changed
                uri = join(output["S3Uri"], file.relative_to(folder).as_posix())
                with self.job.moving("Output upload"):
                    self.job.objects.send(file, uri, key_id=key_id)

    def _close(self, status: str, **members: Any) -> None:
        self.job.note(ProcessingJobStatus=status, ProcessingEndTime=self.job.now(), **members)
        self._announce()

    def _announce(self) -> None:
        body = self.job.body
        announce(
            self.job.plane.courier,
            self.job.scope,
            "SageMaker Processing Job State Change",
            body,
            [body["ProcessingJobArn"]],
        )


def _why(ended: Ended) -> str:
    if ended.why == "timeout":
        return "ClientError: The job was stopped because it ran longer than MaxRuntimeInSeconds."
    return jobs.HOST_LOST


def _described(asked: Body) -> Body:
    names = (
        "ProcessingJobArn",
        "ProcessingJobName",
        "AppSpecification",
        "Environment",
        "ProcessingInputs",
        "ProcessingOutputConfig",
        "ProcessingResources",
        "NetworkConfig",
        "RoleArn",
        "StoppingCondition",
    )
    return {name: asked[name] for name in names if name in asked}
