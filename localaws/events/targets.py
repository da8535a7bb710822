"""Deliveries: to queues, topics, log groups, other buses, SageMaker pipelines, and any API operation by its name."""

import functools
import json
import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.exceptions import UnknownServiceError

from localaws.aws import Clients
from localaws.clock import Clock

log = logging.getLogger(__name__)

UNIVERSAL = "arn:aws:scheduler:::aws-sdk:"
REFUSED = {
    "lambda": "a Lambda function",
    "states": "a Step Functions state machine",
    "ecs": "an ECS task",
    "batch": "a Batch job",
    "kinesis": "a Kinesis stream",
    "firehose": "a Firehose stream",
    "codebuild": "a CodeBuild project",
    "codepipeline": "a CodePipeline pipeline",
    "ssm": "a Systems Manager document",
}
SERVICES = {"stepfunctions": "stepfunctions", "cloudwatchlogs": "logs", "eventbridge": "events"}


class TargetError(Exception):
    """Nothing here can deliver to this target."""


@dataclass(frozen=True)
class Delivery:
    """What goes to which target, for whom."""

    account: str
    region: str
    target: Mapping[str, Any]
    payload: str
    pick: Callable[[str], str] = str  # what a parameter such as `$.detail.name` means
    buries_as: str | None = None  # the role that what fails is sent to a dead-letter queue as


Way = Callable[["Targets", Delivery], None]


class Targets:
    """Delivers through the embedded AWS's own URL, so that a target is whatever answers there."""

    def __init__(self, clients: Clients, clock: Clock) -> None:
        self.clients = clients
        self.clock = clock

    def deliver(self, delivery: Delivery) -> None:
        """Deliver; what fails goes to the target's dead-letter queue when it has one, and is raised when not."""
        try:
            way_to(delivery.target["Arn"])(self, delivery)
        except Exception as error:
            dead = delivery.target.get("DeadLetterConfig", {}).get("Arn")
            if not dead:
                raise
            log.warning("delivery to %s failed (%s): it goes to %s", delivery.target["Arn"], error, dead)
            self._to_dead_letters(delivery, dead, error)

    def client(self, service: str, delivery: Delivery, arn: str = "") -> Any:
        region = arn.split(":")[3] if arn else ""
        return self.clients.get(service, delivery.account, region or delivery.region, delivery.target.get("RoleArn"))

    def _to_dead_letters(self, delivery: Delivery, queue: str, error: Exception) -> None:
        attributes = {
            "ERROR_CODE": type(error).__name__,
            "ERROR_MESSAGE": str(error)[:1024],
            "TARGET_ARN": delivery.target["Arn"],
        }
        sqs = self.clients.get("sqs", delivery.account, queue.split(":")[3], delivery.buries_as)
        sqs.send_message(
            QueueUrl=queue_url(self.clients.url, queue),
            MessageBody=delivery.payload,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        )


def check_target(arn: str) -> None:
    """Refuse a target that nothing here can deliver to, before it is stored."""
    way_to(arn)


@functools.cache
def way_to(arn: str) -> Way:
    if arn.startswith(UNIVERSAL):
        return _operation(arn)
    service = arn.split(":")[2] if arn.count(":") >= 5 else ""
    resource = arn.split(":", 5)[-1]
    if service == "sagemaker" and resource.startswith("pipeline/"):
        return _to_pipeline
    if service == "events" and resource.startswith("event-bus/"):
        return _to_bus
    if service in _WAYS:
        return _WAYS[service]
    what = REFUSED.get(service, "this target")
    raise TargetError(
        f"The embedded AWS cannot deliver to {what} ({arn}): it delivers to SQS queues, SNS topics, log groups, event "
        "buses, SageMaker pipelines and, from schedules, to any operation "
        "(arn:aws:scheduler:::aws-sdk:service:operation)."
    )


def queue_url(url: str, arn: str) -> str:
    *_, account, name = arn.split(":")
    return f"{url}/{account}/{name}"


def _to_queue(targets: Targets, delivery: Delivery) -> None:
    arn = delivery.target["Arn"]
    group = delivery.target.get("SqsParameters", {}).get("MessageGroupId")
    more = {"MessageGroupId": delivery.pick(group), "MessageDeduplicationId": str(uuid.uuid4())} if group else {}
    url = queue_url(targets.clients.url, arn)
    targets.client("sqs", delivery, arn).send_message(QueueUrl=url, MessageBody=delivery.payload, **more)


def _to_topic(targets: Targets, delivery: Delivery) -> None:
    arn = delivery.target["Arn"]
    targets.client("sns", delivery, arn).publish(TopicArn=arn, Message=delivery.payload)


def _to_log_group(targets: Targets, delivery: Delivery) -> None:
    arn = delivery.target["Arn"]
    group = arn.split(":log-group:")[-1].removesuffix(":*")
    logs = targets.client("logs", delivery, arn)
    stream = str(uuid.uuid4())
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    event = {"timestamp": int(targets.clock.now() * 1000), "message": delivery.payload}
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])


def _to_bus(targets: Targets, delivery: Delivery) -> None:
    arn = delivery.target["Arn"]
    own = delivery.target.get("EventBridgeParameters")
    if own:
        entry = {"Source": own["Source"], "DetailType": own["DetailType"], "Detail": delivery.payload}
    else:
        event = json.loads(delivery.payload)
        entry = {
            "Source": event["source"],
            "DetailType": event["detail-type"],
            "Detail": json.dumps(event["detail"]),
            "Resources": event["resources"],
        }
    targets.client("events", delivery, arn).put_events(Entries=[{**entry, "EventBusName": arn}])


def _to_pipeline(targets: Targets, delivery: Delivery) -> None:
    arn = delivery.target["Arn"]
    given = delivery.target.get("SageMakerPipelineParameters", {}).get("PipelineParameterList", [])
    parameters = [{"Name": one["Name"], "Value": delivery.pick(one["Value"])} for one in given]
    targets.client("sagemaker", delivery, arn).start_pipeline_execution(
        PipelineName=arn.rpartition("/")[2], PipelineParameters=parameters, ClientRequestToken=uuid.uuid4().hex
    )


_WAYS: dict[str, Way] = {"sqs": _to_queue, "sns": _to_topic, "logs": _to_log_group}


def _operation(arn: str) -> Way:
    """A universal target: `arn:aws:scheduler:::aws-sdk:sagemaker:stopPipelineExecution` with its request as input."""
    service, _, wanted = arn.removeprefix(UNIVERSAL).partition(":")
    name = SERVICES.get(service, service)
    try:
        model = botocore.session.get_session().get_service_model(name)
    except UnknownServiceError as error:
        raise TargetError(f"{arn} names the service {service}, which does not exist.") from error
    found = next((each for each in model.operation_names if each.lower() == wanted.lower()), None)
    if found is None:
        raise TargetError(f"{arn} names the operation {wanted}, which {service} does not have.")
    if found.startswith(("Get", "List", "Describe")):
        raise TargetError(f"{arn} reads only: EventBridge Scheduler calls operations that change something.")

    def call(targets: Targets, delivery: Delivery) -> None:
        method = getattr(targets.client(name, delivery), xform_name(found))
        method(**json.loads(delivery.payload or "{}"))

    return call
