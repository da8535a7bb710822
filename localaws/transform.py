"""Batch transform: a model's server answers every record of a prefix, and leaves one answer file per object."""

from __future__ import annotations

import csv
import io
import json
import socket
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from localaws import jobs, resources
from localaws.announce import announce
from localaws.endpoints.connections import Answer, BrokenError, Connections, TimedOutError
from localaws.endpoints.model import ModelDataError, ModelFiles, ServedModel, read_model
from localaws.errors import NotBuilt, ValidationException
from localaws.gateway import Operation, Request
from localaws.jobs import Job, JobFailedError
from localaws.kinds import MODEL, TRANSFORM_JOB
from localaws.logs import LogStream
from localaws.objects import Stored, join, shard
from localaws.plane import Plane
from localaws.ports import RunError, Running, RunSpec
from localaws.store import Body

GROUP = "/aws/sagemaker/TransformJobs"
STARTUP = 240.0  # real seconds until the server must answer its ping
GRACE = 30.0
MEGABYTE = 1 << 20
DEFAULTS = {"MaxConcurrentTransforms": 1, "BatchStrategy": "MultiRecord", "MaxPayloadInMB": 6}


def operations(plane: Plane) -> Mapping[str, Operation]:
    jobs.fail_orphans(plane, TRANSFORM_JOB)
    return {
        **resources.operations(TRANSFORM_JOB, plane.clock.now),
        "CreateTransformJob": lambda request: create(plane, request),
        "StopTransformJob": lambda request: jobs.stop(plane, request, TRANSFORM_JOB),
    }


def create(plane: Plane, request: Request) -> dict[str, Any]:
    params, scope = request.params, request.scope
    resources.find(MODEL, scope, params["ModelName"])
    check(params)
    body = {**resources.without(params, "Tags"), "TransformJobStatus": "InProgress"}
    now, name = plane.clock.now(), params["TransformJobName"]
    row = resources.add(TRANSFORM_JOB, scope, name, body, now=now, tags=params.get("Tags", ()))
    jobs.begin(plane, row, TRANSFORM_JOB, GROUP, lambda job: Transform(job).run())
    return {"TransformJobArn": row.arn}


def check(params: Mapping[str, Any]) -> None:
    split = params["TransformInput"].get("SplitType", "None")
    if split not in {"None", "Line"}:
        raise NotBuilt("sagemaker", f"CreateTransformJob with SplitType {split} (None and Line are executed)")
    product = params.get("MaxConcurrentTransforms", 0) * params.get("MaxPayloadInMB", 0)
    if product > 100:
        raise ValidationException("MaxConcurrentTransforms times MaxPayloadInMB must not exceed 100 MB.")
    processing = params.get("DataProcessing", {})
    for member in ("InputFilter", "OutputFilter"):
        if member in processing:
            _path(processing[member])
    if processing.get("JoinSource", "None") == "Input":
        assembled = params["TransformOutput"].get("AssembleWith", "None")
        if assembled != split:
            raise ValidationException("To join the input, AssembleWith must be the same as SplitType.")


def _path(text: str) -> Any:
    from jsonpath_ng.ext import parse as parse_path

    try:
        return parse_path(text)
    except Exception as error:
        raise ValidationException(f"{text!r} is not a JSONPath expression: {error}.") from error


# --- records: pure --------------------------------------------------------------------------------------------------


def records_of(data: bytes, split: str) -> list[bytes]:
    """An object's records: its lines, or all of it as one."""
    if split == "None":
        return [data]
    return [line for line in data.split(b"\n") if line.strip()]


def batches(records: Iterable[bytes], *, many: bool, limit: int) -> Iterator[list[bytes]]:
    """Records that travel together: one, or as many as fit in a payload."""
    batch: list[bytes] = []
    size = 0
    for record in records:
        if batch and (not many or size + len(record) + 1 > limit):
            yield batch.copy()
            batch.clear()
            size = 0
        batch.append(record)
        size += len(record) + 1
    if batch:
        yield batch


