"""One invocation as the runtime API carries it, and its errors in the runtime's own codes and words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from localaws.endpoints.connections import Answer
from localaws.errors import AwsError, ValidationException
from localaws.gateway import Request
from localaws.store import Scope

TIMEOUT = 60.0  # seconds a container has for an answer
STREAM_TIMEOUT = 480.0
MOST_BYTES = 6_291_456
MOST_BYTES_SERVERLESS = 4 << 20
PREFIX = "X-Amzn-SageMaker-"
DEFAULT_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Call:
    """What a client asked of an endpoint."""

    endpoint: str
    body: bytes
    content_type: str
    accept: str | None = None
    custom_attributes: str | None = None
    target_variant: str | None = None
    target_model: str | None = None
    hostname: str | None = None
    inference_id: str | None = None
    session: str | None = None
    explanations: str | None = None

    def headers(self) -> dict[str, str]:
        """What reaches the container: these headers and no others."""
        named = {
            "Content-Type": self.content_type,
            "Accept": self.accept,
            f"{PREFIX}Custom-Attributes": self.custom_attributes,
            f"{PREFIX}Target-Variant": self.target_variant,
            f"{PREFIX}Target-Model": self.target_model,
            f"{PREFIX}Target-Container-Hostname": self.hostname,
            f"{PREFIX}Inference-Id": self.inference_id,
            f"{PREFIX}Session-Id": self.session,
            f"{PREFIX}Enable-Explanations": self.explanations,
        }
        return {name: value for name, value in named.items() if value is not None}


def call_from(request: Request) -> Call:
    try:
        params = request.params
    except ValidationException as error:
        raise ValidationError(error.message) from error
    return Call(
        endpoint=params["EndpointName"],
        body=params.get("Body", b""),
        content_type=params.get("ContentType") or DEFAULT_TYPE,
        accept=params.get("Accept"),
        custom_attributes=params.get("CustomAttributes"),
        target_variant=params.get("TargetVariant"),
        target_model=params.get("TargetModel"),
        hostname=params.get("TargetContainerHostname"),
        inference_id=params.get("InferenceId"),
        session=params.get("SessionId"),
        explanations=params.get("EnableExplanations"),
    )


class ValidationError(AwsError):
    """The request cannot be served as it is; the runtime's code has no "Exception" at its end."""

    code = "ValidationError"


class ServiceUnavailable(AwsError):  # noqa: N818  the name is AWS's own code
    """No instance can take the request now."""

    code = "ServiceUnavailable"
    status = 503


class ModelError(AwsError):
    """The container answered with an error, or did not answer."""

    code = "ModelError"
    status = 424


class ModelNotReadyException(AwsError):  # noqa: N818
    """A target model is still being loaded."""

    code = "ModelNotReadyException"
    status = 429


def no_such_endpoint(name: str, account: str) -> ValidationError:
    return ValidationError(
        f"Endpoint {name} of account {account} not found.", members={"ErrorCode": "NO_SUCH_ENDPOINT"}
    )


def model_error(scope: Scope, endpoint: str, container: str, stream: str, answer: Answer) -> ModelError:
    """What the client gets for a container's error; status 0 means that it gave no answer."""
    said = answer.body.decode("utf-8", "replace")
    group = f"/aws/sagemaker/Endpoints/{endpoint}"
    side = "client" if 400 <= answer.status < 500 else "server"
    where = f"https://{scope.region}.console.aws.amazon.com/cloudwatch/home?region={scope.region}#logEventViewer:group={group}"
    return ModelError(
        f'Received {side} error ({answer.status}) from {container} with message "{said}". '
        f"See {where} in account {scope.account} for more information.",
        members={
            "OriginalStatusCode": answer.status,
            "OriginalMessage": said,
            "LogStreamArn": scope.arn(f"log-group:{group}:log-stream:{stream}", "logs"),
        },
    )


TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container {container}. Review the latency metrics for "
    "each container in Amazon CloudWatch, resolve the issue, and try again."
)
EXITED = "An error occurred while handling request as the model process exited."


def copied(headers: Mapping[str, str], name: str) -> dict[str, str]:
    """One of the container's own headers, as it goes to the client."""
    value = headers.get(f"{PREFIX}{name}".lower())
    return {f"{PREFIX}{name}": value} if value is not None else {}