def pick(record: bytes, filtering: str, content_type: str) -> bytes:
    """The part of a record that a JSONPath selects; of a CSV record, columns by index."""
    if filtering in {"", "$"}:
        return record
    return written(found(filtering, parsed(record, content_type)), content_type)


def parsed(record: bytes, content_type: str) -> Any:
    text = record.decode()
    return next(csv.reader([text.strip("\r\n")])) if "csv" in content_type else json.loads(text)


def written(value: Any, content_type: str) -> bytes:
    if "csv" not in content_type:
        return json.dumps(value).encode()
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(value if isinstance(value, list) else [value])
    return buffer.getvalue().encode()


def found(filtering: str, value: Any) -> Any:
    """What a path finds: one value, or the list of several."""
    values = [match.value for match in _path(filtering).find(value)]
    several = any(sign in filtering for sign in ("*", ":", ",", "?"))
    return values if several or len(values) != 1 else values[0]


def joined(record: bytes, answer: bytes, content_type: str, output_filter: str, more: list[str]) -> bytes:
    """Input and output in one record: columns side by side, or under the key SageMakerOutput."""
    given, said = parsed(record, content_type), parsed(answer, content_type)
    if "csv" in content_type:
        merged: Any = [*given, *said, *more]
    elif isinstance(given, dict):
        merged = {**given, "SageMakerOutput": said}
    else:
        merged = {"SageMakerInput": given, "SageMakerOutput": said}
    if more and isinstance(merged, dict):
        merged |= {"SageMakerInferenceId": more[0], "SageMakerInferenceTime": more[1]}
    value = merged if output_filter in {"", "$"} else found(output_filter, merged)
    return written(value, content_type)


# --- the job --------------------------------------------------------------------------------------------------------


class Server:
    """The model's server on one host of the job."""

    def __init__(self, job: Job, model: ServedModel, host: jobs.Host, environment: Mapping[str, str]) -> None:
        container = model.containers[0]
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        scope, plane = job.scope, job.plane
        stream = f"{job.name}/{host.name}-{int(job.now() * 1000)}"
        self._log = LogStream(plane.clients, plane.clock, scope.account, scope.region, group=GROUP, stream=stream)
        own = jobs.environment(plane, scope, model.role, container.environment, isolated=model.isolated)
        spec = RunSpec(
            name=f"transform-job/{job.name}/{host.name}",
            image=container.image,
            folder=host.folder,
            arguments=("serve",),
            environment={**own, "SAGEMAKER_BATCH": "true", **environment},
            isolated=model.isolated,
            port=port,
        )
        try:
            self._running: Running = plane.runner.run(spec)
        except RunError as error:
            raise JobFailedError(f"ClientError: Cannot start the container: {error}") from error
        self.connections = Connections(port)
        threading.Thread(target=self._follow, name=spec.name, daemon=True).start()

    def _follow(self) -> None:
        for line in self._running.lines():
            self._log.write(line)

    def wait_healthy(self) -> None:
        deadline = time.monotonic() + STARTUP
        while not self._pings():
            code = self._running.wait(0.05)
            if code is not None:
                raise JobFailedError(
                    f"AlgorithmError: the model's server exited with code {code} before it was healthy"
                )
            if time.monotonic() > deadline:
                raise JobFailedError("AlgorithmError: the model's server did not pass its ping in time")

    def _pings(self) -> bool:
        try:
            return self.connections.ask("GET", "/ping", b"", {}, 2.0).status == 200
        except (BrokenError, TimedOutError):
            return False

    def wishes(self) -> Body:
        """What the container itself prefers, when it says so."""
        try:
            answer = self.connections.ask("GET", "/execution-parameters", b"", {}, 2.0)
            told = json.loads(answer.body) if answer.ok else {}
        except (BrokenError, TimedOutError, ValueError):
            return {}
        known = {"MULTI_RECORD": "MultiRecord", "SINGLE_RECORD": "SingleRecord"}
        strategy = told.get("BatchStrategy")
        return {**told, **({"BatchStrategy": known.get(strategy, strategy)} if strategy else {})}

    def stop(self) -> None:
        self.connections.close()
        self._running.terminate(GRACE)
        self._log.flush()


class Transform:
    """One batch transform job at work."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.asked = job.body
        self.plan: Body = {}
        processing = self.asked.get("DataProcessing", {})
        self.input_filter = processing.get("InputFilter", "$")
        self.output_filter = processing.get("OutputFilter", "$")
        self.joins = processing.get("JoinSource", "None") == "Input"

    def run(self) -> None:
        try:
            self._announce()
            self.job.note(TransformStartTime=self.job.now())
            failed = self._transform()
            if self.job.live.asked == "stop":
                self._close("Stopped")
            elif failed:
                self._close("Failed", FailureReason=f"ClientError: {failed}"[:1024])
            else:
                self._close("Completed")
        except JobFailedError as error:
            self._close("Failed", FailureReason=str(error)[:1024])
        except Exception:
            self._close("Failed", FailureReason=jobs.HOST_LOST)
            raise

    def _transform(self) -> str:
        """Bring servers up and let each host work its share; tells what failed."""
        job = self.job
        source = self.asked["TransformInput"]["DataSource"]["S3DataSource"]
        job.acts_as = read_model(job.scope, self.asked["ModelName"]).role
        with job.moving("Data download"):
            inputs = job.objects.find(source["S3Uri"], source["S3DataType"])
        if not inputs:
            raise JobFailedError(f"ClientError: No objects found under {source['S3Uri']}.")
        servers = self._servers()
        try:
            for server in servers:
                server.wait_healthy()
            self.plan = {**DEFAULTS, **servers[0].wishes(), **self._asked_plan()}
            count = len(servers)
            with ThreadPoolExecutor(count) as pool:
                works = [
                    pool.submit(self._work, server, shard(inputs, index, count)) for index, server in enumerate(servers)
                ]
                failures = [failure for work in works for failure in work.result()]
        finally:
            for server in servers:
                server.stop()
        return "; ".join(failures)

    def _servers(self) -> list[Server]:
        job = self.job
        model = read_model(job.scope, self.asked["ModelName"])
        if len(model.containers) != 1:
            raise JobFailedError("ClientError: batch transform runs models of one container here")
        hosts = job.make_hosts(self.asked["TransformResources"]["InstanceCount"])
        files = ModelFiles(job.objects, hosts[0].folder.parent / "model-files")
        try:
            files.fetch(model)
        except ModelDataError as error:
            raise JobFailedError(f"ClientError: {error}") from error
        for host in hosts:
            files.place(0, host.folder)
        environment = {**self._batch_environment(), **self.asked.get("Environment", {})}
        return [Server(job, model, host, environment) for host in hosts]

    def _asked_plan(self) -> Body:
        return {name: self.asked[name] for name in DEFAULTS if name in self.asked}

    def _batch_environment(self) -> dict[str, str]:
        names = {
            "MaxPayloadInMB": "SAGEMAKER_MAX_PAYLOAD_IN_MB",
            "BatchStrategy": "SAGEMAKER_BATCH_STRATEGY",
            "MaxConcurrentTransforms": "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS",
        }
        spelled = {"MultiRecord": "MULTI_RECORD", "SingleRecord": "SINGLE_RECORD"}
        plan = self._asked_plan()
        return {names[name]: spelled.get(str(value), str(value)) for name, value in plan.items()}

    def _work(self, server: Server, inputs: list[Stored]) -> list[str]:
        failures = []
        for item in inputs:
            if self.job.live.asked:
                break
            try:
                self._one(server, item)
            except JobFailedError as error:
                failures.append(f"{item.key}: {error}")
        return failures

    def _one(self, server: Server, item: Stored) -> None:
        """All records of one object; its output is written only when each of them was answered."""
        asked, output = self.asked, self.asked["TransformOutput"]
        split = asked["TransformInput"].get("SplitType", "None")
        with self.job.moving("Data download"):
            data = self.job.objects.read(f"s3://{item.bucket}/{item.key}")
        records = records_of(data, split)
        limit = (self.plan["MaxPayloadInMB"] or 1024) * MEGABYTE
        many = self.plan["BatchStrategy"] == "MultiRecord" and split != "None"

        def ask(batch: list[bytes]) -> bytes:
            return self._ask(server, batch)

        with ThreadPoolExecutor(max(1, self.plan["MaxConcurrentTransforms"])) as pool:
            answers = list(pool.map(ask, batches(records, many=many, limit=limit)))
        glue = b"\n" if output.get("AssembleWith") == "Line" else b""
        body = glue.join(answers) + glue
        uri = join(output["S3OutputPath"], f"{item.relative}.out")
        with self.job.moving("Output upload"):
            self.job.objects.write(uri, body, key_id=output.get("KmsKeyId"))

    def _ask(self, server: Server, batch: list[bytes]) -> bytes:
        content_type = self.asked["TransformInput"].get("ContentType", "application/octet-stream")
        accept = self.asked["TransformOutput"].get("Accept", "*/*")
        sent = b"\n".join(pick(record, self.input_filter, content_type) for record in batch)
        headers = {"Content-Type": content_type, "Accept": accept}
        answer = self._try(server, sent, headers)
        if not self.joins and self.output_filter == "$":
            return (
                answer.body.rstrip(b"\n")
                if self.asked["TransformOutput"].get("AssembleWith") == "Line"
                else answer.body
            )
        said = records_of(answer.body, self.asked["TransformInput"].get("SplitType", "None"))
        if self.joins and len(said) != len(batch):
            raise JobFailedError(f"{len(batch)} records were sent and {len(said)} came back: they cannot be joined")
        kind = answer.headers.get("content-type", accept)
        if self.joins:
            return b"\n".join(
                joined(record, one, content_type, self.output_filter, self._ids())
                for record, one in zip(batch, said, strict=True)
            )
        return b"\n".join(pick(one, self.output_filter, kind) for one in said)

    def _ids(self) -> list[str]:
        if not self.asked.get("DataCaptureConfig", {}).get("GenerateInferenceId"):
            return []
        moment = datetime.fromtimestamp(self.job.now(), UTC)
        return [str(uuid.uuid4()), f"{moment:%Y-%m-%dT%H:%M:%SZ}"]

    def _try(self, server: Server, body: bytes, headers: Mapping[str, str]) -> Answer:
        config = self.asked.get("ModelClientConfig", {})
        timeout, retries = config.get("InvocationsTimeoutInSeconds", 600), config.get("InvocationsMaxRetries", 3)
        for attempt in range(retries + 1):
            try:
                answer = server.connections.ask("POST", "/invocations", body, headers, timeout)
            except (BrokenError, TimedOutError) as error:
                if attempt == retries:
                    raise JobFailedError(f"the model did not answer: {error or type(error).__name__}") from error
                continue
            if answer.ok:
                return answer
            if answer.status < 500 or attempt == retries:
                text = answer.body[:300].decode(errors="replace")
                raise JobFailedError(f"the model answered {answer.status}: {text}")
        raise JobFailedError("the model did not answer")

    def _close(self, status: str, **members: Any) -> None:
        self.job.note(TransformJobStatus=status, TransformEndTime=self.job.now(), **members)
        self._announce()

    def _announce(self) -> None:
        body = self.job.body
        kind = "SageMaker Transform Job State Change"
        announce(self.job.plane.courier, self.job.scope, kind, body, [body["TransformJobArn"]])
